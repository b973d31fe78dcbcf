//! Taking money: what a provider of payments must be able to do.
//!
//! The shop's own part, which steps are taken when and how they are taken back, is `tenant::orders::payments`. No provider
//! but the simulator is built in; a real one implements [`PaymentProvider`].

pub mod simulator;

use futures_util::future::BoxFuture;
use secrecy::SecretString;

use crate::kernel::ids::PaymentId;
use crate::kernel::money::Money;

/// Through whose account at the provider a payment goes.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The secret key of the shop's own account; the platform's account where it is `None`.
    pub secret_key: Option<SecretString>,
}

/// Somebody who takes money for a shop.
///
/// Every call may come again, after an answer that was lost or a process that died: a provider does each step of a
/// payment once, and answers a repetition as it did the first time. It knows a payment by its id, and each account knows its own
/// alone. An account may get another key between two steps of a payment, and is the same account.
pub trait PaymentProvider: Send + Sync + 'static {
    /// The provider's own name of an account, which all keys of the account have in common. It is no secret.
    ///
    /// # Errors
    /// The provider does not take the key, or could not be asked.
    fn account_name<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Result<String, PaymentError>>;

    /// Reserves an amount of the customer's money, and answers the provider's own name of the payment.
    ///
    /// # Errors
    /// It was declined, or the provider could not be asked.
    fn authorize<'a>(
        &'a self,
        account: &'a Account,
        payment: PaymentId,
        amount: Money,
    ) -> BoxFuture<'a, Result<String, PaymentError>>;

    /// Takes what was reserved.
    ///
    /// # Errors
    /// It was declined, or the provider could not be asked.
    fn capture<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>>;

    /// Gives up a payment of which nothing was taken: what was reserved is free again, and a later attempt to reserve or
    /// take is declined.
    ///
    /// # Errors
    /// [`PaymentError::Captured`] where it was taken, the account has no such payment, or the provider could not be asked.
    fn void<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>>;

    /// Gives back what was taken.
    ///
    /// # Errors
    /// It was declined, or the provider could not be asked.
    fn refund<'a>(&'a self, account: &'a Account, payment: PaymentId) -> BoxFuture<'a, Result<(), PaymentError>>;
}

/// Why a step of a payment was not done, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The provider said no, and will say so again.
    #[error("declined: {0}")]
    Declined(String),
    /// The money was taken already.
    #[error("already captured")]
    Captured,
    /// No answer came: it may have been done or not. Asking again tells.
    #[error("the payment provider cannot be reached: {0}")]
    Unavailable(String),
}
