//! The metrics, for machines.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::app::App;

/// The metrics as text. What others keep count of is read here and now.
pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let pool = app.services.tenants.pool_state();
    let set = |state: &str, value: u32| app.metrics.pool_connections.with_label_values(&[state]).set(value.into());
    set("idle", pool.idle);
    set("in_use", pool.connections.saturating_sub(pool.idle));
    set("max", pool.size_max);
    app.metrics.pool_permits.set(i64::try_from(pool.permits_free).unwrap_or(i64::MAX));
    app.metrics.admission.waiting.set(i64::try_from(pool.waiting).unwrap_or(i64::MAX));
    app.metrics.admission.tenants_waiting.set(i64::try_from(pool.tenants_waiting).unwrap_or(i64::MAX));
    app.metrics.isolation_violations.set(i64::try_from(app.services.tenants.violations()).unwrap_or(i64::MAX));
    app.metrics.password_hashes.set(
        i64::try_from(app.services.passwords.computed() + app.services.admin_passwords.computed()).unwrap_or(i64::MAX),
    );
    if let Some(cache) = &app.services.cache {
        let (entries, bytes) = cache.size().await;
        app.metrics.cache.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        app.metrics.cache.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    match app.metrics.encode() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)),
        Err(error) => {
            tracing::error!(%error, "The metrics cannot be encoded");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
