//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};

use super::{graphql, health, observe, page};
use crate::app::App;

/// The server's routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|State(app): State<Arc<App>>| async move { page::index(&app) }))
        .route("/assets/{*path}", get(page::asset))
        .route("/graphql", any(graphql::tenant))
        .route("/admin/graphql", any(graphql::admin))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}
