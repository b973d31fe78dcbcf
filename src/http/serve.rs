//! Listening, and stopping without breaking off what is under way.
//!
//! The loop is ours and not `axum::serve`, which waits for its clients without an end. What a request may ask, and how
//! long its body and its operation may take, is decided in [`super::graphql`]. Nobody decides how long a client may take
//! to read its answer.

use std::convert::Infallible;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::routing::future::RouteFuture;
use futures_util::future::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::router::router;
use crate::app::App;

/// How long requests and operations of sockets that are under way may go on after the signal to stop.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long sockets may take to close after that.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a client may take from the opening of a connection to the end of its first head.
const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take from the end of an answer to the end of the next head.
///
/// Longer than the 60 seconds for which the usual proxies keep connections, so that they and not we close them: what a
/// proxy sends while we close is lost, and a mutation is not sent twice.
const NEXT_HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The most bytes of a request's line and headers, and of what is read ahead or written behind on a connection.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;

/// How many connections the kernel opens for us that were not accepted yet; it has a bound of its own, `somaxconn`.
///
/// A client whose connection does not fit tries again after a second. The usual 128 is less than the clients of one shop open at
/// once when they come back, and everybody's connections stand in that queue.
const BACKLOG: u32 = 4096;

/// How long a client that has connected may take to ask once the server takes no more connections: what it has sent may be on its way.
const NEWCOMERS_GRACE: Duration = Duration::from_secs(1);

/// How long to wait after a connection could not be accepted for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How much patience and room clients get. A test has less of both.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the opening of a connection to the end of the first head.
    pub first_head_timeout: Duration,
    /// From the end of an answer to the end of the next head.
    pub next_head_timeout: Duration,
    /// From the signal to stop to the end of new connections.
    pub drain_delay: Duration,
    /// From there to the breaking off of what is still under way.
    pub drain_timeout: Duration,
    /// Connections at a time.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_head_timeout: FIRST_HEAD_TIMEOUT,
            next_head_timeout: NEXT_HEAD_TIMEOUT,
            drain_delay: Duration::ZERO,
            drain_timeout: DRAIN_TIMEOUT,
            connections_max: CONNECTIONS_MAX,
        }
    }
}

/// Binds the address of the configuration.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(app: &App) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((app.config.http.host, app.config.http.port));
    listen(address).with_context(|| format!("cannot listen on {address}"))
}

/// Listens, with room for many who come at once.
///
/// # Errors
/// The address is taken or not ours.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a server that was stopped could not be started again while its connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` resolves, then finishes what is under way.
///
/// From the signal on it is not ready. For the delay of the configuration it goes on as before, but that each answer closes its
/// connection: whoever sends it requests is to notice that others are to have them. Then it takes no more connections.
///
/// # Errors
/// A defect: what goes wrong with a connection ends that connection.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (live, health) = (app.live.clone(), app.services.health.clone());
    let limits = Limits { drain_delay: app.config.health.drain_delay, ..Limits::default() };
    let stop = {
        let health = health.clone();
        let told = async move {
            stop.await;
            health.stop();
        };
        told.boxed().shared()
    };
    let (running, is_running) = watch::channel(());
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let counting = tokio::spawn(app.services.usage.clone().keep(is_running));
    // Sockets are no requests any more, and have the same time.
    let sockets = async {
        stop.clone().await;
        tokio::time::sleep(limits.drain_delay).await;
        // Whoever looks on would do so for ever.
        live.stop();
        if tokio::time::timeout(limits.drain_timeout + SOCKETS_TIMEOUT, live.emptied()).await.is_err() {
            tracing::warn!(sockets = live.taken(), "Broke off sockets that did not close");
        }
    };
    let routes = serve_routes(router(app), listener, &limits, stop.clone());
    tokio::select! {
        ((), ()) = futures_util::future::join(routes, sockets) => {}
        never = health.keep() => match never {},
    }
    // What the last requests have used is written down when they are through.
    drop(running);
    counting.await.context("the counting of what goes away")?;
    Ok(())
}

/// Serves routes within limits until `stop` resolves, then finishes what is under way.
pub async fn serve_routes(routes: Router, listener: TcpListener, limits: &Limits, stop: impl Future<Output = ()>) {
    let http = http(limits);
    // Says nothing but its end, by which connections learn that they are to finish.
    let (running, _) = watch::channel(());
    let mut connections = JoinSet::new();
    let is_leaving = Arc::<AtomicBool>::default();
    let attended = |stream: TcpStream, peer: SocketAddr| {
        let has_asked = Arc::<AtomicBool>::default();
        let (routes, is_leaving) = (routes.clone(), Arc::clone(&is_leaving));
        let asker = Asker { routes, peer, has_asked: Arc::clone(&has_asked), is_leaving };
        let connection = http.serve_connection(TokioIo::new(stream), asker).with_upgrades();
        attend(connection, FirstHead { timeout: limits.first_head_timeout, has_asked }, running.subscribe())
    };
    let mut leave = pin!(async {
        stop.await;
        is_leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(limits.drain_delay).await;
    });
    loop {
        tokio::select! {
            (stream, peer) = accept(&listener), if connections.len() < limits.connections_max => {
                connections.spawn(attended(stream, peer));
            }
            Some(ended) = connections.join_next() => log_panic(ended),
            () = &mut leave => break,
        }
    }
    // Whoever connects from here on is turned away at once. Whoever has connected before is served: closing the queue would break
    // them off.
    for (stream, peer) in queued(listener) {
        connections.spawn(attended(stream, peer));
    }
    tracing::info!("Stopping: no new connections, finishing what is under way");
    drop(running);
    drain(connections, limits.drain_timeout).await;
}

/// Resolves at Ctrl-C or SIGTERM.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The requests of one connection, and who is at its other end.
struct Asker {
    routes: Router,
    peer: SocketAddr,
    has_asked: Arc<AtomicBool>,
    /// Whether the server was told to stop.
    is_leaving: Arc<AtomicBool>,
}

/// An answer that is the last of its connection where the server was told to stop in the meantime.
struct Parting {
    answer: RouteFuture<Infallible>,
    is_leaving: Arc<AtomicBool>,
}

/// Until when a connection's first request must be there, and whether it is.
struct FirstHead {
    timeout: Duration,
    has_asked: Arc<AtomicBool>,
}

impl Service<Request<Incoming>> for Asker {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Parting;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.has_asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        // Routes are always ready, and a clone of them counts one reference.
        let answer = tower_service::Service::call(&mut self.routes.clone(), request);
        Parting { answer, is_leaving: Arc::clone(&self.is_leaving) }
    }
}

impl Future for Parting {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Ok(mut answer) = ready!(Pin::new(&mut self.answer).poll(context));
        // A connection that becomes a socket is told to close in its own words.
        if self.is_leaving.load(Ordering::Relaxed) && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(answer))
    }
}

/// How HTTP is spoken.
///
/// More than 100 headers are refused too, with 431. That is the default, and setting it would cost an allocation for
/// each request.
fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.next_head_timeout)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(true)
        .half_close(false);
    http
}

/// The next connection.
///
/// May be given up at any time: nothing is lost. If a connection ends during the pause, so does the pause, and rightly:
/// what was wanting may have been what the connection had.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    // Ends with a connection. It turns only as often as clients give up or pauses pass.
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole; to wait for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "Could not set TCP_NODELAY");
                }
                return (stream, peer);
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {
                tracing::debug!(%error, "A client gave up before its connection was accepted");
            }
            Err(error) => {
                tracing::error!(%error, "Cannot accept connections; trying again in {ACCEPT_PAUSE:?}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Those who have connected and were not taken yet, and the end of the queue that they stand in.
fn queued(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut streams = Vec::new();
    // Without the runtime, which may not have heard yet that somebody stands there.
    let Ok(listener) = listener.into_std() else { return streams };
    while streams.len() < BACKLOG as usize {
        match listener.accept() {
            Ok((stream, peer)) => {
                let taken = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
                streams.extend(taken.and_then(|()| TcpStream::from_std(stream)).map(|stream| (stream, peer)));
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            // Nobody is left.
            Err(_) => break,
        }
    }
    streams
}

/// Serves a connection until its client leaves or dawdles, or until the server stops and nothing is under way on it.
async fn attend(
    connection: http1::UpgradeableConnection<TokioIo<TcpStream>, Asker>,
    first_head: FirstHead,
    mut running: watch::Receiver<()>,
) {
    let mut connection = pin!(connection);
    let mut overdue = pin!(tokio::time::sleep(first_head.timeout));
    let mut is_stopping = false;
    // Each of the other two branches is taken once, and then the connection's end remains.
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            _ = running.changed(), if !is_stopping => {
                is_stopping = true;
                if first_head.has_asked.load(Ordering::Relaxed) {
                    connection.as_mut().graceful_shutdown();
                } else {
                    let grace = tokio::time::Instant::now() + NEWCOMERS_GRACE;
                    let end = overdue.deadline().min(grace);
                    overdue.as_mut().reset(end);
                }
            }
            () = overdue.as_mut(), if !overdue.is_elapsed() => {
                if !first_head.has_asked.load(Ordering::Relaxed) {
                    tracing::debug!("Ended a connection whose first request did not come");
                    return;
                }
            }
        }
    };
    // A client that breaks off or dawdles is no failure of ours.
    if let Err(error) = ended {
        tracing::debug!(%error, "Ended a connection");
    }
}

/// A handler's panic ends its connection and nothing else.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "A connection ended in a panic");
    }
}

/// Waits for connections that have been told to finish, and breaks off those that do not in time.
async fn drain(mut connections: JoinSet<()>, drain_timeout: Duration) {
    let finished = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(drain_timeout, finished).await.is_err() {
        tracing::warn!("Broke off requests that were still under way after {drain_timeout:?}");
        connections.shutdown().await;
    }
}
