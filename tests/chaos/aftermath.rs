//! When the storm is over: the queue drains, and what the tables say is what clients were told.

use std::collections::HashMap;
use std::time::Duration;

use shelfwise::kernel::tenant::TenantCtx;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::ledger::Told;
use super::storm::EXPIRE;
use super::{Chaos, money, trail};

/// How long what is left of payments may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(90);

/// The pause between two looks at the queue.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// An order as its row is.
pub struct OrderRow {
    pub id: Uuid,
    pub number: i64,
    pub status: String,
    pub version: i32,
    pub total_minor: i64,
    /// Whether it was placed, paid, fulfilled, delivered, cancelled and refunded.
    pub has_been: [bool; 6],
}

impl OrderRow {
    fn of(row: &Row) -> Self {
        let has_been = std::array::from_fn(|index| row.get(5 + index));
        let (id, number, status) = (row.get(0), row.get(1), row.get(2));
        Self { id, number, status, version: row.get(3), total_minor: row.get(4), has_been }
    }

    pub fn is_paid(&self) -> bool {
        self.has_been[1]
    }

    pub fn is_fulfilled(&self) -> bool {
        self.has_been[2]
    }
}

/// All of it.
pub async fn check(chaos: &Chaos) {
    let psql = chaos.site.psql().await;
    drain(&psql).await;
    psql.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
    for (side, shop) in chaos.site.shops.iter().enumerate() {
        let rows = orders(&psql, shop).await;
        told(chaos, side, &rows);
        copies(chaos, &psql, side, &rows).await;
        money::check(chaos, &psql, side, &rows).await;
        trail::check(chaos, &psql, side, &rows).await;
    }
    money::strangers(chaos, &psql).await;
    psql.batch_execute("COMMIT").await.unwrap();
    trail::verify(chaos);
}

/// Waits until no payment is under way. Who waits to be tried again is tried now.
async fn drain(psql: &Client) {
    // What workers held that were killed last.
    psql.batch_execute(EXPIRE).await.unwrap();
    let drained = async {
        loop {
            psql.batch_execute(super::storm::HURRY).await.unwrap();
            let left = "SELECT count(*) FROM control.jobs WHERE kind LIKE 'payment.%' AND finalized_at IS NULL";
            if psql.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        let query = "SELECT string_agg(concat_ws(' ', kind, state, attempt, errors), E'\\n') FROM control.jobs
             WHERE kind LIKE 'payment.%' AND finalized_at IS NULL";
        let left: Option<String> = psql.query_one(query, &[]).await.unwrap().get(0);
        panic!("payments do not end:\n{}", left.unwrap_or_default());
    }
    let dead = "SELECT count(*) FROM control.jobs WHERE state <> 'completed' AND finalized_at IS NOT NULL";
    assert_eq!(psql.query_one(dead, &[]).await.unwrap().get::<_, i64>(0), 0, "jobs were given up");
}

/// A shop's orders by their numbers.
async fn orders(psql: &Client, shop: &TenantCtx) -> Vec<OrderRow> {
    let query = format!(
        r#"SELECT id, number, status, version, total_minor, placed_at IS NOT NULL, paid_at IS NOT NULL,
             fulfilled_at IS NOT NULL, delivered_at IS NOT NULL, canceled_at IS NOT NULL, refunded_at IS NOT NULL
           FROM "{}".orders ORDER BY number"#,
        shop.schema
    );
    psql.query(&query, &[]).await.unwrap().iter().map(OrderRow::of).collect()
}

/// Every order that was told is there, no other is, and each is where it was told to be, moved once by each move.
fn told(chaos: &Chaos, side: usize, rows: &[OrderRow]) {
    let ledger = chaos.ledger(side);
    assert_eq!(rows.len(), ledger.orders.len(), "orders");
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(row.number, number, "numbers have a gap or a double");
        let told = ledger.orders.get(&row.id).unwrap_or_else(|| panic!("nobody was told of order {number}"));
        let expected = told.status();
        let is_as_told = row.status == expected || expected == "placed" && row.status == "paid";
        assert!(is_as_told, "order {number} is {}, and was told to be {expected}: {told:?}", row.status);
        // Asking for a payment changes nothing of the order; being paid does, and no client does that.
        let moves = told.moves.len() - told.count("orderPay") + usize::from(row.is_paid());
        assert_eq!(row.version as usize, 1 + moves, "order {number} was moved twice, or not: {told:?}");
        let names = ["orderPlace", "", "orderFulfill", "orderDeliver", "orderCancel", "orderRefund"];
        for (name, has_been) in names.into_iter().zip(row.has_been) {
            assert!(name.is_empty() || told.has(name) == has_been, "order {number}: {name}, {told:?}");
        }
    }
}

/// Where the copies of a book must be.
#[derive(Default)]
struct Copies {
    reserved: i64,
    sold: i64,
}

/// Every copy of every book is in stock, reserved for an order, or sold.
async fn copies(chaos: &Chaos, psql: &Client, side: usize, rows: &[OrderRow]) {
    let schema = &chaos.site.shops[side].schema;
    let ledger =
        chaos.ledger(side).orders.iter().map(|(id, told)| (*id, told.lines.clone())).collect::<HashMap<_, _>>();
    let query = format!(r#"SELECT order_id, book_id, quantity FROM "{schema}".order_lines"#);
    let mut lines: HashMap<Uuid, Vec<(Uuid, i32)>> = HashMap::new();
    for row in psql.query(&query, &[]).await.unwrap() {
        lines.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    let mut expected: HashMap<Uuid, Copies> = HashMap::new();
    for row in rows {
        let kept: std::collections::BTreeMap<Uuid, i32> = lines.get(&row.id).into_iter().flatten().copied().collect();
        assert_eq!(kept, ledger[&row.id], "lines of order {}", row.number);
        let (is_reserved, is_sold) = holds(row, &chaos.ledger(side).orders[&row.id]);
        for (book, quantity) in kept {
            let copies = expected.entry(book).or_default();
            copies.reserved += i64::from(quantity) * i64::from(is_reserved);
            copies.sold += i64::from(quantity) * i64::from(is_sold);
        }
    }
    for (book, stock) in &chaos.shelves[side].books {
        let query = format!(r#"SELECT stock, reserved, sold FROM "{schema}".books WHERE id = $1"#);
        let row = psql.query_one(&query, &[book]).await.unwrap();
        let (in_stock, reserved, sold) = (i64::from(row.get::<_, i32>(0)), i64::from(row.get::<_, i32>(1)), row.get(2));
        let Copies { reserved: must_be_reserved, sold: must_be_sold } = expected.remove(book).unwrap_or_default();
        assert_eq!((reserved, sold), (must_be_reserved, must_be_sold), "reserved and sold copies of {book}");
        assert_eq!(in_stock + reserved + sold, i64::from(*stock), "copies of {book}");
    }
}

/// Whether an order's copies are reserved, and whether they are sold.
fn holds(row: &OrderRow, told: &Told) -> (bool, bool) {
    match row.status.as_str() {
        "placed" | "paid" => (true, false),
        "fulfilled" | "delivered" => (false, true),
        "refunded" => (false, row.is_fulfilled() && !told.is_returned),
        _ => (false, false),
    }
}
