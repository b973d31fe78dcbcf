//! `shelfwise setting`, `shelfwise flag`

use std::process::Output;

use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;

use super::noted;
use crate::harness::cluster::{own_database, psql_of};
use crate::harness::command::shelfwise;

fn run(urls: &DatabaseUrls, arguments: &[&str]) -> Output {
    shelfwise(urls, &JwtKey::generate("test-1").unwrap().to_setting(), arguments)
}

/// What a command that must succeed prints, an object a line.
fn lines(urls: &DatabaseUrls, arguments: &[&str]) -> Vec<Value> {
    let output = run(urls, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a command that must fail says.
fn refusal(urls: &DatabaseUrls, arguments: &[&str]) -> String {
    let output = run(urls, arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn an_operator_sets_and_takes_back_at_the_command_line() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    assert!(run(&urls, &provision).status.success());

    let stock_low = |lines: Vec<Value>| lines.into_iter().find(|line| line["name"] == "catalog.stock_low").unwrap();
    let listed = lines(&urls, &["setting", "list", "--tenant", "acme"]);
    assert_eq!(listed.len(), 11);
    assert_eq!(stock_low(listed)["source"], "default");
    let set = lines(&urls, &["setting", "set", "catalog.stock_low", "9", "--plan", "free"]);
    assert_eq!((&set[0]["value"], &set[0]["source"]), (&json!(9), &json!("plan")));
    lines(&urls, &["setting", "set", "catalog.stock_low", "8", "--tenant", "acme"]);
    let seen = stock_low(lines(&urls, &["setting", "list", "--tenant", "acme"]));
    assert_eq!((&seen["value"], &seen["source"], &seen["ruledValue"]), (&json!(8), &json!("operators"), &json!(8)));
    let reset = lines(&urls, &["setting", "reset", "catalog.stock_low", "--tenant", "acme", "--own"]);
    assert_eq!((&reset[0]["value"], &reset[0]["source"]), (&json!(9), &json!("plan")));
    let text = String::from_utf8(run(&urls, &["setting", "list", "--plan", "free"]).stdout).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("catalog.stock_low            9 "), "{text}");

    for (arguments, said) in [
        (&["setting", "set", "catalog.stock_low", "-1", "--tenant", "acme"][..], "unexpected argument"),
        (&["setting", "set", "catalog.stock_low", "x", "--tenant", "acme"], "is a whole number from 0 to 1000000"),
        (&["setting", "set", "payments.secret_key", "sk_live_4eC39HqLyjWD", "--tenant", "acme"], "is a secret"),
        (&["setting", "set", "of.the_future", "1", "--tenant", "acme"], "there is no setting of this name"),
        (&["setting", "list", "--tenant", "nobody"], "There is no tenant `nobody`."),
        (&["setting", "list", "--plan", "gold"], "There is no plan `gold`."),
        (&["setting", "list"], "required"),
    ] {
        let told = refusal(&urls, arguments);
        assert!(told.contains(said), "{arguments:?}: {told}");
    }
    let psql = psql_of(&name).await;
    let noted = noted(&psql, "acme").await.into_iter().map(|(action, _)| action).collect::<Vec<_>>();
    assert_eq!(noted, ["tenant.setting_update", "tenant.setting_reset", "tenant.setting_reset_own"]);
}

#[tokio::test]
async fn an_operator_switches_flags_at_the_command_line_and_is_told_of_those_left_over() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let provision =
        ["tenant", "provision", "acme", "--name", "Acme", "--plan", "free", "--owner-email", "a@b.example", "--json"];
    assert!(run(&urls, &provision).status.success());
    let flag = "stock_low_on_update";

    let listed = lines(&urls, &["flag", "list"]);
    assert_eq!(
        listed[0],
        json!({ "name": flag, "percent": 0, "owner": null, "endsOn": null, "isOverdue": false,
                                  "exceptions": [] })
    );
    let set = ["flag", "set", flag, "--percent", "10", "--owner", "Ann", "--ends-on", "2099-03-31"];
    assert_eq!(lines(&urls, &set)[0]["percent"], 10);
    let decided = lines(&urls, &["flag", "tenant", flag, "acme", "on", "--reason", "a pilot"]);
    assert_eq!(decided[0]["exceptions"][0]["tenant"], "acme");
    let text = String::from_utf8(run(&urls, &["flag", "list"]).stdout).unwrap();
    assert!(text.contains("10 %  Ann's until 2099-03-31\n    acme "), "{text}");
    assert_eq!(lines(&urls, &["flag", "untenant", flag, "acme"])[0]["exceptions"], json!([]));

    assert_eq!(lines(&urls, &["flag", "set", flag, "--ends-on", "2020-01-01"])[0]["isOverdue"], true);
    let overdue = run(&urls, &["flag", "list"]);
    assert!(!overdue.status.success() && String::from_utf8_lossy(&overdue.stdout).contains("OVERDUE"));
    assert!(run(&urls, &["flag", "list", "--no-fail"]).status.success());
    assert!(refusal(&urls, &["flag", "set", "x", "--percent", "1"]).contains("it has: stock_low_on_update"));
    assert!(
        refusal(&urls, &["flag", "tenant", flag, "acme", "perhaps", "--reason", "x"])
            .contains("possible values: on, off")
    );
    let psql = psql_of(&name).await;
    assert_eq!((noted(&psql, flag).await.len(), noted(&psql, "acme").await.len()), (2, 2));
}
