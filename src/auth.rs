//! Tokens: JSON Web Tokens (RFC 7519) signed with Ed25519, found by their key id.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::config::auth::AuthConfig;
use crate::kernel::actor::Role;
use crate::kernel::ids::{TenantId, UserId};
use crate::kernel::tenant::TenantSlug;

/// Who issues our tokens.
const ISSUER: &str = "shelfwise";

/// Tokens of shops' users.
const AUDIENCE_TENANT: &str = "shelfwise/tenant";

/// Tokens of platform administrators.
const AUDIENCE_ADMIN: &str = "shelfwise/admin";

/// The longest token that is looked at, in bytes.
const TOKEN_LEN_MAX: usize = 4_096;

/// How far the clocks of two machines may differ, in seconds.
const LEEWAY_S: i64 = 5;

/// How long a verified token is trusted without checking its signature again; its expiry is always checked.
const VERIFIED_TTL: Duration = Duration::from_secs(10);

/// Verified tokens that are remembered.
const VERIFIED_MAX: u64 = 10_000;

/// What a token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claims {
    /// A user of a shop.
    Tenant {
        /// The shop's slug: what other sources of the tenant are compared with.
        slug: TenantSlug,
        /// The shop: a later one with the same slug is another.
        tenant: TenantId,
        /// The user.
        user: UserId,
        /// The user's role.
        role: Role,
    },
    /// An administrator of the platform.
    Admin {
        /// Who.
        subject: String,
    },
}

/// The token is not one of ours, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    signer: Option<(String, EncodingKey)>,
    verifiers: Vec<(String, DecodingKey)>,
    verified: Cache<String, (Claims, i64)>,
}

/// The claims as they are written.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

impl Tokens {
    /// Signs with the first key and verifies with all. Without keys every token is refused.
    ///
    /// # Errors
    /// A key is not an Ed25519 key.
    pub fn new(config: &AuthConfig) -> anyhow::Result<Self> {
        let mut signer = None;
        let mut verifiers = Vec::new();
        for key in &config.jwt_keys {
            let private = EncodingKey::from_ed_der(key.pkcs8.expose_secret());
            let invalid = |error| anyhow::anyhow!("JWT_KEYS: `{}` is not an Ed25519 key: {error}", key.id);
            let public = Jwk::from_encoding_key(&private, Algorithm::EdDSA).map_err(invalid)?;
            verifiers.push((key.id.clone(), DecodingKey::from_jwk(&public).map_err(invalid)?));
            signer.get_or_insert((key.id.clone(), private));
        }
        let verified = Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_TTL).build();
        Ok(Self { signer, verifiers, verified })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn mint(&self, claims: &Claims, now: DateTime<Utc>, lifetime: Duration) -> anyhow::Result<String> {
        let (key_id, key) = self.signer.as_ref().ok_or_else(|| anyhow::anyhow!("JWT_KEYS holds no key"))?;
        let now = now.timestamp();
        let exp = now.saturating_add(i64::try_from(lifetime.as_secs())?);
        let common = |aud: &str, sub: String| Payload {
            iss: ISSUER.to_owned(),
            aud: aud.to_owned(),
            sub,
            iat: now,
            nbf: now,
            exp,
            tenant: None,
            tenant_id: None,
            role: None,
        };
        let payload = match claims {
            Claims::Admin { subject } => common(AUDIENCE_ADMIN, subject.clone()),
            Claims::Tenant { slug, tenant, user, role } => Payload {
                tenant: Some(slug.to_string()),
                tenant_id: Some(tenant.to_string()),
                role: Some(role.to_string()),
                ..common(AUDIENCE_TENANT, user.to_string())
            },
        };
        let header = Header { kid: Some(key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok(encode(&header, &payload, key)?)
    }

    /// Reads a token: its signature, algorithm, issuer, audience and times must all be right.
    ///
    /// # Errors
    /// Any of them is not; which one is nobody's business.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, InvalidToken> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(InvalidToken);
        }
        let now = now.timestamp();
        if let Some((claims, exp)) = self.verified.get(token) {
            return if now < exp + LEEWAY_S { Ok(claims) } else { Err(InvalidToken) };
        }
        let header = decode_header(token).map_err(|_| InvalidToken)?;
        let key_id = header.kid.ok_or(InvalidToken)?;
        let (_, key) = self.verifiers.iter().find(|(id, _)| *id == key_id).ok_or(InvalidToken)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The times are compared below, with the time that was passed in.
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE_TENANT, AUDIENCE_ADMIN]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let payload = decode::<Payload>(token, key, &validation).map_err(|_| InvalidToken)?.claims;
        let exp = payload.exp;
        if now >= exp + LEEWAY_S || now < payload.nbf - LEEWAY_S {
            return Err(InvalidToken);
        }
        let claims = claims(payload).ok_or(InvalidToken)?;
        self.verified.insert(token.to_owned(), (claims.clone(), exp));
        Ok(claims)
    }
}

fn claims(payload: Payload) -> Option<Claims> {
    match payload.aud.as_str() {
        AUDIENCE_ADMIN => Some(Claims::Admin { subject: payload.sub }),
        AUDIENCE_TENANT => Some(Claims::Tenant {
            slug: payload.tenant?.parse().ok()?,
            tenant: payload.tenant_id?.parse().ok()?,
            user: payload.sub.parse().ok()?,
            role: payload.role?.parse().ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::auth::JwtKey;
    use crate::kernel::clock::{Clock as _, SystemClock};

    fn tokens(keys: Vec<JwtKey>) -> Tokens {
        Tokens::new(&AuthConfig { jwt_keys: keys }).unwrap()
    }

    fn user() -> Claims {
        Claims::Tenant {
            slug: "acme".parse().unwrap(),
            tenant: TenantId(SystemClock.new_id()),
            user: UserId(SystemClock.new_id()),
            role: Role::Clerk,
        }
    }

    #[test]
    fn what_was_minted_is_read_again() {
        let tokens = tokens(vec![JwtKey::generate("k1").unwrap()]);
        for claims in [user(), Claims::Admin { subject: "admin:ann".to_owned() }] {
            let token = tokens.mint(&claims, SystemClock.now(), Duration::from_secs(60)).unwrap();
            assert_eq!(tokens.verify(&token, SystemClock.now()), Ok(claims.clone()));
            assert_eq!(tokens.verify(&token, SystemClock.now()), Ok(claims), "from memory");
        }
    }

    #[test]
    fn a_key_is_rotated_by_putting_its_successor_in_front() {
        let (old, new) = (JwtKey::generate("k1").unwrap(), JwtKey::generate("k2").unwrap());
        let token = tokens(vec![old.clone()]).mint(&user(), SystemClock.now(), Duration::from_secs(60)).unwrap();
        assert!(tokens(vec![new.clone(), old]).verify(&token, SystemClock.now()).is_ok());
        assert_eq!(tokens(vec![new]).verify(&token, SystemClock.now()), Err(InvalidToken));
    }

    #[test]
    fn tokens_that_are_not_ours_or_not_valid_now_are_refused() {
        let key = JwtKey::generate("k1").unwrap();
        let tokens = tokens(vec![key]);
        let now = SystemClock.now();
        let minute = Duration::from_secs(60);
        let check = |token: &str, what: &str| assert_eq!(tokens.verify(token, now), Err(InvalidToken), "{what}");

        check("", "an empty text");
        check("a.b.c", "nonsense");
        check(&"x".repeat(5_000), "a long text");
        check(&tokens.mint(&user(), now - 2 * minute, minute).unwrap(), "an expired one");
        check(&tokens.mint(&user(), now + minute, minute).unwrap(), "one of the future");
        let forged = JwtKey { id: "k1".to_owned(), ..JwtKey::generate("x").unwrap() };
        check(&super::tests::tokens(vec![forged]).mint(&user(), now, minute).unwrap(), "another key's");

        let good = tokens.mint(&user(), now, minute).unwrap();
        let (head, signature) = good.rsplit_once('.').unwrap();
        check(&format!("{head}."), "one without signature");
        let none = "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ";
        check(&format!("{none}.{}.", head.split('.').nth(1).unwrap()), "the algorithm `none`");
        check(
            &format!("{none}.{}.{signature}", head.split('.').nth(1).unwrap()),
            "the algorithm `none` with a signature",
        );
    }
}
