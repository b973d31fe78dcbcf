//! A receiver of webhooks: an HTTP server that answers as it is told, and keeps what it got.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long a delivery may take to come.
const WITHIN: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What is answered, by what came and how many have come before.
type Answer = Box<dyn Fn(&Received, usize) -> Response + Send>;

struct Inner {
    answer: Mutex<Answer>,
    received: Mutex<Vec<Received>>,
    came: Notify,
}

/// A receiver on this machine.
pub struct Receiver {
    inner: Arc<Inner>,
    address: String,
    server: tokio::task::JoinHandle<()>,
}

impl Received {
    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What the event is called.
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Whether a receiver that knows this secret believes it.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let webhook = Webhook::new(secret).unwrap();
        webhook.verify(&self.body, &self.headers).is_ok()
    }
}

impl Receiver {
    /// Starts one that answers 204 to everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            answer: Mutex::new(Box::new(|_, _| StatusCode::NO_CONTENT.into_response())),
            received: Mutex::default(),
            came: Notify::new(),
        });
        let kept = Arc::clone(&inner);
        let handle = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            let received = Received { path: uri.path().to_owned(), headers, body };
            let mut all = kept.received.lock().unwrap();
            let response = (kept.answer.lock().unwrap())(&received, all.len());
            all.push(received);
            kept.came.notify_waiters();
            response
        };
        let router = Router::new().fallback(handle);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inner, address, server }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Has it answer so from now on.
    pub fn answer(&self, answer: impl Fn(&Received, usize) -> Response + Send + 'static) {
        *self.inner.answer.lock().unwrap() = Box::new(answer);
    }

    /// Has it answer with a status from now on.
    pub fn status(&self, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.answer(move |_, _| (status, "as told").into_response());
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    /// What has come on a path.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.path == path).collect()
    }

    /// Waits until as many have come on a path, and answers them.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        let waited = async {
            loop {
                let came = self.inner.came.notified();
                let received = self.received_at(path);
                if received.len() >= count {
                    return received;
                }
                came.await;
            }
        };
        let so_far = || self.received_at(path).len();
        tokio::time::timeout(WITHIN, waited).await.unwrap_or_else(|_| panic!("{} of {count} came", so_far()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
