//! Hosts and names of a test's own.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use shelfwise::outbound::{Lookup, Policy};

pub const STRICT: Policy = Policy { allow_loopback: false };
pub const RELAXED: Policy = Policy { allow_loopback: true };

pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A host that takes one connection and does with it what the test has it do. What it returns comes with the handle.
pub fn host_that<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let (listener, address) = listener();
    (address, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// A host that takes one request, answers and tells what it was asked. The connection lives as long as the handle.
pub fn host(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<(String, TcpStream)>) {
    let answer = answer.into();
    host_that(move |mut stream| {
        let request = request(&mut stream);
        // The client hangs up when it has seen enough.
        stream.write_all(&answer).ok();
        (request, stream)
    })
}

/// Reads a request with its body: a host that hangs up with some of it unread may take its own answer back.
pub fn request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut reader = BufReader::new(stream);
    while !request.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut request).unwrap(), 0, "a request's head ends in an empty line");
    }
    let len =
        request.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    request + std::str::from_utf8(&body).unwrap()
}

pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Nobody has connected: the kernel would hold the connection ready.
pub fn assert_untouched(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// A DNS in which every name has these addresses.
pub fn lookup<A: Copy + Into<IpAddr>>(ips: &[A]) -> Lookup {
    let ips: Vec<IpAddr> = ips.iter().map(|ip| (*ip).into()).collect();
    Arc::new(move |_| std::future::ready(Ok(ips.clone())).boxed())
}
