//! A server's health at the edge.

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{Check, Phase};
use crate::graphql::access::{access, signed_in};
use crate::graphql::{AdminRequest, ApiError, ApiResult, ErrorCode};

/// The phase of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "HealthPhase")]
pub enum HealthPhaseValue {
    /// The process works, or would.
    Running,
    /// The process has not found out yet what it can do.
    Starting,
    /// The process was told to stop, and gets no new work.
    Stopping,
}

impl From<Phase> for HealthPhaseValue {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Starting => Self::Starting,
            Phase::Running => Self::Running,
            Phase::Stopping => Self::Stopping,
        }
    }
}

/// A check of one thing that the server needs or uses.
#[derive(SimpleObject)]
pub struct HealthCheck {
    /// The name of the thing: `database`, `migrations`, `redis`.
    name: &'static str,
    /// Tells whether it is as it should be.
    is_ok: bool,
    /// Tells whether the server cannot be ready without it.
    is_required: bool,
    /// The duration of the check, in milliseconds.
    duration_ms: f64,
    /// The finding, in words.
    message: String,
}

impl From<&Check> for HealthCheck {
    fn from(check: &Check) -> Self {
        Self {
            name: check.name,
            is_ok: check.is_ok,
            is_required: check.is_required,
            duration_ms: check.duration.as_secs_f64() * 1e3,
            message: check.message.clone(),
        }
    }
}

/// The health of the server that answers: each replica has its own.
#[derive(SimpleObject)]
pub struct Health {
    /// Tells whether it takes requests, as `/health/ready` does.
    is_ready: bool,
    /// The phase of the process.
    phase: HealthPhaseValue,
    /// The release that it runs.
    version: &'static str,
    /// The time when it looked last. It looks at intervals, however often it is asked.
    looked_at: DateTime<Utc>,
    /// The checks that it made.
    checks: Vec<HealthCheck>,
}

/// Queries about the server that answers.
#[derive(Default)]
pub struct HealthQuery;

#[Object]
impl HealthQuery {
    /// The health of the server that answers, with what it found about each thing that it needs or uses.
    #[graphql(directive = access::apply(signed_in()))]
    async fn health(&self, ctx: &Context<'_>) -> ApiResult<Health> {
        let (request, _) = AdminRequest::of(ctx)?;
        let health = &request.services.health;
        let ended = || ApiError::new(ErrorCode::ServiceUnavailable, "The server is ending.");
        let report = health.report().await.ok_or_else(ended)?;
        let phase = health.phase();
        Ok(Health {
            is_ready: phase != Phase::Stopping && report.is_well(),
            phase: phase.into(),
            version: env!("CARGO_PKG_VERSION"),
            looked_at: report.at,
            checks: report.checks.iter().map(HealthCheck::from).collect(),
        })
    }
}
