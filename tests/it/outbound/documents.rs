//! JSON documents of a tenant's identity provider: what a hostile host or name cannot make the server do.

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use serde_json::json;
use shelfwise::outbound::{Outbound, OutboundError, Policy, UrlRefusal};

use super::host::{RELAXED, STRICT, assert_untouched, host, listener, lookup, ok};

/// Bytes of an answer at most.
const BYTES_MAX: usize = 100;

/// A client for whom every name has these addresses.
fn outbound_of(policy: Policy, ips: &[[u8; 4]]) -> Outbound {
    Outbound::with_lookup(policy, lookup(ips)).unwrap()
}

async fn refusal(outbound: &Outbound, url: &str) -> OutboundError {
    outbound.get_json(url, BYTES_MAX).await.unwrap_err()
}

#[tokio::test]
async fn a_document_is_asked_for_with_no_more_than_needed() {
    let (address, thread) = host(ok(r#"{"keys":[]}"#));
    let url = format!("http://{address}/jwks?a=b");
    assert_eq!(Outbound::new(RELAXED).unwrap().get_json(&url, BYTES_MAX).await.unwrap(), json!({ "keys": [] }));
    let request = thread.join().unwrap().0.replace(&address.to_string(), "HOST");
    let mut lines: Vec<_> = request.trim_end().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GET /jwks?a=b HTTP/1.1", "accept: application/json", "host: HOST", "user-agent: ShelfWise"]);
}

#[tokio::test]
async fn only_development_calls_its_own_machine() {
    let (listener, address) = listener();
    let strict = Outbound::new(STRICT).unwrap();
    let port = address.port();
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/"), UrlRefusal::Scheme),
        (format!("http://localhost:{port}/"), UrlRefusal::Scheme),
        (format!("https://127.0.0.1:{port}/"), UrlRefusal::Host),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), UrlRefusal::Host),
        (format!("https://localhost:{port}/"), UrlRefusal::Host),
    ] {
        let error = refusal(&strict, &url).await;
        assert!(matches!(error, OutboundError::Url(refusal) if refusal == expected), "{url}: {error:?}");
    }
    assert_untouched(&listener);

    let (address, _) = host(ok("1"));
    let relaxed = Outbound::new(RELAXED).unwrap();
    assert_eq!(relaxed.get_json(&format!("http://localhost:{}/", address.port()), 1).await.unwrap(), json!(1));
}

#[tokio::test]
async fn a_name_that_turns_to_a_private_address_is_not_called() {
    // What counts is the look-up that the call is made by, not one before it.
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let rebinding = move |_| {
        let ip = if counter.fetch_add(1, Ordering::Relaxed) == 0 { [127, 0, 0, 1] } else { [10, 0, 0, 1] };
        std::future::ready(Ok(vec![IpAddr::from(ip)])).boxed()
    };
    let outbound = Outbound::with_lookup(RELAXED, Arc::new(rebinding)).unwrap();
    // The host would serve on the same connection, were it kept.
    let (address, _thread) = host(ok("1"));
    let url = format!("http://keys.localhost:{}/", address.port());
    assert_eq!(outbound.get_json(&url, BYTES_MAX).await.unwrap(), json!(1));
    assert!(matches!(refusal(&outbound, &url).await, OutboundError::NoAddress));
    assert_eq!(count.load(Ordering::Relaxed), 2, "a call looks up once, and each anew");

    let (listener, address) = listener();
    let url = format!("https://keys.example:{}/", address.port());
    for ips in [&[][..], &[[127, 0, 0, 1]], &[[10, 0, 0, 1], [169, 254, 169, 254], [127, 0, 0, 1]]] {
        assert!(matches!(refusal(&outbound_of(STRICT, ips), &url).await, OutboundError::NoAddress), "{ips:?}");
    }
    assert_untouched(&listener);
}

#[tokio::test]
async fn of_a_names_addresses_only_those_are_tried_that_may_be_called() {
    // Were 10.0.0.1 tried, the call would wait for it first.
    let (address, _) = host(ok("1"));
    let url = format!("http://keys.localhost:{}/", address.port());
    let outbound = outbound_of(RELAXED, &[[10, 0, 0, 1], [127, 0, 0, 1]]);
    assert_eq!(outbound.get_json(&url, BYTES_MAX).await.unwrap(), json!(1));
    assert!(matches!(refusal(&outbound_of(RELAXED, &[[10, 0, 0, 1]]), &url).await, OutboundError::NoAddress));
}

#[tokio::test]
async fn a_redirect_is_a_failure() {
    let (listener, target) = listener();
    let (address, _) = host(format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n"));
    let error = refusal(&Outbound::new(RELAXED).unwrap(), &format!("http://{address}/")).await;
    assert!(matches!(error, OutboundError::Status(302)), "{error:?}");
    assert_untouched(&listener);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let text = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
    // Neither of the two parts is too long by itself.
    let chunked = |len: usize| {
        let text = text(len);
        let (one, two) = text.split_at(len / 2);
        let chunks = [one, two, ""].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunks.concat())
    };
    let until_closed = |len: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}", text(len));
    let outbound = Outbound::new(RELAXED).unwrap();
    for (is_within, answer) in [
        (true, ok(&text(BYTES_MAX))),
        (true, chunked(BYTES_MAX)),
        (true, until_closed(BYTES_MAX)),
        (false, ok(&text(BYTES_MAX + 1))),
        (false, chunked(BYTES_MAX + 1)),
        (false, until_closed(1_000_000)),
    ] {
        let (address, _) = host(answer);
        match outbound.get_json(&format!("http://{address}/"), BYTES_MAX).await {
            Ok(_) => assert!(is_within),
            Err(error) => assert!(!is_within && matches!(error, OutboundError::TooLong(BYTES_MAX)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn failures_tell_what_failed_and_nothing_of_the_answer() {
    let outbound = Outbound::new(RELAXED).unwrap();
    let check = async |answer: String, expected: &str| {
        let (address, _) = host(answer);
        let error = refusal(&outbound, &format!("http://{address}/?key=secret")).await;
        assert_eq!(error.to_string(), expected);
        let details = format!("{error:?}");
        assert!(!details.contains("secret"), "{details}");
    };
    check(ok("{\"secret\""), "the host's answer is not JSON").await;
    check(ok(""), "the host's answer is not JSON").await;
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 6\r\n\r\nsecret");
    check(status("404 Not Found"), "the host answered with status 404 instead of 200").await;
    check(status("206 Partial Content"), "the host answered with status 206 instead of 200").await;
    check("secret".to_owned(), "the host could not be asked by HTTP").await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsecret".to_owned(), "the host could not be asked by HTTP").await;
}

#[tokio::test]
async fn a_host_that_speaks_no_tls_is_not_spoken_to_in_clear() {
    let (listener, address) = listener();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4_096];
        let count = stream.read(&mut buffer).unwrap();
        stream.write_all(ok("1").as_bytes()).unwrap();
        buffer[..count].to_vec()
    });
    let url = format!("https://keys.example:{}/secret", address.port());
    let error = refusal(&outbound_of(RELAXED, &[[127, 0, 0, 1]]), &url).await;
    assert!(matches!(error, OutboundError::Transport(_)), "{error:?}");
    // The first byte of a record that shakes hands: RFC 8446, section 5.1.
    assert_eq!(thread.join().unwrap()[0], 22);
}
