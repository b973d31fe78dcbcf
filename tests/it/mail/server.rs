//! What the mail server answers, and how it is reached.

use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::mail::letter::invitation;
use shelfwise::mail::{Mail, Mailer};

use super::{INVITED, Site};
use crate::harness::smtp::{Fate, Offer, SmtpServer};
use crate::harness::world::config;

#[tokio::test]
async fn tls_from_the_first_byte_is_spoken_as_well() {
    let mut server = SmtpServer::start(Offer::Implicit).await;
    let site = Site::start(&server).await;
    site.invite(&site.world.a).await;
    let mail = server.next().await;
    assert!(mail.is_encrypted && mail.login.is_some());
    site.end().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_gets_no_mail_and_no_password() {
    for offer in [Offer::Implicit, Offer::StartTls] {
        let mut server = SmtpServer::start(offer).await;
        let site = Site::start_by(&server.url_of_strangers()).await;
        let job = site.invite(&site.world.a).await;
        site.queue.until_state(job, "retryable").await;
        let errors = site.errors(job).await;
        assert!(errors.contains("invalid peer certificate: UnknownIssuer"), "{errors}");
        assert!(!errors.contains(INVITED) && !errors.contains("cret"), "{errors}");
        server.assert_quiet();
        site.end().await;
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing_where_it_is_required() {
    let mut server = SmtpServer::start(Offer::Nothing).await;
    let site = Site::start(&server).await;
    let job = site.invite(&site.world.a).await;
    site.queue.until_state(job, "retryable").await;
    assert!(site.errors(job).await.contains("STARTTLS is not supported"), "{}", site.errors(job).await);
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn a_developers_own_server_may_be_plain() {
    let mut server = SmtpServer::start(Offer::Nothing).await;
    let site = Site::start_by(&server.plain_url()).await;
    site.invite(&site.world.a).await;
    let mail = server.next().await;
    assert!(!mail.is_encrypted && mail.login.is_none());
    site.end().await;
}

#[tokio::test]
async fn a_connection_serves_many_mails_one_after_the_other_refused_ones_among_them() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    for fate in [Fate::Accept, Fate::Refuse, Fate::Accept, Fate::Busy, Fate::Accept] {
        server.next_fates(&[fate]);
        let job = site.invite(&site.world.a).await;
        let state = match fate {
            Fate::Refuse => "discarded",
            Fate::Busy => "retryable",
            _ => "completed",
        };
        site.queue.until_state(job, state).await;
        site.queue.sql("DELETE FROM control.jobs").await;
        if state == "completed" {
            assert_eq!(server.next().await.connection, 0);
        }
    }
    assert_eq!(server.connections(), 1);
    site.end().await;
}

#[tokio::test]
async fn a_server_that_is_busy_gets_the_mail_later() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    server.next_fates(&[Fate::Busy]);
    let job = site.invite(&site.world.a).await;
    site.queue.until_state(job, "retryable").await;
    let errors = site.errors(job).await;
    assert!(errors.contains("did not take the mail: 451 4.7.1") && !errors.contains(INVITED), "{errors}");
    server.assert_quiet();
    site.queue.pass_the_time().await;
    assert_eq!(server.next().await.to, INVITED);
    site.queue.until_state(job, "completed").await;
    site.end().await;
}

#[tokio::test]
async fn a_refused_recipient_is_a_dead_letter_that_says_why_and_not_who() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    server.next_fates(&[Fate::Refuse]);
    let job = site.invite(&site.world.a).await;
    site.queue.until_state(job, "discarded").await;
    let errors = site.errors(job).await;
    assert!(errors.contains("the mail server refused the mail for good: 550 5.1.1"), "{errors}");
    assert!(!errors.contains(INVITED) && !errors.contains("sw_"), "{errors}");
    server.assert_quiet();
    site.end().await;
}

#[tokio::test]
async fn a_refused_sender_is_no_recipients_fault() {
    let server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    server.next_fates(&[Fate::RefuseSender]);
    let job = site.invite(&site.world.a).await;
    site.queue.until_state(job, "retryable").await;
    assert!(site.errors(job).await.contains("did not take the mail: 550 5.7.1"));
    site.end().await;
}

#[tokio::test]
async fn a_server_that_goes_away_before_its_answer_gets_the_same_mail_again() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let site = Site::start(&server).await;
    server.next_fates(&[Fate::HangUp]);
    let job = site.invite(&site.world.a).await;
    let first = server.next().await;
    site.queue.until_state(job, "retryable").await;
    site.queue.pass_the_time().await;
    let second = server.next().await;
    site.queue.until_state(job, "completed").await;
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert_ne!(first.connection, second.connection, "nobody goes on with what was given up");
    site.end().await;
}

#[tokio::test]
async fn a_mail_that_was_given_up_in_the_middle_leaves_nothing_to_the_next_one() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let settings = [("SMTP_URL", server.url()), ("MAIL_FROM", "mail@shelfwise.example".to_owned())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mailer = Mailer::from_config(&config(&settings).mail).unwrap().unwrap();
    let (one, other) = ("acme".parse().unwrap(), "borealis".parse().unwrap());
    let letters = ["Acme", "Borealis"].map(|shop| invitation(shop, "https://app.example/".to_owned()).unwrap());
    let mail = |id: &str, shop, to, letter| {
        let at = SystemClock.now();
        Mail { id: id.to_owned(), shop: Some(shop), to, reply_to: None, letter, at }
    };

    mailer.send(&mail("1.1", &one, "ann@acme.example", &letters[0])).await.unwrap();
    assert_eq!(server.next().await.connection, 0);
    server.next_fates(&[Fate::Stall]);
    let given_up = mail("1.2", &one, "bob@acme.example", &letters[0]);
    tokio::select! {
        sent = mailer.send(&given_up) => panic!("{sent:?}"),
        () = server.stalls() => {}
    }
    mailer.send(&mail("1.3", &other, "eve@borealis.example", &letters[1])).await.unwrap();
    let received = server.next().await;
    assert_eq!((received.to.as_str(), received.connection), ("eve@borealis.example", 1));
    assert!(received.text().contains("Borealis") && !received.data.contains("Acme"), "{}", received.data);
    server.assert_quiet();
}
