//! LISTEN on a connection of its own, made again whenever it breaks, and proven to be heard.
//!
//! A connection may be dead without a word, and a pooler takes a LISTEN and forgets it. So the listener calls to itself and counts
//! as alive only while it hears what it has called lately: who is far behind hears its own voice of long ago.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_postgres::AsyncMessage;

use super::error::DbError;
use super::tls::Target;

/// The pause before a broken listener connects again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// The pause between two calls to itself.
const ECHO_PAUSE: Duration = Duration::from_millis(250);

/// How long a listener counts as alive after it has called what it heard.
const ECHO_TRUST: Duration = Duration::from_millis(800);

/// The channel of the calls; their payload tells whose they are and when the caller made them, or that it leaves.
const ECHO_CHANNEL: &str = "shelfwise_echo";

/// What is called in place of a time by who leaves.
const FAREWELL: &str = "bye";

/// What a listener tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The listener is connected. Whatever was notified before is lost: forget all that is cached.
    Connected,
    /// A notification's payload.
    Payload(String),
}

/// Who is heard on the channel of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice<'a> {
    /// The listener itself: whatever was notified before it called has been heard.
    Own,
    /// Another, by its name.
    Other(&'a str),
    /// Another, which says that it leaves and has nothing more to tell.
    Leaving(&'a str),
}

/// Whether a listener hears right now, so that caches know how long to trust themselves.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<Mutex<Option<Instant>>>);

impl Liveness {
    /// Whether all has been heard that was notified until a moment ago.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let heard_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard_at.is_some_and(|heard_at| heard_at.elapsed() < ECHO_TRUST)
    }

    /// The listener has heard all that was notified until then.
    pub fn hear(&self, until: Instant) {
        let mut heard_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *heard_at = (*heard_at).max(Some(until));
    }

    /// The listener hears nothing.
    pub fn lose(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// When a listener made a call, as the call says it. Only who has made it can read it.
#[derive(Debug, Clone, Copy)]
pub struct Calls(Instant);

impl Calls {
    /// Calls from now on.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// What a call that is made now says.
    #[must_use]
    pub fn now(self) -> String {
        self.0.elapsed().as_millis().to_string()
    }

    /// When a call was made that is heard. What says nothing was made when there were none.
    #[must_use]
    pub fn made_at(self, call: &str) -> Instant {
        let since = Duration::from_millis(call.parse().unwrap_or(0));
        self.0.checked_add(since).unwrap_or(self.0)
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

/// Listens on a channel for ever and hands each signal to `on_signal`. To be run as a task and aborted at shutdown. `name`
/// is unlike that of any other listener, and has no space.
pub async fn listen(
    target: Target,
    channel: &'static str,
    name: String,
    liveness: Liveness,
    on_signal: impl Fn(Signal),
) {
    // Nobody ever sends anything.
    let (_stays, leave) = watch::channel(false);
    listen_about(target, channel, name, liveness, leave, on_signal, |_| {}).await;
}

/// As [`listen`], for who wants to know who else is there: `on_voice` is told whenever a listener calls.
///
/// That is several times a second. Ends once `leave` says so, after saying goodbye on the same connection, if there is one.
pub async fn listen_about(
    target: Target,
    channel: &'static str,
    name: String,
    liveness: Liveness,
    leave: watch::Receiver<bool>,
    on_signal: impl Fn(Signal),
    on_voice: impl Fn(Voice<'_>),
) {
    let hearing = Hearing { channel, name, calls: Calls::new(), liveness, leave, on_signal, on_voice };
    loop {
        match listen_once(&target, &hearing).await {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, channel = hearing.channel, "The listener lost its connection"),
        }
        hearing.liveness.lose();
        tokio::select! {
            () = told(hearing.leave.clone()) => break,
            () = tokio::time::sleep(RECONNECT_PAUSE) => {}
        }
    }
    hearing.liveness.lose();
}

/// Waits until somebody is told to leave.
async fn told(mut leave: watch::Receiver<bool>) {
    if leave.wait_for(|leaves| *leaves).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What a listener hears, and who is told.
struct Hearing<S, V> {
    channel: &'static str,
    name: String,
    calls: Calls,
    liveness: Liveness,
    leave: watch::Receiver<bool>,
    on_signal: S,
    on_voice: V,
}

impl<S: Fn(Signal), V: Fn(Voice<'_>)> Hearing<S, V> {
    /// Hears what somebody calls.
    fn hear_call(&self, payload: &str) {
        let (name, call) = payload.split_once(' ').unwrap_or((payload, ""));
        if name == self.name {
            self.liveness.hear(self.calls.made_at(call));
            (self.on_voice)(Voice::Own);
        } else if call == FAREWELL {
            (self.on_voice)(Voice::Leaving(name));
        } else {
            (self.on_voice)(Voice::Other(name));
        }
    }
}

/// Listens until the connection breaks, or it is time to leave.
async fn listen_once(target: &Target, whose: &Hearing<impl Fn(Signal), impl Fn(Voice<'_>)>) -> Result<(), DbError> {
    let Hearing { channel, name, calls, leave, on_signal, .. } = whose;
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
        let mut ticks = tokio::time::interval(ECHO_PAUSE);
        // Not many at once after a standstill: they would say nothing more than one.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let call = async |text: &str| {
            let call = format!("NOTIFY \"{ECHO_CHANNEL}\", '{name} {text}'");
            client.batch_execute(&call).await.map_err(unreachable)
        };
        loop {
            tokio::select! {
                _ = ticks.tick() => call(&calls.now()).await?,
                () = told(leave.clone()) => return call(FAREWELL).await,
                Some(notification) = hearing.recv() => match notification.channel() {
                    ECHO_CHANNEL => whose.hear_call(notification.payload()),
                    _ => on_signal(Signal::Payload(notification.payload().to_owned())),
                },
            }
        }
    };
    tokio::select! {
        result = drive => result,
        result = serve => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_what_it_called_long_ago_is_behind() {
        let (liveness, now) = (Liveness::default(), Instant::now());
        assert!(!liveness.is_alive());
        liveness.hear(now.checked_sub(ECHO_TRUST).unwrap());
        assert!(!liveness.is_alive());
        liveness.hear(now);
        assert!(liveness.is_alive());
        liveness.hear(now.checked_sub(ECHO_TRUST).unwrap());
        assert!(liveness.is_alive(), "that is known already");
        liveness.lose();
        assert!(!liveness.is_alive());
    }

    #[test]
    fn a_call_says_when_it_was_made() {
        let calls = Calls(Instant::now().checked_sub(Duration::from_secs(5)).unwrap());
        let made_at = calls.made_at(&calls.now());
        assert!(made_at.elapsed() < Duration::from_secs(1), "{made_at:?}");
        assert_eq!(calls.made_at("1500"), calls.0 + Duration::from_millis(1_500));
        for nonsense in ["", "x", "-1", "99999999999999999999999"] {
            assert_eq!(calls.made_at(nonsense), calls.0, "{nonsense}");
        }
    }
}
