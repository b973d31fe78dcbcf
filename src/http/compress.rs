//! Compression of answers, by gzip, for clients that take it.
//!
//! A compressed length tells something of what was compressed (BREACH): whoever can have a victim's client send text of their
//! choosing again and again, and sees how long the answers are, guesses a secret that lies in them sign by sign. Nobody can
//! here: a credential is a header that no browser adds by itself, and a GET must carry one that a page of another origin may
//! not. Beside that, what is secret is only ever in the payload of a mutation, once, and only answers to queries are
//! compressed.
//!
//! It is done here, on bodies that are whole, and not by a layer: the length stays known, streams are left alone, and nothing
//! is refused for its encoding after it was executed.

use std::io::Write as _;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request as GraphqlRequest, Response as GraphqlResponse};
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What an answer depends on that may be compressed.
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// A body of fewer bytes fits a packet as it is.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// A longer body is compressed off the threads that serve everybody.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Whether the answer to an operation may be compressed.
#[derive(Debug, Clone, Copy)]
pub struct Allowed(bool);

/// Whether an operation's answer may be compressed: its document has no mutation, by which secrets come.
#[must_use]
pub fn allows(operation: &mut GraphqlRequest) -> Allowed {
    let Ok(document) = operation.parsed_query() else { return Allowed(false) };
    Allowed(!document.operations.iter().any(|(_, operation)| operation.node.ty != OperationType::Query))
}

impl Allowed {
    /// Notes it in the answer: what may be compressed is said to depend on what the client takes.
    pub fn note(self, response: &mut GraphqlResponse) {
        if self.0 {
            response.http_headers.append(header::VARY, ACCEPT_ENCODING);
        }
    }
}

/// Whether a client takes gzip, and does not prefer to go without.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, 0.0);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality: f32 = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match name.as_str() {
                "gzip" | "x-gzip" => gzip = Some(quality),
                "*" => any = Some(quality),
                "identity" => identity = quality,
                _ => {}
            }
        }
    }
    gzip.or(any).is_some_and(|quality| quality > 0.0 && quality >= identity)
}

/// Compresses an answer, if it says that it depends on the encoding, is whole and long enough, and is wanted so.
pub async fn compress(response: Response<Body>, is_wanted: bool) -> Response<Body> {
    // A stream has no exact size.
    let is_long = response.body().size_hint().exact().is_some_and(|bytes| bytes >= COMPRESSED_BYTES_MIN);
    let may_be = response.headers().get_all(header::VARY).iter().any(|value| *value == ACCEPT_ENCODING);
    if !is_wanted || !is_long || !may_be {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let compressed = if bytes.len() <= INLINE_BYTES_MAX {
        gzip(&bytes)
    } else {
        let copy = bytes.clone();
        tokio::task::spawn_blocking(move || gzip(&copy)).await.ok().flatten()
    };
    let body = match compressed {
        Some(compressed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Body::from(compressed)
        }
        None => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let check = |value: &str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        };
        check("gzip", true);
        check("br, GZIP;q=0.5", true);
        check("gzip, deflate, br, zstd", true);
        check("*", true);
        check("gzip;q=0, *", false);
        check("gzip;q=0", false);
        check("gzip;q=nonsense", false);
        check("identity, gzip;q=0.5", false);
        check("br", false);
        check("", false);
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
