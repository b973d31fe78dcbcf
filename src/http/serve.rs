//! Listening, and stopping without breaking off what is under way.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::router::router;
use crate::app::App;

/// How long requests that are under way may go on after the signal to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Binds the address of the configuration.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(app: &App) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((app.config.http.host, app.config.http.port));
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Serves until `stop` resolves, then finishes what is under way.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let signal = async move {
        stop.await;
        let _ = stopping.send(());
    };
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown(signal);
    let deadline = async {
        // Without a signal there is no deadline.
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tracing::info!("Stopping: no new connections, finishing what is under way");
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        result = serving.into_future() => result.context("the server broke"),
        () = deadline => {
            tracing::warn!("Broke off requests that were still under way after {DRAIN_TIMEOUT:?}");
            Ok(())
        }
    }
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
