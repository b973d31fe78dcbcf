//! LISTEN on a connection of its own, made again whenever it breaks, and proven to be heard.
//!
//! A connection may be dead without a word, and a pooler takes a LISTEN and forgets it. So the listener calls to itself
//! and counts as alive only while it hears its own voice.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use super::error::DbError;
use super::tls::Target;

/// The pause before a broken listener connects again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The pause between two calls to itself.
const ECHO_PAUSE: Duration = Duration::from_millis(250);

/// How long a listener counts as alive after it has heard itself.
const ECHO_TRUST: Duration = Duration::from_millis(800);

/// The channel of the calls; their payload tells whose they are.
const ECHO_CHANNEL: &str = "shelfwise_echo";

/// What a listener tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The listener is connected. Whatever was notified before is lost: forget all that is cached.
    Connected,
    /// A notification's payload.
    Payload(String),
}

/// Whether a listener hears right now, so that caches know how long to trust themselves.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<Mutex<Option<Instant>>>);

impl Liveness {
    /// Whether notifications arrive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let heard_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard_at.is_some_and(|heard_at| heard_at.elapsed() < ECHO_TRUST)
    }

    /// The listener hears, as of now.
    pub fn hear(&self) {
        self.set(Some(Instant::now()));
    }

    /// The listener hears nothing.
    pub fn lose(&self) {
        self.set(None);
    }

    fn set(&self, heard_at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = heard_at;
    }
}

/// Listens on a channel for ever and hands each signal to `on_signal`. To be run as a task and aborted at shutdown. `name`
/// is unlike that of any other listener.
pub async fn listen(
    target: Target,
    channel: &'static str,
    name: String,
    liveness: Liveness,
    on_signal: impl Fn(Signal),
) {
    listen_about(target, channel, name, liveness, on_signal, |_| {}).await;
}

/// As [`listen`], for who wants to know who else is there: `on_voice` is told the name of another listener whenever that one
/// calls to itself, which is several times a second.
pub async fn listen_about(
    target: Target,
    channel: &'static str,
    name: String,
    liveness: Liveness,
    on_signal: impl Fn(Signal),
    on_voice: impl Fn(&str),
) {
    let hearing = Hearing { channel, name, liveness, on_signal, on_voice };
    loop {
        if let Err(error) = listen_once(&target, &hearing).await {
            tracing::warn!(%error, channel = hearing.channel, "The listener lost its connection");
        }
        hearing.liveness.lose();
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// What a listener hears, and who is told.
struct Hearing<S, V> {
    channel: &'static str,
    name: String,
    liveness: Liveness,
    on_signal: S,
    on_voice: V,
}

/// Listens until the connection breaks.
async fn listen_once(target: &Target, whose: &Hearing<impl Fn(Signal), impl Fn(&str)>) -> Result<(), DbError> {
    let Hearing { channel, name, liveness, on_signal, on_voice } = whose;
    let unreachable = |error: tokio_postgres::Error| DbError::Unreachable(error.to_string());
    let (client, mut connection) = target.config.connect(target.tls.clone()).await.map_err(unreachable)?;
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let drive = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message.map_err(unreachable)? {
                let _ = heard.send(notification);
            }
        }
        Err(DbError::Unreachable("the server closed the connection".to_owned()))
    };
    let serve = async {
        client.batch_execute(&format!(r#"LISTEN "{channel}"; LISTEN "{ECHO_CHANNEL}""#)).await.map_err(unreachable)?;
        on_signal(Signal::Connected);
        let mut calls = tokio::time::interval(ECHO_PAUSE);
        let call = format!("NOTIFY \"{ECHO_CHANNEL}\", '{name}'");
        loop {
            tokio::select! {
                _ = calls.tick() => client.batch_execute(&call).await.map_err(unreachable)?,
                Some(notification) = hearing.recv() => {
                    if notification.channel() != ECHO_CHANNEL {
                        on_signal(Signal::Payload(notification.payload().to_owned()));
                    } else if notification.payload() == name {
                        liveness.hear();
                    } else {
                        on_voice(notification.payload());
                    }
                }
            }
        }
    };
    tokio::select! {
        result = drive => result,
        result = serve => result,
    }
}
