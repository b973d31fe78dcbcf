//! Feature flags: what is switched on for some shops before it is for all.
//!
//! A flag is declared here, used in a place or two, and goes when it is on for everybody. How far it is on is a row of the control
//! plane. A flag that no row is of is off; a row of a flag that this release does not know is nothing to it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kernel::ids::TenantId;

/// The share of all shops in percent.
pub const PERCENT_MAX: u16 = 100;

/// Parts that all shops are dealt to.
const PARTS: u64 = 10_000;

/// Declares flags: for each what it switches, and its name.
macro_rules! flags {
    ($($(#[doc = $about:literal])+ $flag:ident = $name:literal;)+) => {
        /// A feature flag.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flag {
            $($(#[doc = $about])+ $flag,)+
        }

        impl Flag {
            /// Every flag, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$flag),+];

            /// Its name, as `stock_low_on_update`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$flag => $name,)+
                }
            }

            /// What it switches, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$flag => concat!($($about),+).trim_ascii(),)+
                }
            }
        }
    };
}

flags! {
    /// `book.stock_low` is also told when somebody sets a book's stock by hand, and not by orders alone.
    StockLowOnUpdate = "stock_low_on_update";
}

/// The text names no flag of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this release knows no flag of this name")]
pub struct FlagError;

impl FromStr for Flag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        Self::ALL.iter().copied().find(|flag| flag.name() == text).ok_or(FlagError)
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Flag {
    /// Whether a shop is among the first so many percent. Who is, stays so while the share grows, and other flags begin with
    /// other shops.
    #[must_use]
    pub fn is_in_share(self, tenant: TenantId, percent: u16) -> bool {
        let mut hasher = Sha256::new();
        hasher.update(self.name());
        hasher.update([0]);
        hasher.update(tenant.0.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        let number = hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        number % PARTS < u64::from(percent) * PARTS / u64::from(PERCENT_MAX)
    }
}

/// What was decided for one shop, whatever its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Whether it is on.
    pub is_on: bool,
    /// Until when; without an end where there is none.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A flag, as it is for one shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The percent of all shops that it is on for.
    pub percent: u16,
    /// What was decided for the shop.
    pub exception: Option<Exception>,
}

/// Why a flag is on or off for a shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It was decided for the shop.
    Exception,
    /// The shop is among those that the share is of, or is not.
    Share,
}

/// All flags, as they are for one shop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags(BTreeMap<Flag, Standing>);

/// What is stored of a flag and a shop.
#[derive(Deserialize)]
struct Row {
    percent: u16,
    is_on: Option<bool>,
    ends_at: Option<DateTime<Utc>>,
}

impl Flags {
    /// What is stored: an object of flags by name. What this release does not know is left out.
    #[must_use]
    pub fn of(stored: &Value) -> Self {
        let standing = |(name, row): (&String, &Value)| {
            let Row { percent, is_on, ends_at } = Row::deserialize(row).ok()?;
            let exception = is_on.map(|is_on| Exception { is_on, ends_at });
            Some((name.parse().ok()?, Standing { percent, exception }))
        };
        Self(stored.as_object().into_iter().flatten().filter_map(standing).collect())
    }

    /// Whether a flag is on for a shop at a time, and why.
    #[must_use]
    pub fn decide(&self, flag: Flag, tenant: TenantId, now: DateTime<Utc>) -> (bool, Reason) {
        let Some(standing) = self.0.get(&flag) else { return (false, Reason::Share) };
        let lasts = |exception: &Exception| exception.ends_at.is_none_or(|ends_at| now < ends_at);
        match standing.exception.filter(lasts) {
            Some(exception) => (exception.is_on, Reason::Exception),
            None => (flag.is_in_share(tenant, standing.percent), Reason::Share),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    const FLAG: Flag = Flag::StockLowOnUpdate;

    #[test]
    fn flags_are_declared_well() {
        let names: Vec<&str> = Flag::ALL.iter().map(|flag| flag.name()).collect();
        assert!(names.is_sorted(), "in the order of their names, for the reader");
        for flag in Flag::ALL {
            assert_eq!(flag.name().parse(), Ok(*flag));
            assert!(flag.about().ends_with('.') && !flag.about().starts_with(' '), "{flag}");
        }
        assert_eq!("of_the_future".parse::<Flag>(), Err(FlagError));
    }

    #[test]
    fn a_share_is_near_its_percent_and_only_grows() {
        let tenants: Vec<TenantId> = (0..2_000).map(|number| TenantId(Uuid::from_u128(number))).collect();
        let mut before = Vec::new();
        for (percent, around) in [(0, 0..=0), (1, 8..=36), (25, 430..=570), (50, 930..=1_070), (100, 2_000..=2_000)] {
            let among: Vec<TenantId> =
                tenants.iter().copied().filter(|tenant| FLAG.is_in_share(*tenant, percent)).collect();
            assert!(around.contains(&among.len()), "{percent}: {}", among.len());
            assert!(before.iter().all(|tenant| among.contains(tenant)), "{percent}: somebody has lost it");
            before = among;
        }
        // The same on every machine and in every release.
        assert!(FLAG.is_in_share(TenantId(Uuid::from_u128(1)), share_of(1)));
        assert!(!FLAG.is_in_share(TenantId(Uuid::from_u128(1)), share_of(1) - 1));
    }

    /// The smallest percent that a tenant is among, worked out by hand from the hash's definition.
    fn share_of(tenant: u128) -> u16 {
        let text = [b"stock_low_on_update\0".as_slice(), Uuid::from_u128(tenant).as_bytes()].concat();
        let hash: [u8; 32] = Sha256::digest(text).into();
        let part = u64::from_be_bytes(hash[..8].try_into().unwrap()) % 10_000;
        u16::try_from(part / 100).unwrap() + 1
    }

    #[test]
    fn what_was_decided_for_a_shop_goes_before_its_share_until_it_ends() {
        let tenant = TenantId(Uuid::from_u128(1));
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let check = |row: Value, at: DateTime<Utc>, decision: (bool, Reason)| {
            let flags = Flags::of(&json!({ "stock_low_on_update": row, "of_the_future": { "percent": 100 } }));
            assert_eq!(flags.decide(FLAG, tenant, at), decision, "{row}");
        };
        check(json!({ "percent": 100 }), now, (true, Reason::Share));
        check(json!({ "percent": 0, "is_on": null, "ends_at": null }), now, (false, Reason::Share));
        check(json!({ "percent": 0, "is_on": true, "ends_at": null }), now, (true, Reason::Exception));
        check(json!({ "percent": 100, "is_on": false }), now, (false, Reason::Exception));
        let until = json!({ "percent": 0, "is_on": true, "ends_at": now.to_rfc3339() });
        check(until.clone(), now - TimeDelta::milliseconds(1), (true, Reason::Exception));
        check(until, now, (false, Reason::Share));
        check(json!({ "percent": -1 }), now, (false, Reason::Share));
        assert_eq!(Flags::default().decide(FLAG, tenant, now), (false, Reason::Share));
    }
}
