//! A tenant's names, and the context that every tenant-plane call carries.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::kernel::deprecation::Extensions;
use crate::kernel::flags::{Flag, Flags};
use crate::kernel::ids::{TenantId, base32_encode};
use crate::kernel::keys::TenantKeys;
use crate::kernel::limits::Limits;
use crate::kernel::money::Currency;
use crate::kernel::settings::Ruled;

/// A tenant's name in addresses: 3 to 40 characters, lower-case letters, digits and single hyphens, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantSlug(Arc<str>);

/// The fewest characters of a slug.
pub const SLUG_LEN_MIN: usize = 3;
/// The most characters of a slug; a DNS label could hold 63.
pub const SLUG_LEN_MAX: usize = 40;

/// Names that stand for the platform itself in host names, paths or mail.
const RESERVED: &[&str] = &[
    "account",
    "accounts",
    "admin",
    "administrator",
    "api",
    "app",
    "apps",
    "assets",
    "auth",
    "autoconfig",
    "billing",
    "blog",
    "cdn",
    "console",
    "control",
    "dashboard",
    "default",
    "demo",
    "dev",
    "docs",
    "ftp",
    "graphql",
    "health",
    "help",
    "host",
    "imap",
    "internal",
    "localhost",
    "login",
    "mail",
    "metrics",
    "mta-sts",
    "new",
    "null",
    "platform",
    "pop",
    "postgres",
    "postmaster",
    "production",
    "public",
    "root",
    "sales",
    "security",
    "shelfwise",
    "signup",
    "smtp",
    "staging",
    "static",
    "status",
    "support",
    "system",
    "tenant",
    "tenants",
    "test",
    "undefined",
    "webhook",
    "webhooks",
    "webmaster",
    "www",
];

/// Why a text is not a slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlugError {
    /// Shorter than [`SLUG_LEN_MIN`] or longer than [`SLUG_LEN_MAX`].
    #[error("a slug has {SLUG_LEN_MIN} to {SLUG_LEN_MAX} characters")]
    Length,
    /// A character other than lower-case letters, digits and single inner hyphens, or no letter first.
    #[error(
        "a slug has lower-case letters, digits and single hyphens, starts with a letter and does not end with a hyphen"
    )]
    Characters,
    /// One of the platform's own names.
    #[error("this slug is reserved")]
    Reserved,
}

impl TenantSlug {
    /// The slug's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantSlug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, SlugError> {
        if !(SLUG_LEN_MIN..=SLUG_LEN_MAX).contains(&text.chars().count()) {
            return Err(SlugError::Length);
        }
        let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts_with_letter = text.as_bytes()[0].is_ascii_lowercase();
        // `--` is shut because it marks encoded names (`xn--`) in DNS.
        if !text.bytes().all(is_allowed) || !starts_with_letter || text.ends_with('-') || text.contains("--") {
            return Err(SlugError::Characters);
        }
        if RESERVED.contains(&text) {
            return Err(SlugError::Reserved);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TenantSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a tenant's schema, and of the role that may use it: `t_` and the tenant's id in base32.
///
/// It may be spliced into SQL, for it is made from an id alone, never from text of a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SchemaName(Arc<str>);

impl SchemaName {
    /// The name without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<TenantId> for SchemaName {
    fn from(id: TenantId) -> Self {
        Self(format!("t_{}", base32_encode(id.0)).into())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All that tenant code knows of its tenant. It never reads the control plane for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantCtx {
    /// The tenant.
    pub id: TenantId,
    /// Its name in addresses, for logs and answers.
    pub slug: TenantSlug,
    /// Its schema and role.
    pub schema: SchemaName,
    /// Its name for people.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// What it may use.
    pub limits: Limits,
    /// What operators have set for it and for its plan.
    pub ruled: Arc<Ruled>,
    /// What is switched on for it.
    pub flags: Flags,
    /// What it was given more time for.
    pub extensions: Extensions,
    /// The one currency that the shop trades in.
    pub currency: Currency,
    /// Its keys, wrapped.
    pub keys: TenantKeys,
    /// Under whose id its values are sealed: its own, or that of the tenant whose archive it was restored from.
    pub sealed_as: TenantId,
}

impl TenantCtx {
    /// Whether a feature is switched on for the tenant at a time.
    #[must_use]
    pub fn has(&self, flag: Flag, now: DateTime<Utc>) -> bool {
        self.flags.decide(flag, self.id, now).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_dns_labels_that_are_not_ours() {
        let check =
            |text: &str, error: Option<SlugError>| assert_eq!(text.parse::<TenantSlug>().err(), error, "{text}");
        check("acme", None);
        check("a-1-b", None);
        check(&"a".repeat(40), None);
        check(&"a".repeat(41), Some(SlugError::Length));
        check("ab", Some(SlugError::Length));
        check("", Some(SlugError::Length));
        check("Acme", Some(SlugError::Characters));
        check("1acme", Some(SlugError::Characters));
        check("acme-", Some(SlugError::Characters));
        check("xn--acme", Some(SlugError::Characters));
        check("ac_me", Some(SlugError::Characters));
        check("аcme", Some(SlugError::Characters));
        check("acme\"; DROP", Some(SlugError::Characters));
        check("admin", Some(SlugError::Reserved));
    }

    #[test]
    fn reserved_slugs_are_sorted_for_the_reader() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn a_schema_name_is_plain_and_short() {
        let name = SchemaName::from(TenantId(uuid::Uuid::from_u128(u128::MAX)));
        assert_eq!(name.as_str(), "t_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }
}
