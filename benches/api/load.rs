//! A load of requests on kept connections: as little client as there can be, so that the server gets the processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request, ready to be written.
#[derive(Clone)]
pub struct Request(Arc<[u8]>);

impl Request {
    pub fn graphql(query: &str, token: &str) -> Self {
        Self::body(&serde_json::json!({ "query": query }).to_string(), &format!("Authorization: Bearer {token}"))
    }

    /// A request that shows nothing and names a shop.
    pub fn named(query: &str, slug: &str) -> Self {
        Self::body(&serde_json::json!({ "query": query }).to_string(), &format!("X-Tenant: {slug}"))
    }

    /// A request with a body as it is.
    pub fn body(body: &str, header: &str) -> Self {
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Type: application/json\r\n\
             Accept: application/graphql-response+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self([head.as_bytes(), body.as_bytes()].concat().into())
    }
}

/// How long each request took.
pub struct Load(Vec<Duration>);

impl Load {
    /// Sends requests at random from so many clients for so long.
    pub async fn run(port: u16, requests: &[Request], clients: usize, duration: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..clients)
            .map(|client| tokio::spawn(client_loop(port, requests.to_vec(), Arc::clone(&stop), client as u64 + 1)))
            .collect();
        tokio::time::sleep(duration).await;
        stop.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        latencies.sort_unstable();
        Self(latencies)
    }

    /// Sends each request once, from so many clients that each take the next.
    pub async fn each(port: u16, requests: Vec<Request>, clients: usize) -> Self {
        let (requests, next) = (Arc::<[Request]>::from(requests), Arc::<AtomicUsize>::default());
        let tasks: Vec<_> =
            (0..clients).map(|_| tokio::spawn(client_each(port, Arc::clone(&requests), Arc::clone(&next)))).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        latencies.sort_unstable();
        Self(latencies)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn quantile(&self, quantile: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * quantile) as usize]
    }
}

async fn client_loop(port: u16, requests: Vec<Request>, stop: Arc<AtomicBool>, seed: u64) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut latencies = Vec::with_capacity(100_000);
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while !stop.load(Ordering::Relaxed) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let request = &requests[(random >> 33) as usize % requests.len()];
        latencies.push(timed(&mut stream, request, &mut buffer).await);
    }
    latencies
}

async fn client_each(port: u16, requests: Arc<[Request]>, next: Arc<AtomicUsize>) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut latencies, mut buffer) = (Vec::new(), Vec::new());
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        latencies.push(timed(&mut stream, request, &mut buffer).await);
    }
    latencies
}

/// How long a request took that must succeed.
async fn timed(stream: &mut TcpStream, request: &Request, buffer: &mut Vec<u8>) -> Duration {
    let started = Instant::now();
    let (status, body) = exchange(stream, request, buffer).await;
    assert_eq!(status, 200);
    assert!(!body.windows(8).any(|window| window == b"\"errors\""), "{}", String::from_utf8_lossy(body));
    started.elapsed()
}

/// Sends a request and reads its answer; both sides keep the connection.
pub async fn exchange<'a>(stream: &mut TcpStream, request: &Request, buffer: &'a mut Vec<u8>) -> (u16, &'a [u8]) {
    stream.write_all(&request.0).await.unwrap();
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server closed the connection");
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
        let status = text["http/1.1 ".len()..][..3].parse().unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let end = head + 4 + length.parse::<usize>().unwrap();
        while buffer.len() < end {
            assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server closed the connection");
        }
        return (status, &buffer[head + 4..end]);
    }
}

/// Sends attacks one after the other until told to stop, and answers how many were refused.
pub async fn attack(port: u16, attacks: Vec<Request>, stop: Arc<AtomicBool>) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut buffer, mut refused) = (Vec::new(), 0);
    for attack in attacks.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        assert_eq!(exchange(&mut stream, attack, &mut buffer).await.0, 400);
        refused += 1;
    }
    refused
}

/// Sends a request so many times, whatever is answered.
pub async fn repeat(port: u16, request: &Request, times: usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut buffer = Vec::new();
    for _ in 0..times {
        exchange(&mut stream, request, &mut buffer).await;
    }
}

/// Statements and round trips of a request, by the server's own counters around a warm one.
pub async fn sql_counts(port: u16, request: &Request) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut buffer = Vec::new();
    exchange(&mut stream, request, &mut buffer).await;
    let metrics = Request(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice().into());
    let mut sums = Vec::new();
    for _ in 0..2 {
        let text = String::from_utf8(exchange(&mut stream, &metrics, &mut buffer).await.1.to_vec()).unwrap();
        let sum = |family: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{family}_sum "))).unwrap();
            line.parse::<f64>().unwrap() as u64
        };
        sums.push((sum("shelfwise_sql_statements_per_operation"), sum("shelfwise_sql_round_trips_per_operation")));
        exchange(&mut stream, request, &mut buffer).await;
    }
    (sums[1].0 - sums[0].0, sums[1].1 - sums[0].1)
}
