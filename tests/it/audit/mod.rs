//! The trail of what a shop's people did: written with each change, read by who may, and verified.

mod command;
mod mutations;
mod personal;
mod read;
mod tamper;
mod verify;

use std::convert::Infallible;
use std::sync::Arc;

use shelfwise::app::App;
use shelfwise::control::anchors::service::{Anchoring, anchor, anchor_list, anchor_newest};
use shelfwise::db::TenantTx;
use shelfwise::failure::Failure;
use shelfwise::kernel::journal::Change;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::audit::verify::Report;
use shelfwise::tenant::audit::verify::service::verify;
use shelfwise::tenant::journal::{Act, service::write};

use crate::harness::World;
use crate::harness::cluster::psql;

/// An entry of the trail as the table has it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    sequence: i64,
    actor: String,
    via: Option<String>,
    action: String,
    entity: String,
    request_id: Option<String>,
    address: Option<String>,
}

/// The whole trail of a shop.
async fn rows(shop: &TenantCtx) -> Vec<Row> {
    let query = format!(
        r#"SELECT sequence, actor, via, action, entity, request_id, address FROM "{}".audit_log ORDER BY sequence"#,
        shop.schema
    );
    let rows = psql().await.query(&query, &[]).await.unwrap();
    let row = |row: &tokio_postgres::Row| Row {
        sequence: row.get(0),
        actor: row.get(1),
        via: row.get(2),
        action: row.get(3),
        entity: row.get(4),
        request_id: row.get(5),
        address: row.get(6),
    };
    rows.iter().map(row).collect()
}

/// Writes an entry, as a job would.
async fn written(app: &App, shop: &Arc<TenantCtx>) {
    let session = app.services.tenants.session(Arc::clone(shop));
    let act = Act::of_system("test.entry", shop, &app.services.vault, &*app.services.clock);
    let work = async |tx: &mut TenantTx| {
        tx.note(Change::created("thing_1", serde_json::json!({ "name": "Thing" })));
        Ok::<_, Failure<Infallible>>(())
    };
    write(&session, act, work).await.unwrap();
    session.finish().await;
}

/// Anchors the trail of shop A.
async fn anchored(world: &World) -> Anchoring {
    let services = &world.app.services;
    anchor(&world.app.control, &services.tenants, &*services.clock, world.a.clone()).await.unwrap()
}

/// Verifies the trail of shop A.
pub async fn verified(world: &World) -> Report {
    let (control, id) = (&world.app.control, world.a.id);
    let last = anchor_newest(control, id).await.unwrap().map_or(0, |anchor| anchor.sequence);
    let session = world.app.services.tenants.session(world.a.clone());
    let read = session.read().await.unwrap();
    let report = verify(&read, async |after| anchor_list(control, id, (after, last)).await).await.unwrap();
    session.finish().await;
    report
}
