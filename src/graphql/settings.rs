//! Settings as both APIs tell them.

use async_graphql::{Enum, Json, SimpleObject};
use serde_json::Value;

use crate::kernel::settings::{Found, Held, Kind, Setting, Source};

/// A setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Setting")]
pub enum SettingName {
    /// `api_keys.lifetime_days`: days within which a new API key must expire. Unset: a key expires within 366 days, or never.
    ApiKeysLifetimeDays,
    /// `catalog.stock_low`: copies of a book below which the shop is told that few are left.
    CatalogStockLow,
    /// `events.retention_days`: days for which the shop's events are kept for whoever catches up.
    EventsRetentionDays,
    /// `idempotency.retention_hours`: hours for which answers to requests that may come again are kept.
    IdempotencyRetentionHours,
    /// `mail.reply_to`: where answers to the shop's mails go. Unset: where mails come from.
    MailReplyTo,
    /// `orders.quantity_max`: the most copies of a book in a line of an order.
    OrdersQuantityMax,
    /// `orders.refund_days`: days after an order was handed over within which it can be paid back. Unset: whenever.
    OrdersRefundDays,
    /// `payments.secret_key`: the secret key of the shop's own account at the provider of payments. Unset: payments go through
    /// the platform's account.
    PaymentsSecretKey,
    /// `sessions.idle_days`: days after which a log-in ends that is not used.
    SessionsIdleDays,
    /// `sessions.lifetime_days`: days after which a log-in ends, however often it is used.
    SessionsLifetimeDays,
    /// `webhooks.retention_days`: days for which deliveries of webhooks that have ended are kept.
    WebhooksRetentionDays,
}

/// What the values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SettingType {
    /// An e-mail address, as a JSON string.
    Email,
    /// A whole number within bounds.
    Integer,
    /// A JSON string that is kept sealed, and shown to nobody.
    Secret,
}

/// Where a setting's value comes from. The first one that has one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SettingSource {
    /// Nobody has set it.
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
    /// What it is for.
    description: &'static str,
    /// What its values are.
    #[graphql(name = "type")]
    kind: SettingType,
    /// The smallest value, where values are numbers.
    minimum: Option<i64>,
    /// The greatest value, where values are numbers.
    maximum: Option<i64>,
    /// The value that counts; null where it is unset, and of secrets.
    value: Option<Json<Value>>,
    /// Whether it has a value. Of secrets no more is told.
    is_set: bool,
    /// Where the value comes from.
    source: SettingSource,
    /// What it is where nobody has set it; null where it is unset then.
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
