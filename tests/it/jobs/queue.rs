//! A queue of a test's own, its workers, and what they do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use secrecy::ExposeSecret as _;
use shelfwise::app::{App, owner};
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{Bell, ControlDb};
use shelfwise::jobs::runner::Room;
use shelfwise::jobs::{Answer, Handler, Handlers, Job, Pace, Periodic, Runner};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::telemetry::metrics::Metrics;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::harness::cluster::{own_database, psql_of};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The first column of the first row that a query answers, as text.
pub async fn ask(psql: &tokio_postgres::Client, query: &str) -> String {
    let messages = psql.simple_query(query).await.unwrap();
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("null").to_owned()),
        _ => None,
    });
    row.unwrap_or_default()
}

/// Waits until a query answers a text.
pub async fn until(psql: &tokio_postgres::Client, query: &str, answer: &str) {
    let mut last = String::new();
    let wait = async {
        loop {
            last = ask(psql, query).await;
            if last == answer {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("{query}: {last}, not {answer}");
    }
}

/// A queue that nobody else uses.
pub struct Queue {
    pub urls: DatabaseUrls,
    pub psql: tokio_postgres::Client,
}

impl Queue {
    /// An empty one.
    pub async fn new() -> Self {
        let (name, urls) = own_database().await;
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let psql = psql_of(&name).await;
        Self { urls, psql }
    }

    /// That of a server in a database of its own.
    pub fn of(app: &App, psql: tokio_postgres::Client) -> Self {
        Self { urls: app.config.database.urls.clone().unwrap(), psql }
    }

    /// Registers tenants, of whom no more is needed than that they are there.
    pub async fn tenants(&self, count: i32) -> Vec<Uuid> {
        let statement = "INSERT INTO control.tenants
                (id, slug, schema_name, name, plan, currency, status, schema_version, created_at, updated_at)
            SELECT gen_random_uuid(), 'shop-' || n, 'none-' || n, 'Shop', 'enterprise', 'EUR', 'active', '0', now(), now()
            FROM generate_series(1, $1) n RETURNING id";
        let mut ids: Vec<Uuid> =
            self.psql.query(statement, &[&count]).await.unwrap().iter().map(|row| row.get(0)).collect();
        ids.sort();
        ids
    }

    /// Adds a job that may be claimed at once.
    pub async fn add(&self, kind: &str, tenant: Option<Uuid>) -> Uuid {
        self.add_many(kind, tenant, 1).await[0]
    }

    /// Adds jobs that may be claimed at once.
    pub async fn add_many(&self, kind: &str, tenant: Option<Uuid>, count: i32) -> Vec<Uuid> {
        let statement = "INSERT INTO control.jobs (id, tenant_id, kind, payload)
            SELECT gen_random_uuid(), $2, $1, '{}' FROM generate_series(1, $3) RETURNING id";
        self.psql.query(statement, &[&kind, &tenant, &count]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// The name of the database.
    pub async fn database(&self) -> String {
        self.ask("SELECT current_database()").await
    }

    /// Runs a statement as a person with psql would.
    pub async fn sql(&self, statement: &str) {
        self.psql.batch_execute(statement).await.unwrap();
    }

    /// What a query answers, as one text.
    pub async fn ask(&self, query: &str) -> String {
        ask(&self.psql, query).await
    }

    /// A job's state.
    pub async fn state(&self, id: Uuid) -> String {
        self.ask(&format!("SELECT state FROM control.jobs WHERE id = '{id}'")).await
    }

    /// Waits until a query answers a text.
    pub async fn until(&self, query: &str, answer: &str) {
        until(&self.psql, query, answer).await;
    }

    /// Waits until a job is in a state.
    pub async fn until_state(&self, id: Uuid, state: &str) {
        self.until(&format!("SELECT state FROM control.jobs WHERE id = '{id}'"), state).await;
    }

    /// Makes every waiting job due, as if its time had come.
    pub async fn pass_the_time(&self) {
        self.sql("UPDATE control.jobs SET scheduled_at = now() WHERE state IN ('scheduled', 'retryable')").await;
    }

    /// A worker's parts with usual settings, for tests that change some.
    pub fn runner(&self, handlers: Handlers) -> Runner {
        let target = Target::from_url(self.urls.runtime.expose_secret()).unwrap();
        Runner {
            control: ControlDb::new(Pool::control(target, Duration::from_secs(5))),
            bell: Bell::default(),
            clock: Arc::new(SystemClock),
            handlers,
            periodic: Vec::<Periodic>::new(),
            room: Room { slots: 8, per_tenant_max: 8 },
            pace: Pace { poll: Duration::from_millis(20), ..Pace::default() },
            metrics: Metrics::new().unwrap().jobs,
            name: "test".to_owned(),
        }
    }

    /// Starts a worker with usual settings.
    pub fn work(&self, handlers: Handlers) -> Worker {
        Worker::start(self.runner(handlers))
    }
}

/// A running worker.
pub struct Worker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Worker {
    pub fn start(runner: Runner) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(runner.run(async {
            let _ = stopped.await;
        }));
        Self { stop, task }
    }

    /// Tells it to stop and waits until it has.
    pub async fn stop(self) {
        self.tell_to_stop().await.unwrap();
    }

    /// Tells it to stop.
    pub fn tell_to_stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.task
    }

    /// Ends it without a word, as a power cut would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

type Work = dyn Fn(Job) -> BoxFuture<'static, Answer> + Send + Sync;

/// A handler that a test writes as a closure.
pub struct Script {
    pub kind: &'static str,
    pub attempts_max: i16,
    pub timeout: Duration,
    pub work: Box<Work>,
}

impl Script {
    pub fn new<F>(kind: &'static str, work: impl Fn(Job) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let work = Box::new(move |job| work(job).boxed());
        Self { kind, attempts_max: 3, timeout: Duration::from_secs(60), work }
    }
}

impl Handler for Script {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn attempts_max(&self) -> i16 {
        self.attempts_max
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        (self.work)(job)
    }
}

/// A job that has begun and waits to be told how to end.
pub struct Begun {
    pub job: Job,
    pub end: oneshot::Sender<Answer>,
}

/// A handler whose jobs tell that they have begun, and end as the test says.
pub fn told(kind: &'static str) -> (Script, mpsc::UnboundedReceiver<Begun>) {
    let (begun, beginnings) = mpsc::unbounded_channel();
    let script = Script::new(kind, move |job| {
        let begun = begun.clone();
        async move {
            let (end, ended) = oneshot::channel();
            let _ = begun.send(Begun { job, end });
            // A test that forgets the job leaves it running for ever.
            match ended.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        }
    });
    (script, beginnings)
}

/// Waits for what must come.
pub async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, receiver.recv()).await.expect("it comes in time").expect("it comes")
}
