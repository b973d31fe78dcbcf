//! What is written beside every change: events, the trail, and the answers under keys.

use std::collections::HashMap;

use shelfwise::kernel::ids::OrderId;
use tokio_postgres::Client;

use super::Chaos;
use super::aftermath::OrderRow;
use crate::harness::command::shelfwise;

/// The kinds of events beside what an order has been, as [`OrderRow::has_been`] has it.
const KINDS: [&str; 6] =
    ["order.placed", "order.paid", "order.fulfilled", "order.delivered", "order.canceled", "order.refunded"];

/// Nothing is lost and nothing is there twice.
pub async fn check(chaos: &Chaos, psql: &Client, side: usize, rows: &[OrderRow]) {
    let schema = chaos.site.shops[side].schema.to_string();
    events(psql, &schema, rows).await;
    entries(chaos, psql, side, &schema).await;
    let keys = format!(r#"SELECT count(*) FROM "{schema}".idempotency_keys"#);
    assert_eq!(count(psql, &keys).await, chaos.ledger(side).keys, "answers under keys");
}

/// Each thing that has happened to an order has one event, and positions have no gaps.
async fn events(psql: &Client, schema: &str, rows: &[OrderRow]) {
    let mut expected: HashMap<(String, String), usize> = HashMap::new();
    for order in rows {
        let id = OrderId(order.id).to_string();
        expected.insert((id.clone(), "order.created".to_owned()), 1);
        for (kind, _) in KINDS.into_iter().zip(order.has_been).filter(|(_, has_been)| *has_been) {
            expected.insert((id.clone(), kind.to_owned()), 1);
        }
    }
    let query = format!(r#"SELECT position, kind, entity FROM "{schema}".events ORDER BY position"#);
    let found = psql.query(&query, &[]).await.unwrap();
    let mut of_orders: HashMap<(String, String), usize> = HashMap::new();
    for (row, position) in found.iter().zip(1_i64..) {
        assert_eq!(row.get::<_, i64>(0), position, "positions have a gap or a double");
        let (kind, entity): (String, String) = (row.get(1), row.get(2));
        if kind.starts_with("order.") {
            *of_orders.entry((entity, kind)).or_default() += 1;
        }
    }
    for (what, count) in &of_orders {
        assert_eq!(expected.get(what), Some(count), "{what:?}");
    }
    assert_eq!(of_orders.len(), expected.len(), "events are lost");
    let head = format!(r#"SELECT event_position FROM "{schema}".tenant_head"#);
    assert_eq!(count(psql, &head).await, found.len() as i64, "the head has counted other events");
    let failed = format!(r#"SELECT count(*) FROM "{schema}".payments WHERE status = 'failed'"#);
    let told = format!(r#"SELECT count(*) FROM "{schema}".events WHERE kind = 'payment.failed'"#);
    assert_eq!(count(psql, &failed).await, count(psql, &told).await, "payments that failed");
}

/// Each mutation that was told to be done has one entry, and sequences have no gaps.
async fn entries(chaos: &Chaos, psql: &Client, side: usize, schema: &str) {
    let mutations = [
        ("orderLineSet", "order.line_set"),
        ("orderPlace", "order.place"),
        ("orderPay", "order.pay"),
        ("orderFulfill", "order.fulfill"),
        ("orderDeliver", "order.deliver"),
        ("orderCancel", "order.cancel"),
        ("orderRefund", "order.refund"),
    ];
    let counted: Vec<(&str, usize)> = {
        let ledger = chaos.ledger(side);
        let done = |mutation| ledger.orders.values().map(|told| told.count(mutation)).sum();
        let moves = mutations.into_iter().map(|(mutation, action)| (action, done(mutation)));
        moves.chain([("order.create", ledger.orders.len())]).collect()
    };
    for (action, told) in counted {
        let query =
            format!(r#"SELECT count(*) FROM "{schema}".audit_log WHERE action = '{action}' AND actor LIKE 'user\_%'"#);
        assert_eq!(count(psql, &query).await, told as i64, "entries of {action}");
    }
    let paid = format!(r#"SELECT count(*) FROM "{schema}".orders WHERE paid_at IS NOT NULL"#);
    let query = format!(
        r#"SELECT count(*) FROM "{schema}".audit_log WHERE action = 'order.pay' AND actor = 'system'
             AND entity LIKE 'order\_%'"#
    );
    assert_eq!(count(psql, &query).await, count(psql, &paid).await, "entries of what was paid");
    let gaps = format!(
        r#"SELECT head.audit_sequence - count(*) FROM "{schema}".tenant_head head, "{schema}".audit_log
           GROUP BY head.audit_sequence"#
    );
    assert_eq!(count(psql, &gaps).await, 0, "entries are lost");
}

/// Both trails are intact, says the command.
pub fn verify(chaos: &Chaos) {
    for shop in &chaos.site.shops {
        let output = shelfwise(&chaos.site.urls, &chaos.site.jwt_key, &["tenant", "verify-audit", shop.slug.as_str()]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        print!("{out}");
    }
}

async fn count(psql: &Client, query: &str) -> i64 {
    psql.query_one(query, &[]).await.unwrap().get(0)
}
