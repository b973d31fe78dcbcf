//! A server's health at the edge.

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{Check, Phase};
use crate::graphql::access::{access, signed_in};
use crate::graphql::{AdminRequest, ApiError, ApiResult, ErrorCode};

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "HealthPhase")]
pub enum HealthPhaseValue {
    /// It works, or would.
    Running,
    /// It has not found out yet what it can do.
    Starting,
    /// It was told to stop, and gets no new work.
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

/// What was found about one thing that the server needs or uses.
#[derive(SimpleObject)]
pub struct HealthCheck {
    /// What was looked at: `database`, `migrations`, `redis`.
    name: &'static str,
    /// Whether it is as it should be.
    is_ok: bool,
    /// Whether the server is not ready without it.
    is_required: bool,
    /// How long it took to find out, in milliseconds.
    duration_ms: f64,
    /// What was found.
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
    /// Whether it takes requests: what `/health/ready` says.
    is_ready: bool,
    /// What it is at.
    phase: HealthPhaseValue,
    /// The release that it runs.
    version: &'static str,
    /// When it looked last. It looks at intervals, however often it is asked.
    looked_at: DateTime<Utc>,
    /// What it found.
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
