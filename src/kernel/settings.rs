//! Settings: which there are, what each may be, who may change it, and which of several values counts.
//!
//! A setting is declared here and nowhere else. Its value is the first that there is of: the shop's own, what operators set for
//! the shop, what they set for its plan, the environment's, the default. A stored value that this release would not take counts
//! as none: whoever makes a bound stricter takes nobody's shop down by it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;

use crate::kernel::email::Email;

/// What may be set, and to what.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name, as `catalog.stock_low`.
    pub name: &'static str,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Who may change it.
    pub scope: Scope,
    /// What it is where nobody has set it; nothing where it is unset then.
    pub default: Option<i64>,
    /// The variable of the environment that sets it for the whole installation.
    pub variable: &'static str,
}

/// What the values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within bounds.
    Integer {
        /// The smallest.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// An e-mail address.
    Email,
    /// Something that is sealed, and shown to nobody: printable ASCII without spaces.
    Secret {
        /// The fewest characters.
        len_min: usize,
        /// The most.
        len_max: usize,
    },
}

/// Who may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The shop itself, and operators for it, for its plan and for the installation.
    Shop,
    /// Operators alone.
    Platform,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The shop has set it.
    Shop,
    /// Operators have set it for the shop.
    Operators,
    /// The shop's plan has it.
    Plan,
    /// The installation's environment has it.
    Environment,
    /// Nobody has set it.
    Default,
}

impl Source {
    /// Its name in what machines read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Operators => "operators",
            Self::Plan => "plan",
            Self::Environment => "environment",
            Self::Default => "default",
        }
    }
}

/// A setting whose values are read as a type: `i64` where there is a default, and `Option` of a type where there need be none.
#[derive(Debug)]
pub struct Key<T> {
    /// The setting.
    pub setting: Setting,
    is_a: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    const fn of(setting: Setting) -> Self {
        Self { setting, is_a: PhantomData }
    }
}

/// Declares settings: for each its key with its type, its name, who may change it, its kind, its default and its variable.
macro_rules! settings {
    ($($(#[doc = $about:literal])+ $setting:ident, $key:ident: $type:ty = $name:literal, $scope:ident, $kind:expr, $default:expr, $variable:literal;)+) => {
        /// A setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Setting {
            $($(#[doc = $about])+ $setting,)+
        }

        impl Setting {
            /// Every setting, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$setting),+];

            /// What may be set, and to what.
            #[must_use]
            pub const fn definition(self) -> &'static Definition {
                match self {
                    $(Self::$setting => {
                        const DEFINITION: Definition = Definition {
                            name: $name,
                            about: concat!($($about),+).trim_ascii(),
                            kind: $kind,
                            scope: Scope::$scope,
                            default: $default,
                            variable: $variable,
                        };
                        &DEFINITION
                    })+
                }
            }
        }

        $($(#[doc = $about])+ pub const $key: Key<$type> = Key::of(Setting::$setting);)+
    };
}

settings! {
    /// Days within which a new API key must expire. Unset: a key expires within 366 days, or never.
    ApiKeysLifetimeDays, API_KEYS_LIFETIME_DAYS: Option<i64> = "api_keys.lifetime_days", Shop,
        Kind::Integer { min: 1, max: 366 }, None, "SETTING_API_KEYS_LIFETIME_DAYS";
    /// Copies of a book below which the shop is told that few are left.
    CatalogStockLow, CATALOG_STOCK_LOW: i64 = "catalog.stock_low", Shop,
        Kind::Integer { min: 0, max: 1_000_000 }, Some(3), "SETTING_CATALOG_STOCK_LOW";
    /// Days for which the shop's events are kept for whoever catches up.
    EventsRetentionDays, EVENTS_RETENTION_DAYS: i64 = "events.retention_days", Platform,
        Kind::Integer { min: 1, max: 36_500 }, Some(30), "EVENTS_RETENTION_DAYS";
    /// Hours for which answers to requests that may come again are kept.
    IdempotencyRetentionHours, IDEMPOTENCY_RETENTION_HOURS: i64 = "idempotency.retention_hours", Platform,
        Kind::Integer { min: 1, max: 8_784 }, Some(24), "IDEMPOTENCY_RETENTION_HOURS";
    /// Where answers to the shop's mails go. Unset: where mails come from.
    MailReplyTo, MAIL_REPLY_TO: Option<String> = "mail.reply_to", Shop,
        Kind::Email, None, "SETTING_MAIL_REPLY_TO";
    /// The most copies of a book in a line of an order.
    OrdersQuantityMax, ORDERS_QUANTITY_MAX: i64 = "orders.quantity_max", Shop,
        Kind::Integer { min: 1, max: 10_000 }, Some(10_000), "SETTING_ORDERS_QUANTITY_MAX";
    /// Days after an order was handed over within which it can be paid back. Unset: whenever.
    OrdersRefundDays, ORDERS_REFUND_DAYS: Option<i64> = "orders.refund_days", Shop,
        Kind::Integer { min: 0, max: 3_650 }, None, "SETTING_ORDERS_REFUND_DAYS";
    /// The secret key of the shop's own account at the provider of payments. Unset: payments go through the platform's account.
    PaymentsSecretKey, PAYMENTS_SECRET_KEY: Option<SecretString> = "payments.secret_key", Shop,
        Kind::Secret { len_min: 16, len_max: 500 }, None, "SETTING_PAYMENTS_SECRET_KEY";
    /// Days after which a log-in ends that is not used.
    SessionsIdleDays, SESSIONS_IDLE_DAYS: i64 = "sessions.idle_days", Shop,
        Kind::Integer { min: 1, max: 90 }, Some(14), "SETTING_SESSIONS_IDLE_DAYS";
    /// Days after which a log-in ends, however often it is used.
    SessionsLifetimeDays, SESSIONS_LIFETIME_DAYS: i64 = "sessions.lifetime_days", Shop,
        Kind::Integer { min: 1, max: 365 }, Some(30), "SETTING_SESSIONS_LIFETIME_DAYS";
    /// Days for which deliveries of webhooks that have ended are kept.
    WebhooksRetentionDays, WEBHOOKS_RETENTION_DAYS: i64 = "webhooks.retention_days", Platform,
        Kind::Integer { min: 1, max: 36_500 }, Some(30), "WEBHOOK_RETENTION_DAYS";
}

/// The text names no setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no setting of this name")]
pub struct SettingError;

/// What a setting's values are, where one is none of them. It does not quote the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl Setting {
    /// Its name, as `catalog.stock_low`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// Whether its values are sealed, and shown to nobody.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self.definition().kind, Kind::Secret { .. })
    }

    /// Whether its values tell of people: no trail that outlives the tenant has them.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        matches!(self.definition().kind, Kind::Email)
    }

    /// Whether a shop may change it.
    #[must_use]
    pub fn is_shops(self) -> bool {
        self.definition().scope == Scope::Shop
    }

    /// What it is where nobody has set it.
    #[must_use]
    pub fn default(self) -> Option<Value> {
        self.definition().default.map(Value::from)
    }

    /// A value as it is stored, if it is one of the setting's.
    ///
    /// # Errors
    /// What its values are.
    pub fn check(self, value: &Value) -> Result<Value, ValueError> {
        let is_ascii = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let (valid, what) = match self.definition().kind {
            Kind::Integer { min, max } => (
                value.as_i64().filter(|number| (min..=max).contains(number)).map(Value::from),
                format!("a whole number from {min} to {max}"),
            ),
            Kind::Email => {
                let email = value.as_str().and_then(|text| text.trim().parse::<Email>().ok());
                (email.map(|email| Value::from(email.as_str())), "an e-mail address".to_owned())
            }
            Kind::Secret { len_min, len_max } => (
                value
                    .as_str()
                    .filter(|text| (len_min..=len_max).contains(&text.len()) && is_ascii(text))
                    .map(Value::from),
                format!("{len_min} to {len_max} letters, digits and signs of ASCII, without spaces"),
            ),
        };
        valid.ok_or_else(|| ValueError(format!("`{}` is {what}", self.name())))
    }

    /// A value that somebody has typed.
    ///
    /// # Errors
    /// As [`Setting::check`].
    pub fn parse(self, text: &str) -> Result<Value, ValueError> {
        let number = text.trim().parse::<i64>().ok().filter(|_| matches!(self.definition().kind, Kind::Integer { .. }));
        self.check(&number.map_or_else(|| Value::from(text), Value::from))
    }
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        Self::ALL.iter().copied().find(|setting| setting.name() == text).ok_or(SettingError)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that somebody has set.
#[derive(Debug, Clone)]
pub enum Held {
    /// One that anybody may see who may see settings.
    Plain(Value),
    /// A secret as it is stored: sealed with the shop's key.
    Sealed(Vec<u8>),
    /// A secret of the environment's.
    Secret(SecretString),
}

/// What one of those has set who may.
pub type Layer = BTreeMap<Setting, Held>;

/// What operators have set for a shop and for its plan. No secrets: they are a shop's own, or the installation's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruled {
    /// For the shop.
    pub tenant: BTreeMap<Setting, Value>,
    /// For its plan.
    pub plan: BTreeMap<Setting, Value>,
}

impl Ruled {
    /// What is stored: two objects of values by name. What this release does not know, or would not take, is left out.
    #[must_use]
    pub fn of(tenant: &Value, plan: &Value) -> Self {
        Self { tenant: plain_values(tenant), plan: plain_values(plan) }
    }
}

fn plain_values(stored: &Value) -> BTreeMap<Setting, Value> {
    let pairs = stored.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| plain(name.parse().ok()?, value)).collect()
}

fn plain(setting: Setting, value: &Value) -> Option<(Setting, Value)> {
    let value = if setting.is_secret() { None } else { setting.check(value).ok() };
    Some((setting, value?))
}

/// What a shop's settings come to.
#[derive(Debug, Clone)]
pub struct Settings {
    own: Arc<Layer>,
    ruled: Arc<Ruled>,
    environment: Arc<Layer>,
}

/// What a setting is, and why.
#[derive(Debug, Clone)]
pub struct Found {
    /// The value; nothing where nobody has set one and there is no default.
    pub value: Option<Held>,
    /// Where it comes from.
    pub source: Source,
}

impl Settings {
    /// What these come to, the first before the second and so on.
    #[must_use]
    pub fn new(own: Arc<Layer>, ruled: Arc<Ruled>, environment: Arc<Layer>) -> Self {
        Self { own, ruled, environment }
    }

    /// What a setting is.
    #[must_use]
    pub fn get<T: Readable>(&self, key: Key<T>) -> T {
        T::read(match self.find(key.setting).value {
            Some(Held::Plain(value)) => Some(value),
            _ => None,
        })
    }

    /// What a setting is, and why. A shop's own value of what it may not change does not count.
    #[must_use]
    pub fn find(&self, setting: Setting) -> Found {
        let own = self.own.get(&setting).filter(|_| setting.is_shops()).cloned().map(|held| (held, Source::Shop));
        let ruled = |values: &BTreeMap<Setting, Value>| values.get(&setting).cloned().map(Held::Plain);
        let found = own
            .or_else(|| ruled(&self.ruled.tenant).map(|held| (held, Source::Operators)))
            .or_else(|| ruled(&self.ruled.plan).map(|held| (held, Source::Plan)))
            .or_else(|| self.environment.get(&setting).cloned().map(|held| (held, Source::Environment)));
        match found {
            Some((held, source)) => Found { value: Some(held), source },
            None => Found { value: setting.default().map(Held::Plain), source: Source::Default },
        }
    }
}

/// A type that values are read as. Values were checked when they were taken, so none is of another kind.
pub trait Readable {
    /// Reads a value, or that there is none.
    fn read(value: Option<Value>) -> Self;
}

impl Readable for i64 {
    fn read(value: Option<Value>) -> Self {
        value.and_then(|value| value.as_i64()).unwrap_or_default()
    }
}

impl Readable for Option<i64> {
    fn read(value: Option<Value>) -> Self {
        value.and_then(|value| value.as_i64())
    }
}

impl Readable for Option<String> {
    fn read(value: Option<Value>) -> Self {
        value.and_then(|value| value.as_str().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(values: &[(Setting, Value)]) -> Arc<Layer> {
        Arc::new(values.iter().map(|(setting, value)| (*setting, Held::Plain(value.clone()))).collect())
    }

    #[test]
    fn settings_are_declared_well() {
        let names: Vec<&str> = Setting::ALL.iter().map(|setting| setting.name()).collect();
        assert!(names.is_sorted() && Setting::ALL.is_sorted(), "in the order of their names, for the reader");
        for setting in Setting::ALL {
            let definition = setting.definition();
            assert_eq!(definition.name.parse(), Ok(*setting));
            assert!(definition.about.ends_with('.') && !definition.about.starts_with(' '), "{setting}");
            if let Some(default) = setting.default() {
                assert_eq!(setting.check(&default), Ok(default), "{setting}");
            }
            // The names say what the types do, and the API's enum is made of the variant's.
            let variant: String = definition.name.split(['.', '_']).map(capitalised).collect();
            assert_eq!(format!("{setting:?}"), variant);
        }
        assert_eq!("catalog".parse::<Setting>(), Err(SettingError));
        let keys = [CATALOG_STOCK_LOW, EVENTS_RETENTION_DAYS, IDEMPOTENCY_RETENTION_HOURS, ORDERS_QUANTITY_MAX];
        for key in keys.into_iter().chain([SESSIONS_IDLE_DAYS, SESSIONS_LIFETIME_DAYS, WEBHOOKS_RETENTION_DAYS]) {
            assert!(key.setting.default().is_some(), "{}: a number that may be missing is an Option", key.setting);
        }
    }

    fn capitalised(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    #[test]
    fn values_are_taken_within_their_bounds() {
        let check = |setting: Setting, value: Value, taken: Option<Value>| {
            assert_eq!(setting.check(&value).ok(), taken, "{setting} {value}");
        };
        use Setting::{CatalogStockLow, MailReplyTo, PaymentsSecretKey};
        check(CatalogStockLow, json!(0), Some(json!(0)));
        check(CatalogStockLow, json!(1_000_000), Some(json!(1_000_000)));
        for bad in [json!(-1), json!(1_000_001), json!(1.5), json!("3"), json!(null), json!([3]), json!(u64::MAX)] {
            check(CatalogStockLow, bad, None);
        }
        check(MailReplyTo, json!(" shop@acme.example "), Some(json!("shop@acme.example")));
        for bad in [json!("nobody"), json!(""), json!("a@b.example\r\nBcc: eve@evil.example"), json!(3), json!(null)] {
            check(MailReplyTo, bad, None);
        }
        check(PaymentsSecretKey, json!("sk_live_0123456789"), Some(json!("sk_live_0123456789")));
        for bad in ["short", "with a space inside", "sk_live_012345678é", "sk_live_0123456\n789"] {
            check(PaymentsSecretKey, json!(bad), None);
        }
        assert_eq!(CatalogStockLow.parse(" 7 "), Ok(json!(7)));
        assert!(CatalogStockLow.parse("seven").is_err());
        let error = PaymentsSecretKey.parse("hunter2").unwrap_err().to_string();
        assert!(error.contains("16 to 500") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_nearest_value_counts_and_its_source_is_told() {
        let setting = Setting::CatalogStockLow;
        let settings = |own: Option<i64>, tenant: Option<i64>, plan: Option<i64>, environment: Option<i64>| {
            let held =
                |value: Option<i64>| layer(&value.map(|value| (setting, json!(value))).into_iter().collect::<Vec<_>>());
            let values = |value: Option<i64>| value.map(|value| (setting, json!(value))).into_iter().collect();
            let ruled = Ruled { tenant: values(tenant), plan: values(plan) };
            Settings::new(held(own), Arc::new(ruled), held(environment))
        };
        let check = |settings: Settings, value: i64, source: Source| {
            assert_eq!((settings.get(CATALOG_STOCK_LOW), settings.find(setting).source), (value, source));
        };
        check(settings(Some(1), Some(2), Some(4), Some(5)), 1, Source::Shop);
        check(settings(None, Some(2), Some(4), Some(5)), 2, Source::Operators);
        check(settings(None, None, Some(4), Some(5)), 4, Source::Plan);
        check(settings(None, None, None, Some(5)), 5, Source::Environment);
        check(settings(None, None, None, None), 3, Source::Default);
    }

    #[test]
    fn what_a_shop_may_not_change_it_does_not() {
        let own = layer(&[(Setting::EventsRetentionDays, json!(365))]);
        let settings = Settings::new(own, Arc::default(), Arc::default());
        assert_eq!(settings.get(EVENTS_RETENTION_DAYS), 30);
        assert_eq!(settings.get(ORDERS_REFUND_DAYS), None);
        assert_eq!(settings.get(MAIL_REPLY_TO), None);
    }

    #[test]
    fn what_is_stored_and_would_not_be_taken_counts_as_unset() {
        let stored = json!({
            "catalog.stock_low": -1, "of.the_future": 1, "orders.refund_days": 14,
            "payments.secret_key": "sk_live_0123456789",
        });
        let ruled = Ruled::of(&stored, &json!(null));
        assert_eq!(ruled.tenant, BTreeMap::from([(Setting::OrdersRefundDays, json!(14))]));
        assert_eq!(ruled.plan, BTreeMap::new());
    }
}
