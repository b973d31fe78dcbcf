//! Posting to an endpoint: what is sent, what is kept of the answer, and what a connection is kept for.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue};
use shelfwise::outbound::{Outbound, OutboundError, RESPONSE_BYTES_MAX, Reply};

use super::host::{RELAXED, assert_untouched, host, host_that, listener, ok, request};

/// Longer than any test takes whose host answers.
const TIMEOUT: Duration = Duration::from_secs(30);

async fn post(url: &str) -> Result<Reply, OutboundError> {
    let outbound = Outbound::for_deliveries(RELAXED, TIMEOUT).unwrap();
    outbound.post(url, HeaderMap::new(), Bytes::from_static(b"{}")).await
}

/// What is kept of an answer.
async fn reply(answer: impl Into<Vec<u8>>) -> Reply {
    let (address, _thread) = host(answer);
    post(&format!("http://{address}/")).await.unwrap()
}

#[tokio::test]
async fn a_delivery_is_posted_as_it_is_and_with_no_more_than_needed() {
    let (address, thread) = host_that(|mut stream| {
        let request = request(&mut stream);
        stream.write_all(b"HTTP/1.1 202 Accepted\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nok").unwrap();
        request
    });
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", "application/json"), ("webhook-id", "evt_1"), ("accept-encoding", "gzip")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let outbound = Outbound::for_deliveries(RELAXED, TIMEOUT).unwrap();
    let url = format!("http://{address}/hook?a=b");
    let reply = outbound.post(&url, headers, Bytes::from_static(b"{ }\n")).await.unwrap();
    assert_eq!(reply, Reply { status: 202, retry_after: Some("7".to_owned()), excerpt: "ok".to_owned() });

    let request = thread.join().unwrap().replace(&address.to_string(), "HOST");
    let (lines, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "{ }\n");
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "POST /hook?a=b HTTP/1.1",
            "accept-encoding: identity",
            "accept: */*",
            "content-length: 4",
            "content-type: application/json",
            "host: HOST",
            "user-agent: ShelfWise",
            "webhook-id: evt_1",
        ]
    );
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_redirect_is_followed() {
    let (listener, target) = listener();
    for status in [200, 204, 301, 302, 303, 307, 308, 401, 410, 429, 500, 599, 999] {
        let answer = format!(
            "HTTP/1.1 {status} Said\r\nlocation: http://{target}/\r\nrefresh: 0;url=http://{target}/\r\n\
             content-length: 0\r\n\r\n"
        );
        assert_eq!(reply(answer).await.status, status);
    }
    assert_untouched(&listener);
}

#[tokio::test]
async fn of_an_answer_its_beginning_is_kept_as_text() {
    let body = "ä".repeat(RESPONSE_BYTES_MAX);
    let excerpt = reply(ok(&body)).await.excerpt;
    assert_eq!(excerpt, body[..RESPONSE_BYTES_MAX]);
    assert_eq!(reply(ok("{\"error\":\t\"\0no\"}\r\n")).await.excerpt, "{\"error\":\t\"no\"}\n");
    let (address, _thread) = host_that(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbroken").unwrap();
    });
    assert_eq!(post(&format!("http://{address}/")).await.unwrap().excerpt, "broken");
    assert_eq!(reply("HTTP/1.1 204 No Content\r\n\r\nnothing").await.excerpt, "");
}

#[tokio::test]
async fn an_answer_is_not_inflated() {
    // 100,000 times `x`, compressed by gzip: nothing but zeros between these two ends.
    let (start, end) = ("1f8b0800000000000203edc13101000000c2a0da8b6f0d0fa0", "805703711107fea0860100");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let bomb = [bytes(start), vec![0; 132 - (start.len() + end.len()) / 2], bytes(end)].concat();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len()).into_bytes();
    answer.extend(bomb);
    let excerpt = reply(answer).await.excerpt;
    assert!(excerpt.starts_with('\u{fffd}') && !excerpt.contains("xx"), "{excerpt}");
}

#[tokio::test]
async fn a_retry_after_is_kept_where_it_is_short_text() {
    let check = async |value: &str, expected: Option<&str>| {
        let answer = format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(reply(answer).await.retry_after.as_deref(), expected, "{value}");
    };
    check("Sun, 06 Nov 1994 08:49:37 GMT", Some("Sun, 06 Nov 1994 08:49:37 GMT")).await;
    check("soon", Some("soon")).await;
    check(&"1".repeat(64), Some(&"1".repeat(64))).await;
    check(&"1".repeat(65), None).await;
    check("ü", None).await;
}

#[tokio::test]
async fn a_kept_connection_leads_to_the_address_that_was_judged() {
    // Every look-up after the first has an address that is refused.
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let rebinding = move |_| {
        let ip = if counter.fetch_add(1, Ordering::Relaxed) == 0 { [127, 0, 0, 1] } else { [10, 0, 0, 1] };
        std::future::ready(Ok(vec![IpAddr::from(ip)])).boxed()
    };
    let outbound = Outbound::for_deliveries_with_lookup(RELAXED, TIMEOUT, Arc::new(rebinding)).unwrap();
    let (address, thread) = host_that(|mut stream| {
        for answer in ["content-length: 1\r\n\r\n1", "connection: close\r\ncontent-length: 1\r\n\r\n2"] {
            request(&mut stream);
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{answer}").as_bytes()).unwrap();
        }
    });
    let url = format!("http://hooks.localhost:{}/", address.port());
    for expected in ["1", "2"] {
        let reply = outbound.post(&url, HeaderMap::new(), Bytes::new()).await.unwrap();
        assert_eq!(reply.excerpt, expected);
        // The connection's own task puts it back when the answer has been read.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 1, "the second delivery takes the connection of the first");
    thread.join().unwrap();
    let error = outbound.post(&url, HeaderMap::new(), Bytes::new()).await.unwrap_err();
    assert!(matches!(error, OutboundError::NoAddress), "{error:?}");
    assert_eq!(count.load(Ordering::Relaxed), 2, "a new connection takes a new look");
}
