//! Hashing passwords with Argon2id (RFC 9106), off the async threads and a few at a time.
//!
//! A hash takes 19 MiB and tens of milliseconds of a processor, on purpose. So only so many are computed at once, and
//! only so many may wait: a flood of log-ins slows log-ins down and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::kernel::password::Password;

/// Hashes that are computed at once: half of a small machine.
const CONCURRENCY: usize = 2;

/// Calls that wait for their turn at most: about two seconds' worth.
const WAITING_MAX: usize = 64;

/// Memory in KiB, passes and lanes: OWASP's first choice for Argon2id.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Too many passwords are waiting to be hashed; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many log-ins at once")]
pub struct Busy;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    computed: Arc<AtomicU64>,
    /// The hash that an account without one is compared with, so that it takes as long as any.
    decoy: Arc<str>,
}

/// One call that waits; counted while it lives.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    /// A hasher. `salt` is random and is used for the decoy alone.
    ///
    /// # Errors
    /// The parameters are not ones of Argon2, which is a defect.
    pub fn new(salt: [u8; 32]) -> anyhow::Result<Self> {
        let decoy = hash(&Password::shown("nobody's password"), &salt)?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            waiting: Arc::default(),
            computed: Arc::default(),
            decoy: decoy.into(),
        })
    }

    /// A password's hash with everything that is needed to verify it (PHC string format).
    ///
    /// # Errors
    /// [`Busy`] where too many wait already.
    pub async fn hash(&self, password: &Password, salt: [u8; 32]) -> Result<String, Busy> {
        let password = password.clone();
        // The parameters were good for the decoy, so they are good here.
        self.compute(move || hash(&password, &salt).map_err(|_| Busy)).await?
    }

    /// Whether the password is the one of a hash. Without a hash the answer is no, after as long a time.
    ///
    /// # Errors
    /// [`Busy`] where too many wait already.
    pub async fn verify(&self, password: &Password, hash: Option<&str>) -> Result<bool, Busy> {
        let password = password.clone();
        let known: Arc<str> = hash.map_or_else(|| Arc::clone(&self.decoy), Into::into);
        let is_right = self
            .compute(move || {
                let parsed = PasswordHash::new(&known);
                parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(is_right && hash.is_some())
    }

    /// How many hashes were computed so far.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            return Err(Busy);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Busy)?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        // The permit goes with the work: who gives up waiting does not make room for more of it.
        let task = tokio::task::spawn_blocking(move || {
            let _held = (permit, waiting);
            work()
        });
        task.await.map_err(|_| Busy)
    }
}

fn hash(password: &Password, salt: &[u8; 32]) -> anyhow::Result<String> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| anyhow::anyhow!("Argon2: {error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(&salt[..16]).map_err(|error| anyhow::anyhow!("Argon2: {error}"))?;
    let hash = argon2.hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| anyhow::anyhow!("Argon2: {error}"))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nobody_has_none() {
        let passwords = Passwords::new([1; 32]).unwrap();
        let (right, wrong) = (Password::shown("correct horse"), Password::shown("battery staple"));
        let hash = passwords.hash(&right, [2; 32]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify(&right, Some(&hash)).await, Ok(true));
        assert_eq!(passwords.verify(&wrong, Some(&hash)).await, Ok(false));
        assert_eq!(passwords.verify(&right, None).await, Ok(false));
        assert_eq!(passwords.verify(&Password::shown("nobody's password"), None).await, Ok(false));
        assert_eq!(passwords.verify(&right, Some("not a hash")).await, Ok(false));
        assert_eq!(passwords.computed(), 6, "every call costs one");
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_and_leaves_no_trace() {
        let passwords = Passwords::new([1; 32]).unwrap();
        let password = Password::shown("correct horse");
        let flood = (0..WAITING_MAX + 10).map(|_| passwords.verify(&password, None));
        let results = futures_util::future::join_all(flood).await;
        assert_eq!(results.iter().filter(|result| **result == Err(Busy)).count(), 10);
        assert_eq!(passwords.verify(&password, None).await, Ok(false));
    }
}
