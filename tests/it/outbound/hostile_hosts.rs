//! Endpoints that mean harm: whatever they do, a delivery ends, in time and with little in memory.

use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use shelfwise::outbound::{Outbound, OutboundError, RESPONSE_BYTES_MAX, Reply};

use super::host::{RELAXED, host_that, request};

/// How long a delivery may take where its host would have it last for ever.
const SHORT: Duration = Duration::from_millis(300);

/// Where a host ends that nobody has stopped.
const ENDLESS: usize = 1_000_000_000;

/// What a host may get rid of: what the client has in memory, and what the kernel has of it on both sides.
const SENT_MAX: usize = 20_000_000;

/// Posts to a host that answers so. Returns what came of it, and how much the host could send.
async fn attack(
    timeout: Duration,
    answer: impl FnOnce(&mut TcpStream) -> usize + Send + 'static,
) -> (Result<Reply, OutboundError>, usize) {
    let (address, thread) = host_that(move |mut stream| {
        request(&mut stream);
        answer(&mut stream)
    });
    let outbound = Outbound::for_deliveries(RELAXED, timeout).unwrap();
    let started = Instant::now();
    let url = format!("http://{address}/?key=secret");
    let result = outbound.post(&url, HeaderMap::new(), Bytes::from_static(b"{}")).await;
    assert!(started.elapsed() < timeout + Duration::from_secs(5), "it took {:?}", started.elapsed());
    if let Err(error) = &result {
        let texts = format!("{error} {error:?}");
        assert!(!texts.contains("secret"), "{texts}");
        assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    }
    // The client may be there still; its connection is not, or the host would go on.
    let sent = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    drop(outbound);
    (result, sent)
}

/// Sends the beginning and then the rest again and again, until the client hangs up.
fn repeat(stream: &mut TcpStream, beginning: &str, rest: &str) -> usize {
    let mut sent = 0;
    let mut next = beginning;
    while sent < ENDLESS && stream.write_all(next.as_bytes()).is_ok() {
        sent += next.len();
        next = rest;
    }
    sent
}

/// Sends a text and waits for the client to hang up.
fn stall(stream: &mut TcpStream, text: &str) -> usize {
    stream.write_all(text.as_bytes()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    text.len()
}

/// Sends the beginning and then the rest every few milliseconds, until the client hangs up.
fn drip(stream: &mut TcpStream, beginning: &str, rest: &str) -> usize {
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut sent = 0;
    let mut next = beginning;
    loop {
        let is_sent = stream.write_all(next.as_bytes()).is_ok();
        let is_open = stream.read(&mut [0]).is_err_and(|error| matches!(error.kind(), WouldBlock | TimedOut));
        if !is_sent || !is_open {
            return sent;
        }
        sent += next.len();
        next = rest;
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_closed() {
    let kilobyte = "x".repeat(1_000);
    let chunk = format!("3e8\r\n{kilobyte}\r\n");
    for (encoding, rest) in [("x-y: z", kilobyte), ("transfer-encoding: chunked", chunk)] {
        let beginning = format!("HTTP/1.1 200 OK\r\n{encoding}\r\n\r\n");
        let (result, sent) = attack(Duration::from_secs(30), move |stream| repeat(stream, &beginning, &rest)).await;
        assert_eq!(result.unwrap().excerpt, "x".repeat(RESPONSE_BYTES_MAX));
        assert!(sent < SENT_MAX, "{sent}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_ends_with_the_time_and_the_status_stands() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart";
    // Enough for the status to come on a busy machine.
    let (result, _) = attack(Duration::from_secs(2), move |stream| stall(stream, answer)).await;
    assert_eq!(result.unwrap(), Reply { status: 200, retry_after: None, excerpt: "part".to_owned() });
}

#[tokio::test]
async fn a_host_that_does_not_come_to_its_status_is_out_of_time() {
    for answer in ["", "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\nx-a: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let (result, _) = attack(SHORT, move |stream| stall(stream, answer)).await;
        assert!(matches!(result, Err(OutboundError::Timeout)), "{answer}: {result:?}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_not_read_to_it() {
    let beginning = "HTTP/1.1 200 OK\r\nx-a: b";
    for rest in ["x".repeat(1_000), "\r\nx-a: b".repeat(100)] {
        let (result, sent) = attack(Duration::from_secs(30), move |stream| repeat(stream, beginning, &rest)).await;
        assert!(matches!(result, Err(OutboundError::Transport(_))), "{result:?}");
        assert!(sent < SENT_MAX, "{sent}");
    }
}

#[tokio::test]
async fn a_host_that_always_has_a_little_more_is_out_of_time() {
    // Announcements of an answer, of which the client takes any number, and a header that grows.
    for (beginning, rest) in [("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"), ("HTTP/1.1 200 OK\r\nx-a: ", "x")]
    {
        let (result, _) = attack(SHORT, move |stream| drip(stream, beginning, rest)).await;
        assert!(matches!(result, Err(OutboundError::Timeout)), "{result:?}");
    }
    let beginning = "HTTP/1.1 200 OK\r\n\r\n";
    let (result, _) = attack(Duration::from_secs(2), move |stream| drip(stream, beginning, "x")).await;
    let reply = result.unwrap();
    assert!(reply.status == 200 && (1..RESPONSE_BYTES_MAX).contains(&reply.excerpt.len()), "{reply:?}");
}

#[tokio::test]
async fn what_is_not_http_is_one_failure_whatever_it_is() {
    for answer in ["", "\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/9.9 200 OK\r\n\r\n", "\x16\x03\x01\x02", "200 OK"] {
        let (result, _) = attack(Duration::from_secs(30), move |stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            0
        })
        .await;
        let error = result.unwrap_err();
        assert!(matches!(error, OutboundError::Transport(_)), "{answer}: {error:?}");
        assert_eq!(error.to_string(), "the host could not be asked by HTTP");
    }
}
