//! `shelfwise tenant provision --from` and `tenant clone`

use std::process::{Command, Output, Stdio};

use secrecy::ExposeSecret as _;
use serde_json::Value;
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::control::spares::refill;
use shelfwise::kernel::clock::SystemClock;

use crate::harness::cluster::psql_of;
use crate::harness::command::shelfwise;
use crate::harness::world::master_key;
use crate::jobs::queue::Queue;

fn run(queue: &Queue, arguments: &[&str]) -> Output {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    shelfwise(&queue.urls, &key, arguments)
}

/// What a command prints, an object a line.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// A file of shops with these numbers.
fn shops(numbers: std::ops::Range<usize>) -> tempfile::NamedTempFile {
    let mut text = "slug,name,plan,owner_email\n".to_owned();
    for number in numbers {
        text.push_str(&format!("shop-{number},Shop {number},free,owner-{number}@shops.example\n"));
    }
    file(&text)
}

const TENANTS: &str = "SELECT count(*) FROM control.tenants";
const SCHEMAS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^t_'";

#[tokio::test]
async fn a_file_of_tenants_is_made_and_the_same_file_may_be_run_again() {
    let queue = Queue::new().await;
    let (some, all) = (shops(0..13), shops(0..25));
    let from = |file: &tempfile::NamedTempFile| {
        run(&queue, &["tenant", "provision", "--from", file.path().to_str().unwrap(), "--json"])
    };
    let first = from(&some);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let last = lines(&first).pop().unwrap();
    assert_eq!(
        (&last["lines"], &last["made"], &last["found"], &last["failed"]),
        (&13.into(), &13.into(), &0.into(), &0.into())
    );
    assert_eq!(queue.ask(TENANTS).await, "13");
    assert_eq!(queue.ask(SCHEMAS).await, "13", "no schema is made that nobody gets");

    let second = from(&all);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let last = lines(&second).pop().unwrap();
    assert_eq!((&last["made"], &last["found"]), (&12.into(), &13.into()));
    assert_eq!(lines(&second).iter().filter(|line| line["outcome"] == "found").count(), 13);
    assert_eq!((queue.ask(TENANTS).await, queue.ask(SCHEMAS).await), ("25".to_owned(), "25".to_owned()));
    let trail = "SELECT count(*) FROM control.admin_audit WHERE action = 'tenant.provision' AND operator LIKE 'cli:%'";
    assert_eq!(queue.ask(trail).await, "25");
    let mails = "SELECT string_agg(kind || ' ' || count, ',') FROM (
        SELECT kind, count(*) FROM control.jobs GROUP BY kind ORDER BY kind) AS counted";
    assert_eq!(queue.ask(mails).await, "mail.invitation 25,mail.welcome 25");
}

#[tokio::test]
async fn each_wrong_line_is_told_with_its_codes_and_the_others_are_made() {
    let queue = Queue::new().await;
    let text = "slug,name,plan,owner_email,currency\n\
        good-one,Good,free,a@shops.example,USD\n\
        ab, ,free,nobody,\n\
        gold-one,Gold,gold,b@shops.example,\n\
        too,few\n\
        good-one,Another,free,c@shops.example,\n\
        good-two,Good,free,d@shops.example,\n";
    let path = file(text);
    let output =
        run(&queue, &["tenant", "provision", "--from", path.path().to_str().unwrap(), "--json", "--concurrency", "1"]);
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "shelfwise: 4 of 6 lines failed; mend them and run the same file again\n"
    );
    let mut told: Vec<(u64, String)> = lines(&output)
        .iter()
        .filter(|line| line["line"].is_u64())
        .map(|line| {
            let codes: Vec<&str> =
                line["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
            (line["line"].as_u64().unwrap(), format!("{} {}", line["outcome"].as_str().unwrap(), codes.join(",")))
        })
        .collect();
    told.sort();
    let expected = [
        (2, "made "),
        (3, "failed SLUG_INVALID,NAME_INVALID,OWNER_EMAIL_INVALID"),
        (4, "failed PLAN_NOT_FOUND"),
        (5, "failed LINE_MALFORMED"),
        (6, "failed SLUG_TAKEN"),
        (7, "made "),
    ];
    assert_eq!(told, expected.map(|(line, what)| (line, what.to_owned())));
    let currencies = "SELECT string_agg(slug || ' ' || currency, ',' ORDER BY slug) FROM control.tenants";
    assert_eq!(queue.ask(currencies).await, "good-one USD,good-two EUR");
    // What was made for lines that failed is in stock, and the next run takes it.
    assert_eq!(queue.ask("SELECT count(*) FROM control.spare_schemas").await, "2");
    let next = shops(0..2);
    assert!(run(&queue, &["tenant", "provision", "--from", next.path().to_str().unwrap()]).status.success());
    assert_eq!((queue.ask(TENANTS).await, queue.ask(SCHEMAS).await), ("4".to_owned(), "4".to_owned()));
}

#[tokio::test]
async fn a_file_that_is_none_is_refused_before_anything_is_made() {
    let queue = Queue::new().await;
    let refused = |arguments: &[&str], message: &str| {
        let output = run(&queue, &[&["tenant", "provision"], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(message), "{arguments:?}: {error}");
    };
    let (unnamed, good) = (file("slug,name,plan\nshop-1,Shop,free\n"), shops(0..1));
    refused(&["--from", unnamed.path().to_str().unwrap()], "no column `owner_email`");
    refused(&["--from", "/nowhere.csv"], "cannot open /nowhere.csv");
    refused(&["--from", good.path().to_str().unwrap(), "--concurrency", "9"], "--concurrency is 1 to 4");
    refused(&["--from", good.path().to_str().unwrap(), "shop-1"], "cannot be used with");
    refused(&["shop-1", "--name", "Shop"], "--plan");
    assert_eq!(queue.ask(TENANTS).await, "0");
}

#[tokio::test]
async fn one_tenant_is_told_with_its_steps() {
    let queue = Queue::new().await;
    let arguments =
        ["tenant", "provision", "shop-1", "--name", "Shop", "--plan", "free", "--owner-email", "a@b.example"];
    let output = run(&queue, &[&arguments[..], &["--json"]].concat());
    let told = &lines(&output)[0];
    let steps: Vec<&str> =
        told["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(steps, ["registry", "schema", "default data", "owner", "mails", "notification", "commit"]);
    assert!(told["steps"][1]["milliseconds"].as_f64().unwrap() > 0.0);
    refill(&owner(&queue.urls).unwrap(), &SystemClock, 1).await.unwrap();
    let command = with_stock(
        &queue,
        &["tenant", "provision", "shop-2", "--name", "Shop", "--plan", "free", "--owner-email", "a@b.example"],
    );
    let text = String::from_utf8_lossy(&command.stdout).into_owned();
    assert!(text.starts_with("shop-2 ") && text.contains("\n  spare ") && !text.contains("schema"), "{text}");
}

/// Runs a command of an installation that keeps a stock.
fn with_stock(queue: &Queue, arguments: &[&str]) -> Output {
    command(queue, arguments).env("SPARE_SCHEMAS", "4").output().unwrap()
}

fn command(queue: &Queue, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(std::env::temp_dir())
        .env("DATABASE_URL", queue.urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", queue.urls.owner.as_ref().unwrap().expose_secret())
        .env("MASTER_KEYS", master_key().to_setting())
        .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
        .env("SPARE_SCHEMAS", "0");
    command
}

/// Kills a command once it waits for a lock that the test has, and waits until PostgreSQL has noticed.
async fn kill_when_it_waits(queue: &Queue, arguments: &[&str]) {
    let mut child = command(queue, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'shelfwise_owner' AND wait_event_type = 'Lock'";
    queue.until(waiting, "1").await;
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Waits until no connection of the owner's login is left.
async fn until_gone(queue: &Queue) {
    let left = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'shelfwise_owner'";
    queue.until(left, "0").await;
}

#[tokio::test]
async fn a_copy_that_is_killed_in_the_midst_leaves_nothing_and_the_next_one_succeeds() {
    let queue = Queue::new().await;
    let provision =
        ["tenant", "provision", "shop-1", "--name", "Shop", "--plan", "free", "--owner-email", "a@b.example"];
    assert!(run(&queue, &provision).status.success());
    let clone = ["tenant", "clone", "shop-1", "--as", "shop-2", "--owner-email", "t@b.example", "--json"];
    // When the schema is made and filled, and the act is to be noted.
    let mut blocker = psql_of(&queue.database().await).await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE control.admin_audit IN ACCESS EXCLUSIVE MODE").await.unwrap();
    kill_when_it_waits(&queue, &clone).await;
    lock.rollback().await.unwrap();
    until_gone(&queue).await;
    assert_eq!((queue.ask(TENANTS).await, queue.ask(SCHEMAS).await), ("1".to_owned(), "1".to_owned()));
    let output = run(&queue, &clone);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(&output)[0]["name"], "Sandbox of Shop");
    assert_eq!((queue.ask(TENANTS).await, queue.ask(SCHEMAS).await), ("2".to_owned(), "2".to_owned()));
    let again = run(&queue, &clone);
    assert_eq!(String::from_utf8_lossy(&again.stderr), "shelfwise: The slug `shop-2` is taken.\n");
}

#[tokio::test]
async fn a_bulk_run_that_is_killed_is_finished_by_the_next() {
    let queue = Queue::new().await;
    let all = shops(0..24);
    let provision = ["tenant", "provision", "--from", all.path().to_str().unwrap(), "--concurrency", "2"];
    // The first batches of schemas are made, and a sign-up is to be noted.
    let mut blocker = psql_of(&queue.database().await).await;
    let lock = blocker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE control.tenants IN EXCLUSIVE MODE").await.unwrap();
    kill_when_it_waits(&queue, &provision).await;
    lock.rollback().await.unwrap();
    until_gone(&queue).await;
    let made: usize = queue.ask(TENANTS).await.parse().unwrap();
    let spares: usize = queue.ask("SELECT count(*) FROM control.spare_schemas").await.parse().unwrap();
    assert_eq!(queue.ask(SCHEMAS).await, (made + spares).to_string(), "each schema is a tenant's or a spare");
    assert!(run(&queue, &provision).status.success());
    assert_eq!((queue.ask(TENANTS).await, queue.ask(SCHEMAS).await), ("24".to_owned(), "24".to_owned()));
}
