//! Sending spans to a collector: in batches, beside everything else. A collector that is away costs nobody anything; what it misses
//! is dropped and counted.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    Protocol as Otlp, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as _};
use prometheus::IntCounter;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::telemetry::{Protocol, TracesConfig};
use crate::outbound;

/// Spans that are sent at a time, at most.
const BATCH_MAX: usize = 512;

/// How long the first span of a batch waits for others.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a collector may take for a batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a process that ends waits for its last spans to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The path of traces at a collector that is spoken to by HTTP.
const HTTP_PATH: &str = "v1/traces";

/// Spans that no collector has got.
#[must_use]
pub fn dropped() -> &'static IntCounter {
    static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
        IntCounter::new("shelfwise_spans_dropped_total", "Spans that were traced and that no collector has got.")
            .unwrap_or_else(|_| unreachable!("the name is a good one"))
    });
    &DROPPED
}

/// What sends spans, before it is started.
pub struct Traces {
    config: TracesConfig,
    resource: Resource,
    /// Spans end in it, so it lasts as long as they do.
    provider: SdkTracerProvider,
    waiting: Receiver<SpanData>,
}

/// Sending under way.
pub struct Sending {
    sender: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    _provider: SdkTracerProvider,
}

impl Traces {
    pub(super) fn new(
        config: TracesConfig,
        resource: Resource,
        provider: SdkTracerProvider,
        waiting: Receiver<SpanData>,
    ) -> Self {
        Self { config, resource, provider, waiting }
    }

    /// Begins to send, in a task of its own.
    ///
    /// # Errors
    /// The collector's address or headers are good for nothing.
    pub fn start(self) -> anyhow::Result<Sending> {
        let mut exporter = exporter(&self.config)?;
        exporter.set_resource(&self.resource);
        let (stop, stopped) = oneshot::channel();
        tracing::info!(otlp.endpoint = %self.config.endpoint, otlp.share = self.config.share, "Exporting traces");
        #[expect(clippy::disallowed_methods, reason = "awaited when the process ends")]
        let sender = tokio::spawn(send(exporter, self.waiting, stopped));
        Ok(Sending { sender, stop, _provider: self.provider })
    }
}

impl Sending {
    /// Sends what has ended until now and no more. It takes two seconds at most.
    pub async fn finish(mut self) {
        let _ = self.stop.send(());
        if timeout(FLUSH_TIMEOUT, &mut self.sender).await.is_err() {
            self.sender.abort();
        }
    }
}

/// How a collector is spoken to.
fn exporter(config: &TracesConfig) -> anyhow::Result<SpanExporter> {
    let builder = SpanExporter::builder();
    let headers = config.headers.iter().cloned();
    let exporter = match config.protocol {
        Protocol::Http => {
            let mut url = config.endpoint.clone();
            url.path_segments_mut()
                .ok()
                .context("OTEL_EXPORTER_OTLP_ENDPOINT")?
                .pop_if_empty()
                .extend(HTTP_PATH.split('/'));
            let client = reqwest::Client::builder()
                .tls_backend_preconfigured(outbound::tls()?)
                .redirect(reqwest::redirect::Policy::none())
                .default_headers(headers.collect())
                .timeout(ANSWER_TIMEOUT)
                .build()?;
            let builder = builder.with_http().with_protocol(Otlp::HttpBinary).with_http_client(client);
            builder.with_endpoint(url.to_string()).with_timeout(ANSWER_TIMEOUT).build()
        }
        Protocol::Grpc => {
            let builder = builder.with_tonic().with_metadata(MetadataMap::from_headers(headers.collect()));
            let builder = builder.with_endpoint(config.endpoint.to_string()).with_timeout(ANSWER_TIMEOUT);
            match config.endpoint.scheme() {
                "https" => builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots()),
                _ => builder,
            }
            .build()
        }
    };
    exporter.context("OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// Sends batch after batch, and when it is stopped all that waits.
async fn send(exporter: SpanExporter, mut waiting: Receiver<SpanData>, mut stopped: oneshot::Receiver<()>) {
    let mut is_away = false;
    let mut is_last = false;
    while !is_last {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = &mut stopped => is_last = true,
            () = gather(&mut waiting, &mut batch) => {}
        }
        if is_last {
            while batch.len() < usize::MAX
                && let Ok(span) = waiting.try_recv()
            {
                batch.push(span);
            }
        }
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(BATCH_MAX));
            let sent = std::mem::replace(&mut batch, rest);
            is_away = deliver(&exporter, sent, is_away).await;
        }
    }
}

/// Waits for a span, and a moment for others.
async fn gather(waiting: &mut Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    // Who sends spans is there for as long as this is.
    let Some(first) = waiting.recv().await else { return std::future::pending().await };
    batch.push(first);
    let until = Instant::now() + PAUSE;
    while batch.len() < BATCH_MAX
        && let Ok(1..) = timeout_at(until, waiting.recv_many(batch, BATCH_MAX - batch.len())).await
    {}
}

/// Sends a batch, and answers whether the collector is away. That it is, or is back, is told once.
async fn deliver(exporter: &SpanExporter, batch: Vec<SpanData>, was_away: bool) -> bool {
    let count = batch.len() as u64;
    let problem = match timeout(ANSWER_TIMEOUT, exporter.export(batch)).await {
        Ok(Ok(())) => {
            if was_away {
                tracing::info!("Traces are exported again");
            }
            return false;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    dropped().inc_by(count);
    if !was_away {
        tracing::warn!(error = problem, "Traces cannot be exported; going on without");
    }
    true
}
