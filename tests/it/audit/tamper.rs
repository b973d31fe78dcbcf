//! What becomes of a trail that is tampered with: PostgreSQL denies it to the shop, and shows it where a superuser did.

use shelfwise::control::anchors::service::Anchoring;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::tenant::audit::chain::{Fields, digest, link};
use shelfwise::tenant::audit::verify::{Break, Fault};

use super::{anchored, rows, verified, written};
use crate::harness::cluster::psql;
use crate::harness::{World, world};

/// Writes so many entries into shop A's trail.
async fn fill(world: &World, count: usize) {
    for _ in 0..count {
        written(&world.app, &world.a).await;
    }
}

/// Does something to a shop's schema that nobody but a superuser can; `audit_log` and `tenant_head` are named plainly.
async fn tamper(world: &World, sql: &str) {
    let schema = format!("SET search_path TO \"{}\"", world.a.schema);
    psql().await.batch_execute(&format!("{schema}; {sql}")).await.unwrap();
}

fn broken(sequence: i64, fault: Fault) -> Option<Break> {
    Some(Break { sequence, fault })
}

/// Swaps the places of two entries.
fn swap(one: i64, other: i64) -> String {
    format!(
        "UPDATE audit_log SET sequence = -1 WHERE sequence = {one};
         UPDATE audit_log SET sequence = {one} WHERE sequence = {other};
         UPDATE audit_log SET sequence = {other} WHERE sequence = -1"
    )
}

/// Puts the head where the last entry is.
const HEAD_TO_END: &str = "UPDATE tenant_head SET (audit_sequence, audit_hash) =
    (SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1)";

#[tokio::test]
async fn a_shop_adds_to_its_trail_and_changes_nothing_of_it() {
    world(async |world| {
        fill(world, 1).await;
        let before = rows(&world.a).await;
        for sql in [
            "UPDATE audit_log SET actor = 'somebody else'",
            "DELETE FROM audit_log",
            "TRUNCATE audit_log",
            "INSERT INTO audit_log SELECT * FROM audit_log ON CONFLICT (sequence) DO UPDATE SET actor = 'x'",
            "SELECT * FROM control.audit_anchors",
            "INSERT INTO control.audit_anchors SELECT tenant_id, 1, audit_hash, now() FROM tenant_head",
        ] {
            let session = world.app.services.tenants.session(world.a.clone());
            let work = async |tx: &mut TenantTx| tx.execute(diesel::sql_query(sql)).await.map(drop);
            let outcome = session.write(work).await;
            assert!(matches!(outcome, Err(DbError::Denied(_))), "{sql}: {outcome:?}");
        }
        assert_eq!(rows(&world.a).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_trail_that_nobody_touched_is_intact() {
    world(async |world| {
        assert_eq!(anchored(world).await, Anchoring::Still, "there is nothing to anchor yet");
        let report = verified(world).await;
        assert_eq!((report.entries, report.anchors, report.broken), (0, 0, None));
        // More than a page of entries, with an anchor on each page.
        fill(world, 300).await;
        assert_eq!(anchored(world).await, Anchoring::Kept);
        fill(world, 210).await;
        assert_eq!((anchored(world).await, anchored(world).await), (Anchoring::Kept, Anchoring::Still));

        let report = verified(world).await;

        assert_eq!((report.entries, report.anchors, report.broken), (510, 2, None));
        assert_eq!(report.head.sequence, 510);
        tamper(world, "UPDATE audit_log SET actor = 'anonymous' WHERE sequence = 505").await;
        assert_eq!(verified(world).await.broken, broken(505, Fault::Changed));
    })
    .await;
}

#[tokio::test]
async fn whatever_is_changed_shows_where_it_was_changed() {
    world(async |world| {
        fill(world, 5).await;
        for (what, back) in [
            ("after = '{\"name\":\"Other\"}'", "after = '{\"name\":\"Thing\"}'"),
            // The same value in other bytes.
            ("after = '{ \"name\":\"Thing\"}'", "after = '{\"name\":\"Thing\"}'"),
            ("before = 'null'", "before = NULL"),
            ("actor = 'user_1'", "actor = 'system'"),
            ("via = ''", "via = NULL"),
            ("action = 'test.other'", "action = 'test.entry'"),
            ("entity = 'thing_2'", "entity = 'thing_1'"),
            ("at = at + interval '1 microsecond'", "at = at - interval '1 microsecond'"),
            ("sealed = 'x'", "sealed = NULL"),
            ("request_id = 'x'", "request_id = NULL"),
            ("address = '::1'", "address = NULL"),
            ("hash = sha256(hash)", "hash = hash"),
        ] {
            tamper(world, &format!("UPDATE audit_log SET {what} WHERE sequence = 3")).await;
            let report = verified(world).await;
            assert_eq!((report.entries, report.broken), (2, broken(3, Fault::Changed)), "{what}");
            tamper(world, &format!("UPDATE audit_log SET {back} WHERE sequence = 3")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn entries_that_were_removed_or_moved_show() {
    world(async |world| {
        fill(world, 6).await;
        tamper(world, &swap(2, 3)).await;
        assert_eq!(verified(world).await.broken, broken(2, Fault::OutOfOrder));
        tamper(world, &swap(2, 3)).await;
        assert_eq!(verified(world).await.broken, None);
        tamper(world, &swap(2, 5)).await;
        assert_eq!(verified(world).await.broken, broken(2, Fault::OutOfOrder));
        tamper(world, &swap(2, 5)).await;
        tamper(world, "UPDATE audit_log SET sequence = 0 WHERE sequence = 4").await;
        assert_eq!(verified(world).await.broken, broken(0, Fault::OutOfOrder));
        tamper(world, "DELETE FROM audit_log WHERE sequence = 0").await;
        let report = verified(world).await;
        assert_eq!((report.entries, report.broken), (3, broken(4, Fault::Missing)));
    })
    .await;
}

#[tokio::test]
async fn an_end_that_does_not_agree_with_the_head_shows() {
    world(async |world| {
        fill(world, 4).await;
        tamper(world, "UPDATE tenant_head SET audit_sequence = 3").await;
        assert_eq!(verified(world).await.broken, broken(3, Fault::HeadDiffers));
        tamper(world, "UPDATE tenant_head SET audit_sequence = 4, audit_hash = sha256('x')").await;
        assert_eq!(verified(world).await.broken, broken(4, Fault::HeadDiffers));
        tamper(world, HEAD_TO_END).await;
        tamper(world, "DELETE FROM audit_log WHERE sequence = 4").await;
        assert_eq!(verified(world).await.broken, broken(4, Fault::Missing));
    })
    .await;
}

#[tokio::test]
async fn an_end_that_was_cut_off_with_its_head_shows_against_an_anchor() {
    world(async |world| {
        fill(world, 5).await;
        assert_eq!(anchored(world).await, Anchoring::Kept);
        fill(world, 1).await;
        let cut = |from: i64| format!("DELETE FROM audit_log WHERE sequence >= {from}; {HEAD_TO_END}");
        tamper(world, &cut(6)).await;
        assert_eq!(verified(world).await.broken, None, "what was not anchored can be cut off");
        assert_eq!(anchored(world).await, Anchoring::Still);

        tamper(world, &cut(4)).await;

        assert_eq!(verified(world).await.broken, broken(4, Fault::CutOff { anchor: 5 }));
        assert_eq!(anchored(world).await, Anchoring::Broken);
        // Going on does not hide it.
        fill(world, 3).await;
        assert_eq!(verified(world).await.broken, broken(5, Fault::AnchorDiffers));
    })
    .await;
}

#[tokio::test]
async fn a_trail_that_was_written_anew_shows_against_an_anchor() {
    world(async |world| {
        fill(world, 4).await;
        assert_eq!(anchored(world).await, Anchoring::Kept);
        let psql = psql().await;
        psql.batch_execute(&format!("SET search_path TO \"{}\"", world.a.schema)).await.unwrap();
        psql.batch_execute("UPDATE audit_log SET actor = 'anonymous' WHERE sequence = 2").await.unwrap();
        let mut previous = Vec::new();
        for row in psql.query("SELECT sequence, (extract(epoch FROM at) * 1000000)::bigint, actor, after::text FROM audit_log ORDER BY 1", &[]).await.unwrap() {
            let fields = Fields {
                at: chrono::DateTime::from_timestamp_micros(row.get(1)).unwrap(),
                actor: row.get(2),
                via: None,
                action: "test.entry",
                entity: "thing_1",
                before: None,
                after: row.get(3),
                sealed: None,
                request_id: None,
                address: None,
            };
            let sequence: i64 = row.get(0);
            previous = link(&previous, sequence, &digest(&fields)).to_vec();
            psql.execute("UPDATE audit_log SET hash = $1 WHERE sequence = $2", &[&previous, &sequence]).await.unwrap();
        }
        psql.batch_execute(HEAD_TO_END).await.unwrap();

        assert_eq!(verified(world).await.broken, broken(4, Fault::AnchorDiffers));
        assert_eq!(anchored(world).await, Anchoring::Broken);
    })
    .await;
}
