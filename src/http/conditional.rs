//! `ETag` and 304: a query that is asked by GET and by its hash has an address, so its answer may be kept by whoever asked,
//! and need not be sent again while it is the same.
//!
//! It is asked anew each time (`no-cache`), with the asker's own credential, and compared with what that asker is answered
//! now: a tag that fits tells nothing that the answer would not. Nobody shares a kept answer (`private`).

use std::io::{self, Write};

use async_graphql::Response as GraphqlResponse;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::accept::MediaType;
use super::admission::X_TENANT;

/// What a client has of the answer already.
pub struct Conditional {
    /// The tags of the answers that it has, as sent.
    has: Vec<HeaderValue>,
}

/// A digest that is written to.
struct Digest(Sha256);

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Conditional {
    /// What a client that asks by GET and by hash has.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Self { has: headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect() }
    }

    /// Gives an answer its tag, and sends the tag alone to a client that has the answer. One with errors has no tag: it may
    /// be another the next moment.
    #[must_use]
    pub fn answer(&self, tag: Option<HeaderValue>, mut response: Response<Body>) -> Response<Body> {
        let Some(tag) = tag else { return response };
        if self.has.iter().any(|has| holds(has, &tag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
        let headers = response.headers_mut();
        headers.insert(header::ETAG, tag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        for name in [header::ACCEPT, header::AUTHORIZATION, X_TENANT] {
            headers.append(header::VARY, name_value(&name));
        }
        response
    }
}

/// The tag of an answer: a hash of its data. What it cost, and the like, is another each time and not part of it; so the tag is
/// a weak one, for answers that say the same.
#[must_use]
pub fn tag(response: &GraphqlResponse, media_type: MediaType) -> Option<HeaderValue> {
    if !response.errors.is_empty() {
        return None;
    }
    let mut digest = Digest(Sha256::new_with_prefix(media_type.as_str()));
    serde_json::to_writer(&mut digest, &response.data).ok()?;
    HeaderValue::try_from(format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(digest.0.finalize()))).ok()
}

/// Whether a list of tags has one, strong or weak; `*` has every one.
fn holds(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (list, tag) = (list.to_str().unwrap_or_default(), tag.to_str().unwrap_or_default());
    list.trim() == "*" || list.split(',').any(|one| opaque(one) == opaque(tag))
}

fn name_value(name: &HeaderName) -> HeaderValue {
    HeaderValue::from_str(name.as_str()).unwrap_or_else(|_| HeaderValue::from_static("*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{Name, Value};

    fn answer(title: &str) -> GraphqlResponse {
        GraphqlResponse::new(Value::Object([(Name::new("title"), Value::from(title))].into_iter().collect()))
    }

    #[test]
    fn the_same_data_has_the_same_tag_whatever_it_cost() {
        let tag_of = |response: &GraphqlResponse| tag(response, MediaType::Json).unwrap();
        let (one, mut two) = (answer("Emma"), answer("Emma"));
        two.extensions.insert("cost".to_owned(), Value::from(7));
        assert_eq!(tag_of(&one), tag_of(&two));
        assert_ne!(tag_of(&one), tag_of(&answer("Persuasion")));
        assert_ne!(tag(&one, MediaType::GraphqlResponse), tag(&one, MediaType::Json));
        two.errors.push(async_graphql::ServerError::new("no", None));
        assert_eq!(tag(&two, MediaType::Json), None);
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        let tag = HeaderValue::from_static("W/\"abc\"");
        let check = |list: &'static str, expected: bool| {
            assert_eq!(holds(&HeaderValue::from_static(list), &tag), expected, "{list}");
        };
        check("W/\"abc\"", true);
        check("\"abc\"", true);
        check("\"x\", W/\"abc\"", true);
        check("*", true);
        check("\"ab\"", false);
        check("abc", false);
        check("", false);
    }
}
