//! Our own tokens: JSON Web Tokens (RFC 7519), found by their key id, and the public keys that verify them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::config::auth::{AuthConfig, JwtKey, KeyAlgorithm};
use crate::kernel::actor::Role;
use crate::kernel::ids::{AdminId, ArchiveId, SessionId, TenantId, UserId};
use crate::kernel::tenant::TenantSlug;

/// Who issues our tokens.
pub const ISSUER: &str = "shelfwise";

/// Tokens of shops' users.
const AUDIENCE_TENANT: &str = "shelfwise/tenant";

/// Tokens of platform administrators.
const AUDIENCE_ADMIN: &str = "shelfwise/admin";

/// Links to archives.
const AUDIENCE_ARCHIVE: &str = "shelfwise/archive";

/// The longest token that is looked at, in bytes.
pub const TOKEN_LEN_MAX: usize = 4_096;

/// How far the clocks of two machines may differ, in seconds.
pub const LEEWAY_S: i64 = 5;

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
        /// The log-in that it was made from; none for a token that an operator made out.
        session: Option<SessionId>,
        /// The token allows no more than this role does.
        role: Option<Role>,
    },
    /// An administrator of the platform.
    Admin(AdminClaims),
}

/// Which administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminClaims {
    /// One who has an account and logged in.
    Account {
        /// The account.
        admin: AdminId,
        /// The log-in.
        session: SessionId,
    },
    /// Whoever has the signing key at hand: the command line.
    Operator {
        /// What the trail of acts calls them.
        name: String,
    },
}

/// The token is not one of ours, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// Until when a token is good that was found to be: ours, or another issuer's. Nothing for what is no token, such as an API key.
#[must_use]
pub fn expires_at(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Expiry {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let Expiry { exp } = serde_json::from_slice(&payload).ok()?;
    DateTime::from_timestamp(exp, 0)
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    signer: Option<(Header, EncodingKey)>,
    verifiers: Vec<Verifier>,
    verified: Cache<String, (Claims, i64)>,
}

/// A public key with its id.
#[derive(Clone)]
struct Verifier {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
    jwk: Jwk,
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
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// The claims of a link.
#[derive(Serialize, Deserialize)]
struct Link {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Signs with the first key and verifies with all. Without keys every token is refused.
    ///
    /// # Errors
    /// A key is not one of its algorithm.
    pub fn new(config: &AuthConfig) -> anyhow::Result<Self> {
        let mut signer = None;
        let mut verifiers = Vec::new();
        for key in &config.jwt_keys {
            let (private, verifier) = Verifier::of(key)
                .map_err(|error| anyhow::anyhow!("JWT_KEYS: `{}` is not a key of its algorithm: {error}", key.id))?;
            let header = Header { kid: Some(key.id.clone()), ..Header::new(verifier.algorithm) };
            signer.get_or_insert((header, private));
            verifiers.push(verifier);
        }
        let verified = Cache::builder().max_capacity(VERIFIED_MAX).time_to_live(VERIFIED_TTL).build();
        Ok(Self { signer, verifiers, verified })
    }

    /// The public keys (RFC 7517): what others verify our tokens with.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.verifiers.iter().map(|verifier| verifier.jwk.clone()).collect() }
    }

    /// The header and the key that sign, with the public key that belongs to it.
    pub(super) fn signer(&self) -> Option<(&Header, &EncodingKey, &Jwk)> {
        // The first key signs, and is the first to verify.
        let ((header, key), verifier) = self.signer.as_ref().zip(self.verifiers.first())?;
        Some((header, key, &verifier.jwk))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn mint(&self, claims: &Claims, now: DateTime<Utc>, lifetime: Duration) -> anyhow::Result<String> {
        let (header, key) = self.signer.as_ref().ok_or_else(|| anyhow::anyhow!("JWT_KEYS holds no key"))?;
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
            sid: None,
            role: None,
        };
        let payload = match claims {
            Claims::Admin(AdminClaims::Operator { name }) => common(AUDIENCE_ADMIN, name.clone()),
            Claims::Admin(AdminClaims::Account { admin, session }) => {
                Payload { sid: Some(session.to_string()), ..common(AUDIENCE_ADMIN, admin.to_string()) }
            }
            Claims::Tenant { slug, tenant, user, session, role } => Payload {
                tenant: Some(slug.to_string()),
                tenant_id: Some(tenant.to_string()),
                sid: session.map(|session| session.to_string()),
                role: role.map(|role| role.to_string()),
                ..common(AUDIENCE_TENANT, user.to_string())
            },
        };
        Ok(encode(header, &payload, key)?)
    }

    /// Makes a token that opens one archive until a time.
    ///
    /// # Errors
    /// There is no key to sign with.
    pub fn mint_link(&self, archive: ArchiveId, now: DateTime<Utc>, until: DateTime<Utc>) -> anyhow::Result<String> {
        let (header, key) = self.signer.as_ref().ok_or_else(|| anyhow::anyhow!("JWT_KEYS holds no key"))?;
        let (iat, exp) = (now.timestamp(), until.timestamp());
        let link =
            Link { iss: ISSUER.to_owned(), aud: AUDIENCE_ARCHIVE.to_owned(), sub: archive.to_string(), iat, exp };
        Ok(encode(header, &link, key)?)
    }

    /// Reads a token of a link: which archive it opens.
    ///
    /// # Errors
    /// It is none, or no longer.
    pub fn verify_link(&self, token: &str, now: DateTime<Utc>) -> Result<ArchiveId, InvalidToken> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(InvalidToken);
        }
        let key_id = decode_header(token).map_err(|_| InvalidToken)?.kid.ok_or(InvalidToken)?;
        let verifier = self.verifiers.iter().find(|verifier| verifier.id == key_id).ok_or(InvalidToken)?;
        let mut validation = Validation::new(verifier.algorithm);
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE_ARCHIVE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let link = decode::<Link>(token, &verifier.key, &validation).map_err(|_| InvalidToken)?.claims;
        if now.timestamp() >= link.exp {
            return Err(InvalidToken);
        }
        link.sub.parse().map_err(|_| InvalidToken)
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
            return if now < exp.saturating_add(LEEWAY_S) { Ok(claims) } else { Err(InvalidToken) };
        }
        let key_id = decode_header(token).map_err(|_| InvalidToken)?.kid.ok_or(InvalidToken)?;
        let verifier = self.verifiers.iter().find(|verifier| verifier.id == key_id).ok_or(InvalidToken)?;
        // The algorithm is the key's, whatever the header says.
        let mut validation = Validation::new(verifier.algorithm);
        // The times are compared below, with the time that was passed in.
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE_TENANT, AUDIENCE_ADMIN]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let payload = decode::<Payload>(token, &verifier.key, &validation).map_err(|_| InvalidToken)?.claims;
        let exp = payload.exp;
        if now >= exp.saturating_add(LEEWAY_S) || now < payload.nbf.saturating_sub(LEEWAY_S) {
            return Err(InvalidToken);
        }
        let claims = claims(payload).ok_or(InvalidToken)?;
        self.verified.insert(token.to_owned(), (claims.clone(), exp));
        Ok(claims)
    }
}

impl Verifier {
    /// A private key, and the public one that belongs to it.
    fn of(key: &JwtKey) -> anyhow::Result<(EncodingKey, Self)> {
        let der = key.private_der()?;
        let (algorithm, private) = match key.algorithm {
            KeyAlgorithm::EdDsa => (Algorithm::EdDSA, EncodingKey::from_ed_der(&der)),
            KeyAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_der(&der)),
            KeyAlgorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_der(&der)),
        };
        let mut jwk = Jwk::from_encoding_key(&private, algorithm)?;
        jwk.common.key_id = Some(key.id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifier = Self { id: key.id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk)?, jwk };
        Ok((private, verifier))
    }
}

fn claims(payload: Payload) -> Option<Claims> {
    let session = payload.sid.map(|sid| sid.parse()).transpose().ok()?;
    match (payload.aud.as_str(), session) {
        (AUDIENCE_ADMIN, None) => Some(Claims::Admin(AdminClaims::Operator { name: payload.sub })),
        (AUDIENCE_ADMIN, Some(session)) => {
            Some(Claims::Admin(AdminClaims::Account { admin: payload.sub.parse().ok()?, session }))
        }
        // A log-in allows what its user may; a token for less is an operator's.
        (AUDIENCE_TENANT, Some(_)) if payload.role.is_some() => None,
        (AUDIENCE_TENANT, session) => Some(Claims::Tenant {
            slug: payload.tenant?.parse().ok()?,
            tenant: payload.tenant_id?.parse().ok()?,
            user: payload.sub.parse().ok()?,
            session,
            role: payload.role.map(|role| role.parse()).transpose().ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock::{Clock as _, SystemClock};

    fn tokens(keys: Vec<JwtKey>) -> Tokens {
        Tokens::new(&AuthConfig { jwt_keys: keys }).unwrap()
    }

    fn user() -> Claims {
        Claims::Tenant {
            slug: "acme".parse().unwrap(),
            tenant: TenantId(SystemClock.new_id()),
            user: UserId(SystemClock.new_id()),
            session: None,
            role: Some(Role::Clerk),
        }
    }

    /// Keys of the other algorithms, made by `openssl genpkey -outform DER` for these tests.
    fn key_of_the_tests(name: &str) -> JwtKey {
        let lines = include_str!("keys_of_the_tests.txt").lines();
        JwtKey::from_setting(lines.into_iter().find(|line| line.starts_with(name)).unwrap()).unwrap()
    }

    #[test]
    fn what_was_minted_is_read_again_by_every_algorithm() {
        let admin =
            AdminClaims::Account { admin: AdminId(SystemClock.new_id()), session: SessionId(SystemClock.new_id()) };
        for key in [JwtKey::generate("ed").unwrap(), key_of_the_tests("es"), key_of_the_tests("rs")] {
            let tokens = tokens(vec![key]);
            for claims in [
                user(),
                Claims::Admin(AdminClaims::Operator { name: "cli:ann".to_owned() }),
                Claims::Admin(admin.clone()),
            ] {
                let token = tokens.mint(&claims, SystemClock.now(), Duration::from_secs(60)).unwrap();
                assert_eq!(tokens.verify(&token, SystemClock.now()), Ok(claims.clone()));
                assert_eq!(tokens.verify(&token, SystemClock.now()), Ok(claims), "from memory");
            }
        }
    }

    #[test]
    fn public_keys_are_published_and_private_ones_are_not() {
        let tokens = tokens(vec![JwtKey::generate("ed").unwrap(), key_of_the_tests("es"), key_of_the_tests("rs")]);
        let jwks = serde_json::to_value(tokens.jwks()).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        let field = |name: &str| keys.iter().map(|key| key[name].as_str().unwrap_or("")).collect::<Vec<_>>();
        assert_eq!(field("kid"), ["ed", "es", "rs"]);
        assert_eq!(field("kty"), ["OKP", "EC", "RSA"]);
        assert_eq!(field("alg"), ["EdDSA", "ES256", "RS256"]);
        assert_eq!(field("use"), ["sig", "sig", "sig"]);
        for secret in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(field(secret), ["", "", ""], "{secret}");
        }
    }

    #[test]
    fn a_key_is_rotated_by_putting_its_successor_in_front() {
        let (old, new) = (JwtKey::generate("k1").unwrap(), key_of_the_tests("es"));
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
        let other_algorithm = JwtKey { id: "k1".to_owned(), ..key_of_the_tests("es") };
        check(
            &super::tests::tokens(vec![other_algorithm]).mint(&user(), now, minute).unwrap(),
            "another algorithm's under our key's id",
        );
        // The public key as the secret of a symmetric algorithm: the old confusion.
        let public = serde_json::to_vec(&tokens.jwks()).unwrap();
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        let claims =
            serde_json::json!({ "iss": ISSUER, "aud": AUDIENCE_ADMIN, "sub": "cli:x", "exp": i64::MAX, "nbf": 0 });
        check(&encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap(), "a symmetric one");

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
