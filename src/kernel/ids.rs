//! Identifiers: a UUIDv7 within, a [TypeID](https://github.com/jetify-com/typeid) such as `book_01k9…` outside.
//!
//! The prefix names the type, so an id of one entity is never taken for another's. No tenant is inside: whose row
//! an id names is decided by the schema it is looked up in.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Crockford's base32 in lower case: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of an encoded UUID: 26 × 5 bits hold 128 bits, the two topmost bits are zero.
const ENCODED_LEN: usize = 26;

/// Why a text is not an id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has another type's prefix, or none.
    #[error("expected an id that starts with `{expected}_`")]
    WrongType {
        /// The prefix that was wanted.
        expected: &'static str,
    },
    /// The part after the prefix is not 26 characters of lower-case base32.
    #[error("malformed id after `{expected}_`")]
    Malformed {
        /// The prefix that was wanted.
        expected: &'static str,
    },
}

/// Encodes 128 bits as 26 characters of lower-case base32; the order of texts is the order of the numbers.
#[must_use]
pub fn base32_encode(uuid: Uuid) -> String {
    let bits = uuid.as_u128();
    (0..ENCODED_LEN).rev().map(|digit| char::from(ALPHABET[((bits >> (digit * 5)) & 31) as usize])).collect()
}

/// Decodes what [`base32_encode`] wrote. `None` for anything else, a number over 128 bits included.
#[must_use]
pub fn base32_decode(text: &str) -> Option<Uuid> {
    if text.len() != ENCODED_LEN || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut bits: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
        bits = (bits << 5) | digit as u128;
    }
    Some(Uuid::from_u128(bits))
}

/// Declares one id type: its name, its prefix and its sentence of documentation.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What every text form of this id starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", Self::PREFIX, base32_encode(self.0))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let expected = Self::PREFIX;
                let digits = text
                    .strip_prefix(expected)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .ok_or(IdError::WrongType { expected })?;
                base32_decode(digits).map(Self).ok_or(IdError::Malformed { expected })
            }
        }
    };
}

id!(
    /// A tenant, in the control plane.
    TenantId, "tenant"
);
id!(
    /// A user of one tenant.
    UserId, "user"
);
id!(
    /// A role of one tenant's users.
    RoleId, "role"
);
id!(
    /// A log-in of a user.
    SessionId, "session"
);
id!(
    /// An API key of one tenant.
    ApiKeyId, "apikey"
);
id!(
    /// A tenant's own identity provider.
    IdentityProviderId, "idp"
);
id!(
    /// An administrator of the platform.
    AdminId, "admin"
);
id!(
    /// A job, in the control plane.
    JobId, "job"
);
id!(
    /// A run of the fleet's migrations, in the control plane.
    MigrationRunId, "run"
);
id!(
    /// An archive of a tenant, in the control plane.
    ArchiveId, "archive"
);
id!(
    /// A tenant's way out, in the control plane.
    OffboardingId, "offboarding"
);
id!(
    /// A book of one tenant's catalogue.
    BookId, "book"
);
id!(
    /// An author of one tenant's catalogue.
    AuthorId, "author"
);
id!(
    /// A category of one tenant's catalogue.
    CategoryId, "category"
);
id!(
    /// One run of a catalogue import.
    ImportId, "import"
);
id!(
    /// An order of one tenant.
    OrderId, "order"
);
id!(
    /// Somebody who buys of one tenant.
    CustomerId, "customer"
);
id!(
    /// An attempt to be paid for an order.
    PaymentId, "payment"
);
id!(
    /// Something that has happened in one tenant's shop.
    EventId, "event"
);
id!(
    /// Where a tenant has events sent.
    WebhookEndpointId, "endpoint"
);
id!(
    /// An event on its way to an endpoint.
    WebhookDeliveryId, "delivery"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_a_type_id() {
        // The pair of the TypeID specification's valid.yml, with our prefix.
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(BookId(uuid).to_string(), "book_01h455vb4pex5vsknk084sn02q");
        assert_eq!("book_01h455vb4pex5vsknk084sn02q".parse(), Ok(BookId(uuid)));
    }

    #[test]
    fn another_type_and_nonsense_are_told_apart() {
        let check = |text: &str, expected: IdError| assert_eq!(text.parse::<BookId>(), Err(expected), "{text}");
        let wrong = IdError::WrongType { expected: "book" };
        let malformed = IdError::Malformed { expected: "book" };
        check("author_01h455vb4pex5vsknk084sn02q", wrong.clone());
        check("bookshelf_01h455vb4pex5vsknk084sn02q", wrong.clone());
        check("", wrong);
        check("book_", malformed.clone());
        check("book_81h455vb4pex5vsknk084sn02q", malformed.clone());
        check("book_01H455VB4PEX5VSKNK084SN02Q", malformed.clone());
        check("book_01h455vb4pex5vsknk084sn02é", malformed);
    }

    proptest::proptest! {
        #[test]
        fn encoding_round_trips_and_keeps_order(a: u128, b: u128) {
            let (x, y) = (Uuid::from_u128(a), Uuid::from_u128(b));
            proptest::prop_assert_eq!(base32_decode(&base32_encode(x)), Some(x));
            proptest::prop_assert_eq!(a.cmp(&b), base32_encode(x).cmp(&base32_encode(y)));
        }
    }
}
