//! Redis, as far as it is there: what replicas share and may lose.
//!
//! Nothing here is the only copy of anything, so nobody waits for it: a call takes `REDIS_TIMEOUT_MS` at most, and after one that
//! was not answered nobody asks for [`REST`]; then one caller finds out for all whether it is back. Who is told [`Away`] goes on
//! without. An answer that is an error concerns nobody but who asked: a Redis that is full refuses to keep more, and serves all
//! who ask for no room. Where a replica answers the connection is made anew, for it leads to what was the master once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use ::redis::{Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::Instrument as _;

use crate::detail;
use crate::telemetry::traces;

/// How long a connection is waited for, TLS and log-in included. Callers do not wait for it any longer than for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long Redis is left alone after it has not answered.
pub const REST: Duration = Duration::from_millis(250);

/// How often it is logged at most that Redis answers errors.
const REFUSALS_PAUSE: Duration = Duration::from_secs(60);

/// Redis did not answer or answered an error, or is left alone because it lately did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Away;

/// A Redis that is shared by replicas. Clones are the same connection.
#[derive(Clone)]
pub struct Redis(Arc<Line>);

struct Line {
    client: Client,
    /// How long an answer is waited for.
    answer_timeout: Duration,
    /// One connection for all: commands are pipelined on it. Lost, it is made anew by the next call.
    manager: RwLock<ConnectionManager>,
    /// What [`Line::rests_until`] counts from.
    started: Instant,
    /// Until when nobody asks, in milliseconds since the start; 0 while it answers.
    rests_until: AtomicU64,
    /// Until when no error that it answers is logged, in the same way.
    quiet_until: AtomicU64,
    /// Until when the connection is not given up for another, in the same way.
    stays_until: AtomicU64,
}

/// What a Redis tells of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The most bytes that it may use; 0 for all that there are.
    pub bytes_max: Option<u64>,
    /// What it does when they are used.
    pub policy: Option<String>,
}

impl Redis {
    /// A Redis at a URL, whose answers are waited for so long. Nothing is connected before the first call.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn new(url: &SecretString, answer_timeout: Duration) -> anyhow::Result<Self> {
        // Fails where somebody was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The error may quote the URL, and with it the password.
        let client = Client::open(url.expose_secret()).map_err(|_| anyhow::anyhow!("it is malformed"));
        let client = client.context("REDIS_URL")?;
        let manager = RwLock::new(manager(&client, answer_timeout).context("REDIS_URL")?);
        let [rests_until, quiet_until, stays_until] = [(); 3].map(|()| AtomicU64::new(0));
        let started = Instant::now();
        Ok(Self(Arc::new(Line { client, answer_timeout, manager, started, rests_until, quiet_until, stays_until })))
    }

    /// Whether the last call was answered.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.rests_until.load(Ordering::Acquire) == 0
    }

    /// Asks Redis, by a command, pipeline or script of the caller's.
    ///
    /// # Errors
    /// It did not answer in time or answered an error, or is left alone for now.
    pub async fn ask<T>(&self, ask: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>) -> Result<T, Away> {
        let line = &*self.0;
        if !line.may_ask() {
            return Err(Away);
        }
        let mut manager = line.manager.read().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = async {
            match tokio::time::timeout(line.answer_timeout, ask(&mut manager)).await {
                Ok(Ok(answer)) => {
                    line.is_back();
                    Ok(answer)
                }
                Ok(Err(error)) if is_answer(&error) => Err(line.refused(&error)),
                Ok(Err(error)) => Err(line.rest(&error.to_string())),
                Err(_) => Err(line.rest("it took too long")),
            }
        };
        let span = detail!("redis", otel.kind = "client", db.system.name = "redis");
        let answer = asked.instrument(span.clone()).await;
        if answer.is_err() {
            traces::note_failure(&span, "away");
        }
        answer
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It did not in time, or is left alone for now.
    pub async fn ping(&self) -> Result<(), Away> {
        self.ask(async |connection| ::redis::cmd("PING").query_async::<()>(connection).await).await
    }

    /// How much memory it may use and what it does when that is full, by a connection of its own: for whoever may wait longer than a
    /// request.
    ///
    /// # Errors
    /// It cannot be reached or does not tell.
    pub async fn memory(&self) -> anyhow::Result<Memory> {
        let ask = async {
            let mut connection = self.0.client.get_multiplexed_async_connection().await?;
            ::redis::cmd("INFO").arg("memory").query_async::<String>(&mut connection).await
        };
        let answered = tokio::time::timeout(CONNECT_TIMEOUT * 3, ask).await.context("it does not answer in time")?;
        // The error may quote the URL's host, and never its password.
        let text = answered.map_err(|error| anyhow::anyhow!("{}", error.category()))?;
        let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        Ok(Memory {
            bytes_max: field("maxmemory").and_then(|bytes| bytes.parse().ok()),
            policy: field("maxmemory_policy").map(str::to_owned),
        })
    }

    /// A connection that hears what is published, to be told the channels.
    ///
    /// # Errors
    /// None could be made.
    pub async fn listen(&self) -> Result<PubSub, Away> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, self.0.client.get_async_pubsub());
        match connect.await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                tracing::debug!(%error, "Nothing can be heard of Redis");
                Err(Away)
            }
            Err(_) => Err(Away),
        }
    }
}

impl Line {
    /// Whether it may be asked now. Of those who come when a rest is over, one may, and the others wait for what comes of it.
    fn may_ask(&self) -> bool {
        let until = self.rests_until.load(Ordering::Acquire);
        if until == 0 {
            return true;
        }
        let now = self.now();
        let next = now + millis(REST);
        now >= until && self.rests_until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_back(&self) {
        // Written only where it changes: every call passes here.
        if self.rests_until.load(Ordering::Acquire) != 0 && self.rests_until.swap(0, Ordering::AcqRel) != 0 {
            tracing::info!("Redis answers again");
        }
    }

    fn rest(&self, why: &str) -> Away {
        if self.rests_until.swap(self.now() + millis(REST), Ordering::AcqRel) == 0 {
            tracing::warn!(error = why, "Redis does not answer; going on without");
        }
        Away
    }

    /// It answers, but to this question.
    fn refused(&self, error: &RedisError) -> Away {
        self.is_back();
        let (now, until) = (self.now(), self.quiet_until.load(Ordering::Relaxed));
        let next = now + millis(REFUSALS_PAUSE);
        if now >= until && self.quiet_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(%error, "Redis answers errors; going on without those answers");
        }
        if is_of_a_replica(error) {
            self.leave();
        }
        Away
    }

    /// Gives the connection up for one that is made anew by the next call: after a failover its name leads elsewhere. Where it
    /// leads to a replica again this happens once in a [`REST`].
    fn leave(&self) {
        let (now, until) = (self.now(), self.stays_until.load(Ordering::Acquire));
        let next = now + millis(REST);
        if now >= until
            && self.stays_until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
            && let Ok(new) = manager(&self.client, self.answer_timeout)
        {
            *self.manager.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }

    /// Milliseconds since the start, and one: 0 means that it answers.
    fn now(&self) -> u64 {
        millis(self.started.elapsed()) + 1
    }
}

/// A connection that is made by the first call.
fn manager(client: &Client, answer_timeout: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(answer_timeout))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Whether it is a replica that has answered, which keeps nothing: it was the master when it was connected to. Of a script some
/// versions say it in the text of another error.
fn is_of_a_replica(error: &RedisError) -> bool {
    let kinds = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown].map(ErrorKind::Server);
    kinds.contains(&error.kind()) || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}

/// Whether an error is what Redis has answered.
fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
