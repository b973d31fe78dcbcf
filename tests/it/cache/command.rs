//! What operators do at the command line, and servers hear of.

use serde_json::{Value, json};
use shelfwise::app::urls;
use shelfwise::config::auth::JwtKey;

use super::{keeping, retitle_by_hand, title, until};
use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::command::shelfwise;

/// Runs a command beside a server, in another thread: the server goes on meanwhile.
async fn run(world: &World, arguments: &[&str]) -> Result<String, String> {
    let urls = urls(&world.app.config).unwrap().clone();
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        shelfwise(&urls, &JwtKey::generate("test-2").unwrap().to_setting(), &arguments)
    });
    let output = output.await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn servers_forget_what_an_operator_says_and_it_is_in_the_trail() {
    let (world, database) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Kept" })).await;
    title(&owner, &id).await;
    let slug = world.a.slug.to_string();
    for (arguments, told) in
        [(["cache", "forget", slug.as_str(), "--json"], slug.as_str()), (["cache", "forget", "--all", "--json"], "*")]
    {
        let text = format!("Forgotten of {told}");
        retitle_by_hand(&world, &database, &id, &text).await;
        let answer: Value = serde_json::from_str(&run(&world, &arguments).await.unwrap()).unwrap();
        assert_eq!(answer, json!({ "forgotten": told }));
        until("it is read anew", async || title(&owner, &id).await.0 == text).await;
    }
    assert_eq!(
        run(&world, &["cache", "forget", "nobody"]).await.unwrap_err(),
        "shelfwise: there is no tenant `nobody`\n"
    );
    assert!(run(&world, &["cache", "forget"]).await.is_err(), "whose?");
    let query = "SELECT target FROM control.admin_audit WHERE action = 'cache.forget' ORDER BY id";
    let rows = psql_of(&database).await.query(query, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [slug.as_str(), "platform"]);
    world.end().await;
}

#[tokio::test]
async fn servers_hear_of_an_import_at_the_command_line() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Emma", "isbn": "9780141439587", "stock": 1 })).await;
    let stock = async || {
        let data = owner.data("query($id: ID!) { book(id: $id) { stock } }", json!({ "id": id })).await;
        data["book"]["stock"].clone()
    };
    assert_eq!(stock().await, 1);
    let csv = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(csv.path(), "title,isbn,stock\nEmma,9780141439587,7\n").unwrap();
    let (slug, file) = (world.a.slug.as_str(), csv.path().to_str().unwrap());
    run(&world, &["tenant", "import", slug, file, "--on-conflict", "update", "--json"]).await.unwrap();
    until("it has heard", async || stock().await == 7).await;
    world.end().await;
}
