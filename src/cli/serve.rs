//! `shelfwise serve`, and the health check that goes with it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::App;
use crate::config::Config;
use crate::http::serve::{bind, serve, stop_signal};
use crate::kernel::clock::SystemClock;
use crate::worker::mail::warn_if_mail_waits;

/// How long the health check waits for its answer.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Serves until told to stop.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let app = Arc::new(App::new(config, Arc::new(SystemClock))?);
    let stop = stop_signal()?;
    let listener = bind(&app).await?;
    tracing::info!(http.address = %listener.local_addr()?, environment = %app.config.environment, "Serving");
    warn_if_mail_waits(&app);
    let served = serve(Arc::clone(&app), listener, stop).await;
    app.services.news.leave().await;
    served
}

/// Asks `/health/live` of the server that has this configuration.
pub async fn healthcheck(config: &Config) -> anyhow::Result<()> {
    let host = if config.http.host.is_unspecified() { [127, 0, 0, 1].into() } else { config.http.host };
    let ask = async {
        let mut stream = TcpStream::connect((host, config.http.port)).await.context("nobody listens")?;
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "the server answers: {}",
            answer.lines().next().unwrap_or_default()
        );
        Ok(())
    };
    tokio::time::timeout(HEALTHCHECK_TIMEOUT, ask).await.context("the server does not answer in time")?
}
