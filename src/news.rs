//! Carries news between processes: over Redis where there is one that answers, else by NOTIFY.
//!
//! Everybody listens to both, so everybody is free to choose for each message. A channel of Redis carries its tenant's id; what
//! is notified goes out on one channel, much at a time, because each NOTIFY takes a lock of the whole cluster at its COMMIT.
//! Who was away is told that it has missed something, and so is everybody when a process is not there any more and has not said
//! goodbye: it may have died between a COMMIT and the telling. Nobody rests on being told: what is kept has a time, and what is
//! shown is read anew.

mod presence;

use std::convert::Infallible;
use std::time::Duration;

use diesel::sql_types::Text;
use futures_util::stream::StreamExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::db::listen::{Calls, Liveness, Signal, Voice, listen_about};
use crate::db::tls::Target;
use crate::db::{ControlDb, ControlTx, DbError, News};
use crate::kernel::ids::{TenantId, base32_encode};
use crate::kernel::news::{Letters, Told, line, read_line};
use crate::redis::{Away, Redis};

use self::presence::Presence;

/// The channel on which news are notified.
const CHANNEL: &str = "shelfwise_news";

/// What channels of Redis begin with; the tenant's id follows.
const REDIS_CHANNELS: &str = "shelfwise:news:";

/// What the channels begin with on which a process hears itself; its name follows.
const REDIS_ECHO: &str = "shelfwise:echo:";

/// What the names end with by which processes that tell news call to themselves on PostgreSQL.
const VOICE: &str = "-news";

/// The pause between two notifications.
const NOTIFY_PAUSE: Duration = Duration::from_millis(20);

/// The pause after news could be carried by neither.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The pause between two calls over Redis to oneself.
const ECHO_PAUSE: Duration = Duration::from_millis(250);

/// How long a connection to Redis is waited on that one cannot hear oneself on.
const ECHO_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause before Redis is listened to again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// When it is missed once more what a process may have changed that is gone: a COMMIT which it did not see the end of may come
/// through after it has died.
const DOUBT_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a notification at most; PostgreSQL takes 7,999.
const NOTIFICATION_BYTES_MAX: usize = 7_900;

/// What carries news of one process.
#[derive(Clone)]
pub struct Carrier {
    /// The news.
    pub news: News,
    /// Where they are notified.
    pub control: ControlDb,
    /// Where they are published, if there is one.
    pub redis: Option<Redis>,
    /// The process, by a name that no other has.
    pub name: String,
}

impl Carrier {
    /// Carries and hears until the process [leaves](News::leave). To be run as a task and aborted at shutdown.
    pub async fn run(self, target: Target) {
        let (news, name) = (self.news.clone(), self.name.clone());
        let liveness = news.notifications().clone();
        // Listeners call to themselves on one channel, so each has a name of its own.
        let echo = format!("{name}{VOICE}");
        let presence = Presence::default();
        let (gone, missed) = mpsc::unbounded_channel();
        let hear = |signal| match signal {
            Signal::Connected => {
                presence.forget();
                news.miss();
            }
            Signal::Payload(message) => hear(&news, &name, &message),
        };
        let hear_voice = |voice: Voice<'_>| {
            if let Voice::Other(name) | Voice::Leaving(name) = voice
                && !name.ends_with(VOICE)
            {
                return;
            }
            if presence.hear(voice) {
                tracing::info!("A process is not heard any more; forgetting what may have changed untold");
                news.miss();
                let _ = gone.send(Instant::now());
            }
        };
        let (leave, leaving) = watch::channel(false);
        let carry = async {
            self.carry().await;
            leave.send_replace(true);
            std::future::pending().await
        };
        tokio::select! {
            never = carry => match never {},
            never = self.listen_to_redis() => match never {},
            never = self.doubt(missed) => match never {},
            () = listen_about(target, CHANNEL, echo, liveness, leaving, hear, hear_voice) => self.news.has_left(),
        }
    }

    /// Misses once more what processes may have changed that were missed at some time.
    async fn doubt(&self, mut missed: mpsc::UnboundedReceiver<Instant>) -> Infallible {
        while let Some(at) = missed.recv().await {
            sleep_until(at + DOUBT_PAUSE).await;
            self.news.miss();
        }
        std::future::pending().await
    }

    /// Carries what there is, again and again, until all is told and nothing more will be.
    async fn carry(&self) {
        while !self.news.close() {
            self.news.waiting().await;
            let letters = self.news.take();
            if letters.is_empty() || self.publish(&letters).await.is_ok() {
                continue;
            }
            let messages = messages(&self.name, &letters);
            if let Err(error) = notify(&self.control, messages).await {
                tracing::warn!(%error, "Other processes could not be told what has changed; trying again");
                self.news.put_back(letters);
                sleep(RETRY_PAUSE).await;
            }
            sleep(NOTIFY_PAUSE).await;
        }
    }

    /// Publishes letters, each on its tenant's channel, in one trip.
    async fn publish(&self, letters: &Letters) -> Result<(), Away> {
        let redis = self.redis.as_ref().ok_or(Away)?;
        let mut pipeline = ::redis::pipe();
        for (tenant, told) in letters {
            let channel = format!("{REDIS_CHANNELS}{}", base32_encode(tenant.0));
            pipeline.publish(channel, message(&self.name, [line(*tenant, told)])).ignore();
        }
        redis.ask(async |line| pipeline.query_async::<()>(line).await).await
    }

    /// Listens to Redis, and again whenever it breaks.
    async fn listen_to_redis(&self) -> Infallible {
        let (Some(redis), Some(liveness)) = (&self.redis, self.news.redis()) else {
            return std::future::pending().await;
        };
        loop {
            if let Err(error) = self.listen_once(redis, liveness).await {
                tracing::debug!(%error, "News are not heard over Redis");
            }
            liveness.lose();
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Listens until the connection breaks, or this process does not hear itself any more.
    async fn listen_once(&self, redis: &Redis, liveness: &Liveness) -> Result<(), Away> {
        let mut connection = redis.listen().await?;
        let echo = format!("{REDIS_ECHO}{}", self.name);
        let channels = tokio::time::timeout(ECHO_TIMEOUT, async {
            connection.subscribe(&echo).await?;
            connection.psubscribe(format!("{REDIS_CHANNELS}*")).await
        });
        channels.await.map_err(|_| Away)?.map_err(|_| Away)?;
        self.news.miss();
        let mut messages = connection.on_message();
        let (mut ticks, calls) = (interval(ECHO_PAUSE), Calls::new());
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if heard_at.elapsed() > ECHO_TIMEOUT {
                        return Err(Away);
                    }
                    let now = calls.now();
                    let call = async |line: &mut _| ::redis::cmd("PUBLISH").arg(&echo).arg(&now).query_async::<()>(line).await;
                    // An echo that does not come says it.
                    let _ = redis.ask(call).await;
                }
                message = messages.next() => {
                    let message = message.ok_or(Away)?;
                    let text = message.get_payload::<String>().unwrap_or_default();
                    if message.get_channel_name() == echo {
                        // Late or not, it is heard; whether it is late is said by what it says.
                        heard_at = Instant::now();
                        liveness.hear(calls.made_at(&text));
                    } else {
                        hear(&self.news, &self.name, &text);
                    }
                }
            }
        }
    }
}

/// Hears a message, unless it is one's own. What cannot be read may have said anything.
fn hear(news: &News, name: &str, message: &str) {
    let mut lines = message.split('\n');
    if lines.next() == Some(name) {
        return;
    }
    for line in lines {
        match read_line(line) {
            Some((tenant, told)) => news.hear(tenant, &told),
            None => news.miss(),
        }
    }
}

/// A message: who tells it, and a line for each tenant.
fn message(name: &str, lines: impl IntoIterator<Item = String>) -> String {
    let mut message = name.to_owned();
    for line in lines {
        message.push('\n');
        message.push_str(&line);
    }
    message
}

/// Letters as messages that may be notified.
fn messages(name: &str, letters: &Letters) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for (tenant, told) in letters {
        let full = line(*tenant, told);
        let line = if full.len() + name.len() < NOTIFICATION_BYTES_MAX { full } else { line(*tenant, &Told::Anything) };
        match messages.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= NOTIFICATION_BYTES_MAX => last.extend(["\n", &line]),
            _ => messages.push(message(name, [line])),
        }
    }
    messages
}

/// Tells all processes that anything may have changed, of one tenant or of all: for what was changed past all servers.
///
/// # Errors
/// The database failed.
pub async fn announce(control: &ControlDb, tenant: Option<TenantId>) -> Result<(), DbError> {
    // What cannot be read as a tenant's line may be about anybody.
    let line = tenant.map_or_else(|| "*".to_owned(), |tenant| line(tenant, &Told::Anything));
    notify(control, vec![message("-", [line])]).await
}

/// Notifies messages in one transaction, and so with one lock.
async fn notify(control: &ControlDb, messages: Vec<String>) -> Result<(), DbError> {
    control
        .write(async |tx: &mut ControlTx| {
            for message in messages {
                let notify = diesel::sql_query("SELECT pg_catalog.pg_notify($1, $2)");
                tx.execute(notify.bind::<Text, _>(CHANNEL).bind::<Text, _>(message)).await?;
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use uuid::Uuid;

    use super::*;
    use crate::kernel::news::{Bulletin, FACTS_MAX, Fact, Topic};

    fn full() -> Told {
        let facts = (0..FACTS_MAX as u128).map(|number| Fact::new(Topic::IdentityProvider, Uuid::from_u128(number)));
        Told::Facts(facts.collect())
    }

    #[test]
    fn messages_fit_and_tell_all_there_is_to_tell() {
        let letters: Letters = (0..500).map(|number| (TenantId(Uuid::from_u128(number)), full())).collect();
        let messages = messages("me", &letters);
        assert!(messages.iter().all(|message| message.len() <= NOTIFICATION_BYTES_MAX));
        let (news, heard) = (News::default(), Arc::new(Mutex::new(Letters::new())));
        let kept = Arc::clone(&heard);
        news.attach(Arc::new(move |bulletin, _| {
            let Bulletin::Of(tenant, told) = bulletin else { panic!("{bulletin:?}") };
            kept.lock().unwrap().insert(tenant, told.clone());
        }));
        messages.iter().for_each(|message| hear(&news, "me", message));
        assert!(heard.lock().unwrap().is_empty(), "nobody hears themselves");
        messages.iter().for_each(|message| hear(&news, "another", message));
        assert_eq!(*heard.lock().unwrap(), letters);
    }
}
