//! Clients that dawdle, say too much or do not leave: what a connection may take, and how it ends.
//!
//! The routes are the tests' own: none needs a database, and one answers when the test says so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use futures_util::future::join_all;
use shelfwise::http::serve::{Limits, listen, serve_routes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Long for a computer. A test that waits for it has failed.
const LONG: Duration = Duration::from_secs(60);

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(250);

/// A port of this machine that is free.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SLOW_REQUEST: &str = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server with a route that answers at once and one that answers when it may.
struct Server {
    address: SocketAddr,
    /// One permit for each request to `/slow` that has begun.
    begun: Arc<Semaphore>,
    /// One permit for each request to `/slow` that may end.
    may_end: Arc<Semaphore>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begins, ends) = (Arc::clone(&begun), Arc::clone(&may_end));
        let slow = async move || {
            begins.add_permits(1);
            ends.acquire().await.unwrap().forget();
            "done"
        };
        let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let routes = Router::new().route("/", get(peer)).route("/slow", get(slow));
        let listener = listen(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            serve_routes(routes, listener, &limits, stop).await;
        });
        Self { address, begun, may_end, stop, running }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until a request to `/slow` is under way.
    async fn slow_has_begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }
}

#[tokio::test]
async fn many_who_come_at_once_all_find_room_before_anybody_is_let_in() {
    let listener = listen(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: who does not find room tries again for ever.
    let connecting = join_all((0..400).map(|_| TcpStream::connect(address)));
    let connected = tokio::time::timeout(LONG, connecting).await.unwrap();
    assert!(connected.iter().all(Result::is_ok));
}

/// Patient limits.
fn patient() -> Limits {
    Limits {
        first_head_timeout: LONG,
        next_head_timeout: LONG,
        drain_delay: Duration::ZERO,
        drain_timeout: LONG,
        connections_max: 100,
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads an answer whose body is announced, and leaves the connection open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed after {text:?}");
    }
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut text)).await.expect("the server does not close").unwrap();
    text
}

/// What a client may have sent of a head.
const BEGINNINGS: [&str; 3] = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "];

#[tokio::test]
async fn a_first_head_that_does_not_end_is_cut_off() {
    let server = Server::start(Limits { first_head_timeout: SHORT, ..patient() }).await;
    for beginning in BEGINNINGS {
        let mut stream = server.connect().await;
        send(&mut stream, beginning).await;
        assert_eq!(rest(&mut stream).await, "", "{beginning:?}");
    }
}

#[tokio::test]
async fn a_later_head_that_does_not_end_is_cut_off() {
    let server = Server::start(Limits { next_head_timeout: SHORT, ..patient() }).await;
    for beginning in BEGINNINGS {
        let mut stream = server.connect().await;
        send(&mut stream, REQUEST).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        send(&mut stream, beginning).await;
        assert_eq!(rest(&mut stream).await, "", "{beginning:?}");
    }
}

#[tokio::test]
async fn dripping_does_not_prolong_a_head() {
    let server = Server::start(Limits { first_head_timeout: SHORT, ..patient() }).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SHORT / 10);
        writer.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        // Ends when the server has closed.
        while writer.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    // A drip that crosses the end may be answered with a reset.
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(LONG, reader.read_to_end(&mut bytes)).await.expect("the server does not close");
    assert_eq!(bytes, b"");
    dripping.await.unwrap();
}

#[tokio::test]
async fn the_time_of_the_answer_is_not_the_heads() {
    let server = Server::start(Limits { first_head_timeout: SHORT, ..patient() }).await;
    let (mut idle, mut stream) = (server.connect().await, server.connect().await);
    send(&mut idle, REQUEST).await;
    answer(&mut idle).await;
    send(&mut stream, SLOW_REQUEST).await;
    server.slow_has_begun().await;
    // As long as it takes to cut off somebody who came later.
    assert_eq!(rest(&mut server.connect().await).await, "");
    server.may_end.add_permits(1);
    assert!(answer(&mut stream).await.ends_with("done"));
    // Nor is the time between requests the first head's.
    send(&mut idle, REQUEST).await;
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_large_head_is_431() {
    let server = Server::start(patient()).await;
    let of_size = |bytes: usize| {
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Large: ";
        format!("{head}{}\r\n\r\n", "x".repeat(bytes - head.len() - 4))
    };
    let ask = async |head: &str| {
        let mut stream = server.connect().await;
        send(&mut stream, head).await;
        rest(&mut stream).await
    };
    assert!(ask(&of_size(64 * 1024)).await.starts_with("HTTP/1.1 200 "));
    assert!(ask(&of_size(64 * 1024 + 1)).await.starts_with("HTTP/1.1 431 "));
    // Nobody waits for the end of one that is already too large.
    let endless = &of_size(70_000)[..64 * 1024];
    assert!(ask(endless).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn many_headers_are_431() {
    let server = Server::start(patient()).await;
    for (count, status) in [(100, "200"), (101, "431")] {
        let others: String = (2..count).map(|index| format!("X-{index}: x\r\n")).collect();
        let mut stream = server.connect().await;
        send(&mut stream, &format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{others}\r\n")).await;
        let text = rest(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{count} headers: {text}");
    }
}

#[tokio::test]
async fn a_request_knows_its_peer_and_a_connection_serves_many() {
    let server = Server::start(patient()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        send(&mut stream, REQUEST).await;
        assert!(answer(&mut stream).await.ends_with(&stream.local_addr().unwrap().to_string()));
    }
}

#[tokio::test]
async fn one_connection_too_many_waits_for_another_to_end() {
    let server = Server::start(Limits { connections_max: 1, ..patient() }).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    send(&mut second, REQUEST).await;
    for _ in 0..10 {
        send(&mut first, REQUEST).await;
        answer(&mut first).await;
    }
    let early = second.try_read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(std::io::ErrorKind::WouldBlock), "the second was served beside the first");
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_lets_a_request_under_way_finish() {
    let server = Server::start(patient()).await;
    let (mut unused, mut idle, mut busy) = (server.connect().await, server.connect().await, server.connect().await);
    send(&mut idle, REQUEST).await;
    answer(&mut idle).await;
    send(&mut busy, SLOW_REQUEST).await;
    server.slow_has_begun().await;

    server.stop.send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut unused).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "no new connection is taken");
    assert!(!server.running.is_finished());
    server.may_end.add_permits(1);
    let text = rest(&mut busy).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("done"), "{text}");
    assert!(text.contains("connection: close"), "the client is told: {text}");
    server.running.await.unwrap();
}

#[tokio::test]
async fn who_has_connected_before_the_end_is_served() {
    let server = Server::start(Limits { connections_max: 1, ..patient() }).await;
    let mut busy = server.connect().await;
    send(&mut busy, SLOW_REQUEST).await;
    server.slow_has_begun().await;
    // Both stand in the kernel's queue; one has asked, and one is about to.
    let (mut queued, mut slower) = (server.connect().await, server.connect().await);
    send(&mut queued, REQUEST).await;
    server.stop.send(()).unwrap();
    let text = rest(&mut queued).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("connection: close"), "{text}");
    send(&mut slower, REQUEST).await;
    assert!(rest(&mut slower).await.starts_with("HTTP/1.1 200 "));
    assert!(TcpStream::connect(server.address).await.is_err(), "no new connection is taken");
    server.may_end.add_permits(1);
    assert!(rest(&mut busy).await.ends_with("done"));
    server.running.await.unwrap();
}

#[tokio::test]
async fn until_the_delay_is_over_connections_are_taken_and_each_answer_is_the_last_of_its_own() {
    let delay = Duration::from_millis(1_500);
    let server = Server::start(Limits { drain_delay: delay, ..patient() }).await;
    let mut kept = server.connect().await;
    send(&mut kept, REQUEST).await;
    assert!(!answer(&mut kept).await.contains("connection: close"));
    let told_at = std::time::Instant::now();
    server.stop.send(()).unwrap();
    // The first answers may still be of before.
    while !{
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        send(&mut stream, REQUEST).await;
        answer(&mut stream).await.contains("connection: close")
    } {}
    send(&mut kept, REQUEST).await;
    assert!(rest(&mut kept).await.starts_with("HTTP/1.1 200 "), "a connection that was kept is served once more");
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(told_at.elapsed() >= delay, "{:?}", told_at.elapsed());
    server.running.await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = Server::start(Limits { drain_timeout: SHORT, ..patient() }).await;
    let mut busy = server.connect().await;
    send(&mut busy, SLOW_REQUEST).await;
    server.slow_has_begun().await;
    server.stop.send(()).unwrap();
    server.running.await.unwrap();
    assert_eq!(rest(&mut busy).await, "");
}
