//! `orderPay`, and the saga that takes a payment from step to step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::json;
use shelfwise::db::{DbError, TenantSession, TenantTx};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::{OrderId, PaymentId};
use shelfwise::kernel::money::Money;
use shelfwise::payments::{Account, PaymentError, PaymentProvider};
use shelfwise::tenant::orders::payments::saga::{Cashier, SagaError, collect, refund};
use shelfwise::tenant::orders::payments::service::stuck_enqueue;
use uuid::Uuid;

use super::{act, copies, events, make_paid, order, stocked};
use crate::graphql_helpers::codes;
use crate::harness::chance::dropped_after;
use crate::harness::cluster::psql;
use crate::harness::world::world_with;
use crate::harness::{World, world};

/// A provider whose next calls fail as they are told, in front of the world's simulator.
struct Unreliable {
    inner: Arc<dyn PaymentProvider>,
    /// Calls so far.
    calls: AtomicUsize,
    /// Which calls lose their answers.
    loses: Vec<usize>,
    /// What happens in the world before a call.
    before: Mutex<Vec<(usize, BoxFuture<'static, ()>)>>,
}

impl Unreliable {
    fn new(world: &World) -> Self {
        let inner = Arc::clone(world.app.services.payments.as_ref().unwrap());
        Self { inner, calls: AtomicUsize::new(0), loses: Vec::new(), before: Mutex::default() }
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T, PaymentError>>) -> Result<T, PaymentError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let event = {
            let mut before = self.before.lock().unwrap();
            before.iter().position(|(at, _)| *at == call).map(|index| before.remove(index).1)
        };
        if let Some(event) = event {
            event.await;
        }
        let answer = work.await;
        if self.loses.contains(&call) { Err(PaymentError::Unavailable("lost".to_owned())) } else { answer }
    }
}

impl PaymentProvider for Unreliable {
    fn account_name<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Result<String, PaymentError>> {
        self.inner.account_name(account)
    }

    fn authorize<'a>(
        &'a self,
        account: &'a Account,
        payment: PaymentId,
        amount: Money,
    ) -> BoxFuture<'a, Result<String, PaymentError>> {
        self.call(self.inner.authorize(account, payment, amount)).boxed()
    }

    fn capture<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        self.call(self.inner.capture(account, payment)).boxed()
    }

    fn void<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        self.call(self.inner.void(account, payment)).boxed()
    }

    fn refund<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        self.call(self.inner.refund(account, payment)).boxed()
    }
}

/// The platform's account.
static PLATFORMS: Account = Account { secret_key: None };

/// A placed order for which a payment was asked, and the payment with a claim on its job, as a worker would have it.
async fn asked(world: &World, book: &str) -> (String, PaymentId, (Uuid, i64)) {
    let owner = world.owner();
    let id = order(&owner, &[(book, 1)]).await;
    act(&owner, "orderPlace", &id, "").await;
    let asked = act(&owner, "orderPay", &id, "").await;
    assert_eq!(asked["order"]["payment"]["status"], "PENDING", "{asked}");
    let payment = payments(world, &id).await.pop().unwrap().0;
    let job = claim(world, &format!("payload->>'payment' = '{payment}'")).await;
    (id, payment, job)
}

/// Claims a waiting job of shop A, as a worker would.
async fn claim(world: &World, which: &str) -> (Uuid, i64) {
    let query = format!(
        "UPDATE control.jobs SET state = 'running', fence = fence + 1, attempt = attempt + 1,
             lease_expires_at = now() + interval '1 hour', attempted_at = now(), attempted_by = 'test'
         WHERE tenant_id = $1 AND state = 'available' AND {which} RETURNING id, fence"
    );
    let row = psql().await.query_one(&query, &[&world.a.id.0]).await.unwrap();
    (row.get(0), row.get(1))
}

/// The payments of an order with their states, the oldest first.
async fn payments(world: &World, order: &str) -> Vec<(PaymentId, String)> {
    let order: OrderId = order.parse().unwrap();
    let query = format!(r#"SELECT id, status FROM "{}".payments WHERE order_id = $1 ORDER BY id"#, world.a.schema);
    let rows = psql().await.query(&query, &[&order.0]).await.unwrap();
    rows.iter().map(|row| (PaymentId(row.get(0)), row.get(1))).collect()
}

/// The provider's books: the steps that were done for a payment, in the order of their names.
async fn books(payment: PaymentId) -> Vec<String> {
    let query = "SELECT step FROM control.simulated_payments WHERE key = $1 AND declined IS NULL ORDER BY step";
    psql().await.query(query, &[&payment.to_string()]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What a payment of shop A is taken on with.
fn cashier<'a>(
    world: &'a World,
    session: &'a TenantSession,
    provider: &'a dyn PaymentProvider,
    claim: (Uuid, i64),
) -> Cashier<'a> {
    Cashier { session, provider, account: &PLATFORMS, vault: &world.app.services.vault, clock: &SystemClock, claim }
}

/// Runs the saga once.
async fn run(
    world: &World,
    provider: &dyn PaymentProvider,
    payment: PaymentId,
    claim: (Uuid, i64),
) -> Result<(), SagaError> {
    let session = world.app.services.tenants.session(Arc::clone(&world.a));
    collect(&cashier(world, &session, provider, claim), payment).await
}

async fn status(world: &World, id: &str) -> String {
    let query = "query($id: ID!) { order(id: $id) { status } }";
    world.owner().data(query, json!({ "id": id })).await["order"]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_payment_is_reserved_taken_and_confirmed() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 5).await;
        let (id, payment, claim) = asked(world, &emma).await;

        run(world, &Unreliable::new(world), payment, claim).await.unwrap();

        assert_eq!(status(world, &id).await, "PAID");
        assert_eq!(books(payment).await, ["authorize", "capture"]);
        assert_eq!(payments(world, &id).await, [(payment, "confirmed".to_owned())]);
        assert_eq!(events(&world.a).await, ["order.created", "order.placed", "order.paid"]);
    })
    .await;
}

#[tokio::test]
async fn one_payment_at_a_time_and_a_declined_one_may_be_followed_by_another() {
    world_with(&[("PAYMENT_URL", "simulator:?decline_percent=100")], async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let (id, payment, claim) = asked(world, &emma).await;
        assert_eq!(codes(&act(&owner, "orderPay", &id, "").await), ["PAYMENT_IN_PROGRESS"]);

        run(world, &Unreliable::new(world), payment, claim).await.unwrap();

        let query = "query($id: ID!) { order(id: $id) { status payment { status failure } } }";
        let order = owner.data(query, json!({ "id": id })).await["order"].clone();
        let failed = json!({ "status": "FAILED", "failure": "insufficient funds" });
        assert_eq!(order, json!({ "status": "PLACED", "payment": failed }));
        assert_eq!(events(&world.a).await.last().unwrap(), "payment.failed");
        let again = act(&owner, "orderPay", &id, "").await;
        assert_eq!(again["order"]["payment"]["status"], "PENDING");
        assert_eq!(copies(&world.a, "Emma").await, (4, 1, 0));
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_lost_are_asked_for_again_and_nothing_is_taken_twice() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 5).await;
        let (id, payment, claim) = asked(world, &emma).await;
        let provider = Unreliable { loses: vec![0, 2], ..Unreliable::new(world) };

        for _ in 0..2 {
            assert!(matches!(run(world, &provider, payment, claim).await, Err(SagaError::Provider(_))));
        }
        run(world, &provider, payment, claim).await.unwrap();

        assert_eq!(status(world, &id).await, "PAID");
        assert_eq!(books(payment).await, ["authorize", "capture"]);
        let calls = "SELECT step, calls FROM control.simulated_payments WHERE key = $1 ORDER BY step";
        let calls = psql().await.query(calls, &[&payment.to_string()]).await.unwrap();
        assert!(calls.iter().all(|row| row.get::<_, i32>(1) == 2), "each was asked for twice and done once");
    })
    .await;
}

#[tokio::test]
async fn a_saga_that_dies_at_any_point_goes_on_from_there() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 500).await;
        let mut died = 0;
        for polls in 0.. {
            let (id, payment, claim) = asked(world, &emma).await;
            let provider = Unreliable::new(world);
            // Polled so often, and dropped: what a SIGKILL leaves.
            let is_done = dropped_after(polls, run(world, &provider, payment, claim)).await.is_some();
            run(world, &Unreliable::new(world), payment, claim).await.unwrap();
            assert_eq!(status(world, &id).await, "PAID", "after {polls} polls");
            assert_eq!(books(payment).await, ["authorize", "capture"], "after {polls} polls");
            if is_done {
                break;
            }
            died += 1;
        }
        assert!(died > 10, "it died only {died} times");
        let paid = events(&world.a).await.into_iter().filter(|kind| kind == "order.paid").count();
        assert_eq!(paid, died + 1, "each order is paid once");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_given_up_meanwhile_is_not_paid_and_the_money_goes_back() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 50).await;
        // Given up before the first call, the second, and before what was taken is confirmed by a lost answer.
        let cases: [(usize, Vec<usize>, &str, &[&str]); 3] = [
            (0, vec![], "voided", &["authorize", "void"]),
            (1, vec![], "refunded", &["authorize", "capture", "refund"]),
            (1, vec![1], "refunded", &["authorize", "capture", "refund"]),
        ];
        for (at, loses, expected, steps) in cases {
            let (id, payment, claim) = asked(world, &emma).await;
            let order: OrderId = id.parse().unwrap();
            let cancel = format!(
                r#"UPDATE "{}".orders SET status = 'canceled', canceled_at = now() WHERE id = '{}'"#,
                world.a.schema, order.0
            );
            let cancel = async move { psql().await.batch_execute(&cancel).await.unwrap() }.boxed();
            let provider = Unreliable { loses: loses.clone(), ..Unreliable::new(world) };
            provider.before.lock().unwrap().push((at, cancel));

            let first = run(world, &provider, payment, claim).await;
            assert_eq!(first.is_err(), !loses.is_empty());
            run(world, &provider, payment, claim).await.unwrap();

            assert_eq!(status(world, &id).await, "CANCELED");
            assert_eq!(payments(world, &id).await, [(payment, expected.to_owned())], "given up before call {at}");
            assert_eq!(books(payment).await, steps, "given up before call {at}");
        }
        assert!(!events(&world.a).await.contains(&"order.paid".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn giving_up_an_order_whose_payment_stands_still_has_it_taken_back() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let (id, payment, claim_of_pay) = asked(world, &emma).await;
        // The money is taken, the answer is lost, and the job is put away by hand.
        let provider = Unreliable { loses: vec![1], ..Unreliable::new(world) };
        assert!(run(world, &provider, payment, claim_of_pay).await.is_err());
        let put_away = "UPDATE control.jobs SET state = 'cancelled', finalized_at = now(), lease_expires_at = NULL
            WHERE id = $1";
        psql().await.execute(put_away, &[&claim_of_pay.0]).await.unwrap();

        let canceled = act(&owner, "orderCancel", &id, ", reason: CUSTOMER_REQUEST").await;

        assert_eq!(canceled["order"]["status"], "CANCELED");
        let job = claim(world, &format!("payload->>'payment' = '{payment}'")).await;
        run(world, &provider, payment, job).await.unwrap();
        assert_eq!(books(payment).await, ["authorize", "capture", "refund"]);
        assert_eq!(payments(world, &id).await, [(payment, "refunded".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_has_lost_its_claim_keeps_nothing() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 5).await;
        let (id, payment, (job, fence)) = asked(world, &emma).await;
        psql().await.execute("UPDATE control.jobs SET fence = fence + 1 WHERE id = $1", &[&job]).await.unwrap();
        let provider = Unreliable::new(world);

        let lost = run(world, &provider, payment, (job, fence)).await;

        assert!(matches!(lost, Err(SagaError::ClaimLost)), "{lost:?}");
        assert_eq!(payments(world, &id).await, [(payment, "pending".to_owned())]);
        run(world, &provider, payment, (job, fence + 1)).await.unwrap();
        assert_eq!(books(payment).await, ["authorize", "capture"], "whoever has the claim goes on");
    })
    .await;
}

#[tokio::test]
async fn what_was_paid_is_paid_back_once() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let (id, payment, claim_of_pay) = asked(world, &emma).await;
        let provider = Unreliable { loses: vec![2], ..Unreliable::new(world) };
        run(world, &provider, payment, claim_of_pay).await.unwrap();

        assert_eq!(act(&owner, "orderRefund", &id, "").await["order"]["status"], "REFUNDED");
        let claim = claim(world, "kind = 'payment.refund'").await;
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let cashier = cashier(world, &session, &provider, claim);
        let order: OrderId = id.parse().unwrap();
        assert!(refund(&cashier, order).await.is_err(), "the answer was lost");
        refund(&cashier, order).await.unwrap();
        refund(&cashier, order).await.unwrap();

        assert_eq!(payments(world, &id).await, [(payment, "refunded".to_owned())]);
        assert_eq!(books(payment).await, ["authorize", "capture", "refund"]);
        assert_eq!(copies(&world.a, "Emma").await, (5, 0, 0));
    })
    .await;
}

/// An account of the shop's own, by a key of it.
fn account(key: &str) -> Account {
    Account { secret_key: Some(key.to_owned().into()) }
}

/// Runs the saga once through an account.
async fn run_through(world: &World, key: &str, payment: PaymentId, claim: (Uuid, i64)) -> Result<(), SagaError> {
    let provider = Unreliable::new(world);
    let (account, session) = (account(key), world.app.services.tenants.session(Arc::clone(&world.a)));
    collect(&Cashier { account: &account, ..cashier(world, &session, &provider, claim) }, payment).await
}

#[tokio::test]
async fn no_step_of_a_payment_goes_through_another_account_than_the_first() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let is_refused = |result: Result<(), SagaError>| matches!(result, Err(SagaError::OtherAccount { .. }));
        let reserve = async |payment, claim| {
            let provider = Unreliable { loses: vec![0], ..Unreliable::new(world) };
            let session = world.app.services.tenants.session(Arc::clone(&world.a));
            let account = account("sk_first_0123456789");
            let cashier = Cashier { account: &account, ..cashier(world, &session, &provider, claim) };
            assert!(matches!(collect(&cashier, payment).await, Err(SagaError::Provider(_))), "the answer was lost");
        };
        // Taken, and paid back.
        let (id, payment, claim_of_pay) = asked(world, &emma).await;
        reserve(payment, claim_of_pay).await;
        assert!(is_refused(run_through(world, "sk_other_0123456789", payment, claim_of_pay).await));
        assert!(is_refused(run(world, &Unreliable::new(world), payment, claim_of_pay).await), "the platform's");
        assert_eq!(
            (books(payment).await, status(world, &id).await),
            (vec!["authorize".to_owned()], "PLACED".to_owned())
        );
        // The same account by its next key.
        run_through(world, "sk_first_0123456789#2", payment, claim_of_pay).await.unwrap();
        assert_eq!((books(payment).await.len(), status(world, &id).await), (2, "PAID".to_owned()));
        act(&owner, "orderRefund", &id, "").await;
        let job = claim(world, "kind = 'payment.refund'").await;
        assert!(is_refused(run_through(world, "sk_other_0123456789", payment, job).await));
        assert_eq!(payments(world, &id).await, [(payment, "refunding".to_owned())]);
        run_through(world, "sk_first_0123456789", payment, job).await.unwrap();
        assert_eq!(payments(world, &id).await, [(payment, "refunded".to_owned())]);

        // Reserved, and given up.
        let (id, payment, job) = asked(world, &emma).await;
        reserve(payment, job).await;
        act(&owner, "orderCancel", &id, ", reason: CUSTOMER_REQUEST").await;
        assert!(is_refused(run_through(world, "sk_other_0123456789", payment, job).await));
        assert_eq!(
            (books(payment).await, payments(world, &id).await[0].1.as_str()),
            (vec!["authorize".to_owned()], "pending")
        );
        // The provider would have said so itself.
        let (provider, other) = (Unreliable::new(world), account("sk_other_0123456789"));
        let unknown = Err(PaymentError::Declined("the account has no such payment".to_owned()));
        assert_eq!(provider.void(&other, payment).await, unknown);
        run_through(world, "sk_first_0123456789", payment, job).await.unwrap();
        assert_eq!(books(payment).await, ["authorize", "void"]);
    })
    .await;
}

#[tokio::test]
async fn a_payment_that_an_older_release_began_goes_on_through_the_account_that_is_set() {
    world(async |world| {
        let emma = stocked(&world.owner(), "Emma", 5).await;
        let (id, payment, claim) = asked(world, &emma).await;
        let provider = Unreliable { loses: vec![1], ..Unreliable::new(world) };
        assert!(run(world, &provider, payment, claim).await.is_err());
        let forget = format!(r#"UPDATE "{}".payments SET account = NULL WHERE status = 'authorized'"#, world.a.schema);
        assert_eq!(psql().await.execute(&forget, &[]).await.unwrap(), 1);
        run(world, &provider, payment, claim).await.unwrap();
        assert_eq!(status(world, &id).await, "PAID");
    })
    .await;
}

#[tokio::test]
async fn payments_of_an_account_that_is_gone_keep_no_others_from_being_taken_on() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let ids = [order(&owner, &[(&emma, 1)]).await, order(&owner, &[(&emma, 1)]).await];
        for id in &ids {
            act(&owner, "orderPlace", id, "").await;
            make_paid(&world.a, id).await;
        }
        act(&owner, "orderRefund", &ids[0], "").await;
        let more = format!(
            r#"SET search_path TO "{}";
               INSERT INTO orders (id, number, customer_id, customer_sealed, status, currency, created_at, updated_at, placed_at)
               SELECT gen_random_uuid(), 1000 + n, customer_id, customer_sealed, 'placed', currency, created_at, updated_at, now()
               FROM orders, generate_series(1, 151) AS n WHERE number = 1;
               INSERT INTO payments (id, order_id, status, account, amount_minor, currency, created_at, updated_at)
               SELECT gen_random_uuid(), id,
                      CASE WHEN number < 1000 THEN 'confirmed' ELSE 'pending' END,
                      CASE WHEN number BETWEEN 1001 AND 1150 THEN 'gone' END, 1000, currency, now(),
                      now() - CASE WHEN number < 1151 THEN interval '3 days' ELSE interval '2 days' END
               FROM orders"#,
            world.a.schema
        );
        psql().await.batch_execute(&more).await.unwrap();
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let an_hour_ago = SystemClock.now() - TimeDelta::hours(1);
        let sweep = async |tx: &mut TenantTx| stuck_enqueue(tx, &SystemClock, an_hour_ago).await;
        session.write::<_, DbError>(sweep).await.unwrap();
        session.finish().await;

        let psql = psql().await;
        let jobs = "SELECT payload->>'payment' FROM control.jobs WHERE tenant_id = $1 AND kind = 'payment.collect'";
        let numbers = format!(
            r#"SELECT number FROM "{0}".payments JOIN "{0}".orders ON orders.id = order_id WHERE payments.id = $1"#,
            world.a.schema
        );
        let mut found: Vec<i64> = Vec::new();
        for row in psql.query(jobs, &[&world.a.id.0]).await.unwrap() {
            let payment: PaymentId = row.get::<_, &str>(0).parse().unwrap();
            found.push(psql.query_one(&numbers, &[&payment.0]).await.unwrap().get(0));
        }
        found.sort_unstable();
        let (gone, others): (Vec<i64>, Vec<i64>) = found.into_iter().partition(|number| (1001..=1150).contains(number));
        assert_eq!((gone.len(), others), (100, vec![1, 1151]), "one that is to be paid back, and none that is paid");
    })
    .await;
}

#[tokio::test]
async fn where_nobody_takes_payments_it_is_said() {
    world_with(&[("SHELFWISE_ENV", "staging")], async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 1)]).await;
        act(&owner, "orderPlace", &id, "").await;
        assert_eq!(codes(&act(&owner, "orderPay", &id, "").await), ["PAYMENT_UNAVAILABLE"]);
    })
    .await;
}
