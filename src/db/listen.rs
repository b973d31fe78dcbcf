//! LISTEN on a connection of its own, made again whenever it breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use futures_util::StreamExt as _;

use super::connection::connect;
use super::tls::Target;

/// The pause before a broken listener connects again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// What a listener tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The listener is connected. Whatever was notified before is lost: forget all that is cached.
    Connected,
    /// A notification's payload.
    Payload(String),
}

/// Whether a listener is connected right now, so that caches know how long to trust themselves.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<AtomicBool>);

impl Liveness {
    /// Whether notifications arrive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, alive: bool) {
        self.0.store(alive, Ordering::Release);
    }
}

/// Listens on a channel for ever and hands each signal to `on_signal`. To be run as a task and aborted at shutdown.
pub async fn listen(target: Target, channel: &'static str, liveness: Liveness, on_signal: impl Fn(Signal)) {
    loop {
        if let Err(error) = listen_once(&target, channel, &liveness, &on_signal).await {
            tracing::warn!(error = %error, channel, "The listener lost its connection");
        }
        liveness.set(false);
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Listens until the connection breaks.
async fn listen_once(
    target: &Target,
    channel: &str,
    liveness: &Liveness,
    on_signal: &impl Fn(Signal),
) -> Result<(), super::DbError> {
    let mut pg = connect(target).await?;
    pg.batch_execute(&format!(r#"LISTEN "{channel}""#)).await?;
    liveness.set(true);
    on_signal(Signal::Connected);
    let mut notifications = std::pin::pin!(pg.notifications_stream());
    while let Some(notification) = notifications.next().await {
        on_signal(Signal::Payload(notification?.payload));
    }
    Ok(())
}
