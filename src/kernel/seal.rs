//! Sealed values: AES-256-GCM (NIST SP 800-38D) under a key with an id, each bound to the place it is kept at.
//!
//! A sealed value is a byte that tells the form, the key's id in 16, a random nonce in 12, the ciphertext, and its tag in
//! 16. Form and key are authenticated with it, and so are tenant, row and column: moved elsewhere, it does not open.

use std::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::ids::TenantId;

/// The form of today.
const FORM: u8 = 1;

/// Bytes of a nonce: 96 bits.
pub const NONCE_LEN: usize = 12;

/// Bytes before the ciphertext.
const HEAD_LEN: usize = 1 + 16 + NONCE_LEN;

/// Bytes that a sealed value has more than what was sealed.
pub const OVERHEAD: usize = HEAD_LEN + 16;

/// Bytes of the block that HMAC-SHA256 works on.
const HMAC_BLOCK_LEN: usize = 64;

/// 256 bits with their id. They are wiped when dropped, and nothing shows them.
#[derive(Clone)]
pub struct Key {
    /// What sealed values call it.
    pub id: Uuid,
    bytes: Zeroizing<[u8; 32]>,
}

/// Where a tenant keeps a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The row's id.
    pub row: Uuid,
    /// Table and column, as `customers.email`.
    pub column: &'static str,
}

/// Why nothing was sealed or opened. It tells nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than AES-GCM can take.
    #[error("the value is too long to be sealed")]
    TooLong,
    /// Another key, another place, another form, or not the bytes that were sealed.
    #[error("the value is not what was sealed at this place")]
    NotAuthentic,
}

impl Key {
    /// A key of 256 random bits.
    #[must_use]
    pub fn new(id: Uuid, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, bytes }
    }

    /// A key of as many bytes; `None` of any other number.
    #[must_use]
    pub fn from_slice(id: Uuid, bytes: &[u8]) -> Option<Self> {
        let mut key = Self::new(id, Zeroizing::default());
        if bytes.len() != key.bytes.len() {
            return None;
        }
        key.bytes.copy_from_slice(bytes);
        Some(key)
    }

    /// Seals a value for its place. A nonce is random and used once; a key seals far fewer than 2³² values.
    ///
    /// # Errors
    /// The value is longer than 64 GiB.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        tenant: TenantId,
        place: Place,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: plain, aad: &self.bound(tenant, place) };
        let sealed = self.cipher().encrypt(&nonce.into(), payload).map_err(|_| SealError::TooLong)?;
        Ok([&[FORM], self.id.as_bytes().as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// The bytes are not what this key sealed for this place.
    pub fn open(&self, tenant: TenantId, place: Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if sealed_by(sealed) != Some(self.id) {
            return Err(SealError::NotAuthentic);
        }
        let (head, rest) = sealed.split_at(HEAD_LEN);
        let payload = Payload { msg: rest, aad: &self.bound(tenant, place) };
        self.cipher().decrypt(head[HEAD_LEN - NONCE_LEN..].into(), payload).map_err(|_| SealError::NotAuthentic)
    }

    /// Opens a sealed key.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn open_key(&self, tenant: TenantId, place: Place, sealed: &[u8]) -> Result<Self, SealError> {
        let bytes = Zeroizing::new(self.open(tenant, place, sealed)?);
        Self::from_slice(place.row, &bytes).ok_or(SealError::NotAuthentic)
    }

    /// Seals another key, whose id is its row.
    ///
    /// # Errors
    /// None that can happen: a key is short.
    pub fn seal_key(
        &self,
        nonce: [u8; NONCE_LEN],
        tenant: TenantId,
        column: &'static str,
        key: &Self,
    ) -> Result<Vec<u8>, SealError> {
        self.seal(nonce, tenant, Place { row: key.id, column }, key.bytes.as_slice())
    }

    /// HMAC-SHA256 (RFC 2104) of a value under a label: equal values have equal hashes, and who lacks the key cannot try
    /// values out. A label has no NUL.
    #[must_use]
    pub fn hash(&self, label: &str, value: &[u8]) -> [u8; 32] {
        self.mac(&[label.as_bytes(), &[0], value])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC fills a key up with zeros, so this is the same key, of the one length that cannot be wrong.
        let mut block = Zeroizing::new([0; HMAC_BLOCK_LEN]);
        block[..self.bytes.len()].copy_from_slice(self.bytes.as_slice());
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(block.as_slice().into());
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    pub(super) fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes.as_slice().into())
    }

    /// What is authenticated beside the value: all but the last of it has a fixed length, so that no two are alike.
    fn bound(&self, tenant: TenantId, place: Place) -> Vec<u8> {
        let Place { row, column } = place;
        [&[FORM], self.id.as_bytes().as_slice(), tenant.0.as_bytes(), row.as_bytes(), column.as_bytes()].concat()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Which key sealed a value; `None` where the bytes have no form that is known.
#[must_use]
pub fn sealed_by(sealed: &[u8]) -> Option<Uuid> {
    if sealed.len() < OVERHEAD || sealed[0] != FORM {
        return None;
    }
    Uuid::from_slice(&sealed[1..17]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const PLACE: Place = Place { row: Uuid::from_u128(2), column: "customers.email" };

    fn key(id: u128, byte: u8) -> Key {
        Key::new(Uuid::from_u128(id), Zeroizing::new([byte; 32]))
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn a_value_opens_with_its_key_at_its_place_and_nowhere_else() {
        let sealed = key(3, 7).seal([9; NONCE_LEN], TENANT, PLACE, b"ann@example.org").unwrap();
        assert_eq!(sealed.len(), b"ann@example.org".len() + OVERHEAD);
        assert_eq!(key(3, 7).open(TENANT, PLACE, &sealed).unwrap(), b"ann@example.org");
        assert_eq!(sealed_by(&sealed), Some(Uuid::from_u128(3)));
        assert!(!sealed.windows(3).any(|window| window == b"ann"));

        let wrong = Err(SealError::NotAuthentic);
        assert_eq!(key(3, 8).open(TENANT, PLACE, &sealed), wrong, "another key of the same id");
        assert_eq!(key(4, 7).open(TENANT, PLACE, &sealed), wrong, "the same key by another id");
        assert_eq!(key(3, 7).open(TenantId(Uuid::from_u128(5)), PLACE, &sealed), wrong, "another tenant");
        assert_eq!(key(3, 7).open(TENANT, Place { row: Uuid::from_u128(6), ..PLACE }, &sealed), wrong, "another row");
        let elsewhere = Place { column: "customers.name", ..PLACE };
        assert_eq!(key(3, 7).open(TENANT, elsewhere, &sealed), wrong, "another column");
    }

    #[test]
    fn each_changed_or_missing_byte_is_noticed() {
        let sealed = key(3, 7).seal([9; NONCE_LEN], TENANT, PLACE, b"Ann").unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(
                    key(3, 7).open(TENANT, PLACE, &changed),
                    Err(SealError::NotAuthentic),
                    "byte {at}, bit {bit}"
                );
            }
            assert_eq!(key(3, 7).open(TENANT, PLACE, &sealed[..at]), Err(SealError::NotAuthentic), "{at} bytes");
        }
        assert!(key(3, 7).open(TENANT, PLACE, &[sealed.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn the_cipher_is_that_of_the_standard() {
        // Test case 16 of the GCM specification (McGrew and Viega, 2005): AES-256 with 60 bytes and 20 beside them.
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let plain = bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let beside = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let cipher = Key::from_slice(Uuid::nil(), &key).unwrap().cipher();
        let payload = Payload { msg: &plain, aad: &beside };
        let sealed = cipher.encrypt(bytes("cafebabefacedbaddecaf888").as_slice().into(), payload).unwrap();
        let expected = bytes(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        );
        assert_eq!(sealed, expected);
    }

    #[test]
    fn the_hash_is_that_of_the_standard_and_knows_its_label() {
        // Test cases 1 and 2 of RFC 4231; a shorter key is the same one with zeros behind it.
        let check = |key: &[u8], data: &[u8], expected: &str| {
            let mut filled = Zeroizing::new([0; 32]);
            filled[..key.len()].copy_from_slice(key);
            assert_eq!(Key::new(Uuid::nil(), filled).mac(&[data]).to_vec(), bytes(expected));
        };
        check(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );

        let hash = key(1, 1).hash("customers.email", b"ann@example.org");
        assert_eq!(hash, key(2, 1).hash("customers.email", b"ann@example.org"), "an id is no part of it");
        assert_ne!(hash, key(1, 1).hash("suppliers.email", b"ann@example.org"));
        assert_ne!(hash, key(1, 2).hash("customers.email", b"ann@example.org"));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", key(1, 250)), "Key { id: 00000000-0000-0000-0000-000000000001, .. }");
    }

    proptest::proptest! {
        #[test]
        fn what_is_sealed_is_opened_and_junk_is_not(plain: Vec<u8>, nonce: [u8; 12], secret: [u8; 32], junk: Vec<u8>) {
            let key = Key::new(Uuid::from_u128(3), Zeroizing::new(secret));
            let sealed = key.seal(nonce, TENANT, PLACE, &plain).unwrap();
            proptest::prop_assert_eq!(key.open(TENANT, PLACE, &sealed), Ok(plain));
            proptest::prop_assert!(key.open(TENANT, PLACE, &junk).is_err());
        }
    }
}
