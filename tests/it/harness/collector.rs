//! A collector of traces that speaks OTLP, over HTTP and over gRPC, and keeps what it got.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long spans may take to come.
const WITHIN: Duration = Duration::from_secs(20);

/// A span as it came, with ids as hexadecimal text.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub state: String,
    /// 1 within, 2 server, 3 client, 5 consumer.
    pub kind: i32,
    /// Traces and spans.
    pub links: Vec<(String, String)>,
    pub attributes: BTreeMap<String, String>,
    /// How many events it has.
    pub events: usize,
    /// Who has sent it.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Inner {
    spans: Mutex<Vec<Span>>,
    credentials: Mutex<Vec<String>>,
    came: Notify,
}

/// A collector on this machine.
pub struct Collector {
    inner: Arc<Inner>,
    pub endpoint: String,
    server: JoinHandle<()>,
}

impl Span {
    /// An attribute; empty where there is none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    /// One that takes spans by HTTP.
    pub async fn http() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::<Inner>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inner, endpoint, server }
    }

    /// One that takes spans by gRPC.
    pub async fn grpc() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::<Inner>::default();
        let service = TraceServiceServer::new(Grpc(Arc::clone(&inner)));
        let server = tokio::spawn(async move {
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { inner, endpoint, server }
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.inner.spans.lock().unwrap().clone()
    }

    /// What the senders have shown.
    pub fn credentials(&self) -> Vec<String> {
        self.inner.credentials.lock().unwrap().clone()
    }

    /// Waits until there is a span, and answers it.
    pub async fn wait_for(&self, is_meant: impl Fn(&Span) -> bool) -> Span {
        let waited = async {
            loop {
                let came = self.inner.came.notified();
                if let Some(span) = self.spans().into_iter().find(&is_meant) {
                    return span;
                }
                came.await;
            }
        };
        tokio::time::timeout(WITHIN, waited).await.unwrap_or_else(|_| panic!("only {:#?} came", self.spans()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    fn keep(&self, request: ExportTraceServiceRequest, credential: Option<&str>) {
        self.credentials.lock().unwrap().extend(credential.map(str::to_owned));
        for sent in request.resource_spans {
            let resource = attributes(sent.resource.unwrap().attributes);
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Span {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                state: span.trace_state,
                kind: span.kind,
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                attributes: attributes(span.attributes),
                events: span.events.len(),
                resource: resource.clone(),
            });
            self.spans.lock().unwrap().extend(spans);
        }
        self.came.notify_waiters();
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    let credential = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
    inner.keep(ExportTraceServiceRequest::decode(body).unwrap(), credential);
    StatusCode::OK
}

/// The service of gRPC.
struct Grpc(Arc<Inner>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let credential = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.0.keep(request.into_inner(), credential.as_deref());
        Ok(tonic::Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|AnyValue { value }| value)))).collect()
}

fn text(value: Option<any_value::Value>) -> String {
    match value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
