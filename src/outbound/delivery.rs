//! Posting to a tenant's endpoint: [`Outbound::post`], and when a busy endpoint wants to be asked again.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use reqwest::Response;

use super::resolver::machine;
use super::{Lookup, Outbound, OutboundError, Policy, check_url, guarded};

/// How long a delivery takes at most, unless its maker says otherwise.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// How long it may take to look a name up, connect and agree on TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection waits for the next delivery.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections to one host that wait at most.
const IDLE_PER_HOST_MAX: usize = 4;

/// Bytes of an endpoint's answer that are looked at, and bytes of an excerpt at most.
pub const RESPONSE_BYTES_MAX: usize = 1_024;

/// Bytes of a `Retry-After` that are looked at.
const RETRY_AFTER_BYTES_MAX: usize = 64;

/// The longest that an endpoint may put us off.
const RETRY_AFTER_MAX: TimeDelta = TimeDelta::hours(24);

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, whichever it is: a redirect is not followed, so 302 is an answer as any other.
    pub status: u16,
    /// `Retry-After` as it came, where it is text of at most 64 bytes: see [`retry_after`].
    pub retry_after: Option<String>,
    /// What the body begins with: at most 1,024 bytes, of control characters none but newline and tab.
    pub excerpt: String,
}

impl Outbound {
    /// Posts by the machine's DNS. A delivery is given up after `timeout`: see [`DELIVERY_TIMEOUT`]. Time alone bounds how
    /// many interim answers (1xx) a host sends before its answer; none is kept, but reading them costs.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn for_deliveries(policy: Policy, timeout: Duration) -> anyhow::Result<Self> {
        Self::for_deliveries_with_lookup(policy, timeout, machine())
    }

    /// Posts by another DNS, so that a test can decide what a name means.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn for_deliveries_with_lookup(policy: Policy, timeout: Duration, lookup: Lookup) -> anyhow::Result<Self> {
        let client = guarded(policy, lookup)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            // A busy endpoint is called often. A connection leads to the address that was judged when it was made,
            // whatever the name means by now, so what is kept for the next call needs no second look.
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build()?;
        Ok(Self { policy, client })
    }

    /// Posts a body and tells what was answered. Of the answer no more is kept than its beginning; a connection whose
    /// answer is not read to its end is closed.
    ///
    /// # Errors
    /// The URL is refused, or no status came.
    pub async fn post(&self, url: &str, mut headers: HeaderMap, body: Bytes) -> Result<Reply, OutboundError> {
        // A host that is an IP address never comes before the resolver, so the URL is judged at each call.
        let url = check_url(url, self.policy)?;
        // Nothing here inflates, and an excerpt is for people.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let response = self.client.post(url).headers(headers).body(body).send().await?;
        Ok(Reply {
            status: response.status().as_u16(),
            retry_after: raw_retry_after(response.headers()),
            excerpt: excerpt(&beginning(response).await),
        })
    }
}

fn raw_retry_after(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    (text.len() <= RETRY_AFTER_BYTES_MAX).then(|| text.to_owned())
}

/// The first bytes of a body. The status is the answer, so a body that breaks off or takes too long takes nothing from
/// it: whoever said 200 is not to be called again for what followed.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < RESPONSE_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(RESPONSE_BYTES_MAX - body.len())]);
    }
    body
}

/// The bytes as text that can be stored and shown.
fn excerpt(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.retain(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'));
    // What stands for a byte that is no text takes three.
    text.truncate(text.floor_char_boundary(RESPONSE_BYTES_MAX));
    text
}

/// How long an endpoint wants to be left alone: RFC 9110, section 10.2.3, as seconds or as a date, a day at most.
/// `None` where it is neither, or a date that has passed.
#[must_use]
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = text.trim_ascii();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        TimeDelta::seconds(text.parse::<u32>().ok()?.into())
    } else {
        DateTime::<Utc>::from(httpdate::parse_http_date(text).ok()?) - now
    };
    (wait >= TimeDelta::zero()).then(|| wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_text_that_can_be_stored() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(excerpt(bytes), expected);
        check(b"", "");
        check(b"{\"ok\":true}\n", "{\"ok\":true}\n");
        check("Bücher\t№ 1\r\n".as_bytes(), "Bücher\t№ 1\n");
        check(b"a\0b\x1b[31mc\x7fd\xc2\x85e", "ab[31mcde");
        check(b"a\xffb", "a\u{fffd}b");
        let noise = excerpt(&[0xff; RESPONSE_BYTES_MAX]);
        assert!(noise.len() <= RESPONSE_BYTES_MAX && noise.chars().all(|letter| letter == '\u{fffd}'));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_a_day_at_most() {
        let now: DateTime<Utc> = "1994-11-06T08:49:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(retry_after(text, now), expected.map(TimeDelta::seconds), "{text}");
        };
        check("0", Some(0));
        check("120", Some(120));
        check(" 120 ", Some(120));
        check("86400", Some(86_400));
        check("86401", Some(86_400));
        check("4294967295", Some(86_400));
        // The three forms of a date: RFC 9110, section 5.6.7.
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(37));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(37));
        check("Sun Nov  6 08:49:37 1994", Some(37));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400));
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1e3",
            "soon",
            "4294967296",
            "99999999999999999999999999",
            "Sun, 06 Nov 1994 08:48:59 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            check(text, None);
        }
    }
}
