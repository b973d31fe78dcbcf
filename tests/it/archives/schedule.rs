//! Archives that nobody has asked for.

use std::sync::Arc;

use chrono::TimeDelta;
use shelfwise::control::archives::ArchiveStatus;
use shelfwise::control::archives::service::{archive_make, archive_schedule, tenant_export};
use shelfwise::control::tenants::service::tenant_suspend;
use shelfwise::kernel::ids::ArchiveId;

use super::{Store, exported, row};
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql_of;
use crate::harness::world::operator;

const EVERY: TimeDelta = TimeDelta::days(7);

/// The ids, shops and askers of all archives, the oldest first.
async fn archives(psql: &tokio_postgres::Client) -> Vec<(ArchiveId, String, String)> {
    let query = "SELECT id, slug, requested_by FROM control.archives ORDER BY id";
    let rows = psql.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (ArchiveId(row.get(0)), row.get(1), row.get(2))).collect()
}

async fn mails(psql: &tokio_postgres::Client) -> i64 {
    let query = "SELECT count(*) FROM control.jobs WHERE kind = 'mail.export_ready'";
    psql.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn each_open_shop_is_archived_in_its_turn_and_nobody_is_mailed_of_it() {
    let store = Store::new();
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    // One has an archive that is young enough, and one is suspended.
    exported(app, &world.a).await;
    tenant_suspend(&app.control, &*clock, &operator(), world.b.slug.as_str(), "unpaid").await.unwrap();
    let told = mails(&psql).await;

    assert_eq!(archive_schedule(&app.control, &*clock, EVERY).await.unwrap(), 1);
    assert_eq!(archive_schedule(&app.control, &*clock, EVERY).await.unwrap(), 0, "twice is once");
    let all = archives(&psql).await;
    let (id, slug, by) = &all[1];
    assert_eq!((all.len(), slug.as_str(), by.as_str()), (2, world.b.slug.as_str(), "platform"));
    let made = archive_make(app.archive_desk(), &app.config.retention, *id).await.unwrap().unwrap();
    assert_eq!((made.status(), mails(&psql).await), (ArchiveStatus::Completed, told));

    clock.advance(EVERY + TimeDelta::hours(1));
    assert_eq!(archive_schedule(&app.control, &*clock, EVERY).await.unwrap(), 2);
    world.end().await;
}

#[tokio::test]
async fn who_asks_for_what_is_being_made_anyway_is_mailed_when_it_is() {
    let store = Store::new();
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    assert_eq!(archive_schedule(&app.control, &*clock, EVERY).await.unwrap(), 2);
    let slug = world.a.slug.as_str();
    let asked = tenant_export(&app.control, &*clock, &operator(), slug, true).await.unwrap();
    assert_eq!((asked.requested_by.as_str(), archives(&psql).await.len()), (operator().name.as_str(), 2));
    let told = mails(&psql).await;
    archive_make(app.archive_desk(), &app.config.retention, asked.id).await.unwrap().unwrap();
    assert_eq!(mails(&psql).await, told + 1);
    let other = archives(&psql).await.into_iter().find(|(_, slug, _)| slug == world.b.slug.as_str()).unwrap();
    assert_eq!((row(app, other.0).await.status(), other.2.as_str()), (ArchiveStatus::Pending, "platform"));
    world.end().await;
}
