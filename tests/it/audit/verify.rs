//! Trails that many write at once, and anchors that many keep at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use shelfwise::app::{App, owner};
use shelfwise::control::anchors::service::{Anchoring, anchor};
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::{ControlTx, DbError};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::{handlers, work};

use super::{anchored, rows, verified, written};
use crate::graphql_helpers::author;
use crate::harness::cluster::{own_database, psql, psql_of};
use crate::harness::world;
use crate::harness::world::{config_over, shop};

/// How long a first round of the patrol may take.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn many_writers_leave_one_trail_without_gaps() {
    world(async |world| {
        let client = async |client: usize| {
            let owner = world.owner();
            for index in 0..20 {
                let id = author(&owner, &format!("Author {client} {index}")).await;
                if index % 5 == 0 {
                    // What is refused in between leaves no gap.
                    let stale = "mutation($id: ID!) { authorUpdate(id: $id, version: 9, input: { name: \"X\" }) {
                        userErrors { code } } }";
                    owner.data(stale, json!({ "id": id })).await;
                    anchored(world).await;
                }
            }
        };

        join_all((0..8).map(client)).await;

        let sequences: Vec<i64> = rows(&world.a).await.iter().map(|row| row.sequence).collect();
        assert_eq!(sequences, (1..=160).collect::<Vec<_>>());
        let report = verified(world).await;
        assert_eq!((report.entries, report.broken), (160, None));
        assert!(report.anchors > 0);
    })
    .await;
}

#[tokio::test]
async fn a_trail_is_verified_while_it_grows() {
    world(async |world| {
        let owner = world.owner();
        let write = async {
            for index in 0..40 {
                author(&owner, &format!("Author {index}")).await;
            }
        };
        let watch = async {
            loop {
                assert_ne!(anchored(world).await, Anchoring::Broken);
                let report = verified(world).await;
                assert_eq!(report.broken, None);
                if report.entries == 40 {
                    break;
                }
            }
        };
        tokio::join!(write, watch);
    })
    .await;
}

#[tokio::test]
async fn servers_that_anchor_together_keep_one() {
    world(async |world| {
        author(&world.owner(), "Ann").await;
        let (control, services) = (&world.app.control, &world.app.services);
        let all = join_all((0..6).map(|_| anchor(control, &services.tenants, &*services.clock, world.a.clone()))).await;
        assert!(all.into_iter().all(|anchoring| anchoring.unwrap() != Anchoring::Broken));
        let query = "SELECT sequence FROM control.audit_anchors WHERE tenant_id = $1";
        let anchors = psql().await.query(query, &[&world.a.id.0]).await.unwrap();
        assert_eq!(anchors.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_server_adds_anchors_and_takes_none_away() {
    world(async |world| {
        author(&world.owner(), "Ann").await;
        assert_eq!(anchored(world).await, Anchoring::Kept);
        for sql in [
            "UPDATE control.audit_anchors SET hash = sha256('x')",
            "DELETE FROM control.audit_anchors",
            "TRUNCATE control.audit_anchors",
        ] {
            let work = async |tx: &mut ControlTx| tx.execute(diesel::sql_query(sql)).await.map(drop);
            let outcome = world.app.control.write(work).await;
            assert!(matches!(outcome, Err(DbError::Denied(_))), "{sql}: {outcome:?}");
        }
        assert_eq!(verified(world).await.anchors, 1);
    })
    .await;
}

#[tokio::test]
async fn the_first_change_behind_an_anchor_asks_for_the_next_one() {
    // A database of its own: workers on one queue would steal each other's jobs.
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let app = Arc::new(App::new(config_over(&urls, &[]), Arc::new(SystemClock)).unwrap());
    let shop = shop(&app, "p").await;
    let psql = psql_of(&name).await;
    let waiting = "SELECT count(*) FROM control.jobs WHERE kind = 'audit.anchor' AND state = 'scheduled'";
    let anchors = "SELECT count(*) FROM control.audit_anchors WHERE tenant_id = $1";
    for round in 1..=2_i64 {
        written(&app, &shop).await;
        written(&app, &shop).await;
        assert_eq!(psql.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 1, "one for many changes");
        let due = "UPDATE control.jobs SET scheduled_at = now() WHERE kind = 'audit.anchor' AND state = 'scheduled'";
        psql.execute(due, &[]).await.unwrap();
        let anchored =
            async { while psql.query_one(anchors, &[&shop.id.0]).await.unwrap().get::<_, i64>(0) < round {} };
        tokio::select! {
            worked = work(Arc::clone(&app), handlers(&app), std::future::pending()) => panic!("{worked:?}"),
            anchored = tokio::time::timeout(WITHIN, anchored) => anchored.expect("the trail is anchored"),
        }
    }
}
