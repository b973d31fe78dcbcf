//! Commands against a database that is there.

use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::MasterKey;
use shelfwise::db::migrate::{Plane, migrate_control, migrations};
use shelfwise::tenant::documents::service::document_hash;

use crate::harness::cluster::own_database;
use crate::harness::command::{shelfwise, shelfwise_with};
use crate::harness::world::master_key;

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

#[tokio::test]
async fn an_operator_does_it_all_at_the_command_line() {
    let (_, urls) = own_database().await;
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| shelfwise(&urls, &key, arguments);

    assert_eq!(json(&run(&["migrate", "--json"]))["control"], migrations(Plane::Control).len());
    assert_eq!(json(&run(&["migrate", "--json"]))["control"], 0);
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    assert_eq!(json(&run(&provision))["status"], "active");
    let again = run(&provision);
    assert!(!again.status.success());
    assert_eq!(text(&again.stderr), "shelfwise: The slug `acme` is taken.\n");
    assert_eq!(
        json(&run(&["tenant", "suspend", "acme", "--reason", "unpaid", "--json"]))["suspensionReason"],
        "unpaid"
    );
    assert_eq!(json(&run(&["tenant", "resume", "acme", "--json"]))["status"], "active");
    assert_eq!(json(&run(&["tenant", "list", "--json"]))["slug"], "acme");
    let verified = json(&run(&["tenant", "verify-isolation", "--json"]));
    assert_eq!(verified["breaches"], Value::Array(Vec::new()));
    let suspend = run(&["tenant", "suspend", "nobody", "--reason", "x"]);
    assert_eq!(text(&suspend.stderr), "shelfwise: There is no tenant `nobody`.\n");

    let csv = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(csv.path(), "title,stock\nEmma,3\nBad,x\n").unwrap();
    let import = run(&["tenant", "import", "acme", csv.path().to_str().unwrap(), "--json"]);
    let lines: Vec<Value> = text(&import.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["created"], &lines[0]["rejected"]), (&Value::from(1), &Value::from(1)));
    assert_eq!((&lines[1]["line"], &lines[1]["code"]), (&Value::from(3), &Value::from("STOCK_INVALID")));
    assert!(
        text(&run(&["tenant", "import", "acme", csv.path().to_str().unwrap()]).stdout)
            .starts_with("2 rows: 0 created, 0 updated, 1 unchanged, 1 rejected\nline 3")
    );

    for arguments in [&["token", "admin"][..], &["token", "tenant", "acme", "--role", "clerk"]] {
        let token = text(&run(arguments).stdout);
        assert_eq!(token.lines().count(), 1, "one token and nothing else");
        assert_eq!(token.trim().split('.').count(), 3);
    }
    assert!(!run(&["token", "tenant", "nobody"]).status.success());
    assert!(!run(&["token", "tenant", "acme", "--role", "king"]).status.success());
}

#[test]
fn the_schemas_are_printed_and_a_wrong_configuration_is_told_at_once() {
    let run = |arguments: &[&str], vars: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .envs(vars.iter().copied())
            .output()
            .unwrap()
    };
    assert_eq!(text(&run(&["schema", "print"], &[]).stdout), include_str!("../../../schema.graphql"));
    assert_eq!(text(&run(&["schema", "print", "--admin"], &[]).stdout), include_str!("../../../schema.admin.graphql"));
    let wrong = run(&["serve"], &[("PORT", "x"), ("SHELFWISE_ENV", "production"), ("DB_POOL_MAX", "0")]);
    let error = text(&wrong.stderr);
    assert!(!wrong.status.success());
    for name in ["PORT", "JWT_KEYS", "MASTER_KEYS", "DB_POOL_MAX"] {
        assert!(error.contains(name), "{error}");
    }
    let missing = run(&["serve"], &[]);
    assert!(text(&missing.stderr).contains("DATABASE_URL"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(["schema", "print"])
        .env_clear()
        .current_dir(std::env::temp_dir())
        .stdout(writer)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
}

/// Migrations are granted to whichever login the URL names.
#[tokio::test]
async fn the_runtime_login_may_have_any_name() {
    let (name, mut urls) = own_database().await;
    let psql = crate::harness::cluster::psql_of(&name).await;
    psql.batch_execute(
        "CREATE ROLE \"odd name\" LOGIN NOINHERIT PASSWORD 'x'; ALTER ROLE \"odd name\" SET search_path = ''",
    )
    .await
    .unwrap();
    let url = urls.runtime.expose_secret().replace("postgres://shelfwise:", "postgres://odd%20name:");
    let password = url.split("odd%20name:").nth(1).unwrap().split('@').next().unwrap().to_owned();
    psql.batch_execute(&format!("ALTER ROLE \"odd name\" PASSWORD '{password}'")).await.unwrap();
    urls.runtime = url.into();
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    assert_eq!(json(&shelfwise(&urls, &key, &provision))["slug"], "acme");
    assert!(shelfwise(&urls, &key, &["token", "tenant", "acme"]).status.success());
}
#[tokio::test]
async fn the_first_administrator_is_invited_at_the_command_line() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| shelfwise(&urls, &key, arguments);

    let token = text(&run(&["admin", "invite", "ann@platform.example"]).stdout);
    assert!(token.starts_with("sw_admin_") && token.lines().count() == 1, "one token and nothing else: {token}");
    let again = json(&run(&["admin", "invite", "ann@platform.example", "--json"]));
    assert_eq!((&again["email"], &again["status"]), (&Value::from("ann@platform.example"), &Value::from("invited")));
    assert_ne!(again["invitationToken"], token.trim());
    let listed = json(&run(&["admin", "list", "--json"]));
    assert_eq!(listed["id"], again["id"]);
    assert_eq!(json(&run(&["admin", "disable", "Ann@Platform.Example", "--json"]))["status"], "disabled");
    let unknown = run(&["admin", "disable", "bob@platform.example"]);
    assert_eq!(text(&unknown.stderr), "shelfwise: There is no administrator `bob@platform.example`.\n");
    let malformed = run(&["admin", "invite", "nobody"]);
    assert_eq!(text(&malformed.stderr), "shelfwise: This is not an e-mail address.\n");
    let psql = crate::harness::cluster::psql_of(&name).await;
    let query =
        "SELECT count(*) FROM control.admin_audit WHERE operator LIKE 'cli:%' AND target = 'ann@platform.example'";
    assert_eq!(psql.query_one(query, &[]).await.unwrap().get::<_, i64>(0), 3);
}

#[tokio::test]
async fn documents_are_trusted_by_a_file_of_them() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| shelfwise(&urls, &key, arguments);
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    let schema = json(&run(&provision))["schemaName"].as_str().unwrap().to_owned();
    let file = tempfile::NamedTempFile::new().unwrap();
    let trust = |content: Value, rest: &[&str]| {
        std::fs::write(file.path(), content.to_string()).unwrap();
        run(&[&["tenant", "documents", "acme", file.path().to_str().unwrap()], rest].concat())
    };
    let psql = crate::harness::cluster::psql_of(&name).await;
    let trusted = async || {
        let query = format!(r#"SELECT body FROM "{schema}".trusted_documents ORDER BY body"#);
        psql.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let (authors, books) = ("{ authors { totalCount } }", "{ books { totalCount } }");
    let hash = document_hash(books);

    let answer = json(&trust(json!([authors]), &["--json"]));
    assert_eq!(answer, json!({ "documents": 1, "new": 1 }));
    let both = trust(json!({ document_hash(authors): authors, &hash: books }), &[]);
    assert_eq!(text(&both.stdout), "2 documents, 1 new\n");
    assert_eq!(trusted().await, [authors, books]);

    let told = |output: &Output| {
        assert!(!output.status.success() && output.stdout.is_empty());
        text(&output.stderr)
    };
    let wrong = trust(json!({ &hash: authors }), &["--replace"]);
    assert!(told(&wrong).contains(&format!("`{hash}` is not the SHA-256 of its document")), "{wrong:?}");
    let circle = "{ ...A } fragment A on Query { ...A }";
    let wrong = trust(json!([books, "{ books", circle]), &["--replace"]);
    let lines = "document 2 cannot be parsed\ndocument 3 is refused: a fragment contains itself";
    assert!(told(&wrong).contains(lines), "{wrong:?}");
    assert!(told(&trust(json!([]), &["--replace"])).contains("it holds no documents"));
    let file = file.path().to_str().unwrap();
    let unknown = told(&run(&["tenant", "documents", "nobody", "/dev/null"]));
    assert!(unknown.contains("/dev/null is not trusted"), "{unknown}");
    assert_eq!(trusted().await, [authors, books], "a file in which something is wrong changes nothing");

    std::fs::write(file, json!([books]).to_string()).unwrap();
    let unknown = told(&run(&["tenant", "documents", "nobody", file]));
    assert_eq!(unknown, "shelfwise: there is no tenant `nobody`\n");
    let replaced = run(&["tenant", "documents", "acme", file, "--replace", "--json"]);
    assert_eq!(json(&replaced), json!({ "documents": 1, "new": 1 }));
    assert_eq!(trusted().await, [books]);
}

#[tokio::test]
async fn master_keys_are_replaced_at_the_command_line() {
    let (name, urls) = own_database().await;
    let jwt = JwtKey::generate("test-1").unwrap().to_setting();
    let (old, new) = (master_key(), MasterKey::generate("test-2").unwrap());
    let run = |keys: &[&MasterKey], arguments: &[&str]| {
        let keys: Vec<MasterKey> = keys.iter().map(|key| (*key).clone()).collect();
        shelfwise_with(&urls, &jwt, &keys, arguments)
    };
    let status = |keys: &[&MasterKey]| text(&run(keys, &["keys", "status"]).stdout);
    let line = |id: &str, state: &str, keys: usize| format!("{id:<40} {state:<8} {keys}\n");
    assert_eq!(json(&run(&[&old], &["migrate", "--json"]))["keys"], 0);
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    assert!(run(&[&old], &provision).status.success());
    assert_eq!(json(&run(&[&old], &["tenant", "rotate-key", "acme", "--json"]))["slug"], "acme");
    assert_eq!(status(&[&old, &new]), line("test-1", "first", 3) + &line("test-2", "known", 0));

    let missing = run(&[&new], &["keys", "rewrap"]);
    assert!(!missing.status.success());
    assert!(text(&missing.stderr).starts_with("acme: MASTER_KEYS lacks `test-1`"), "{missing:?}");
    let answer = json(&run(&[&new, &old], &["keys", "rewrap", "--json"]));
    assert_eq!(answer, json!({ "master": "test-2", "rewrapped": 3, "failed": [] }));
    assert_eq!(text(&run(&[&new, &old], &["keys", "rewrap"]).stdout), "0 keys were wrapped anew, by `test-2`\n");
    assert_eq!(status(&[&new]), line("test-2", "first", 3));
    assert_eq!(status(&[&old]), line("test-1", "first", 0) + &line("test-2", "missing", 3));

    let psql = crate::harness::cluster::psql_of(&name).await;
    psql.batch_execute("UPDATE control.tenants SET keys = DEFAULT").await.unwrap();
    assert!(text(&run(&[&new], &["keys", "status"]).stderr).contains("1 tenants have no keys"));
    assert_eq!(json(&run(&[&new], &["migrate", "--json"]))["keys"], 1);
    let query = "SELECT action FROM control.admin_audit WHERE target = 'acme' AND operator LIKE 'cli:%' ORDER BY id";
    let actions: Vec<String> = psql.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(actions, ["tenant.provision", "tenant.rotate_key", "tenant.rewrap_keys", "tenant.make_keys"]);
}
