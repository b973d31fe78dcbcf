//! One round of an endpoint: what became of the last is written down, and what is next is picked, in one transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::repo::{self, NewDelivery, Picked, Settled, WantedEvent};
use crate::db::{DbError, TenantTx};
use crate::jobs::retry::chance;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{EventId, WebhookEndpointId};
use crate::kernel::journal::Change;
use crate::outbound::{Reply, retry_after};
use crate::tenant::events::{DomainEvent, EndpointFacts, publish};
use crate::tenant::webhooks::DELIVER;
use crate::tenant::webhooks::breaker::{Breaker, BreakerState};
use crate::tenant::webhooks::deliveries::model::DeliveryState;
use crate::tenant::webhooks::deliveries::service::pending_give_up;
use crate::tenant::webhooks::dispatch::payload;
use crate::tenant::webhooks::endpoints::model::{Endpoint, EndpointStatus, Ordering};
use crate::tenant::webhooks::endpoints::repo as endpoints;
use crate::tenant::webhooks::schedule::wait_after;

/// Deliveries that are under way to an endpoint at a time.
pub const BATCH: i64 = 32;

/// While a backlog is drained.
const DRAIN_BATCH: i64 = 10;

/// Events that become deliveries at a time.
const EVENTS_MAX: i64 = 256;

/// While so many deliveries wait and some of them can be sent, no further events become deliveries.
const PENDING_ENOUGH: i64 = 1_000;

/// So many deliveries wait at most. Where all of them wait for some that are tried in vain, what happened since waits too.
const PENDING_MAX: i64 = 10_000;

/// The status by which an endpoint says that it is gone for good: RFC 9110, section 15.5.11.
const GONE: u16 = 410;

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was sent.
    pub sent: Picked,
    /// When.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// What was answered, or why nothing was.
    pub reply: Result<Reply, String>,
}

/// What a round comes to.
#[derive(Debug)]
pub enum Round {
    /// These are to be sent, to this endpoint. `is_drain` says that they are of a backlog.
    Send {
        /// Where to.
        endpoint: Box<Endpoint>,
        /// What.
        picked: Vec<Picked>,
        /// Whether they are of a backlog.
        is_drain: bool,
    },
    /// Nothing is to be done, or another job does it. What the endpoint is like is told for whoever keeps books of it.
    Over(Standing),
}

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Another job looks after it, or the claim is lost.
    Others,
    /// It is well, or gone.
    Well,
    /// It has failed, and rests or is probed.
    Resting,
    /// It is suspended.
    Suspended,
}

/// What a round needs to know.
pub(super) struct Turn<'a> {
    /// Time, ids and chance.
    pub clock: &'a dyn Clock,
    /// The job and its claim.
    pub job: (Uuid, i64),
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// Whether the job is to end, and another to go on.
    pub is_last: bool,
}

impl Outcome {
    /// Whether the endpoint has accepted it.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.reply.as_ref().is_ok_and(|reply| (200..300).contains(&reply.status))
    }

    fn is_gone(&self) -> bool {
        self.reply.as_ref().is_ok_and(|reply| reply.status == GONE)
    }

    /// What is told of a failure.
    fn problem(&self) -> String {
        match &self.reply {
            Ok(reply) => format!("the endpoint answered with status {}", reply.status),
            Err(error) => error.clone(),
        }
    }
}

/// Writes down what became of a round and picks the next.
pub(super) async fn next(tx: &mut TenantTx, turn: &Turn<'_>, outcomes: Vec<Outcome>) -> Result<Round, DbError> {
    if !tx.hold_job(turn.job.0, turn.job.1).await? {
        return Ok(Round::Over(Standing::Others));
    }
    let Some(mut endpoint) = endpoints::endpoint_lock(tx, turn.endpoint).await? else {
        return Ok(Round::Over(Standing::Well));
    };
    if endpoint.job_id != Some(turn.job.0) {
        return Ok(Round::Over(Standing::Others));
    }
    let now = turn.clock.now();
    let mut breaker = endpoint.breaker();
    if !outcomes.is_empty() {
        let before = breaker.state;
        breaker = settle(tx, turn.clock, breaker, &outcomes).await?;
        if before != BreakerState::Closed && breaker.state == BreakerState::Closed {
            endpoint.drain_to = endpoints::position_last(tx).await?;
        }
        // What somebody has stopped meanwhile is not judged.
        if endpoint.status() == EndpointStatus::Active {
            endpoint = judged(tx, turn.clock, endpoint, breaker, &outcomes).await?;
        }
    }
    if endpoint.status() != EndpointStatus::Active {
        return over(tx, turn, endpoint, breaker, None).await;
    }
    if breaker.rests(now) {
        let until = breaker.rests_until;
        return over(tx, turn, endpoint, breaker, until).await;
    }
    let breaker = breaker.rested();
    let is_probe = breaker.state == BreakerState::HalfOpen;
    let is_drain = endpoint.drain_to > 0;
    let batch = match (is_probe, is_drain) {
        (true, _) => 1,
        (false, true) => DRAIN_BATCH,
        (false, false) => BATCH,
    };
    let picked = pick(tx, turn.clock, &mut endpoint, (now, is_probe), batch).await?;
    let is_over = endpoint.cursor >= endpoint.drain_to;
    if is_over && picked.first().is_some_and(|first| first.position > endpoint.drain_to) {
        endpoint.drain_to = 0;
    }
    if picked.is_empty() {
        let next = repo::due_next(tx, endpoint.id).await?;
        if is_over && next.is_none() {
            endpoint.drain_to = 0;
        }
        return over(tx, turn, endpoint, breaker, next).await;
    }
    if turn.is_last {
        return over(tx, turn, endpoint, breaker, Some(now)).await;
    }
    endpoints::endpoint_progress_set(tx, endpoint.id, breaker, (endpoint.cursor, endpoint.drain_to), endpoint.job_id)
        .await?;
    Ok(Round::Send { endpoint: Box::new(endpoint), picked, is_drain })
}

/// Ends a job: another goes on at a time, or none is needed.
async fn over(
    tx: &mut TenantTx,
    turn: &Turn<'_>,
    endpoint: Endpoint,
    breaker: Breaker,
    at: Option<DateTime<Utc>>,
) -> Result<Round, DbError> {
    let job = match at {
        Some(at) => {
            let job = turn.clock.new_id();
            let at = Some(at).filter(|at| *at > turn.clock.now());
            tx.enqueue_at(job, DELIVER, payload(endpoint.id), None, at).await?;
            Some(job)
        }
        None => None,
    };
    endpoints::endpoint_progress_set(tx, endpoint.id, breaker, (endpoint.cursor, endpoint.drain_to), job).await?;
    Ok(Round::Over(match (endpoint.status(), breaker.state) {
        (EndpointStatus::Suspended, _) => Standing::Suspended,
        (EndpointStatus::Disabled, _) | (EndpointStatus::Active, BreakerState::Closed) => Standing::Well,
        (EndpointStatus::Active, _) => Standing::Resting,
    }))
}

/// Writes down what became of attempts, and answers the breaker after them.
async fn settle(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    breaker: Breaker,
    outcomes: &[Outcome],
) -> Result<Breaker, DbError> {
    let now = clock.now();
    let (mut failed, mut rests_until) = (breaker, None);
    let mut settled = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        let asked = match &outcome.reply {
            Ok(reply) => reply.retry_after.as_deref().and_then(|text| retry_after(text, now)),
            Err(_) => None,
        };
        let wait = wait_after(outcome.sent.attempts.saturating_add(1), chance(clock.secret()));
        let (state, next_attempt_at) = if outcome.is_success() {
            (DeliveryState::Delivered, None)
        } else {
            failed = failed.failed(now, asked, chance(clock.secret()));
            rests_until = rests_until.max(asked.map(|asked| now + asked));
            match wait {
                Some(wait) => (DeliveryState::Pending, Some(now + wait.max(asked.unwrap_or_default()))),
                None => (DeliveryState::Dead, None),
            }
        };
        let reply = outcome.reply.as_ref();
        settled.push(Settled {
            id: outcome.sent.id,
            number: outcome.sent.attempts_total.saturating_add(1),
            at: outcome.at,
            status: reply.ok().and_then(|reply| i16::try_from(reply.status).ok()),
            error: reply.err().cloned(),
            latency_ms: outcome.latency_ms,
            response: reply.ok().map(|reply| reply.excerpt.clone()),
            state: state.as_str(),
            next_attempt_at,
        });
    }
    repo::deliveries_settle(tx, settled, now).await?;
    // An endpoint that accepts something is well, whatever else it refuses.
    let is_well = outcomes.iter().any(Outcome::is_success);
    Ok(if is_well { Breaker { rests_until, ..Breaker::CLOSED } } else { failed })
}

/// The endpoint after what it answered: as it was, or stopped.
async fn judged(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    endpoint: Endpoint,
    breaker: Breaker,
    outcomes: &[Outcome],
) -> Result<Endpoint, DbError> {
    let last = outcomes.iter().rev().find(|outcome| !outcome.is_success());
    let (status, reason) = if outcomes.iter().any(Outcome::is_gone) {
        (EndpointStatus::Disabled, format!("The endpoint answered with status {GONE}: it is gone for good."))
    } else if breaker.is_hopeless() {
        let problem = last.map(Outcome::problem).unwrap_or_default();
        (EndpointStatus::Suspended, format!("{} deliveries in a row failed; the last: {problem}.", breaker.failures))
    } else {
        return Ok(endpoint);
    };
    let mut stopped = endpoint.clone();
    stopped.status = status.as_str().to_owned();
    stopped.status_reason = Some(reason.clone());
    stopped.status_at = clock.now();
    (stopped.breaker, stopped.failures) = (breaker.state.as_str().to_owned(), breaker.failures);
    stopped.rests_until = breaker.rests_until;
    let stopped = endpoints::endpoint_status_set(tx, &stopped).await?;
    if status == EndpointStatus::Disabled {
        pending_give_up(tx, clock, endpoint.id).await?;
    }
    tx.note(Change::changed(endpoint.id, endpoint.trail(), stopped.trail()));
    let facts = EndpointFacts { url: endpoint.host(), reason };
    publish(
        tx,
        clock,
        match status {
            EndpointStatus::Disabled => DomainEvent::WebhookEndpointDisabled(endpoint.id, facts),
            _ => DomainEvent::WebhookEndpointSuspended(endpoint.id, facts),
        },
    );
    Ok(stopped)
}

/// What is sent next: what waits, and where that is not enough, the next events.
async fn pick(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    endpoint: &mut Endpoint,
    (now, is_probe): (DateTime<Utc>, bool),
    batch: i64,
) -> Result<Vec<Picked>, DbError> {
    // A probe is what was tried least, whether its own time has come or not: what one receiver refuses for good is no sign
    // that it would refuse all.
    let due = (!is_probe).then_some(now);
    let picked = repo::deliveries_pick(tx, endpoint.id, due, batch).await?;
    let is_full = i64::try_from(picked.len()).is_ok_and(|count| count == batch);
    let is_stale = is_probe && picked.first().is_some_and(|first| first.attempts > 0);
    // What waits for what is before it is gone through each time, so no more is taken up than there is a need for.
    let waiting = match picked.first() {
        Some(first) => first.pending,
        None => repo::pending_count(tx, endpoint.id).await?,
    };
    let enough = if picked.is_empty() { PENDING_MAX } else { PENDING_ENOUGH };
    if (is_full && !is_stale) || waiting >= enough {
        return Ok(picked);
    }
    // While it is probed one is enough; the others stay what they are, events.
    let max = if is_probe { 1 } else { EVENTS_MAX };
    if !take_up(tx, clock, endpoint, now, max).await? {
        return Ok(picked);
    }
    repo::deliveries_pick(tx, endpoint.id, due, batch).await
}

/// Makes deliveries of the next events, due now, and answers whether there were any.
async fn take_up(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    endpoint: &mut Endpoint,
    now: DateTime<Utc>,
    max: i64,
) -> Result<bool, DbError> {
    let events = loop {
        let (events, asked, is_end) = repo::events_wanted(tx, endpoint.cursor, &endpoint.kinds, max).await?;
        // The cursor moves each time, so this ends with the events.
        endpoint.cursor = asked;
        if !events.is_empty() {
            break events;
        }
        if is_end {
            return Ok(false);
        }
    };
    let ordering = endpoint.ordering();
    let new = events.into_iter().map(|event| delivery(clock, ordering, event)).collect();
    repo::deliveries_insert(tx, endpoint.id, new, now).await?;
    Ok(true)
}

/// The delivery of an event: its bytes are made here, once, and are what each attempt signs and sends.
fn delivery(clock: &dyn Clock, ordering: Ordering, event: WantedEvent) -> NewDelivery {
    let body = json!({
        "id": EventId(event.id).to_string(),
        "type": event.kind,
        "version": event.version,
        "position": event.position.to_string(),
        "timestamp": event.at,
        "entity": event.entity,
        "data": event.data,
    });
    NewDelivery {
        id: clock.new_id(),
        event: event.id,
        position: event.position,
        ordering_key: ordering.key(&event.entity),
        kind: event.kind,
        body: body.to_string().into_bytes(),
    }
}
