//! A provider of payments that takes no money, and fails as real ones do: slowly, by refusing, and by losing answers.
//!
//! Its ledger is a table, so that it outlives every process of ours, as a provider's books would. It takes any account, knows it by
//! the hash of its key, and knows a payment in the account alone in which it began. A key that ends on `#` and a number is another
//! key of the account that the rest is a key of.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use futures_util::future::{BoxFuture, FutureExt as _};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::{Account, PaymentError, PaymentProvider};
use crate::config::payments::SimulatorConfig;
use crate::db::schema::control::simulated_payments as ledger;
use crate::db::statement::kept;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::PaymentId;
use crate::kernel::money::Money;

/// The simulator.
pub struct Simulator {
    control: ControlDb,
    clock: Arc<dyn Clock>,
    config: SimulatorConfig,
}

/// A step in the ledger, why it was declined, if it was, and the account that it was asked of.
type Entry = (String, Option<String>, Option<Vec<u8>>);

impl Simulator {
    /// A simulator whose ledger is in the control plane's database.
    #[must_use]
    pub fn new(control: ControlDb, clock: Arc<dyn Clock>, config: SimulatorConfig) -> Self {
        Self { control, clock, config }
    }

    /// Does a step once: waits, perhaps fails before it or loses the answer behind it, and enters what `decide` says of
    /// the steps before.
    async fn step(
        &self,
        (account, payment): (&Account, PaymentId),
        step: &'static str,
        amount: Option<Money>,
        decide: impl Fn(&[Entry], bool) -> Result<Option<String>, PaymentError> + Sync,
    ) -> Result<(), PaymentError> {
        let [delay, before, after, luck, ..] = self.clock.secret();
        tokio::time::sleep(self.config.delay_max.mul_f64(f64::from(delay) / 255.0)).await;
        let is_below = |byte: u8, percent: u8| u32::from(byte) * 100 < u32::from(percent) * 256;
        if is_below(before, self.config.fail_percent) {
            return Err(PaymentError::Unavailable("the request was lost".to_owned()));
        }
        let key = payment.to_string();
        let is_unlucky = is_below(luck, self.config.decline_percent);
        let now = self.clock.now();
        let work = async |tx: &mut ControlTx| -> Result<Option<String>, StepError> {
            let entries = entries_lock(tx, &key).await?;
            if entries.iter().any(|(.., of)| *of != hash_of(account)) {
                return Err(PaymentError::Declined("the account has no such payment".to_owned()).into());
            }
            if let Some((_, declined, _)) = entries.iter().find(|(known, ..)| known == step) {
                entry_count(tx, &key, step).await?;
                return Ok(declined.clone());
            }
            let declined = decide(&entries, is_unlucky)?;
            entry_insert(tx, (&key, step), declined.clone(), (account, amount), now).await?;
            Ok(declined)
        };
        let declined = self.control.write(work).await.map_err(PaymentError::from)?;
        if is_below(after, self.config.fail_percent) {
            return Err(PaymentError::Unavailable("the answer was lost".to_owned()));
        }
        declined.map_or(Ok(()), |reason| Err(PaymentError::Declined(reason)))
    }
}

impl PaymentProvider for Simulator {
    fn account_name<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Result<String, PaymentError>> {
        let name = hash_of(account).map_or_else(
            || "acct_platform".to_owned(),
            |hash| hash.iter().take(8).fold("acct_".to_owned(), |name, byte| format!("{name}{byte:02x}")),
        );
        async move { Ok(name) }.boxed()
    }

    fn authorize<'a>(
        &'a self,
        account: &'a Account,
        payment: PaymentId,
        amount: Money,
    ) -> BoxFuture<'a, Result<String, PaymentError>> {
        async move {
            let decide = |entries: &[Entry], is_unlucky: bool| {
                Ok(if is_done(entries, "void") {
                    Some("the payment was given up".to_owned())
                } else {
                    is_unlucky.then(|| "insufficient funds".to_owned())
                })
            };
            self.step((account, payment), "authorize", Some(amount), decide).await?;
            Ok(format!("sim_{payment}"))
        }
        .boxed()
    }

    fn capture<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        let decide = |entries: &[Entry], _| {
            Ok(if is_done(entries, "void") {
                Some("the payment was given up".to_owned())
            } else {
                (!is_done(entries, "authorize")).then(|| "nothing was reserved".to_owned())
            })
        };
        self.step((account, payment), "capture", None, decide).boxed()
    }

    fn void<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        let decide =
            |entries: &[Entry], _| if is_done(entries, "capture") { Err(PaymentError::Captured) } else { Ok(None) };
        self.step((account, payment), "void", None, decide).boxed()
    }

    fn refund<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>> {
        let decide = |entries: &[Entry], _| Ok((!is_done(entries, "capture")).then(|| "nothing was taken".to_owned()));
        self.step((account, payment), "refund", None, decide).boxed()
    }
}

fn is_done(entries: &[Entry], step: &str) -> bool {
    entries.iter().any(|(known, declined, _)| known == step && declined.is_none())
}

/// What the ledger knows an account by; nothing for the one of whoever has no key.
fn hash_of(account: &Account) -> Option<Vec<u8>> {
    let key = account.secret_key.as_ref()?.expose_secret();
    let of = key.rsplit_once('#').filter(|(_, number)| number.parse::<u32>().is_ok()).map_or(key, |(of, _)| of);
    Some(Sha256::digest(of).to_vec())
}

/// What ends a step's transaction without an entry.
enum StepError {
    Payment(PaymentError),
    Db(DbError),
}

impl From<PaymentError> for StepError {
    fn from(error: PaymentError) -> Self {
        Self::Payment(error)
    }
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<StepError> for PaymentError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Payment(error) => error,
            StepError::Db(error) => Self::Unavailable(error.to_string()),
        }
    }
}

/// The steps of a payment. Whoever asks for the next one waits for this one's end.
async fn entries_lock(tx: &mut ControlTx, key: &str) -> Result<Vec<Entry>, DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";
    tx.execute(diesel::sql_query(lock).bind::<Text, _>(key)).await?;
    let entries = ledger::table.filter(ledger::key.eq(key.to_owned()));
    tx.load(entries.select((ledger::step, ledger::declined, ledger::account))).await
}

async fn entry_count(tx: &mut ControlTx, key: &str, step: &'static str) -> Result<(), DbError> {
    let entry = ledger::table.filter(ledger::key.eq(key.to_owned())).filter(ledger::step.eq(step));
    tx.execute(kept(diesel::update(entry).set(ledger::calls.eq(ledger::calls + 1)))).await.map(drop)
}

async fn entry_insert(
    tx: &mut ControlTx,
    (key, step): (&str, &'static str),
    declined: Option<String>,
    (account, amount): (&Account, Option<Money>),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(ledger::table).values((
        ledger::key.eq(key.to_owned()),
        ledger::step.eq(step),
        ledger::declined.eq(declined),
        ledger::amount_minor.eq(amount.map(Money::minor)),
        ledger::currency.eq(amount.map(|amount| amount.currency().code())),
        ledger::at.eq(now),
        ledger::account.eq(hash_of(account)),
    ));
    tx.execute(insert).await.map(drop)
}
