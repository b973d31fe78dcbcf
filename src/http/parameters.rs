//! Reading requests: the parameters of an operation, from a body or a query string, within bounds.

use async_graphql::{Request as GraphqlRequest, Variables};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use serde::Deserialize;

use super::accept::check_content_type;
use super::admission::{self, X_TENANT};
use super::documents::Sent;
use crate::app::App;
use crate::graphql::{ApiError, ErrorCode};

/// The most bytes of a query string: documents are sent by POST, or by their hash.
pub(super) const QUERY_STRING_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of a body without a token.
const STRANGER_BODY_BYTES_MAX: usize = 64 * 1024;

/// A header whose presence makes a browser ask first.
pub(super) const REQUIRE_PREFLIGHT: HeaderName = HeaderName::from_static("graphql-require-preflight");

/// Values in a body at most. An import's rows travel as one text.
pub(super) const JSON_VALUES_MAX: usize = 20_000;

/// A request as the specification has it.
#[derive(Deserialize)]
pub(super) struct Parameters {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

/// What clients may say beside the specification. The rest is passed over unread.
#[derive(Deserialize)]
struct Extensions {
    #[serde(rename = "persistedQuery")]
    persisted_query: Option<PersistedQuery>,
}

/// Apollo's protocol of automatic persisted queries.
#[derive(Deserialize)]
struct PersistedQuery {
    version: u32,
    #[serde(rename = "sha256Hash")]
    sha256_hash: String,
}

impl Parameters {
    /// The document as it was sent, and the operation without it.
    ///
    /// # Errors
    /// There is neither a text nor a hash that is understood.
    pub(super) fn split(self) -> Result<(Sent, GraphqlRequest), ApiError> {
        let persisted = self.extensions.and_then(|extensions| extensions.persisted_query);
        if persisted.as_ref().is_some_and(|persisted| persisted.version != 1) {
            return Err(ApiError::bad_request("Persisted queries are served in version 1."));
        }
        let hash = persisted.map(|persisted| persisted.sha256_hash.to_ascii_lowercase());
        if hash.as_ref().is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(ApiError::bad_request("A hash is a SHA-256 in hexadecimal."));
        }
        let text = self.query.filter(|query| !query.trim().is_empty());
        if text.is_none() && hash.is_none() {
            return Err(ApiError::bad_request("`query` is missing."));
        }
        let mut operation = GraphqlRequest::new("");
        if let Some(name) = self.operation_name.filter(|name| !name.is_empty()) {
            operation = operation.operation_name(name);
        }
        if let Some(variables) = self.variables {
            operation = operation.variables(Variables::from_json(serde_json::Value::Object(variables)));
        }
        Ok((Sent { text, hash }, operation))
    }
}

/// Refuses a GET that a web page of another origin could have a browser send unasked (CSRF). One of these headers makes
/// the browser ask first, and CORS answers.
///
/// # Errors
/// None of the headers is there.
pub(super) fn check_preflight(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_preflighted =
        [header::AUTHORIZATION, X_TENANT, REQUIRE_PREFLIGHT].iter().any(|name| headers.contains_key(name))
            || headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if is_preflighted {
        return Ok(());
    }
    Err(ApiError::bad_request("Send the header `GraphQL-Require-Preflight: 1` with a GET, or use POST."))
}

/// Reads the body of a POST, and answers how many bytes it had.
///
/// # Errors
/// The media type, the size or the text is not one that is served.
pub(super) async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<(Parameters, usize), ApiError> {
    check_content_type(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Who shows nothing has little to say. A large body is read only for a credential that looks right.
    let is_small = announced.is_some_and(|length| length <= STRANGER_BODY_BYTES_MAX);
    let limit = match headers.get(header::AUTHORIZATION) {
        Some(_) if !is_small => {
            admission::plausible(app, headers)?;
            app.config.http.body_bytes_max
        }
        _ => STRANGER_BODY_BYTES_MAX.min(app.config.http.body_bytes_max),
    };
    let too_large = || ApiError::new(ErrorCode::PayloadTooLarge, format!("A body has at most {limit} bytes."));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|error| {
        let is_limit = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if is_limit { too_large() } else { ApiError::bad_request("The body could not be read.") }
    })?;
    if values_of(&bytes) > JSON_VALUES_MAX {
        let message = format!("A body has at most {JSON_VALUES_MAX} values.");
        return Err(ApiError::new(ErrorCode::QueryTooComplex, message));
    }
    let parameters = serde_json::from_slice(&bytes).map_err(|error| {
        let is_batch = bytes.trim_ascii_start().starts_with(b"[");
        let message =
            if is_batch { "Send one operation; batches are not served.".to_owned() } else { json_error(&error) };
        ApiError::bad_request(message)
    })?;
    Ok((parameters, bytes.len()))
}

/// The values of a JSON text, or a few more: what takes a few letters there takes a hundred bytes once it is read.
pub(super) fn values_of(json: &[u8]) -> usize {
    let (mut values, mut rest) = (0, json);
    while let Some(quote) = rest.iter().position(|&byte| byte == b'"') {
        values += count_signs(&rest[..quote]);
        rest = behind_text(&rest[quote + 1..]);
    }
    values + count_signs(rest)
}

/// What follows a text, past what is escaped in it; nothing behind one that never ends.
fn behind_text(mut json: &[u8]) -> &[u8] {
    while let Some(sign) = json.iter().position(|&byte| matches!(byte, b'"' | b'\\')) {
        if json[sign] == b'"' {
            return &json[sign + 1..];
        }
        json = json.get(sign + 2..).unwrap_or_default();
    }
    &[]
}

fn count_signs(json: &[u8]) -> usize {
    json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

/// What is wrong with a body, without quoting it.
fn json_error(error: &serde_json::Error) -> String {
    format!("The body is not a GraphQL request in JSON (line {}, column {}).", error.line(), error.column())
}

/// Reads the query string of a GET.
///
/// # Errors
/// It is too long, or a part of it is not JSON.
pub(super) fn read_query(uri: &Uri) -> Result<Parameters, ApiError> {
    let query = uri.query().unwrap_or_default();
    if query.len() > QUERY_STRING_BYTES_MAX {
        return Err(ApiError::new(ErrorCode::PayloadTooLarge, "The query string is too long; use POST."));
    }
    let mut parameters = Parameters { query: None, operation_name: None, variables: None, extensions: None };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "query" => parameters.query = Some(value.into_owned()),
            "operationName" => parameters.operation_name = Some(value.into_owned()),
            "variables" if !value.is_empty() => {
                let variables = serde_json::from_str(&value);
                parameters.variables =
                    variables.map_err(|_| ApiError::bad_request("`variables` is not a JSON object."))?;
            }
            "extensions" if !value.is_empty() => {
                let extensions = serde_json::from_str(&value);
                parameters.extensions =
                    extensions.map_err(|_| ApiError::bad_request("`extensions` is not a JSON object."))?;
            }
            _ => {}
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        let check = |json: &str, expected: usize| assert_eq!(values_of(json.as_bytes()), expected, "{json}");
        check("{}", 1);
        check(r#"{"a": [1, 2, {"b": "x,y,[{"}]}"#, 5);
        check(r#"{"a": "\",[[[", "b": 1}"#, 2);
        check(r#"{"a": "x\\", "b": [1]}"#, 3);
        check(r#"{"a": "never ends, [[["#, 1);
        check(r#"{"a": "\"#, 1);
        check("", 0);
    }
}
