//! What was taken and given back, by the shops' own books and by those of the provider.

use std::collections::HashMap;

use shelfwise::kernel::ids::PaymentId;
use tokio_postgres::Client;
use uuid::Uuid;

use super::Chaos;
use super::aftermath::OrderRow;

/// A payment as the shop knows it.
struct Payment {
    id: Uuid,
    status: String,
    amount_minor: i64,
}

/// What the provider has done of a payment.
#[derive(Default)]
struct Steps {
    amount_minor: Option<i64>,
    is_authorized: bool,
    is_captured: bool,
    is_voided: bool,
    is_refunded: bool,
}

impl Steps {
    /// Whether the customer's money is with the shop.
    fn is_taken(&self) -> bool {
        self.is_captured && !self.is_refunded
    }

    /// Whether the customer's money is tied up.
    fn is_held(&self) -> bool {
        self.is_authorized && !self.is_captured && !self.is_voided
    }
}

/// Every payment has ended as its order has, and the provider says so as well.
pub async fn check(chaos: &Chaos, psql: &Client, side: usize, rows: &[OrderRow]) {
    let steps = steps(psql).await;
    let payments = payments(psql, &chaos.site.shops[side].schema.to_string()).await;
    for order in rows {
        let number = order.number;
        let of_order = payments.get(&order.id).map_or(&[] as &[Payment], Vec::as_slice);
        let asked = chaos.ledger(side).orders[&order.id].count("orderPay");
        assert_eq!(of_order.len(), asked, "payments of order {number}");
        let none = Steps::default();
        for payment in of_order {
            let steps = steps.get(&PaymentId(payment.id).to_string()).unwrap_or(&none);
            check_payment(payment, steps, number);
            assert_eq!(payment.amount_minor, order.total_minor, "order {number}");
        }
        let confirmed = of_order.iter().filter(|payment| payment.status == "confirmed").count();
        let refunded = of_order.iter().filter(|payment| payment.status == "refunded").count();
        let taken = of_order.iter().filter_map(|payment| steps.get(&PaymentId(payment.id).to_string()));
        let taken = taken.filter(|steps| steps.is_taken()).count();
        match order.status.as_str() {
            "paid" | "fulfilled" | "delivered" => assert_eq!((confirmed, refunded, taken), (1, 0, 1), "order {number}"),
            "refunded" => assert_eq!((confirmed, refunded, taken), (0, 1, 0), "order {number}"),
            // What was taken before it was given up has gone back.
            "canceled" => assert_eq!((confirmed, taken), (0, 0), "order {number}"),
            _ => assert_eq!((confirmed, refunded, taken), (0, 0, 0), "order {number}"),
        }
    }
}

/// What the shop knows of a payment is what the provider has done.
fn check_payment(payment: &Payment, steps: &Steps, number: i64) {
    let known = (steps.is_captured, steps.is_voided, steps.is_refunded);
    let is_right = match payment.status.as_str() {
        "confirmed" => known == (true, false, false),
        "refunded" => known == (true, false, true),
        "voided" => known == (false, true, false),
        "failed" => !steps.is_taken() && !steps.is_held(),
        _ => false,
    };
    assert!(is_right, "order {number}: a payment is {} and captured, voided, refunded: {known:?}", payment.status);
    assert!(!steps.is_held(), "order {number}: money is tied up");
    let amount = steps.amount_minor.unwrap_or(payment.amount_minor);
    assert_eq!(amount, payment.amount_minor, "order {number}: another amount");
}

/// The provider knows no payment that neither shop has, or both have, and no job is about another shop's.
pub async fn strangers(chaos: &Chaos, psql: &Client) {
    let mut owners: HashMap<String, Uuid> = HashMap::new();
    for shop in &chaos.site.shops {
        for payment in payments(psql, &shop.schema.to_string()).await.into_values().flatten() {
            assert!(owners.insert(PaymentId(payment.id).to_string(), shop.id.0).is_none(), "both have a payment");
        }
    }
    for key in steps(psql).await.into_keys() {
        assert!(owners.contains_key(&key), "nobody has asked for payment {key}");
    }
    let query = "SELECT payload->>'payment', tenant_id FROM control.jobs WHERE kind = 'payment.collect'";
    let jobs = psql.query(query, &[]).await.unwrap();
    assert_eq!(jobs.len(), owners.len(), "each payment has one job");
    for job in jobs {
        assert_eq!(owners.get(job.get::<_, &str>(0)), Some(&job.get::<_, Uuid>(1)), "a job is about another's payment");
    }
}

/// A shop's payments by their orders.
async fn payments(psql: &Client, schema: &str) -> HashMap<Uuid, Vec<Payment>> {
    let query = format!(r#"SELECT order_id, id, status, amount_minor FROM "{schema}".payments"#);
    let mut payments: HashMap<Uuid, Vec<Payment>> = HashMap::new();
    for row in psql.query(&query, &[]).await.unwrap() {
        let payment = Payment { id: row.get(1), status: row.get(2), amount_minor: row.get(3) };
        payments.entry(row.get(0)).or_default().push(payment);
    }
    payments
}

/// The provider's ledger by payments.
async fn steps(psql: &Client) -> HashMap<String, Steps> {
    let query = "SELECT key, step, amount_minor FROM control.simulated_payments WHERE declined IS NULL";
    let mut payments: HashMap<String, Steps> = HashMap::new();
    for row in psql.query(query, &[]).await.unwrap() {
        let steps = payments.entry(row.get(0)).or_default();
        match row.get(1) {
            "authorize" => (steps.is_authorized, steps.amount_minor) = (true, row.get(2)),
            "capture" => steps.is_captured = true,
            "void" => steps.is_voided = true,
            _ => steps.is_refunded = true,
        }
    }
    payments
}
