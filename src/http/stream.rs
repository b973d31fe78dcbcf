//! GraphQL over server-sent events, in distinct connections mode: one request, one operation, its answers as events.
//!
//! What is refused before anything is executed is answered as over `/graphql`. A stream that a restart or an ending credential
//! breaks off has no event `complete`, so that its client asks again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response as GraphqlResponse;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::Instrument as _;

use super::accept::MediaType;
use super::client_address::client_address;
use super::graphql::{Read, outcome_of_unread, read};
use super::observe::RequestId;
use super::refused::Refused;
use super::watched::{Asker, Opened, Plane, Watched};
use super::{answer, credentials};
use crate::app::App;
use crate::graphql::{ApiError, ErrorCode, Origin};
use crate::kernel::actor::Principal;
use crate::kernel::tenant::TenantCtx;
use crate::live::{Full, Seat};
use crate::telemetry::frames;

/// The media type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";

/// The pause between two comments that say that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// What an operation has to say, and the seat that it is said from.
struct Stream {
    app: Arc<App>,
    request_id: RequestId,
    watched: Box<Watched>,
    out: Sender<Bytes>,
    /// Until when the credential is good, if it has an end.
    remaining: Option<Duration>,
    /// Ends when the client may not look on any more.
    lost: BoxFuture<'static, ApiError>,
    _seat: Seat,
}

/// `/graphql/stream`: the tenants' API, as events.
pub async fn tenant(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    match open(&app, request, &request_id).await {
        Ok(response) => response,
        Err(refused) => refuse(&app, refused, &request_id),
    }
}

fn refuse(app: &App, refused: Refused, request_id: &RequestId) -> Response<Body> {
    let (id, media_type) = (request_id.as_str(), MediaType::GraphqlResponse);
    match refused {
        Refused::Request(error) if error.code == ErrorCode::MethodNotAllowed => {
            answer::not_allowed(error, media_type, id, &app.metrics)
        }
        Refused::Request(error) => answer::refused(error, media_type, id, &app.metrics),
        Refused::Limited(response) => answer::not_now(*response, media_type, id, &app.metrics),
        refused => answer::executed(refused.into_response(), media_type, id, &app.metrics),
    }
}

/// Who was let in, and what is asked for.
struct Entered {
    asker: Asker,
    tenant: Arc<TenantCtx>,
    principal: Principal,
    seat: Seat,
    read: Read,
}

/// Lets a request in. One that is refused is counted as an operation, as it would be at `/graphql`.
async fn enter(app: &Arc<App>, request: Request<Body>, request_id: &RequestId) -> Result<Entered, ApiError> {
    let count = |outcome| app.operations.begin(Plane::Tenant).end(outcome);
    let refused = |error: &ApiError| count(answer::outcome_of(error.code));
    check_accept(request.headers()).inspect_err(refused)?;
    let address = client_address(request.extensions(), request.headers(), &app.config.http.trusted_proxies);
    let asker = Asker {
        app: Arc::clone(app),
        plane: Plane::Tenant,
        origin: Origin { address, request_id: request_id.shared() },
        headers: request.headers().clone(),
        uri: request.uri().clone(),
        place: None,
    };
    let (tenant, principal) = credentials::tenant(&asker).await.inspect_err(refused)?;
    // Before the body, which may take long to come; and after the credential, so that strangers take none.
    let seat = app.live.seat(Some(tenant.id)).map_err(no_seat).inspect_err(refused)?;
    let read = read(app, request, request_id).await.inspect_err(|error| count(outcome_of_unread(error)))?;
    Ok(Entered { asker, tenant, principal, seat, read })
}

async fn open(app: &Arc<App>, request: Request<Body>, request_id: &RequestId) -> Result<Response<Body>, Refused> {
    let Entered { asker, tenant, principal, seat, read } = enter(app, request, request_id).await?;
    let Read { by_get, body_bytes, sent, operation, .. } = read;
    let remaining = credentials::remaining(&asker);
    let ear = app.live.listen(tenant.id, &tenant.slug, credentials::standing(&principal));
    let staying = Asker { headers: credentials::kept(&asker.headers), ..asker.clone() };
    let lost = credentials::lost(staying, Some(ear)).boxed();
    let (watched, first) = match asker.open(sent, operation, (by_get, body_bytes)).await? {
        Opened::Once(response) if !answer::has_data(&response) => {
            return Ok(answer::executed(response, MediaType::GraphqlResponse, request_id.as_str(), &app.metrics));
        }
        Opened::Once(response) => {
            let events = [next(app, response, request_id), COMPLETE.into()];
            return Ok(response_of(Body::from(events.concat())));
        }
        // Not executed: it is as any other operation that was not.
        Opened::Watched(_, Some(first)) if !answer::has_data(&first) => {
            return Ok(answer::executed(first, MediaType::GraphqlResponse, request_id.as_str(), &app.metrics));
        }
        Opened::Watched(watched, first) => (watched, first),
    };
    let (out, events) = mpsc::channel(1);
    let stream =
        Stream { app: Arc::clone(app), request_id: request_id.clone(), watched, out, remaining, lost, _seat: seat };
    #[expect(clippy::disallowed_methods, reason = "it ends when nobody reads its events any more")]
    tokio::spawn(stream.run(first).instrument(frames::lasting()));
    let body = stream::unfold(events, async |mut events| {
        events.recv().await.map(|event| (Ok::<_, Infallible>(event), events))
    });
    Ok(response_of(Body::from_stream(body)))
}

fn no_seat(full: Full) -> ApiError {
    match full {
        Full::All => {
            let message = "This server has no room for another stream; try again shortly.";
            ApiError::new(ErrorCode::ServiceUnavailable, message)
        }
        Full::Share => {
            ApiError::new(ErrorCode::RateLimited, "This shop has as many sockets and streams as it may have.")
        }
    }
}

fn check_accept(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains(EVENT_STREAM) || value.contains("*/*")) {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::NotAcceptable, "Accept `text/event-stream`; single answers are at `/graphql`."))
}

fn response_of(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // Proxies that gather answers would keep events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The event that ends a stream.
const COMPLETE: &[u8] = b"event: complete\ndata: \n\n";

/// The event of an answer, on one line as JSON is.
fn next(app: &App, mut response: GraphqlResponse, request_id: &RequestId) -> Bytes {
    answer::complete(&mut response, request_id.as_str(), &app.metrics);
    let json = serde_json::to_string(&response).unwrap_or_default();
    format!("event: next\ndata: {json}\n\n").into()
}

impl Stream {
    /// Tells events until the subscription, the credential, the client or the server ends.
    async fn run(mut self, first: Option<GraphqlResponse>) {
        let live = self.app.live.clone();
        let _counted = self.app.metrics.live.count_stream();
        let ending = self.out.clone();
        let until = self.remaining;
        let mut lost = std::mem::replace(&mut self.lost, std::future::pending().boxed());
        let refused = tokio::select! {
            () = self.tell(first) => None,
            () = live.stopping() => None,
            () = ending.closed() => None,
            () = credentials::expired(until) => None,
            error = &mut lost => Some(error),
        };
        if let Some(error) = refused {
            // Why it ends, where the client reads.
            let event = next(&self.app, Refused::from(error).into_response(), &self.request_id);
            send(&ending, event, self.app.config.sockets.slow_timeout).await;
        }
    }

    async fn tell(&mut self, first: Option<GraphqlResponse>) {
        let Self { app, request_id, watched, out, .. } = self;
        let slow = app.config.sockets.slow_timeout;
        if let Some(first) = first
            && !send(out, next(app, first, request_id), slow).await
        {
            return;
        }
        let mut pulse = interval(KEEP_ALIVE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut coming = Box::pin(watched.next());
            // A look that was begun goes on while something else is sent: it has a connection, and a turn.
            let alive = async {
                loop {
                    pulse.tick().await;
                    if !send(out, Bytes::from_static(b":\n\n"), slow).await {
                        return;
                    }
                }
            };
            let answered = tokio::select! {
                answered = &mut coming => answered,
                () = alive => return,
            };
            let (event, is_last) = match answered {
                None => (Bytes::from_static(COMPLETE), true),
                Some(Ok(response)) => (next(app, response, request_id), false),
                Some(Err(refused)) => {
                    // Its client may ask again with another credential.
                    let is_broken_off =
                        matches!(refused.code(), Some(ErrorCode::Unauthenticated | ErrorCode::TenantSuspended));
                    (next(app, refused.into_response(), request_id), is_broken_off)
                }
            };
            if !send(out, event, slow).await || is_last {
                return;
            }
        }
    }
}

/// Hands an event over, and tells whether the client still reads.
async fn send(out: &Sender<Bytes>, event: Bytes, slow: Duration) -> bool {
    matches!(timeout(slow, out.send(event)).await, Ok(Ok(())))
}
