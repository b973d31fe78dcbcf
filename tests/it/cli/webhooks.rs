//! `shelfwise tenant webhooks`

use std::process::Output;

use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use uuid::Uuid;

use crate::audit::verified;
use crate::control::webhooks::{delivery, endpoint, noted, trail};
use crate::harness::cluster::{psql, shared_urls};
use crate::harness::command::shelfwise;
use crate::harness::world;

/// Runs the command and its arguments.
fn run(arguments: &[&str]) -> Output {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    shelfwise(&shared_urls(), &key, &[&["tenant", "webhooks"], arguments].concat())
}

/// What a command that must succeed prints, an object a line.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_operator_stops_and_starts_a_shops_webhooks_at_the_command_line() {
    world(async |world| {
        let (owner, slug) = (world.owner(), world.a.slug.as_str());
        let (one, two) = (endpoint(&owner).await, endpoint(&owner).await);
        assert_eq!(lines(&["suspend", slug, "--reason", "a flood"]), [json!({ "count": 2 })]);
        delivery(&world.a, &one, "pending", "order.paid").await;
        let listed = lines(&["list", slug]);
        let told = |row: &Value| (row["id"].clone(), row["status"].clone(), row["backlogCount"].clone());
        assert_eq!(
            listed.iter().map(told).collect::<Vec<_>>(),
            [(json!(one), json!("suspended"), json!(1)), (json!(two), json!("suspended"), json!(0))]
        );
        assert_eq!((&listed[0]["host"], &listed[0]["suspensionReason"]), (&json!("hooks.example"), &json!("a flood")));
        let text = String::from_utf8(run(&["list", slug]).stdout).unwrap();
        assert_eq!((text.lines().count(), text.contains("secret")), (2, false), "{text}");

        assert_eq!(lines(&["resume", slug, "--skip-backlog"]), [json!({ "count": 2 })]);
        assert_eq!(lines(&["list", slug])[0]["backlogCount"], 0);
        assert_eq!(run(&["resume", slug]).stdout, b"0 endpoints were resumed\n");

        let actions: Vec<String> = noted(&world.a).await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions, ["tenant.webhooks_suspend", "tenant.webhooks_resume", "tenant.webhooks_resume"]);
        let entries = trail(&world.a).await;
        assert_eq!(entries.len(), 2);
        assert!(entries[0].1["operator"].as_str().unwrap().starts_with("cli:"), "{entries:?}");
        assert_eq!(verified(world).await.broken, None);
    })
    .await;
}

#[tokio::test]
async fn an_operator_replays_deliveries_at_the_command_line() {
    world(async |world| {
        let (owner, slug) = (world.owner(), world.a.slug.as_str());
        let id = endpoint(&owner).await;
        let dead = delivery(&world.a, &id, "dead", "order.paid").await;
        delivery(&world.a, &id, "dead", "order.placed").await;
        delivery(&world.a, &id, "delivered", "order.placed").await;

        let placed = ["--state", "dead", "--event-type", "order.placed", "--from", "2020-01-01T00:00:00Z"];
        let arguments = [&["replay", slug, "--endpoint", &id][..], &placed, &["--to", "2999-01-01T00:00:00Z"]].concat();
        assert_eq!(lines(&arguments), [json!({ "count": 1 })]);
        assert_eq!(lines(&["replay", slug, "--delivery", &dead]), [json!({ "count": 1 })]);
        assert_eq!(lines(&["replay", slug, "--endpoint", &id]), [json!({ "count": 1 })], "the delivered one");
        assert_eq!(lines(&["list", slug])[0]["backlogCount"], 3);
        assert_eq!(noted(&world.a).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_done_to_webhooks_is_said_and_changes_nothing() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        endpoint(&world.owner()).await;
        let nowhere = WebhookEndpointId(Uuid::nil()).to_string();
        let nothing = WebhookDeliveryId(Uuid::nil()).to_string();
        for (arguments, told) in [
            (&["suspend", "nobody", "--reason", "x"][..], "There is no tenant `nobody`."),
            (&["suspend", slug, "--reason", " "], "A reason has 1 to 500 characters."),
            (&["suspend", slug], "--reason"),
            (&["resume", "nobody"], "There is no tenant `nobody`."),
            (&["list", "nobody"], "There is no tenant `nobody`."),
            (&["replay", slug], "--delivery"),
            (&["replay", slug, "--endpoint", &nowhere], "There is no endpoint"),
            (&["replay", slug, "--delivery", &nothing], "There is no delivery"),
            (&["replay", slug, "--delivery", &nothing, "--endpoint", &nowhere], "cannot be used with"),
            (&["replay", slug, "--delivery", &nothing, "--state", "dead"], "cannot be used with"),
            (&["replay", slug, "--endpoint", &nowhere, "--state", "pending"], "possible values"),
        ] {
            let output = run(arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && stderr.contains(told), "{arguments:?}: {stderr}");
        }
        assert_eq!(lines(&["list", slug])[0]["status"], "active");
        assert_eq!(trail(&world.a).await, []);
    })
    .await;
}

#[tokio::test]
async fn endpoints_of_all_shops_that_are_not_well_are_listed_at_the_command_line() {
    world(async |world| {
        let insert = "INSERT INTO control.webhook_troubles (tenant_id, endpoint_id, state, backlog, since, updated_at)
            VALUES ($1, gen_random_uuid(), 'open', 4, now(), now())";
        psql().await.execute(insert, &[&world.a.id.0]).await.unwrap();
        let troubles = lines(&["troubles"]);
        let mine: Vec<&Value> = troubles.iter().filter(|row| row["tenant"] == world.a.slug.as_str()).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!((&mine[0]["state"], &mine[0]["backlogCount"]), (&json!("open"), &json!(4)));
    })
    .await;
}
