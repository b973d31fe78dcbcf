//! Tokens of other issuers: what a shop's own log-in signs (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Keys are fetched from the address that the shop gave, guarded as every such call is, and remembered. A key id that is
//! not known has them fetched again, though not more often than [`REFETCH_PAUSE`]; while the issuer cannot be reached,
//! known keys go on working for [`KEYS_STALE_MAX`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use moka::future::Cache;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::tokens::{InvalidToken, LEEWAY_S, TOKEN_LEN_MAX};
use crate::outbound::{Outbound, Policy};

/// How long fetched keys are used unasked.
const KEYS_FRESH: Duration = Duration::from_secs(10 * 60);

/// How long they are used while the issuer cannot be reached.
const KEYS_STALE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The pause between two fetches from one address, whatever tokens ask for.
const REFETCH_PAUSE: Duration = Duration::from_secs(30);

/// The longest key set that is read, in bytes.
const KEYS_BYTES_MAX: usize = 64 * 1024;

/// Keys of a set that are kept: issuers have two or three.
const KEYS_MAX: usize = 20;

/// The most bytes of a subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_LEN_MAX: usize = 255;

/// Addresses whose keys are remembered.
const ADDRESSES_MAX: u64 = 1_000;

/// What may sign a token: public keys alone, so that no published key is taken for a shared secret.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::PS256];

/// An issuer that a shop trusts.
pub struct Issuer<'a> {
    /// What its tokens have as `iss`.
    pub name: &'a str,
    /// Where its keys are.
    pub jwks_url: &'a str,
    /// What its tokens for the shop have as `aud`.
    pub audience: &'a str,
}

/// Whom a token means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer's name of the user.
    pub subject: String,
    /// The address that the issuer vouches for, in lower case.
    pub email_key: Option<String>,
}

/// Verifies other issuers' tokens.
#[derive(Clone)]
pub struct External {
    policy: Policy,
    /// Made at the first call: reading the machine's certificates takes a while.
    outbound: Arc<OnceCell<Outbound>>,
    keys: Cache<Arc<str>, Keys>,
}

/// An issuer's keys.
#[derive(Clone)]
struct Keys {
    set: Arc<JwkSet>,
    fetched_at: Instant,
    /// When they were last asked for, be it in vain.
    asked_at: Instant,
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Verified>,
}

/// Some issuers write the flag as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verified {
    Flag(bool),
    Text(String),
}

#[derive(Deserialize)]
struct IssuerOnly {
    iss: String,
}

/// Who a token says has issued it; nothing is verified.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_LEN_MAX {
        return None;
    }
    let payload = jsonwebtoken::dangerous::insecure_decode::<IssuerOnly>(token).ok()?;
    Some(payload.claims.iss)
}

impl External {
    /// Fetches keys under a policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let keys = Cache::builder().max_capacity(ADDRESSES_MAX).time_to_live(KEYS_STALE_MAX).build();
        Self { policy, outbound: Arc::default(), keys }
    }

    /// Reads a token of an issuer: its signature, algorithm, issuer, audience and times must all be right.
    ///
    /// # Errors
    /// Any of them is not, or the issuer's keys cannot be had.
    pub async fn verify(&self, issuer: &Issuer<'_>, token: &str, now: DateTime<Utc>) -> Result<Identity, InvalidToken> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(InvalidToken);
        }
        let header = decode_header(token).map_err(|_| InvalidToken)?;
        // What a critical extension asks for is not known here, and must not be passed over (RFC 7515, section 4.1.11).
        if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
            return Err(InvalidToken);
        }
        let key_id = header.kid.ok_or(InvalidToken)?;
        let jwk = self.key(issuer.jwks_url, &key_id).await.ok_or(InvalidToken)?;
        if jwk.common.key_algorithm.is_some_and(|algorithm| algorithm != KeyAlgorithm::from(header.alg)) {
            return Err(InvalidToken);
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| InvalidToken)?;
        // The library refuses an algorithm of another family than the key's.
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.set_issuer(&[issuer.name]);
        validation.set_audience(&[issuer.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let payload = decode::<Payload>(token, &key, &validation).map_err(|_| InvalidToken)?.claims;
        let now = now.timestamp();
        let is_late = now >= payload.exp.saturating_add(LEEWAY_S);
        if is_late
            || payload.nbf.is_some_and(|nbf| now < nbf.saturating_sub(LEEWAY_S))
            || !(1..=SUBJECT_LEN_MAX).contains(&payload.sub.len())
        {
            return Err(InvalidToken);
        }
        let is_verified = match payload.email_verified {
            Some(Verified::Flag(flag)) => flag,
            Some(Verified::Text(text)) => text == "true",
            None => false,
        };
        let email_key = payload.email.filter(|_| is_verified).map(|email| email.trim().to_lowercase());
        Ok(Identity { subject: payload.sub, email_key })
    }

    async fn key(&self, url: &str, key_id: &str) -> Option<Jwk> {
        // Older ones may have been withdrawn for a reason.
        let find = |keys: &Keys| keys.set.find(key_id).filter(|_| keys.fetched_at.elapsed() < KEYS_STALE_MAX).cloned();
        let known = self.keys.get(url).await;
        if let Some(keys) = &known
            && keys.fetched_at.elapsed() < KEYS_FRESH
            && let Some(jwk) = find(keys)
        {
            return Some(jwk);
        }
        if known.as_ref().is_some_and(|keys| keys.asked_at.elapsed() < REFETCH_PAUSE) {
            return known.as_ref().and_then(find);
        }
        // One after the other for each address: who waited finds what the first one fetched.
        let entry = self.keys.entry(Arc::from(url)).and_upsert_with(|before| async {
            let before = before.map(moka::Entry::into_value);
            let now = Instant::now();
            match before {
                Some(keys) if keys.asked_at.elapsed() < REFETCH_PAUSE => keys,
                before => match (self.fetch(url).await, before) {
                    (Some(set), _) => Keys { set: Arc::new(set), fetched_at: now, asked_at: now },
                    (None, Some(keys)) => Keys { asked_at: now, ..keys },
                    (None, None) => Keys { set: Arc::new(JwkSet { keys: Vec::new() }), fetched_at: now, asked_at: now },
                },
            }
        });
        find(entry.await.value())
    }

    async fn fetch(&self, url: &str) -> Option<JwkSet> {
        let outbound = self.outbound.get_or_try_init(async || Outbound::new(self.policy)).await;
        let outbound = outbound.inspect_err(|error| tracing::error!(%error, "No HTTP client could be made")).ok()?;
        let fetched = outbound.get_json(url, KEYS_BYTES_MAX).await;
        let json = fetched.inspect_err(|error| tracing::warn!(%error, "An issuer's keys could not be fetched")).ok()?;
        // One key that we cannot read does not spoil the others.
        let keys =
            json.get("keys")?.as_array()?.iter().filter_map(|key| Jwk::deserialize(key).ok()).take(KEYS_MAX).collect();
        Some(JwkSet { keys })
    }
}
