//! Pools: bb8 with our manager, an error sink that speaks, and fair admission before it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::backends::Backends;
use super::connection::{CONNECT_TIMEOUT, Manager};
use super::error::DbError;
use super::fair::{Admission, Borrower, Permit, Reason, Rules, Shed, label};
use super::tls::Target;
use crate::telemetry::admission::AdmissionMetrics;
use crate::telemetry::backends::BackendMetrics;

/// A connection is closed at this age; its backend gives back what it gathered.
const LIFETIME_MAX: Duration = Duration::from_secs(20 * 60);

/// The most connections of the control plane's pool: short look-ups and rare changes.
const CONTROL_POOL_MAX: u32 = 4;

/// Operations that wait for a connection at most, where nothing else is said.
const QUEUE_MAX: usize = 1_000;

/// A pool of connections to one database under one login.
#[derive(Clone)]
pub struct Pool {
    bb8: bb8::Pool<Manager>,
    target: Target,
    /// As many permits as connections, handed out fairly; bb8 alone lets newcomers overtake.
    admission: Admission,
    checkout_timeout: Duration,
    size_max: u32,
    /// Where waits and refusals are counted, if anywhere.
    metrics: Option<AdmissionMetrics>,
    /// Where it is told what backends take, if anywhere. Connections have it too.
    backends: Arc<OnceLock<Arc<Backends>>>,
    /// Transactions that stood in another schema than they were opened for.
    violations: Arc<AtomicU64>,
}

/// A connection that is borrowed, and the permit that it was borrowed by.
pub(super) struct Borrowed {
    pub(super) connection: bb8::PooledConnection<'static, Manager>,
    _permit: Permit,
}

/// The state of a pool, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// Connections, borrowed and idle.
    pub connections: u32,
    /// Connections that nobody has borrowed.
    pub idle: u32,
    /// The most connections.
    pub size_max: u32,
    /// Operations that may borrow right now.
    pub permits_free: usize,
    /// Operations that wait for a connection.
    pub waiting: usize,
    /// Tenants whose operations wait.
    pub tenants_waiting: usize,
}

impl Pool {
    /// A pool that connects when it is first asked.
    #[must_use]
    pub fn new(target: Target, size_max: u32, checkout_timeout: Duration, tenants_per_connection_max: usize) -> Self {
        let backends = Arc::default();
        let bb8 = bb8::Pool::builder()
            .max_size(size_max)
            .min_idle(None)
            .max_lifetime(LIFETIME_MAX)
            .connection_timeout(CONNECT_TIMEOUT)
            // A server that refuses is answered for at once, instead of being asked until the time is up.
            .retry_connection(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .error_sink(Box::new(LogSink))
            .build_unchecked(Manager::new(target.clone(), tenants_per_connection_max, Arc::clone(&backends)));
        let admission = Admission::new(Rules::new(size_max, QUEUE_MAX, checkout_timeout));
        Self { bb8, target, admission, checkout_timeout, size_max, metrics: None, backends, violations: Arc::default() }
    }

    /// The same, where no more operations than these wait. To be said before anybody borrows.
    #[must_use]
    pub fn with_queue_max(self, queue_max: usize) -> Self {
        let rules = Rules::new(self.size_max, queue_max, self.checkout_timeout);
        Self { admission: Admission::new(rules), ..self }
    }

    /// The same, counting waits and refusals.
    #[must_use]
    pub fn with_metrics(self, metrics: AdmissionMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The same, telling what backends take: how many tenants each had served, and the memory of one of them after every such pause.
    /// To be said before anybody borrows.
    #[must_use]
    pub fn with_backends(self, metrics: BackendMetrics, pause: Duration) -> Self {
        let _ = self.backends.set(Arc::new(Backends::new(metrics, pause)));
        self
    }

    /// The control plane's pool: small, and apart from the tenants'.
    #[must_use]
    pub fn control(target: Target, checkout_timeout: Duration) -> Self {
        Self::new(target, CONTROL_POOL_MAX, checkout_timeout, usize::MAX)
    }

    /// Borrows a connection when its turn has come: see [`super::fair`].
    ///
    /// # Errors
    /// [`DbError::Overloaded`] when none will be free in time, [`DbError::Busy`] when none was, [`DbError::Unreachable`] when none could be made.
    pub(super) async fn borrow(&self, borrower: Borrower) -> Result<Borrowed, DbError> {
        let asked_at = Instant::now();
        let permit = self.admission.acquire(borrower).await;
        self.count(asked_at, permit.as_ref().err());
        let permit = permit.map_err(DbError::from)?;
        // A permit means a free place, so a wait here is a wait for a new connection.
        let connection = self.bb8.get_owned().await.map_err(|error| match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => DbError::Unreachable("connecting took too long".to_owned()),
        })?;
        Ok(Borrowed { connection, _permit: permit })
    }

    fn count(&self, asked_at: Instant, shed: Option<&Shed>) {
        let Some(metrics) = &self.metrics else { return };
        match shed {
            None => metrics.waits.observe(asked_at.elapsed().as_secs_f64()),
            Some(shed) => metrics.shed.with_label_values(&[label(shed.reason)]).inc(),
        }
    }

    /// Where cancel requests go.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// How many transactions stood in another schema than they were opened for.
    #[must_use]
    pub fn violations(&self) -> &Arc<AtomicU64> {
        &self.violations
    }

    /// The state, for metrics.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let (state, admission) = (self.bb8.state(), self.admission.state());
        PoolState {
            connections: state.connections,
            idle: state.idle_connections,
            size_max: self.size_max,
            permits_free: admission.free as usize,
            waiting: admission.waiting,
            tenants_waiting: admission.tenants_waiting,
        }
    }

    /// How many connections were ever made, to see a storm of them.
    #[must_use]
    pub fn connections_created(&self) -> u64 {
        self.bb8.state().statistics.connections_created
    }
}

impl From<Shed> for DbError {
    fn from(shed: Shed) -> Self {
        match shed.reason {
            Reason::WaitedOut => Self::Busy,
            _ => Self::Overloaded { retry_after: shed.retry_after },
        }
    }
}

/// Logs what bb8 would swallow: connections that could not be made or were found broken.
#[derive(Debug, Clone, Copy)]
struct LogSink;

impl bb8::ErrorSink<DbError> for LogSink {
    fn sink(&self, error: DbError) {
        tracing::warn!(error = %error, "A database connection failed");
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<DbError>> {
        Box::new(*self)
    }
}
