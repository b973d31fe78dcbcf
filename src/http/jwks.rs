//! The public keys by which others verify our tokens (RFC 7517).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::app::App;

/// For five minutes nobody need ask again; a key that is put in front takes as long to be known everywhere.
const CACHE_CONTROL: &str = "public, max-age=300";

/// `/.well-known/jwks.json`: the keys that sign and those that did or will.
pub async fn jwks(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Json(app.services.tokens.jwks()))
}
