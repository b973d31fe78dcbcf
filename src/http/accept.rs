//! Media types of GraphQL over HTTP: what a client sends and what it accepts.

use axum::http::{HeaderMap, header};

use crate::graphql::{ApiError, ErrorCode};

/// The media type of an answer. It decides about the status: see [`super::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status tells how the operation went.
    GraphqlResponse,
    /// `application/json`: a well-formed answer has status 200, as older clients expect.
    Json,
}

impl MediaType {
    /// The text of the Content-Type header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// The media type to answer in. Without an Accept header it is JSON, as the specification has it for older clients.
///
/// # Errors
/// `NOT_ACCEPTABLE`: the client accepts neither.
pub fn negotiate(headers: &HeaderMap) -> Result<MediaType, ApiError> {
    let mut best: Option<(MediaType, f32)> = None;
    let mut is_given = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            is_given = true;
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality =
                parts.filter_map(|part| part.strip_prefix("q=")).next().map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let media_type = match name.as_str() {
                "application/graphql-response+json" | "application/*" | "*/*" => MediaType::GraphqlResponse,
                "application/json" => MediaType::Json,
                _ => continue,
            };
            if quality > 0.0 && best.is_none_or(|(_, best)| quality > best) {
                best = Some((media_type, quality));
            }
        }
    }
    match best {
        Some((media_type, _)) => Ok(media_type),
        None if !is_given => Ok(MediaType::Json),
        None => Err(ApiError::new(
            ErrorCode::NotAcceptable,
            "Accept `application/graphql-response+json` or `application/json`.",
        )),
    }
}

/// Checks that a body is JSON in UTF-8.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE`: it is of another type or encoding, or says nothing.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|name| name == "application/json");
    let is_utf8 = parts
        .filter_map(|part| part.strip_prefix("charset=").map(|c| c.trim_matches('"').to_owned()))
        .all(|c| c == "utf-8");
    if is_json && is_utf8 {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, "Send `application/json` in UTF-8."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_best_of_what_is_accepted_is_answered() {
        let check = |accept: &str, expected: Option<MediaType>| {
            assert_eq!(negotiate(&headers(header::ACCEPT, accept)).ok(), expected, "{accept}");
        };
        check("application/graphql-response+json", Some(MediaType::GraphqlResponse));
        check("application/json", Some(MediaType::Json));
        check("application/json;q=0.5, application/graphql-response+json", Some(MediaType::GraphqlResponse));
        check("application/graphql-response+json, application/json;q=0.9", Some(MediaType::GraphqlResponse));
        check("application/json, application/graphql-response+json;q=0.9", Some(MediaType::Json));
        check("*/*", Some(MediaType::GraphqlResponse));
        check("text/html", None);
        check("application/json;q=0", None);
        assert_eq!(negotiate(&HeaderMap::new()).ok(), Some(MediaType::Json));
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        let check = |value: &str, ok: bool| {
            assert_eq!(check_content_type(&headers(header::CONTENT_TYPE, value)).is_ok(), ok, "{value}");
        };
        check("application/json", true);
        check("Application/JSON; charset=UTF-8", true);
        check("application/json; charset=\"utf-8\"", true);
        check("application/json; charset=utf-16", false);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
        check("multipart/form-data; boundary=x", false);
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
