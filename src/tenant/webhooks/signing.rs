//! Signatures of deliveries, after the Standard Webhooks specification, and the headers beside them.
//!
//! What is signed is the id, the time of the attempt and the body's bytes, so a repetition is signed anew over the bytes
//! that were stored. The time is the attempt's because receivers refuse what is older than five minutes; the id is the
//! same each time, and is what receivers know a repetition by.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use zeroize::Zeroizing;

/// What a secret begins with where it is shown.
const SECRET_PREFIX: &str = "whsec_";

/// Headers of its own that an endpoint may be sent.
pub const HEADERS_MAX: usize = 10;

/// The longest name of such a header, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 64;

/// The longest value of such a header, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 1_024;

/// Names that the client, the connection or a browser's session gives a meaning to.
const RESERVED_NAMES: [&str; 17] = [
    "accept-encoding",
    "connection",
    "cookie",
    "cookie2",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "set-cookie",
    "set-cookie2",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Beginnings of names that are ours or a proxy's.
const RESERVED_PREFIXES: [&str; 3] = ["content-", "proxy-", "webhook-"];

/// What an endpoint's deliveries are signed with: 256 random bits. They are wiped when dropped, and nothing shows them
/// but [`Secret::reveal`].
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// Why a delivery is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Nothing to sign with.
    #[error("a delivery is signed with one secret at least")]
    NoSecret,
    /// An id that would let two deliveries have one signed text: a dot is what separates the parts.
    #[error("a delivery's id is made of letters, digits, `_` and `-`")]
    Id,
    /// The specification signs text.
    #[error("a delivery's body is UTF-8")]
    Body,
}

/// Why an endpoint is not sent a header that its shop asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// Not a token of RFC 9110, section 5.6.2, or too long.
    #[error("the name is not a header's, or longer than {HEADER_NAME_BYTES_MAX} bytes")]
    Name,
    /// A name that is not the shop's to set.
    #[error("this header is set by us, or changes what the request means")]
    Reserved,
    /// Not visible ASCII with spaces between, or too long.
    #[error("the value is empty, longer than {HEADER_VALUE_BYTES_MAX} bytes or not plain ASCII")]
    Value,
}

impl Secret {
    /// A secret of 256 random bits.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret as receivers' libraries take it. To be shown once, and never logged.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(*self.0))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The headers of an attempt at `at`: the media type, and id, time and signatures. There is a signature for each secret,
/// so that a receiver may know the old one or the new one while they change.
///
/// # Errors
/// There is no secret, or the specification has no signature for such an id or body.
pub fn headers(secrets: &[&Secret], id: &str, at: DateTime<Utc>, body: &[u8]) -> Result<HeaderMap, SigningError> {
    if secrets.is_empty() {
        return Err(SigningError::NoSecret);
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.is_empty() || !id.bytes().all(is_part) {
        return Err(SigningError::Id);
    }
    let signatures: Result<Vec<_>, _> = secrets.iter().map(|secret| signature(&secret.0[..], id, at, body)).collect();
    let ascii = |text: &str| HeaderValue::from_str(text).map_err(|_| SigningError::Id);
    let mut headers = HeaderMap::with_capacity(4 + HEADERS_MAX);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HEADER_WEBHOOK_ID, ascii(id)?);
    headers.insert(HEADER_WEBHOOK_TIMESTAMP, HeaderValue::from(at.timestamp()));
    headers.insert(HEADER_WEBHOOK_SIGNATURE, ascii(&signatures?.join(" "))?);
    Ok(headers)
}

/// One signature, as `v1,…`.
fn signature(key: &[u8], id: &str, at: DateTime<Utc>, body: &[u8]) -> Result<String, SigningError> {
    // A key is never refused, nor is an id or a time.
    let webhook = Webhook::from_bytes(key.to_vec()).map_err(|_| SigningError::NoSecret)?;
    webhook.sign(id, at.timestamp(), body).map_err(|_| SigningError::Body)
}

/// What is wrong with a header that a shop would have its endpoint sent, beside there being more than [`HEADERS_MAX`].
#[must_use]
pub fn header_problem(name: &str, value: &str) -> Option<HeaderProblem> {
    // The parser takes tokens alone, and has them in lower case.
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else { return Some(HeaderProblem::Name) };
    let known = parsed.as_str();
    if known.len() > HEADER_NAME_BYTES_MAX {
        return Some(HeaderProblem::Name);
    }
    if RESERVED_NAMES.contains(&known) || RESERVED_PREFIXES.iter().any(|prefix| known.starts_with(prefix)) {
        return Some(HeaderProblem::Reserved);
    }
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim_ascii().len() == value.len();
    (value.is_empty() || value.len() > HEADER_VALUE_BYTES_MAX || !is_plain).then_some(HeaderProblem::Value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 999_999_999).unwrap()
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers.get(name).unwrap().to_str().unwrap()
    }

    #[test]
    fn signatures_are_those_of_the_specifications_libraries() {
        let check = |secret: &str, id: &str, seconds: i64, body: &str, expected: &str| {
            let key = STANDARD.decode(secret).unwrap();
            assert_eq!(signature(&key, id, at(seconds), body.as_bytes()).unwrap(), expected);
        };
        check(
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        );
        check(
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        );
    }

    #[test]
    fn an_attempt_has_a_signature_for_each_secret() {
        let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let one = |secret| headers(&[secret], "evt_1", at(5), b"{}").unwrap();
        let both = headers(&[&new, &old], "evt_1", at(5), b"{}").unwrap();
        let expected = format!("{} {}", text(&one(&new), "webhook-signature"), text(&one(&old), "webhook-signature"));
        assert_eq!(text(&both, "webhook-signature"), expected);
        assert_eq!(text(&both, "webhook-id"), "evt_1");
        assert_eq!(text(&both, "webhook-timestamp"), "5");
        assert_eq!(text(&both, "content-type"), "application/json");
        assert_eq!(both.len(), 4);
        let later = headers(&[&new], "evt_1", at(6), b"{}").unwrap();
        assert_ne!(text(&later, "webhook-signature"), text(&one(&new), "webhook-signature"));
    }

    #[test]
    fn what_the_specification_cannot_sign_is_refused() {
        let secret = Secret::new([1; 32]);
        let check = |secrets: &[&Secret], id: &str, body: &[u8], expected: SigningError| {
            assert_eq!(headers(secrets, id, at(5), body).unwrap_err(), expected, "{id}");
        };
        check(&[], "evt_1", b"{}", SigningError::NoSecret);
        for id in ["", "evt.1", "evt 1", "evt\n1", "evtß"] {
            check(&[&secret], id, b"{}", SigningError::Id);
        }
        check(&[&secret], "evt_1", b"\xff", SigningError::Body);
    }

    #[test]
    fn a_secret_is_shown_only_where_it_is_asked_for() {
        let secret = Secret::new([0xff; 32]);
        assert_eq!(secret.reveal(), "whsec_//////////////////////////////////////////8=");
        assert_eq!(secret.bytes(), &[0xff; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn a_shop_sets_headers_that_are_its_own_to_set() {
        let check = |name: &str, value: &str, expected: Option<HeaderProblem>| {
            assert_eq!(header_problem(name, value), expected, "{name}: {value}");
        };
        check("Authorization", "Bearer a b", None);
        check("X-Shop", "1", None);
        check("contents", "!~", None);
        check(&"x".repeat(HEADER_NAME_BYTES_MAX), &"x".repeat(HEADER_VALUE_BYTES_MAX), None);
        for name in ["", " ", "a b", "a:", ":path", "ä", "a\r\nb", "(a)", &"x".repeat(HEADER_NAME_BYTES_MAX + 1)] {
            check(name, "1", Some(HeaderProblem::Name));
        }
        let reserved = "Host Connection Keep-Alive TE Trailer Transfer-Encoding Upgrade Expect Accept-Encoding User-Agent \
            Cookie Set-Cookie Content-Type Content-Length content-encoding Proxy-Authorization proxy-connection \
            WEBHOOK-ID Webhook-Signature webhook-x";
        for name in reserved.split_ascii_whitespace() {
            check(name, "1", Some(HeaderProblem::Reserved));
        }
        for value in ["", " ", " a", "a ", "a\tb", "a\r\nb: c", "a\0", "ä", &"x".repeat(HEADER_VALUE_BYTES_MAX + 1)] {
            check("x-shop", value, Some(HeaderProblem::Value));
        }
    }
}
