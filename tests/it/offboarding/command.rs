//! `shelfwise tenant offboard`

use std::process::Output;

use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;

use super::{GRACE, Site};
use crate::harness::command::shelfwise;

/// Runs the command about shop A.
fn run(site: &Site, arguments: &[&str]) -> Output {
    run_of(site, site.world.a.slug.as_str(), arguments)
}

fn run_of(site: &Site, slug: &str, arguments: &[&str]) -> Output {
    let key = JwtKey::generate("cli").unwrap().to_setting();
    shelfwise(&site.queue.urls, &key, &[&["tenant", "offboard", slug], arguments].concat())
}

/// What a command that must succeed prints as JSON.
fn told(site: &Site, arguments: &[&str]) -> Value {
    let output = run(site, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn an_operator_offboards_a_shop_at_the_command_line() {
    let mut site = Site::start().await;
    let begun = told(&site, &["--reason", "they asked for it"]);
    assert_eq!((&begun["status"], &begun["reason"]), (&json!("exporting"), &json!("they asked for it")));
    assert!(begun["requestedBy"].as_str().unwrap().starts_with("cli:"), "{begun}");
    assert_eq!(told(&site, &["--cancel"])["status"], "canceled");
    assert_eq!(told(&site, &["--reason", "really"])["status"], "exporting");
    let line = String::from_utf8(run(&site, &["--status"]).stdout).unwrap();
    assert!(line.contains("exporting") && line.contains("deleted after 20") && line.lines().count() == 1, "{line}");
    site.work();
    site.until("waiting").await;
    assert_eq!(told(&site, &["--status"])["status"], "waiting");
    site.pass(GRACE).await;
    site.until("completed").await;
    assert_eq!(told(&site, &["--status"])["tablesDropped"]["books"], 1);
    assert_eq!(told(&site, &["--certificate"])["statement"]["requested"]["reason"], "really");
    site.end().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let site = Site::start().await;
    let before = (site.everything(&site.world.a).await, site.acts().await);
    let slug = site.world.a.slug.as_str();
    for (slug, arguments, said) in [
        ("nobody", &["--reason", "x"][..], "There is no tenant `nobody`."),
        (slug, &["--reason", " "], "A reason has 1 to 500 characters."),
        (slug, &[], "--reason"),
        (slug, &["--reason", "x", "--cancel"], "cannot be used with"),
        (slug, &["--cancel"], "The tenant is active; it is not being offboarded."),
        (slug, &["--status"], "was never offboarded"),
        (slug, &["--certificate"], "was never offboarded"),
    ] {
        let output = run_of(&site, slug, arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!((site.everything(&site.world.a).await, site.acts().await), before);
    site.offboard("gone").await;
    let output = run(&site, &["--certificate"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("there is no certificate yet: the offboarding is exporting"), "{error}");
    site.end().await;
}
