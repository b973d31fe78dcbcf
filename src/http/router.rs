//! Which path is answered by what.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tower_http::cors::CorsLayer;

use super::admission::X_TENANT;
use super::observe::X_REQUEST_ID;
use super::parameters::REQUIRE_PREFLIGHT;
use super::{deprecation, exports, graphql, health, jwks, limits, metrics, observe, page, profiling, socket, stream};
use crate::app::App;

/// How long a browser remembers what a page of another origin may do.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The server's routes.
pub fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/", get(|State(app): State<Arc<App>>| async move { page::index(&app) }))
        .route("/assets/{*path}", get(page::asset))
        .route("/graphql", any(graphql::tenant))
        .route("/admin/graphql", any(graphql::admin))
        .route("/graphql/ws", get(socket::tenant))
        .route("/admin/graphql/ws", get(socket::admin))
        .route("/graphql/stream", any(stream::tenant))
        .route("/exports/{archive}", get(exports::export))
        .route(deprecation::PATH, get(deprecation::page))
        .route("/.well-known/jwks.json", get(jwks::jwks))
        .merge(machine_routes());
    let origins = &app.config.http.cors_origins;
    // Without the layer a browser is told as much, and everybody else's requests pass one station less.
    let routes = if origins.is_empty() { routes } else { routes.layer(cors(origins)) };
    routes.layer(from_fn_with_state(Arc::clone(&app), observe::observe)).with_state(app)
}

/// The routes of a process that serves no API: what machines ask of any process.
pub fn machine_router(app: Arc<App>) -> Router {
    machine_routes().with_state(app)
}

/// What machines ask of any process.
fn machine_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health::detail))
        .route("/health/startup", get(health::startup))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/admin/profile/cpu", get(profiling::cpu))
        .route("/admin/profile/heap", get(profiling::heap))
}

/// What pages of other origins may do: call the APIs with a token. No cookie exists, so credentials are not allowed.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::IF_NONE_MATCH,
            header::CACHE_CONTROL,
            X_REQUEST_ID,
            X_TENANT,
            REQUIRE_PREFLIGHT,
            graphql::IDEMPOTENCY_KEY,
            deprecation::X_AS_OF,
            deprecation::CLIENT_NAME,
            deprecation::APOLLO_CLIENT_NAME,
        ])
        .expose_headers([
            X_REQUEST_ID,
            header::ETAG,
            header::RETRY_AFTER,
            limits::POLICY,
            limits::LEFT,
            deprecation::DEPRECATION,
            deprecation::SUNSET,
            header::LINK,
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}
