//! Statements that are signed to be kept: by the key that signs tokens, with the public key handed out beside them.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::Value;

use super::tokens::Tokens;

/// The longest signed statement that is looked at, in bytes.
const LEN_MAX: usize = 1 << 20;

/// The statement was not signed by this key, was changed since, or is of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not fit the statement and the key")]
pub struct NotAuthentic;

impl Tokens {
    /// Whether there is a key to sign with.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.signer().is_some()
    }

    /// Signs a statement (RFC 7515), its keys in order, and answers the public key (RFC 7517) too. `kind` is what the
    /// header says that it is: without audience and times it is no token.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn attest(&self, kind: &str, statement: &Value) -> anyhow::Result<(String, Value)> {
        let (header, key, jwk) = self.signer().ok_or_else(|| anyhow::anyhow!("JWT_KEYS holds no key"))?;
        let header = Header { typ: Some(kind.to_owned()), ..header.clone() };
        // A map of `serde_json` is in the order of its keys.
        Ok((encode(&header, statement, key)?, serde_json::to_value(jwk)?))
    }
}

/// What a signed statement says, if it was signed by this key as one of this kind.
///
/// # Errors
/// It was not.
pub fn verified(kind: &str, signed: &str, key: &Value) -> Result<Value, NotAuthentic> {
    let jwk: Jwk = serde_json::from_value(key.clone()).map_err(|_| NotAuthentic)?;
    let algorithm = jwk.common.key_algorithm.ok_or(NotAuthentic)?.to_string().parse().map_err(|_| NotAuthentic)?;
    if signed.len() > LEN_MAX || decode_header(signed).map_err(|_| NotAuthentic)?.typ.as_deref() != Some(kind) {
        return Err(NotAuthentic);
    }
    // The algorithm is the key's, whatever the header says.
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| NotAuthentic)?;
    Ok(decode::<Value>(signed, &key, &validation).map_err(|_| NotAuthentic)?.claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::auth::{AuthConfig, JwtKey};
    use crate::kernel::clock::{Clock as _, SystemClock};

    fn tokens(id: &str) -> Tokens {
        Tokens::new(&AuthConfig { jwt_keys: vec![JwtKey::generate(id).unwrap()] }).unwrap()
    }

    #[test]
    fn a_statement_is_read_by_the_key_beside_it_and_by_no_other() {
        let statement = json!({ "b": 1, "a": { "z": [1, 2], "y": "x" } });
        let (signed, key) = tokens("k1").attest("thing+jws", &statement).unwrap();
        assert_eq!(verified("thing+jws", &signed, &key), Ok(statement.clone()));
        assert_eq!(verified("other+jws", &signed, &key), Err(NotAuthentic));
        let (_, other) = tokens("k1").attest("thing+jws", &statement).unwrap();
        assert_eq!(verified("thing+jws", &signed, &other), Err(NotAuthentic));
        assert_eq!(verified("thing+jws", &signed, &json!({})), Err(NotAuthentic));
        assert!(key.get("d").is_none(), "the private key is not handed out");
    }

    #[test]
    fn a_changed_statement_is_seen() {
        let (signed, key) = tokens("k1").attest("thing+jws", &json!({ "rows": 41, "who": "acme" })).unwrap();
        let parts: Vec<&str> = signed.split('.').collect();
        let (other, _) = tokens("k2").attest("thing+jws", &json!({ "rows": 1, "who": "acme" })).unwrap();
        let payload = other.split('.').nth(1).unwrap();
        assert_eq!(verified("thing+jws", &format!("{}.{payload}.{}", parts[0], parts[2]), &key), Err(NotAuthentic));
        for place in 0..signed.len() {
            let mut bytes = signed.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last letter of base64 may have bits that say nothing.
            let is_same = verified("thing+jws", &changed, &key).is_ok_and(|said| said["rows"] == 41);
            assert!(verified("thing+jws", &changed, &key).is_err() || is_same && place + 1 == signed.len(), "{place}");
        }
    }

    #[test]
    fn a_statement_is_no_token() {
        let tokens = tokens("k1");
        let (signed, _) = tokens.attest("thing+jws", &json!({ "sub": "cli:x", "iss": "shelfwise" })).unwrap();
        assert!(tokens.verify(&signed, SystemClock.now()).is_err());
        assert!(!Tokens::new(&AuthConfig { jwt_keys: Vec::new() }).unwrap().can_sign());
    }
}
