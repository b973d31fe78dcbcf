//! A real Citus, where `CITUS_URL` says that there is one: a superuser's URL of a database without ShelfWise in it.

use std::process::Command;

use secrecy::SecretString;
use serde_json::json;
use shelfwise::app::owner;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::isolation::verify;
use shelfwise::db::migrate::migrate_control;
use url::Url;

use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::cluster::connect;
use crate::orders::{act, order};

const LOGINS: &str = include_str!("../../../deploy/postgres/logins.sql");

/// The password that both logins get.
const PASSWORD: &str = "citus-test";

/// Runs a file of `deploy/citus` as an operator does.
fn psql(url: &str, file: &str, host: &str) {
    let path = format!("{}/deploy/citus/{file}", env!("CARGO_MANIFEST_DIR"));
    let coordinator = format!("coordinator={host}");
    let output = Command::new("psql").args(["-X", "-d", url, "-v", &coordinator, "-f", &path]).output().unwrap();
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn shops_are_shards_of_a_citus_and_work_as_anywhere() {
    let Ok(superuser) = std::env::var("CITUS_URL") else {
        println!("CITUS_URL is not set: no Citus was tried");
        return;
    };
    let client = connect(&superuser).await;
    client.batch_execute(LOGINS).await.unwrap();
    let passwords = ["shelfwise", "shelfwise_owner"].map(|login| format!("ALTER ROLE {login} PASSWORD '{PASSWORD}'"));
    client.batch_execute(&passwords.join("; ")).await.unwrap();
    let login = |name: &str| -> SecretString {
        let mut url = Url::parse(&superuser).unwrap();
        url.set_username(name).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        String::from(url).into()
    };
    let runtime = login("shelfwise");
    let urls = DatabaseUrls { listen: runtime.clone(), runtime, owner: Some(login("shelfwise_owner")) };
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let host = Url::parse(&superuser).unwrap().host_str().unwrap().to_owned();
    psql(&superuser, "enable.sql", &host);

    let world = World::start_over(&urls, &[]).await;
    psql(&superuser, "roles.sql", &host);
    let shards = "SELECT count(*) FROM citus_schemas WHERE schema_name::text = ANY($1)";
    let both = [world.a.schema.as_str(), world.b.schema.as_str()].map(str::to_owned).to_vec();
    assert_eq!(client.query_one(shards, &[&both]).await.unwrap().get::<_, i64>(0), 2);

    let emma = json!({ "title": "Emma", "stock": 5, "price": { "amount": "10", "currency": "EUR" } });
    let emma = book(&world.owner(), emma).await;
    let id = order(&world.owner(), &[(&emma, 2)]).await;
    assert_eq!(act(&world.owner(), "orderPlace", &id, "").await["order"]["status"], "PLACED");
    let books = world.owner().data("{ books { nodes { title stock } } }", json!({})).await;
    assert_eq!(books["books"]["nodes"], json!([{ "title": "Emma", "stock": 3 }]));
    let theirs = world.other_owner().data("{ books { totalCount } orders { totalCount } }", json!({})).await;
    assert_eq!(theirs, json!({ "books": { "totalCount": 0 }, "orders": { "totalCount": 0 } }));
    let report = verify(&world.app.control, &world.app.services.tenants).await.unwrap();
    assert_eq!(report.breaches.len(), 0, "{:?}", report.breaches);
    world.end().await;
}
