//! What is said on one socket, from who it is to why it ends.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Response as GraphqlResponse;
use axum::extract::ws::{Message, WebSocket};
use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, SplitStream, StreamExt as _};
use serde_json::{Map, Value};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, Span};

use super::message::{Close, Said, Says, read};
use crate::graphql::{ApiError, ErrorCode};
use crate::http::parameters::Parameters;
use crate::http::refused::Refused;
use crate::http::serve::DRAIN_TIMEOUT;
use crate::http::watched::{Asker, Opened, Plane, Watched};
use crate::http::{answer, credentials};
use crate::live::Seat;
use crate::telemetry::frames;

/// Operations of a socket that are under way, subscriptions among them, and what goes on of those that the client has ended.
const OPERATIONS_MAX: u32 = 50;

/// The pause between two looks whether the client is there.
const PULSE: Duration = Duration::from_secs(30);

/// A client that has said nothing for so long, not even that it is there, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// How an operation has ended.
struct Ended {
    id: String,
    number: u64,
    /// Why the socket ends with it.
    close: Option<Close>,
}

/// One socket.
pub(super) struct Conversation<'a> {
    asker: Asker,
    seat: &'a mut Seat,
    out: Sender<Message>,
    /// Whether the client has been let in.
    is_in: bool,
    /// How long its token is good for.
    remaining: Option<Duration>,
    /// Ends when the client may not be here any more. Polled beside the operations: see [`credentials::lost`].
    lost: BoxFuture<'static, ApiError>,
    /// What is said next. Until there is room for it nothing is read.
    unsaid: Option<Message>,
    operations: FuturesUnordered<BoxFuture<'static, Option<Ended>>>,
    under_way: HashMap<String, (u64, AbortHandle)>,
    /// The places of operations.
    places: Arc<Semaphore>,
    /// Whether the server stops, and nothing more is read.
    is_stopping: bool,
    /// Operations so far.
    count: u64,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(asker: Asker, seat: &'a mut Seat, out: Sender<Message>) -> Self {
        Self {
            asker,
            seat,
            out,
            is_in: false,
            remaining: None,
            lost: pending().boxed(),
            unsaid: None,
            operations: FuturesUnordered::new(),
            under_way: HashMap::new(),
            places: Arc::new(Semaphore::new(OPERATIONS_MAX as usize)),
            is_stopping: false,
            count: 0,
        }
    }

    /// Holds the conversation, and answers why it ends.
    pub(super) async fn hold(mut self, mut frames: SplitStream<WebSocket>, init_timeout: Duration) -> Close {
        let live = self.asker.app.live.clone();
        let mut stopping = Box::pin(live.stopping());
        let mut done = pending().boxed();
        let mut deadline = Box::pin(sleep(init_timeout));
        let mut pulse = tokio::time::interval_at(Instant::now() + PULSE, PULSE);
        let mut heard_at = Instant::now();
        loop {
            let step = tokio::select! {
                // What was ended has given up its place before anything more is read.
                biased;
                () = &mut stopping, if !self.is_stopping => {
                    self.is_stopping = true;
                    done = done_within(Arc::clone(&self.places), DRAIN_TIMEOUT).boxed();
                    Ok(())
                }
                // Until the client is let in it is the time to say who it is; from then on the life of its token.
                () = &mut deadline, if !self.is_in || self.remaining.is_some() => Err(self.overdue()),
                () = deliver(&self.out, &mut self.unsaid), if self.unsaid.is_some() => {
                    heard_at = Instant::now();
                    Ok(())
                }
                Some(ended) = self.operations.next(), if !self.operations.is_empty() => self.ended(ended),
                error = &mut self.lost => Err(refused(&error)),
                _ = pulse.tick() => {
                    let is_silent = self.unsaid.is_none() && heard_at.elapsed() > SILENCE_MAX;
                    // Who has this much to read will not be asked whether it is there.
                    let _ = self.out.try_send(Message::Ping(Vec::new().into()));
                    if is_silent { Err(Close::Gone) } else { Ok(()) }
                }
                () = &mut done, if self.unsaid.is_none() => Err(Close::GoingAway),
                frame = frames.next(), if self.unsaid.is_none() && !self.is_stopping => {
                    heard_at = Instant::now();
                    let was_in = self.is_in;
                    // Waits only for the client to be let in, before which it has no operations.
                    let step = self.frame(frame).await;
                    if self.is_in && !was_in {
                        deadline = Box::pin(sleep(self.remaining.unwrap_or_default()));
                    }
                    step
                }
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    fn overdue(&self) -> Close {
        if self.is_in { Close::Forbidden("The token has expired") } else { Close::InitTimeout }
    }

    async fn frame(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Close> {
        match frame {
            Some(Ok(Message::Text(text))) => self.said(read(&text)?).await,
            Some(Ok(Message::Binary(_))) => Err(Close::BadRequest("Messages are text")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Err(error)) if error.to_string().contains("too long") => Err(Close::TooLong),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Close::Gone),
        }
    }

    async fn said(&mut self, said: Said) -> Result<(), Close> {
        match said {
            Said::ConnectionInit { .. } if self.is_in => Err(Close::TooManyInits),
            Said::ConnectionInit { payload } => self.let_in(payload.unwrap_or_default()).await,
            Said::Ping { payload } => {
                self.say(&Says::Pong { payload });
                Ok(())
            }
            Said::Pong {} => Ok(()),
            Said::Subscribe { .. } if !self.is_in => Err(Close::Unauthorized),
            Said::Subscribe { id, .. } if self.under_way.contains_key(&id) => Err(Close::Duplicate(id)),
            Said::Subscribe { id, payload } => self.subscribe(id, payload),
            Said::Complete { id } => {
                if let Some((_, operation)) = self.under_way.remove(&id) {
                    operation.abort();
                }
                Ok(())
            }
        }
    }

    /// Lets a client in by what it shows.
    async fn let_in(&mut self, payload: Map<String, Value>) -> Result<(), Close> {
        credentials::join(&mut self.asker.headers, &payload).map_err(Close::Forbidden)?;
        let ear = match self.asker.plane {
            Plane::Tenant => {
                let (tenant, principal) =
                    credentials::tenant(&self.asker).boxed().await.map_err(|error| refused(&error))?;
                self.seat.take(Some(tenant.id)).map_err(|_| Close::Full)?;
                let live = &self.asker.app.live;
                Some(live.listen(tenant.id, &tenant.slug, credentials::standing(&principal)))
            }
            Plane::Admin => {
                credentials::operator(&self.asker).boxed().await.map_err(|error| refused(&error))?;
                self.seat.take(None).map_err(|_| Close::Full)?;
                None
            }
        };
        self.lost = credentials::lost(self.asker.clone(), ear).boxed();
        (self.is_in, self.remaining) = (true, credentials::remaining(&self.asker));
        self.say(&Says::ConnectionAck);
        Ok(())
    }

    fn subscribe(&mut self, id: String, parameters: Parameters) -> Result<(), Close> {
        self.count += 1;
        let mut asker = self.asker.clone();
        asker.origin.request_id = format!("{}-{}", asker.origin.request_id, self.count).into();
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message = format!("A socket has at most {OPERATIONS_MAX} operations under way.");
            let error = Refused::Request(ApiError::new(ErrorCode::RateLimited, message));
            let mut response = error.into_response();
            answer::complete(&mut response, &asker.origin.request_id, &asker.app.metrics);
            self.say(&Says::Error { id: &id, payload: &response.errors });
            return Ok(());
        };
        asker.place = Some(Arc::new(place));
        let frame = frames::operation(&asker.origin.request_id);
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.count;
        self.under_way.insert(id.clone(), (number, handle));
        let operation = Operation { asker, id: id.clone(), out: self.out.clone() };
        let running = async move { Ended { close: operation.run(parameters, frame).await, id, number } };
        let running = Abortable::new(running, registration);
        self.operations.push(running.map(Result::ok).boxed());
        Ok(())
    }

    fn ended(&mut self, ended: Option<Ended>) -> Result<(), Close> {
        let Some(Ended { id, number, close }) = ended else { return Ok(()) };
        if self.under_way.get(&id).is_some_and(|(known, _)| *known == number) {
            self.under_way.remove(&id);
        }
        close.map_or(Ok(()), Err)
    }

    /// Says something that no operation waits for: now, or before anything more is read.
    fn say(&mut self, says: &Says<'_>) {
        if let Err(TrySendError::Full(message)) = self.out.try_send(says.frame()) {
            self.unsaid = Some(message);
        }
    }
}

/// Waits until no operation has a place, or for as long as a server that stops waits for what is under way.
async fn done_within(places: Arc<Semaphore>, patience: Duration) {
    let all = places.acquire_many_owned(OPERATIONS_MAX);
    let _: Result<Result<OwnedSemaphorePermit, _>, _> = timeout(patience, all).await;
}

/// Says what there was no room for.
async fn deliver(out: &Sender<Message>, unsaid: &mut Option<Message>) {
    // Where nobody writes any more the socket ends.
    let Ok(place) = out.reserve().await else { return pending().await };
    if let Some(message) = unsaid.take() {
        place.send(message);
    }
}

/// What a client is told who is not let in.
fn refused(error: &ApiError) -> Close {
    match error.code {
        ErrorCode::TenantSuspended => Close::Forbidden("This shop is suspended"),
        ErrorCode::TenantMismatch => Close::Forbidden("The credential and the address name different tenants"),
        code if credentials::is_passing(code) => Close::Unsure,
        _ => Close::Forbidden("A valid credential is required"),
    }
}

/// An operation of a socket.
struct Operation {
    asker: Asker,
    id: String,
    out: Sender<Message>,
}

impl Operation {
    /// Answers until there is nothing more to say, and tells why the socket ends, if it does. The frame is that of the operation, which
    /// ends when a subscription was let in.
    async fn run(self, parameters: Parameters, frame: Span) -> Option<Close> {
        match self.open(parameters).instrument(frame).await {
            Ok((watched, begun, frame)) => tokio::select! {
                close = self.look_on(watched, begun).instrument(frame) => close,
                // It is not complete, and its client asks again elsewhere.
                () = self.asker.app.live.stopping() => None,
            },
            Err(close) => close,
        }
    }

    /// Opens an operation: a subscription with the frame that it has from then on. What has one answer is answered, and told is why
    /// the socket ends, if it does.
    async fn open(
        &self,
        parameters: Parameters,
    ) -> Result<(Box<Watched>, Option<GraphqlResponse>, Span), Option<Close>> {
        let bytes = super::MESSAGE_BYTES_MAX;
        let opened = match parameters.split() {
            Ok((sent, operation)) => self.asker.open(sent, operation, (false, bytes)).await,
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok(Opened::Watched(watched, begun)) => Ok((watched, begun, frames::lasting())),
            Ok(Opened::Once(response)) => Err(self.only(response).await),
            Err(refused) => Err(self.refuse(refused).await),
        }
    }

    /// Tells what a subscription is about until it ends.
    async fn look_on(&self, mut watched: Box<Watched>, begun: Option<GraphqlResponse>) -> Option<Close> {
        let _counted = self.asker.app.metrics.live.count_stream();
        if let Some(begun) = begun {
            if !answer::has_data(&begun) {
                return self.only(begun).await;
            }
            self.next(begun).await;
        }
        loop {
            match watched.next().await {
                Some(Ok(response)) => self.next(response).await,
                Some(Err(refused)) => return self.refuse(refused).await,
                None => break,
            }
        }
        self.say(&Says::Complete { id: &self.id }).await;
        None
    }

    /// The only answer of an operation.
    async fn only(&self, mut response: GraphqlResponse) -> Option<Close> {
        if answer::has_data(&response) || response.errors.is_empty() {
            self.next(response).await;
            self.say(&Says::Complete { id: &self.id }).await;
        } else {
            self.complete(&mut response);
            self.say(&Says::Error { id: &self.id, payload: &response.errors }).await;
        }
        None
    }

    async fn next(&self, mut response: GraphqlResponse) {
        self.complete(&mut response);
        self.say(&Says::Next { id: &self.id, payload: &response }).await;
    }

    /// Tells what was refused. A credential that is not good any more is good for no other operation either.
    async fn refuse(&self, refused: Refused) -> Option<Close> {
        let close = match refused.code() {
            Some(ErrorCode::Unauthenticated) => Some(Close::Forbidden("A valid credential is required")),
            Some(ErrorCode::TenantSuspended) => Some(Close::Forbidden("This shop is suspended")),
            _ => None,
        };
        let mut response = refused.into_response();
        self.complete(&mut response);
        self.say(&Says::Error { id: &self.id, payload: &response.errors }).await;
        close
    }

    fn complete(&self, response: &mut GraphqlResponse) {
        answer::complete(response, &self.asker.origin.request_id, &self.asker.app.metrics);
    }

    /// Says something as soon as there is room. Where nobody writes any more the socket ends, and this with it.
    async fn say(&self, says: &Says<'_>) {
        let _ = self.out.send(says.frame()).await;
    }
}
