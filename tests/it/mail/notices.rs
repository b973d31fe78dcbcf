//! `mail.webhook_suspended`, `mail.deprecation_notice`, `mail.export_ready`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::Site;
use crate::harness::smtp::{Fate, Offer, SmtpServer};
use crate::harness::world::user_id;

/// Each kind with a payload, a subject after the shop's name, and what is in the text.
fn notices() -> [(&'static str, Value, &'static str, &'static str); 2] {
    [
        (
            "mail.webhook_suspended",
            json!({ "event": "e", "kind": "webhook.suspended", "version": 1, "entity": "hook_1",
                    "data": { "url": "till.example", "reason": "20 deliveries in a row failed" } }),
            "the webhook to till.example is suspended",
            "Reason    20 deliveries in a row failed",
        ),
        (
            "mail.deprecation_notice",
            json!({ "field": "Book.priceCents", "replacement": "Book.price", "removalOn": "2027-04-01",
                    "operations": ["TillBooks", "TillOrder"] }),
            "`Book.priceCents` goes away on 1 April 2027",
            "  TillBooks\n  TillOrder\n",
        ),
    ]
}

/// Makes the manager of shop A an owner as well.
async fn second_owner(site: &Site) {
    let statement = format!(
        r#"INSERT INTO "{0}".user_roles (user_id, role_id) SELECT $1, id FROM "{0}".roles WHERE key = 'owner'"#,
        site.world.a.schema
    );
    site.queue.psql.execute(&statement, &[&user_id(&site.world.a, Role::Manager).0]).await.unwrap();
}

#[tokio::test]
async fn a_notice_goes_to_every_active_owner_and_nobody_else() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    second_owner(&site).await;
    for (kind, payload, subject, text) in notices() {
        let job = site.add(&site.world.a, kind, payload).await;
        let mails = [server.next().await, server.next().await];
        site.queue.until_state(job, "completed").await;
        let mut to = mails.each_ref().map(|mail| mail.to.as_str());
        to.sort_unstable();
        assert_eq!(to, ["manager@test.example", "owner@test.example"], "{kind}");
        assert_ne!(mails[0].header("Message-ID"), mails[1].header("Message-ID"), "{kind}");
        for mail in &mails {
            assert_eq!(mail.header("Subject"), format!("Shop {}: {subject}", site.world.a.slug));
            assert!(mail.text().contains(text), "{}", mail.text());
            assert_eq!(mail.types(), ["text/plain", "text/html"]);
        }
    }
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn the_first_owner_is_told_where_the_shop_is_and_nobody_where_the_address_was_given_up() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let shop = &site.world.a;
    let gone = site.add(shop, "mail.welcome", json!({ "email": "gone@shop.example" })).await;
    site.queue.until_state(gone, "completed").await;
    server.assert_quiet();
    let job = site.add(shop, "mail.welcome", json!({ "email": super::INVITED })).await;
    let mail = server.next().await;
    site.queue.until_state(job, "completed").await;
    assert_eq!(mail.to, super::INVITED);
    assert_eq!(mail.header("Subject"), format!("Shop {} is ready", shop.slug));
    let text = mail.text();
    assert!(text.contains(&format!("https://app.shelfwise.example/#tenant={}\n", shop.slug)), "{text}");
    assert!(text.contains("on the plan `business`"), "{text}");
    // The invitation alone lets in.
    assert!(!mail.data.contains("sw_"), "{}", mail.data);
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn one_owner_who_is_refused_does_not_keep_the_notice_from_the_others() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    second_owner(&site).await;
    let (kind, payload, ..) = notices()[0].clone();
    server.next_fates(&[Fate::Refuse]);
    let job = site.add(&site.world.a, kind, payload).await;
    server.next().await;
    site.queue.until_state(job, "discarded").await;
    let errors = site.errors(job).await;
    assert!(errors.contains("1 of 2 owners: the mail server refused the mail for good: 550 5.1.1"), "{errors}");
    assert!(!errors.contains("test.example"), "{errors}");
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn a_payload_that_is_no_notice_sends_nothing() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let job = site.add(&site.world.a, "mail.export_ready", json!({ "url": "javascript:alert(1)" })).await;
    site.queue.until_state(job, "retryable").await;
    // An archive that is gone, or never was: there is nothing to tell.
    let job = site.add(&site.world.a, "mail.export_ready", json!({ "archive": site.world.a.id.0 })).await;
    site.queue.until_state(job, "completed").await;
    let job = site.add(&site.world.a, "mail.webhook_suspended", json!({ "entity": "secret@test.example" })).await;
    site.queue.until_state(job, "retryable").await;
    assert!(!site.errors(job).await.contains("secret"));
    server.assert_quiet();
    assert_eq!(server.connections(), 0);
    site.end().await;
}
