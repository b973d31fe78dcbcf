//! A tenant's keys as the registry has them: wrapped under a master key, and of no use without it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It seals values.
    Data,
    /// It hashes values by which rows are found.
    Index,
}

/// A wrapped key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// The key; ids are made in the order of time.
    pub id: Uuid,
    /// What it is for.
    pub purpose: Purpose,
    /// The id of the master key that wraps it.
    pub master: String,
    /// The key, sealed.
    #[serde(with = "base64_text")]
    pub wrapped: Vec<u8>,
    /// From when on it seals. By then every server knows it.
    pub from: DateTime<Utc>,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, purpose, master, .. } = self;
        f.debug_struct("WrappedKey")
            .field("id", id)
            .field("purpose", purpose)
            .field("master", master)
            .finish_non_exhaustive()
    }
}

/// All keys of a tenant, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantKeys(pub Vec<WrappedKey>);

impl TenantKeys {
    /// The key of a purpose that is used now: the youngest that has begun. Its forerunners open what they sealed.
    #[must_use]
    pub fn current(&self, purpose: Purpose, now: DateTime<Utc>) -> Option<&WrappedKey> {
        let mut keys = self.0.iter().filter(|key| key.purpose == purpose);
        // A server whose clock is behind goes on with the first one.
        keys.clone().rfind(|key| key.from <= now).or_else(|| keys.next())
    }

    /// The key of a purpose with an id.
    #[must_use]
    pub fn by_id(&self, purpose: Purpose, id: Uuid) -> Option<&WrappedKey> {
        self.0.iter().find(|key| key.purpose == purpose && key.id == id)
    }
}

/// Bytes as base64 in JSON.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u128, purpose: Purpose, from: i64) -> WrappedKey {
        let from = DateTime::from_timestamp(from, 0).unwrap();
        WrappedKey { id: Uuid::from_u128(id), purpose, master: "m-1".to_owned(), wrapped: vec![1, 2], from }
    }

    #[test]
    fn the_youngest_that_has_begun_is_used() {
        let keys = TenantKeys(vec![
            key(1, Purpose::Data, 100),
            key(2, Purpose::Index, 100),
            key(3, Purpose::Data, 200),
            key(4, Purpose::Data, 300),
        ]);
        let check = |purpose, now, id: u128| {
            let current = keys.current(purpose, DateTime::from_timestamp(now, 0).unwrap()).unwrap();
            assert_eq!(current.id, Uuid::from_u128(id), "at {now}");
        };
        check(Purpose::Data, 99, 1);
        check(Purpose::Data, 199, 1);
        check(Purpose::Data, 200, 3);
        check(Purpose::Data, 999, 4);
        check(Purpose::Index, 999, 2);
        assert_eq!(TenantKeys::default().current(Purpose::Data, DateTime::UNIX_EPOCH), None);
        assert_eq!(keys.by_id(Purpose::Index, Uuid::from_u128(1)), None, "a key has one purpose");
    }

    #[test]
    fn the_registry_reads_what_it_wrote() {
        let keys = TenantKeys(vec![key(1, Purpose::Data, 100), key(2, Purpose::Index, 100)]);
        let json = serde_json::to_value(&keys).unwrap();
        assert_eq!(json[0]["wrapped"], "AQI=");
        assert_eq!(serde_json::from_value::<TenantKeys>(json).unwrap(), keys);
        assert!(!format!("{keys:?}").contains("[1, 2]"));
    }
}
