//! Sending: round by round, and no transaction open while an endpoint is waited for.
//!
//! At least once: a process may die after an endpoint has accepted and before that is written down. So an event has one id,
//! which each attempt and each replay shows as `webhook-id`, and a receiver that has seen it answers as it did.

pub(in crate::tenant::webhooks) mod repo;
pub mod round;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument as _;
use uuid::Uuid;

use self::repo::Picked;
use self::round::{Outcome, Round, Standing, Turn};
use super::endpoints::model::Endpoint;
use super::endpoints::sealed::{Opened, Sealing};
use super::signing;
use crate::db::{TenantSession, TenantTx};
use crate::failure::Failure;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{EventId, WebhookEndpointId};
use crate::outbound::Outbound;
use crate::telemetry::frames::{self, Cause};
use crate::telemetry::traces;
use crate::tenant::journal;
use crate::tenant::journal::Act;

/// What the trail calls it when sending stops an endpoint.
const ACTION: &str = "webhook_endpoint.suspend";

/// How sending fails: there is nothing that other input would mend.
pub type CourierError = Failure<Infallible>;

/// How fast, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct CourierPace {
    /// Deliveries a second while a backlog is drained, at most.
    pub drain_per_second: u32,
    /// After so long the job ends and another goes on, so that every endpoint has its turn.
    pub budget: Duration,
}

/// Sends what an endpoint is to get.
#[derive(Clone, Copy)]
pub struct Courier<'a> {
    /// The shop's transactions.
    pub session: &'a TenantSession,
    /// Calls.
    pub outbound: &'a Outbound,
    /// Opens secrets.
    pub sealing: Sealing<'a>,
    /// Time, ids and chance.
    pub clock: &'a dyn Clock,
    /// The job and its claim.
    pub job: (Uuid, i64),
    /// How fast, and for how long.
    pub pace: CourierPace,
}

impl Courier<'_> {
    /// Sends what is due to an endpoint, until nothing is or the time is over, and answers how the endpoint is doing, and
    /// whether that may be news. `observe` hears of each attempt.
    ///
    /// # Errors
    /// The database failed, or the tenant's key cannot be used.
    pub async fn deliver(
        &self,
        endpoint: WebhookEndpointId,
        observe: impl Fn(&Outcome),
    ) -> Result<(Standing, bool), CourierError> {
        let began = Instant::now();
        // Where nothing is sent at all, somebody may have stopped or resumed it.
        let mut is_news = None;
        let mut outcomes = Vec::new();
        loop {
            let is_last = began.elapsed() >= self.pace.budget;
            let turn = Turn { clock: self.clock, job: self.job, endpoint, is_last };
            let act = Act::of_system(ACTION, self.sealing.tenant, self.sealing.vault, self.clock);
            let work = async |tx: &mut TenantTx| Ok::<_, CourierError>(round::next(tx, &turn, outcomes).await?);
            let round = journal::service::write(self.session, act, work).await?;
            let (endpoint, picked, is_drain) = match round {
                Round::Send { endpoint, picked, is_drain } => (endpoint, picked, is_drain),
                Round::Over(standing) => return Ok((standing, is_news.unwrap_or(true) || standing != Standing::Well)),
            };
            // That a well endpoint was sent something is not worth telling.
            is_news.get_or_insert(endpoint.breaker().failures > 0 || endpoint.drain_to > 0);
            // The connection is another's while the endpoint is waited for.
            self.session.finish().await;
            let sent_at = Instant::now();
            outcomes = self.send(&endpoint, picked).await?;
            outcomes.iter().for_each(&observe);
            if is_drain {
                let count = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
                let share = Duration::from_secs(1) * count / self.pace.drain_per_second.max(1);
                tokio::time::sleep(share.saturating_sub(sent_at.elapsed())).await;
            }
        }
    }

    /// Sends deliveries, all at once: what must be in order is not picked together.
    async fn send(&self, endpoint: &Endpoint, picked: Vec<Picked>) -> Result<Vec<Outcome>, CourierError> {
        let now = self.clock.now();
        let opened = self.sealing.open(endpoint, |until| now < until)?;
        let attempts = picked.into_iter().map(|picked| self.attempt(endpoint, &opened, picked));
        Ok(join_all(attempts).await)
    }

    /// Makes one attempt.
    async fn attempt(&self, endpoint: &Endpoint, opened: &Opened, sent: Picked) -> Outcome {
        let (at, began) = (self.clock.now(), Instant::now());
        let id = EventId(sent.event).to_string();
        let cause = sent.cause.as_ref().map(Cause::of_meta).unwrap_or_default();
        let frame = frames::attempt(&endpoint.id.to_string(), sent.id, &id, &cause);
        let secrets: Vec<_> = opened.secrets.iter().collect();
        let reply = match signing::headers(&secrets, &id, at, &sent.body) {
            Ok(mut headers) => {
                traces::tell(&frame, &mut headers);
                extend(&mut headers, opened);
                let body = Bytes::from(sent.body.clone());
                let posting = self.outbound.post(&endpoint.url, headers, body).instrument(frame.clone());
                posting.await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match &reply {
            Ok(reply) => traces::note(&frame, "http.response.status_code", i64::from(reply.status)),
            Err(_) => traces::note_failure(&frame, "unanswered"),
        }
        let latency_ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
        Outcome { sent, at, latency_ms, reply }
    }
}

/// Adds the endpoint's own headers; they were judged when they were entered.
fn extend(headers: &mut HeaderMap, opened: &Opened) {
    for (name, value) in &opened.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.entry(name).or_insert(value);
        }
    }
}
