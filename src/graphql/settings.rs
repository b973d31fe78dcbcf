//! Settings as both APIs tell them.

use async_graphql::{Enum, Json, SimpleObject};
use serde_json::Value;

use crate::kernel::settings::{Found, Held, Kind, Setting, Source};

/// A setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Setting")]
pub enum SettingName {
    /// Days within which a new API key must expire (`api_keys.lifetime_days`). Unset: within 366 days, or never.
    ApiKeysLifetimeDays,
    /// Copies of a book below which the shop is told that few are left (`catalog.stock_low`).
    CatalogStockLow,
    /// Days for which the shop's events are kept for whoever catches up (`events.retention_days`).
    EventsRetentionDays,
    /// Hours for which answers are kept for repeated requests (`idempotency.retention_hours`).
    IdempotencyRetentionHours,
    /// Address that answers to the shop's mails go to (`mail.reply_to`). Unset: the address that mails come from.
    MailReplyTo,
    /// Largest number of copies of a book in a line of an order (`orders.quantity_max`).
    OrdersQuantityMax,
    /// Days after an order was handed over within which it can be refunded (`orders.refund_days`). Unset: no end.
    OrdersRefundDays,
    /// Secret key of the shop's own account at the payment provider (`payments.secret_key`). Unset: payments go through the
    /// platform's account.
    PaymentsSecretKey,
    /// Days after which a log-in ends that is not used (`sessions.idle_days`).
    SessionsIdleDays,
    /// Days after which a log-in ends, however often it is used (`sessions.lifetime_days`).
    SessionsLifetimeDays,
    /// Days for which deliveries of webhooks that have ended are kept (`webhooks.retention_days`).
    WebhooksRetentionDays,
}

/// The type of a setting's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SettingType {
    /// An e-mail address, as a JSON string.
    Email,
    /// A whole number within bounds.
    Integer,
    /// A JSON string that is kept sealed, and shown to nobody.
    Secret,
}

/// The source of a setting's value. The first source that has a value counts: the shop, the operators, the plan, the
/// environment, the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SettingSource {
    /// The built-in value: nobody has set one.
    Default,
    /// The installation has set it, for all shops.
    Environment,
    /// The platform's operators have set it, for this shop.
    Operators,
    /// The shop's plan has it.
    Plan,
    /// The shop has set it itself.
    Shop,
}

impl From<Source> for SettingSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Shop => Self::Shop,
            Source::Operators => Self::Operators,
            Source::Plan => Self::Plan,
            Source::Environment => Self::Environment,
            Source::Default => Self::Default,
        }
    }
}

/// What is told of a setting, whoever asks.
#[derive(SimpleObject)]
pub struct SettingFacts {
    /// The name.
    name: SettingName,
    /// The purpose of the setting, for people.
    description: &'static str,
    /// The type of its values.
    #[graphql(name = "type")]
    kind: SettingType,
    /// The smallest value, where values are numbers.
    minimum: Option<i64>,
    /// The greatest value, where values are numbers.
    maximum: Option<i64>,
    /// The value that counts; null where it is unset, and of secrets.
    value: Option<Json<Value>>,
    /// Tells whether it has a value. Of secrets no more is told.
    is_set: bool,
    /// The source of the value.
    source: SettingSource,
    /// The value that counts if nobody has set one; null if it is unset then.
    default_value: Option<Json<Value>>,
}

impl SettingFacts {
    /// A setting, and what was found of it.
    #[must_use]
    pub fn new(setting: Setting, found: Found) -> Self {
        let definition = setting.definition();
        let (kind, minimum, maximum) = match definition.kind {
            Kind::Integer { min, max } => (SettingType::Integer, Some(min), Some(max)),
            Kind::Email => (SettingType::Email, None, None),
            Kind::Secret { .. } => (SettingType::Secret, None, None),
        };
        Self {
            name: setting.into(),
            description: definition.about,
            kind,
            minimum,
            maximum,
            is_set: found.value.is_some(),
            value: found.value.and_then(shown).map(Json),
            source: found.source.into(),
            default_value: setting.default().map(Json),
        }
    }
}

/// A value as it is shown; nothing of a secret.
#[must_use]
pub fn shown(held: Held) -> Option<Value> {
    match held {
        Held::Plain(value) => Some(value),
        Held::Sealed(_) | Held::Secret(_) => None,
    }
}
