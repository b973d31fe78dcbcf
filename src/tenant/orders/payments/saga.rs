//! The way of a payment, step by step: what the jobs `payment.collect` and `payment.refund` do.
//!
//! A step is asked of the provider outside of any transaction, and what came of it is kept in one of its own, from where
//! the next step starts. A process may die between any two: the next one reads how far it had come and asks again, and the
//! provider, who knows the payment by its id, does nothing twice. That is why running these jobs twice is safe. Where the
//! order was given up meanwhile, what was reserved is freed, and what was taken is given back.
//!
//! Whose account takes a payment is kept before the first step, and no step goes through another: what is reserved in one cannot
//! be freed in the other, which would say that all is well.

use uuid::Uuid;

use super::model::{Payment, PaymentStatus};
use super::repo;
use crate::db::{DbError, TenantSession, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{OrderId, PaymentId};
use crate::kernel::journal::Change;
use crate::kernel::news::{Fact, Topic};
use crate::payments::{Account, PaymentError, PaymentProvider};
use crate::tenant::events::{DomainEvent, PaymentFacts, publish};
use crate::tenant::journal::{self, Act};
use crate::tenant::orders::order::model::Order;
use crate::tenant::orders::order::repo as orders;
use crate::tenant::orders::order::service::facts;
use crate::tenant::orders::status::{OrderMove, OrderStatus};
use crate::vault::{KeyError, Vault};

/// Steps that a payment takes at most; one more is a defect, not a payment.
const STEPS_MAX: usize = 10;

/// What a payment is taken on with.
pub struct Cashier<'a> {
    /// The shop's tables.
    pub session: &'a TenantSession,
    /// Who takes the money.
    pub provider: &'a dyn PaymentProvider,
    /// Through whose account.
    pub account: &'a Account,
    /// Seals what the trail tells of people.
    pub vault: &'a Vault,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// The job and the fence of its claim: what a job does that has lost its claim is not kept.
    pub claim: (Uuid, i64),
}

/// Why a payment went no further for now.
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// The provider could not be asked, or said no where it must not.
    #[error(transparent)]
    Provider(#[from] PaymentError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A key of the tenant's cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The payment does not end.
    #[error("the payment took more than {STEPS_MAX} steps")]
    Endless,
    /// The account's key is not the one's who took the payment. Only people can mend that.
    #[error("the payment is in the account `{of}` at the provider, and the key that is set is of `{present}`")]
    OtherAccount {
        /// Who takes the payment.
        of: String,
        /// Whose key is set.
        present: String,
    },
    /// A later release has taken the payment to where this one does not know.
    #[error("the payment is where this release does not know")]
    Unknown,
    /// Another worker has the job now, and goes on.
    #[error("the claim on the job is lost")]
    ClaimLost,
}

/// What a step came to: where the payment goes, and what is kept of it.
struct Outcome {
    to: PaymentStatus,
    reference: Option<String>,
    failure: Option<String>,
}

/// What is kept of a step.
enum Step {
    /// Whose account takes the payment, by the provider's name of it.
    Bind(String),
    /// What it came to.
    Advance(Outcome),
}

impl Outcome {
    fn to(to: PaymentStatus) -> Self {
        Self { to, reference: None, failure: None }
    }

    fn failed(reason: String) -> Self {
        // The tables have no room for a NUL, whatever the provider says.
        let failure = Some(reason.replace('\0', ""));
        Self { to: PaymentStatus::Failed, reference: None, failure }
    }
}

/// Takes a payment as far as it goes: to its end, or until the provider cannot be asked.
///
/// # Errors
/// What kept it from going on. Running it again goes on from there.
pub async fn collect(cashier: &Cashier<'_>, id: PaymentId) -> Result<(), SagaError> {
    for _ in 0..STEPS_MAX {
        let Some((payment, order)) = read(cashier, id).await? else { return Ok(()) };
        let is_wanted = order.status().after(OrderMove::Pay).is_some();
        let status = payment.status().ok_or(SagaError::Unknown)?;
        if matches!(status, PaymentStatus::Pending | PaymentStatus::Authorized | PaymentStatus::Refunding) {
            let present = cashier.provider.account_name(cashier.account).await?;
            match &payment.account {
                Some(of) if *of == present => {}
                Some(of) => return Err(SagaError::OtherAccount { of: of.clone(), present }),
                None if status == PaymentStatus::Pending && is_wanted => {
                    keep(cashier, &payment, Step::Bind(present)).await?;
                    continue;
                }
                // Nothing was begun, or a release has begun it that did not keep in which.
                None => {}
            }
        }
        let outcome = match status {
            PaymentStatus::Pending if is_wanted => authorize(cashier, &payment).await?,
            PaymentStatus::Authorized if is_wanted => capture(cashier, &payment).await?,
            // An answer may have been lost, so whatever there may be is given up.
            PaymentStatus::Pending | PaymentStatus::Authorized => give_up(cashier, &payment).await?,
            PaymentStatus::Captured => Outcome::to(PaymentStatus::Confirmed),
            PaymentStatus::Refunding => {
                cashier.provider.refund(cashier.account, payment.id).await?;
                Outcome::to(PaymentStatus::Refunded)
            }
            PaymentStatus::Confirmed if order.status() == OrderStatus::Refunded => {
                Outcome::to(PaymentStatus::Refunding)
            }
            PaymentStatus::Confirmed | PaymentStatus::Failed | PaymentStatus::Voided | PaymentStatus::Refunded => {
                return Ok(());
            }
        };
        keep(cashier, &payment, Step::Advance(outcome)).await?;
    }
    Err(SagaError::Endless)
}

/// Gives back what was paid for an order that is to be paid back. One whose payment was given back already is left as it
/// is, and so is one that is not to be paid back.
///
/// # Errors
/// As [`collect`].
pub async fn refund(cashier: &Cashier<'_>, order: OrderId) -> Result<(), SagaError> {
    let payment = repo::payment_live(&cashier.session.read().await?, order).await;
    cashier.session.finish().await;
    match payment? {
        Some(payment) => collect(cashier, payment.id).await,
        None => Ok(()),
    }
}

/// The payment and its order as they are now. The connection is given back before the provider is asked.
async fn read(cashier: &Cashier<'_>, id: PaymentId) -> Result<Option<(Payment, Order)>, SagaError> {
    let found = async {
        let read = cashier.session.read().await?;
        let Some(payment) = repo::payment_by_id(&read, id).await? else { return Ok(None) };
        let order = orders::order_by_id(&read, payment.order_id).await?;
        Ok(order.map(|order| (payment, order)))
    };
    let found: Result<_, DbError> = found.await;
    cashier.session.finish().await;
    Ok(found?)
}

async fn authorize(cashier: &Cashier<'_>, payment: &Payment) -> Result<Outcome, SagaError> {
    let amount = payment.amount().ok_or_else(|| DbError::Other("a payment's amount is out of range".to_owned()))?;
    match cashier.provider.authorize(cashier.account, payment.id, amount).await {
        Ok(reference) => Ok(Outcome { reference: Some(reference), ..Outcome::to(PaymentStatus::Authorized) }),
        Err(PaymentError::Declined(reason)) => Ok(Outcome::failed(reason)),
        Err(error) => Err(error.into()),
    }
}

async fn capture(cashier: &Cashier<'_>, payment: &Payment) -> Result<Outcome, SagaError> {
    match cashier.provider.capture(cashier.account, payment.id).await {
        Ok(()) => Ok(Outcome::to(PaymentStatus::Captured)),
        Err(PaymentError::Declined(reason)) => match cashier.provider.void(cashier.account, payment.id).await {
            Ok(()) => Ok(Outcome::failed(reason)),
            Err(PaymentError::Captured) => Ok(Outcome::to(PaymentStatus::Refunding)),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Frees what was reserved; what was taken, by an answer that was lost, is to be given back.
async fn give_up(cashier: &Cashier<'_>, payment: &Payment) -> Result<Outcome, SagaError> {
    match cashier.provider.void(cashier.account, payment.id).await {
        Ok(()) => Ok(Outcome::to(PaymentStatus::Voided)),
        Err(PaymentError::Captured) => Ok(Outcome::to(PaymentStatus::Refunding)),
        Err(error) => Err(error.into()),
    }
}

/// Keeps what a step came to.
async fn keep(cashier: &Cashier<'_>, payment: &Payment, step: Step) -> Result<(), SagaError> {
    let clock = cashier.clock;
    let is_confirming = matches!(&step, Step::Advance(outcome) if outcome.to == PaymentStatus::Confirmed);
    let action = if is_confirming { "order.pay" } else { "payment.advance" };
    let act = Act::of_system(action, cashier.session.tenant(), cashier.vault, clock);
    let work = async |tx: &mut TenantTx| {
        let (job, fence) = cashier.claim;
        if !tx.hold_job(job, fence).await? {
            return Err(SagaError::ClaimLost);
        }
        match step {
            Step::Advance(_) if is_confirming => confirm(tx, clock, payment).await,
            Step::Advance(outcome) => advance(tx, clock, payment, outcome).await,
            Step::Bind(account) => bind(tx, clock, payment, account).await,
        }
    };
    let kept = journal::service::write(cashier.session, act, work).await;
    cashier.session.finish().await;
    kept
}

/// Keeps whose account takes the payment, unless another was faster.
async fn bind(tx: &mut TenantTx, clock: &dyn Clock, payment: &Payment, account: String) -> Result<(), SagaError> {
    if let Some(after) = repo::payment_bind(tx, payment, account, clock.now()).await? {
        tx.note(Change::changed(after.id, payment.trail(), after.trail()));
    }
    Ok(())
}

/// Moves the payment on, unless another was faster.
async fn advance(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    payment: &Payment,
    Outcome { to, reference, failure }: Outcome,
) -> Result<(), SagaError> {
    let kept = (reference, failure.clone());
    let Some(after) = repo::payment_advance(tx, payment, to, kept, clock.now()).await? else { return Ok(()) };
    tx.note(Change::changed(after.id, payment.trail(), after.trail()));
    if let Some(reason) = failure {
        let facts = PaymentFacts { order_id: after.order_id.to_string(), reason };
        publish(tx, clock, DomainEvent::PaymentFailed(after.id, facts));
    }
    Ok(())
}

/// Makes the order paid by what was taken, or finds that it was given up meanwhile: then the money goes back.
async fn confirm(tx: &mut TenantTx, clock: &dyn Clock, payment: &Payment) -> Result<(), SagaError> {
    let now = clock.now();
    let order = orders::order_lock(tx, payment.order_id).await?;
    let Some(mut order) = order.filter(|order| order.status().after(OrderMove::Pay).is_some()) else {
        return advance(tx, clock, payment, Outcome::to(PaymentStatus::Refunding)).await;
    };
    if repo::payment_advance(tx, payment, PaymentStatus::Confirmed, (None, None), now).await?.is_none() {
        return Ok(());
    }
    tx.tell(Fact::new(Topic::Payment, payment.id));
    let before = order.trail();
    order.status = OrderStatus::Paid.as_str().to_owned();
    (order.paid_at, order.updated_at) = (Some(now), now);
    let order = orders::order_update(tx, &order).await?;
    tx.note(Change::changed(order.id, before, order.trail()));
    publish(tx, clock, DomainEvent::OrderPaid(order.id, facts(&order)));
    Ok(())
}
