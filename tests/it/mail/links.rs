//! `mail.invitation`, `mail.password_reset`

use chrono::TimeDelta;
use serde_json::json;
use shelfwise::tenant::identity::links::service::Purpose;

use super::{INVITED, Site, rename};
use crate::harness::smtp::{Offer, Received, SmtpServer};
use crate::identity::{PASSWORD, SESSION, visitor};

/// Where a mail's link leads, which text and HTML must agree about.
fn link(mail: &Received) -> String {
    let text = mail.text();
    let link = text.lines().find(|line| line.starts_with("https://")).unwrap().to_owned();
    assert!(mail.html().contains(&format!("href=\"{}\"", link.replace('&', "&#38;"))), "{}", mail.html());
    link
}

#[tokio::test]
async fn an_invitation_arrives_by_starttls_and_its_link_lets_in() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let shop = &site.world.a;
    let job = site.invite(shop).await;
    let mail = server.next().await;
    site.queue.until_state(job, "completed").await;

    assert!(mail.is_encrypted);
    assert_eq!(mail.login.as_deref(), Some("post@shop.example:s:cret"));
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("mail@shelfwise.example", INVITED));
    assert_eq!(mail.header("From"), "ShelfWise <mail@shelfwise.example>");
    assert_eq!(mail.header("Subject"), format!("You are invited to Shop {}", shop.slug));
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.types(), ["text/plain", "text/html"]);

    let link = link(&mail);
    let start = format!("https://app.shelfwise.example/#tenant={}&invitation=", shop.slug);
    let token = link.strip_prefix(&start).unwrap_or_else(|| panic!("{link}"));
    let query = format!(
        "mutation($token: String!, $password: String!) {{
            invitationAccept(input: {{ token: $token, password: $password }}) {{ {SESSION} }} }}"
    );
    let data = site.world.stranger().data(&query, json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!(data["invitationAccept"]["session"]["user"]["email"], INVITED, "{data}");

    // Nobody is left who could use another one.
    let again = site.invite(shop).await;
    site.queue.until_state(again, "completed").await;
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn a_reset_that_is_asked_for_arrives_and_no_secret_lies_in_the_queue() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let stranger = visitor(&site.world, &site.world.a);
    let ask = async |email: &str| {
        let query =
            "mutation($email: String!) { passwordResetRequest(input: { email: $email }) { userErrors { code } } }";
        stranger.data(query, json!({ "email": email })).await
    };
    ask("nobody@test.example").await;
    ask("clerk@test.example").await;
    let mail = server.next().await;
    assert_eq!(mail.to, "clerk@test.example");
    let link = link(&mail);
    let token = link.rsplit_once("&password_reset=").unwrap().1;
    let done = "SELECT count(*) FROM control.jobs WHERE kind LIKE 'mail.%' AND state = 'completed'";
    site.queue.until(done, "2").await;
    let queue = site.queue.ask("SELECT string_agg(jobs::text, ' ') FROM control.jobs").await;
    assert!(!queue.contains(token) && !queue.contains("sw_"), "{queue}");

    let query = format!(
        "mutation($token: String!, $password: String!) {{
            passwordResetConfirm(input: {{ token: $token, password: $password }}) {{ {SESSION} }} }}"
    );
    let data = site.world.stranger().data(&query, json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!(data["passwordResetConfirm"]["session"]["user"]["email"], "clerk@test.example", "{data}");
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn each_mail_names_its_own_shop_and_no_other() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let (a, b) = (&site.world.a, &site.world.b);
    site.invite(a).await;
    site.invite(b).await;
    let mails = [server.next().await, server.next().await];
    let of = |slug: &str| mails.iter().find(|mail| mail.header("Subject").contains(slug)).unwrap();
    for (shop, other) in [(a, b), (b, a)] {
        let (mail, own) = (of(shop.slug.as_str()), format!("#tenant={}&invitation=sw_{}_", shop.slug, shop.slug));
        for part in [mail.text(), mail.html()] {
            assert!(part.replace("&#38;", "&").contains(&own), "{part}");
            assert!(part.contains(&format!("Shop {}", shop.slug)) && !part.contains(other.slug.as_str()), "{part}");
        }
    }
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn a_shops_name_is_neither_markup_nor_a_header() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    rename(&site, "<b>&\r\nBcc: eve@evil.example\r\n\r\nBü").await;
    site.invite(&site.world.a).await;
    let mail = server.next().await;
    assert_eq!(mail.to, INVITED);
    assert_eq!(mail.header("Bcc"), "");
    let head = mail.data.split_once("\r\n\r\n").unwrap().0;
    assert!(head.lines().all(|line| !line.starts_with("Bcc")), "{head}");
    assert!(mail.text().contains("join <b>& Bcc: eve@evil.example Bü at ShelfWise"), "{}", mail.text());
    let html = mail.html();
    assert!(html.contains("&#60;b&#62;&#38; Bcc: eve@evil.example Bü") && !html.contains("<b>"), "{html}");
    site.end().await;
}

#[tokio::test]
async fn a_job_that_is_done_twice_sends_the_same_mail() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    let job = site.invite(&site.world.a).await;
    let first = server.next().await;
    site.queue.until_state(job, "completed").await;
    site.queue.sql("UPDATE control.jobs SET state = 'available', finalized_at = NULL").await;
    let second = server.next().await;
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert!(first.header("Message-ID").ends_with("@shelfwise.example>"));
    assert_ne!(link(&first), link(&second), "each link has a secret of its own");
    site.end().await;
}

#[test]
fn mails_say_how_long_their_links_work() {
    // As the templates of both say.
    assert_eq!(Purpose::Invitation.lifetime(), TimeDelta::days(7));
    assert_eq!(Purpose::PasswordReset.lifetime(), TimeDelta::hours(1));
}
