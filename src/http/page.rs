//! GraphiQL: the page under `web/`, built before the binary and embedded in it.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use rust_embed::RustEmbed;

use super::compress::{accepts_gzip, compress};
use crate::app::App;

#[derive(RustEmbed)]
#[folder = "web/dist/"]
struct Dist;

/// What the page may load: itself. Styles are written inline by its dialogs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     font-src data:; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a browser asks for the page, rather than a client for an answer.
#[must_use]
pub fn is_wanted(request: &Request<Body>) -> bool {
    let accepts_html = || {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        accept.is_some_and(|accept| accept.contains("text/html"))
    };
    request.method() == Method::GET
        && request.uri().query().is_none_or(|query| !query.contains("query="))
        && accepts_html()
}

/// `/`: the page. A binary that was built without npm answers the library's own, which loads its scripts from outside.
#[must_use]
pub fn index(_app: &App) -> Response<Body> {
    match Dist::get("index.html") {
        Some(file) => {
            let mut response = html(Body::from(file.data.into_owned()));
            let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        None => html(Body::from(async_graphql::http::GraphiQLSource::build().endpoint("/graphql").finish())),
    }
}

/// `/assets/…`: the page's scripts and styles. Their names change with their content.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response<Body> {
    let Some(file) = Dist::get(&format!("assets/{path}")) else {
        let mut response = Response::new(Body::from("not found\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let content_type = match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = Response::new(Body::from(file.data.into_owned()));
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    compress(response, accepts_gzip(&headers)).await
}

fn html(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
