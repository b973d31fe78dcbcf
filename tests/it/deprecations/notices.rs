//! Shops are told that something which they use goes away.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::control::deprecations::notices::announce;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::worker::handlers;

use super::{advance_to, extend, user_at};
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql_of;
use crate::harness::smtp::{Offer, SmtpServer};
use crate::jobs::queue::Queue;

const PART: &str = "Book.priceCents";

struct Site {
    clock: Arc<TestClock>,
    world: World,
    psql: tokio_postgres::Client,
}

impl Site {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let clock = Arc::new(TestClock::default());
        let (world, database) = World::start_alone(Arc::clone(&clock) as _, settings).await;
        let psql = psql_of(&database).await;
        Self { clock, world, psql }
    }

    /// Has a shop use a part some days before the clock's time.
    async fn used(&self, shop: &TenantCtx, part: &str, operation: &str, days_ago: i64) {
        let at = std::time::SystemTime::from(self.clock.now() - chrono::TimeDelta::days(days_ago));
        let statement = "INSERT INTO control.deprecated_usage VALUES ($1, $2, $3, 'session', 'Till', 5, $4, $4)
            ON CONFLICT (tenant_id, part, operation, credential, client) DO UPDATE SET last_used_at = $4";
        self.psql.execute(statement, &[&shop.id.0, &part, &operation, &at]).await.unwrap();
    }

    /// Looks for shops that are to be told, and answers how many notices there are.
    async fn look(&self) -> usize {
        let parts = self.world.app.services.deprecations.parts();
        announce(&self.world.app.control, &*self.clock, parts).await.unwrap()
    }

    /// The notices that wait to be told, as shop, part and days left.
    async fn waiting(&self) -> Vec<(uuid::Uuid, String, i32)> {
        let query = "SELECT tenant_id, payload ->> 'part', (payload ->> 'daysLeft')::int FROM control.jobs
            WHERE kind = 'deprecation.announce' ORDER BY id";
        let rows = self.psql.query(query, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }
}

#[tokio::test]
async fn a_shop_is_told_ninety_thirty_and_seven_days_before_once_each() {
    let site = Site::start(&[]).await;
    let a = Arc::clone(&site.world.a);
    site.used(&a, PART, "Till", 0).await;
    assert_eq!(site.look().await, 0, "seven months are too early");
    let mut told = Vec::new();
    for (day, notices, left) in [
        ("2027-04-01", 0, 0),
        ("2027-04-02", 1, 90),
        ("2027-05-31", 0, 0),
        ("2027-06-02", 1, 29),
        ("2027-06-24", 1, 7),
        ("2027-06-30", 0, 0),
        ("2027-07-01", 0, 0),
    ] {
        advance_to(&site.clock, day);
        site.used(&a, PART, "Till", 0).await;
        assert_eq!(site.look().await, notices, "{day}");
        assert_eq!(site.look().await, 0, "{day}, a second time");
        if notices > 0 {
            told.push((a.id.0, PART.to_owned(), left));
        }
        assert_eq!(site.waiting().await, told, "{day}");
    }
    site.world.end().await;
}

#[tokio::test]
async fn only_those_are_told_who_use_it_still_and_by_the_day_that_holds_for_them() {
    let site = Site::start(&[]).await;
    let (a, b) = (Arc::clone(&site.world.a), Arc::clone(&site.world.b));
    extend(&site.world.admin(), &b, PART, "2027-09-01").await;
    advance_to(&site.clock, "2027-06-01");
    site.used(&a, PART, "Till", 31).await;
    site.used(&b, PART, "Till", 1).await;
    // Who stopped a month ago is told nothing; who has three months more is told in three months.
    assert_eq!(site.look().await, 0);
    advance_to(&site.clock, "2027-06-03");
    assert_eq!(site.look().await, 1);
    assert_eq!(site.waiting().await, [(b.id.0, PART.to_owned(), 90)]);
    // Who begins again is told at once, of how far it is.
    site.used(&a, PART, "Till", 0).await;
    assert_eq!(site.look().await, 1);
    assert_eq!(site.waiting().await[1], (a.id.0, PART.to_owned(), 28));
    site.world.end().await;
}

#[tokio::test]
async fn a_notice_is_an_event_and_a_mail_to_the_owners_and_no_other_shops() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let settings = [
        ("SMTP_URL", server.url()),
        ("MAIL_FROM", "ShelfWise <mail@shelfwise.example>".to_owned()),
        ("APP_URL", "https://app.shelfwise.example/".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let site = Site::start(&settings).await;
    let Site { clock, world, psql } = site;
    psql.batch_execute("DELETE FROM control.jobs").await.unwrap();
    let site = Site { clock, world, psql };
    advance_to(&site.clock, "2027-06-01");
    for operation in ["Till", "Shelf", ""] {
        site.used(&site.world.a, PART, operation, 2).await;
    }
    assert_eq!(site.look().await, 1);

    let Site { clock, world, psql } = site;
    let queue = Queue::of(&world.app, psql);
    let worker = queue.work(handlers(&world.app));
    let mail = server.next().await;
    // The trail is anchored later.
    let unfinished = "SELECT count(*) FROM control.jobs WHERE state <> 'completed' AND kind <> 'audit.anchor'";
    queue.until(unfinished, "0").await;
    worker.stop().await;
    assert_eq!(mail.to, "owner@test.example");
    assert_eq!(mail.header("Subject"), format!("Shop {}: `Book.priceCents` goes away on 1 July 2027", world.a.slug));
    assert!(mail.text().contains("  Shelf\n  Till\n"), "{}", mail.text());
    server.assert_quiet();

    let query = "{ events(filter: { types: [\"api.deprecation_upcoming\"] }) { nodes { type entityId data } } }";
    let events = async |shop: &TenantCtx| -> Value {
        let client = user_at(&world, &clock, shop, Role::Owner);
        let answer = client.gql(query, json!({})).await;
        answer.body["data"]["events"]["nodes"].clone()
    };
    let told = events(&world.a).await;
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    let data = &told[0]["data"];
    assert_eq!(
        (&data["part"], &data["instead"], &data["removalOn"], &data["daysLeft"], &data["operationCount"]),
        (&json!(PART), &json!("price"), &json!("2027-07-01"), &json!(30), &json!(15))
    );
    assert_eq!(data["operationNames"], json!(["Shelf", "Till"]));
    assert_eq!(events(&world.b).await, json!([]));
    world.end().await;
}
