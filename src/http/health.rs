//! Health for machines.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::admission;
use super::client_address::client_address;
use super::observe::RequestId;
use crate::app::App;
use crate::control::health::{Check, Phase, Report};
use crate::graphql::{ErrorCode, Origin};

/// Whether the process has started: it listens, and has found out what it can do. That it can is what [`ready`] says, so that no
/// process is started again and again because its database is away.
pub async fn startup(State(app): State<Arc<App>>) -> impl IntoResponse {
    let health = &app.services.health;
    if health.phase() == Phase::Starting {
        health.wake();
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n");
    }
    (StatusCode::OK, "started\n")
}

/// Whether the process runs. It asks nobody: a process that is restarted because its database is away does not help.
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether the process should be given work, as it was found lately. Why not is no stranger's business: see [`detail`].
pub async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let health = &app.services.health;
    if health.phase() == Phase::Stopping {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if health.is_ready().await {
        return (StatusCode::OK, "ready\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
}

/// What was found about each thing that the process needs or uses, as JSON, for operators alone: with 503 where it is not ready.
pub async fn detail(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let address = client_address(request.extensions(), request.headers(), &app.config.http.trusted_proxies);
    // Whoever asks a worker is given no id by anybody.
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default().shared();
    let origin = Origin { address, request_id };
    match admission::admin(&app, request.headers(), &origin).await {
        Ok(Some(_)) => {}
        Ok(None) => return (StatusCode::UNAUTHORIZED, "for operators\n").into_response(),
        Err(error) if error.code == ErrorCode::Unauthenticated => {
            return (StatusCode::UNAUTHORIZED, "for operators\n").into_response();
        }
        Err(_) => return (StatusCode::SERVICE_UNAVAILABLE, "who asks cannot be found out\n").into_response(),
    }
    let health = &app.services.health;
    let Some(report) = health.report().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let is_ready = report.is_well() && health.phase() != Phase::Stopping;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(as_json(health.phase(), is_ready, &report))).into_response()
}

/// A report for machines.
fn as_json(phase: Phase, is_ready: bool, report: &Report) -> serde_json::Value {
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "ok": check.is_ok,
            "required": check.is_required,
            "ms": check.duration.as_secs_f64() * 1e3,
            "message": check.message,
        })
    };
    json!({
        "ready": is_ready,
        "phase": phase.as_str(),
        "version": env!("CARGO_PKG_VERSION"),
        "lookedAt": report.at,
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
    })
}
