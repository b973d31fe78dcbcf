//! GraphQL over WebSocket, by the protocol `graphql-transport-ws`.
//!
//! A socket is one task: what is read, the operations under way and what is written take turns in it. An answer waits for the one
//! before to be written, and so a subscription whose client is slow looks less often and has nothing piled up; who does not read at
//! all is closed. The credential is shown once, and asked for again at every look and whenever something is told of it. Whoever has
//! not shown it waits in a room of its own, and takes a seat when it was found good. Where the server stops nothing more is read, and
//! the socket is closed when what is under way has been answered; who looks on is told no more.

mod conversation;
mod message;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, State};
use axum::http::{Request, Response};
use futures_util::sink::SinkExt as _;
use futures_util::stream::{SplitSink, StreamExt as _};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::accept::MediaType;
use super::client_address::client_address;
use super::observe::RequestId;
use super::watched::{Asker, Plane};
use super::{answer, credentials};
use crate::app::App;
use crate::graphql::{ApiError, ErrorCode, Origin};
use crate::live::Seat;
use crate::telemetry::frames;
use conversation::Conversation;
use message::{Close, PROTOCOL};

/// The most bytes of a message. A catalogue to import goes by POST.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that a socket reads ahead, and gathers before it writes. It keeps them for as long as it lasts.
const BUFFER_BYTES: usize = 4 * 1024;

/// Messages that wait to be written, at most.
const OUTBOX_MAX: usize = 16;

/// How long the last words may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// `/graphql/ws`: the tenants' API.
pub async fn tenant(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    open(app, Plane::Tenant, request).await
}

/// `/admin/graphql/ws`: the operators' API.
pub async fn admin(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    open(app, Plane::Admin, request).await
}

async fn open(app: Arc<App>, plane: Plane, request: Request<Body>) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let request_id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
    let refuse = |error| answer::refused(error, MediaType::Json, request_id.as_str(), &app.metrics);
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return refuse(ApiError::bad_request("Open a WebSocket here, with the subprotocol `graphql-transport-ws`."));
    };
    let address = client_address(&parts.extensions, &parts.headers, &app.config.http.trusted_proxies);
    let Ok(seat) = app.live.wait(address) else {
        let message = "This server has no room for another socket; try again shortly.";
        return refuse(ApiError::new(ErrorCode::ServiceUnavailable, message));
    };
    let asker = Asker {
        origin: Origin { address, request_id: request_id.shared() },
        headers: credentials::kept_of_socket(&parts.headers),
        uri: parts.uri,
        place: None,
        app,
        plane,
    };
    // It is opened in a task of its own, which stands in no frame, and its request has been answered by then.
    let frame = frames::lasting();
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_failed_upgrade(|error| tracing::debug!(%error, "A socket did not come about"))
        .on_upgrade(move |socket| attend(socket, asker, seat).instrument(frame))
}

/// Attends to a socket from its opening to its end. The seat is given up last: a server that stops waits for it.
async fn attend(socket: WebSocket, asker: Asker, mut seat: Seat) {
    let app = Arc::clone(&asker.app);
    let counted = app.metrics.live.count_socket();
    let patience = &app.config.sockets;
    let is_right = socket.protocol().is_some();
    let (sink, frames) = socket.split();
    let (out, outbox) = mpsc::channel(OUTBOX_MAX);
    let mut writing = Box::pin(write(sink, outbox, patience.slow_timeout));
    let conversing = async {
        if is_right {
            Conversation::new(asker, &mut seat, out.clone()).hold(frames, patience.init_timeout).await
        } else {
            Close::WrongProtocol
        }
    };
    let close = tokio::select! {
        close = conversing => close,
        sink = &mut writing => {
            // It is not read, so this is not either, most likely.
            if let Some(mut sink) = sink {
                let _ = timeout(CLOSE_TIMEOUT, sink.send(Close::Slow.frame())).await;
            }
            counted.closed(Close::Slow.code(), Close::Slow.cause());
            return;
        }
    };
    counted.closed(close.code(), close.cause());
    tracing::debug!(socket.code = close.code(), "Closed a socket");
    if close != Close::Gone {
        // Behind what was said before.
        let last_words = async {
            let _ = out.send(close.frame()).await;
            drop(out);
        };
        let _ = timeout(CLOSE_TIMEOUT, futures_util::future::join(last_words, writing)).await;
    }
}

/// Writes what there is to say. Answers the sink where the client does not read, and nothing where all was said.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outbox: Receiver<Message>,
    slow: Duration,
) -> Option<SplitSink<WebSocket, Message>> {
    while let Some(message) = outbox.recv().await {
        match timeout(slow, sink.send(message)).await {
            Ok(Ok(())) => {}
            // It is gone, which reading finds out as well.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return Some(sink),
        }
    }
    let _ = sink.close().await;
    None
}
