//! A fleet of a test's own: a few tenants in a database that nobody else uses, and migrations that no release has.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::error::{ControlError, ControlErrorCode};
use shelfwise::control::migrations::drive::{Driver, Ended, Lease};
use shelfwise::control::migrations::service::{Bridge, progress, run_by_id};
use shelfwise::control::migrations::{MigrationSet, Options, Run};
use shelfwise::control::provisioning::tenant_provision;
use shelfwise::control::tenants::Tenant;
use shelfwise::db::migrate::{Migration, Plane, migrate_control, migrations, newest_version};
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{ControlDb, OwnerDb};
use shelfwise::failure::Failure;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::ids::MigrationRunId;
use shelfwise::kernel::tenant::SchemaName;
use tokio_postgres::Client as Psql;

use crate::harness::cluster::{own_database, psql_of};
use crate::harness::world::{fresh_slug, master_key, new_tenant, operator, vault};
use crate::jobs::queue::PATIENCE;

/// Tenants and who migrates them.
pub struct Fleet {
    pub database: String,
    pub urls: DatabaseUrls,
    pub control: ControlDb,
    pub owner: OwnerDb,
    pub psql: Psql,
    pub tenants: Vec<Tenant>,
}

/// The version of a migration of tests.
pub fn version(number: u32) -> String {
    format!("20991231{number:06}")
}

/// A migration of tests.
pub fn migration(number: u32, up: &str, down: &str) -> Migration {
    Migration {
        version: version(number),
        name: format!("2099-12-31-{number:06}_test"),
        up: up.to_owned(),
        down: down.to_owned(),
        backfill: None,
    }
}

/// A migration that adds a column to the books.
pub fn column(number: u32) -> Migration {
    let (up, down) = (
        format!("ALTER TABLE books ADD COLUMN extra_{number} text;"),
        format!("ALTER TABLE books DROP COLUMN extra_{number};"),
    );
    migration(number, &up, &down)
}

/// The release's migrations and these.
pub fn set_of(more: impl IntoIterator<Item = Migration>) -> MigrationSet {
    MigrationSet::of(migrations(Plane::Tenant).into_iter().chain(more).collect())
}

/// Options for tests: what is busy is given up soon.
pub fn options() -> Options {
    Options { attempts_max: 2, lock_timeout_ms: 100, ..Options::default() }
}

/// The control plane's door to a database.
pub fn control_of(urls: &DatabaseUrls) -> ControlDb {
    ControlDb::new(Pool::control(Target::from_url(urls.runtime.expose_secret()).unwrap(), Duration::from_secs(10)))
}

impl Fleet {
    /// So many tenants at the newest version of the release.
    pub async fn of(count: usize) -> Self {
        let (database, urls) = own_database().await;
        let owner = owner(&urls).unwrap();
        migrate_control(&owner).await.unwrap();
        let mut fleet = Self {
            psql: psql_of(&database).await,
            control: control_of(&urls),
            database,
            urls,
            owner,
            tenants: Vec::new(),
        };
        for _ in 0..count {
            fleet.join().await;
        }
        fleet
    }

    /// Another tenant joins, as a release that knows no newer migrations makes it.
    pub async fn join(&mut self) -> Tenant {
        let new = new_tenant(&fresh_slug("f"));
        let vault = vault(&[master_key()]);
        let tenant = tenant_provision(&self.owner, &vault, &SystemClock, &operator(), &new).await.unwrap();
        self.tenants.push(tenant.clone());
        tenant
    }

    /// Who leads, with a lease that is over soon.
    pub fn driver(&self, set: &MigrationSet) -> Driver {
        Driver {
            control: self.control.clone(),
            owner: self.owner.clone(),
            set: set.clone(),
            clock: Arc::new(SystemClock),
            name: "test".to_owned(),
            lease: Lease { length: Duration::from_millis(1_000), beat: Duration::from_millis(50) },
        }
    }

    /// Starts a run that the test leads.
    pub async fn start(&self, set: &MigrationSet, options: &Options) -> Result<Run, ControlError> {
        self.act(set, async |bridge| bridge.run_start(options).await).await
    }

    /// Acts as an operator.
    pub async fn act(
        &self,
        set: &MigrationSet,
        work: impl AsyncFnOnce(&Bridge<'_>) -> Result<Run, ControlError>,
    ) -> Result<Run, ControlError> {
        let operator = operator();
        let bridge = Bridge { control: &self.control, set, clock: &SystemClock, operator: &operator, by_job: false };
        work(&bridge).await
    }

    /// Leads a run until it ends.
    pub async fn drive(&self, set: &MigrationSet, run: &Run) -> Ended {
        let drive = self.driver(set);
        let drive = drive.drive(run.id, std::future::pending());
        tokio::time::timeout(PATIENCE * 3, drive).await.expect("the run ends").unwrap()
    }

    /// Starts a run and leads it until it ends.
    pub async fn run(&self, set: &MigrationSet, options: &Options) -> (Run, Ended) {
        let run = self.start(set, options).await.unwrap();
        let ended = self.drive(set, &run).await;
        (self.read(run.id).await, ended)
    }

    /// A run as it is now.
    pub async fn read(&self, id: MigrationRunId) -> Run {
        run_by_id(&self.control, id).await.unwrap().unwrap()
    }

    /// How many steps of a run are completed, failed, skipped and pending.
    pub async fn counts(&self, run: &Run) -> [i64; 4] {
        let progress = progress(&self.control, run.id).await.unwrap();
        [progress.completed, progress.failed, progress.skipped, progress.pending]
    }

    /// The schema of a tenant.
    pub fn schema(&self, tenant: usize) -> SchemaName {
        SchemaName::from(self.tenants[tenant].id)
    }

    /// Runs statements as a person with psql would.
    pub async fn sql(&self, statements: &str) {
        self.psql.batch_execute(statements).await.unwrap();
    }

    /// What a query answers, as one text.
    pub async fn ask(&self, query: &str) -> String {
        self.psql.query_one(&format!("SELECT coalesce(({query})::text, 'null')"), &[]).await.unwrap().get(0)
    }

    /// Waits until a query answers a text.
    pub async fn until(&self, query: &str, answer: &str) {
        let mut last = String::new();
        let wait = async {
            while last != answer {
                last = self.ask(query).await;
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{query}: {last}, not {answer}");
        }
    }

    /// Where a tenant is: what the registry says, and the migrations of tests that its ledger lists.
    pub async fn place(&self, tenant: usize) -> (String, Vec<String>) {
        let id = self.tenants[tenant].id.0;
        let registry = format!("SELECT schema_version FROM control.tenants WHERE id = '{id}'");
        let registry = self.ask(&registry).await;
        let ledger = format!(
            r#"SELECT version::text FROM "{}".__diesel_schema_migrations WHERE version > '2099' ORDER BY 1"#,
            self.schema(tenant)
        );
        let rows = self.psql.query(&ledger, &[]).await.unwrap();
        (registry, rows.iter().map(|row| row.get(0)).collect())
    }

    /// Asserts that a tenant has these migrations of tests, by its ledger and the registry alike.
    pub async fn assert_at(&self, tenant: usize, numbers: &[u32]) {
        let expected: Vec<String> = numbers.iter().copied().map(version).collect();
        let newest = expected.last().cloned().unwrap_or_else(|| newest_version(Plane::Tenant));
        assert_eq!(self.place(tenant).await, (newest, expected), "tenant {tenant}");
    }

    /// Whether a tenant's books have a column.
    pub async fn has_column(&self, tenant: usize, column: &str) -> bool {
        let schema = self.schema(tenant);
        let query = format!(
            "SELECT count(*) FROM information_schema.columns
             WHERE table_schema = '{schema}' AND table_name = 'books' AND column_name = '{column}'"
        );
        self.ask(&query).await == "1"
    }

    /// A session that works in a tenant's books and does not end: it holds what a writer holds.
    pub async fn hold(&self, tenant: usize) -> Psql {
        let psql = psql_of(&self.database).await;
        let schema = self.schema(tenant);
        psql.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".books IN ROW EXCLUSIVE MODE"#)).await.unwrap();
        psql
    }
}

/// The codes of a refusal.
pub fn codes<T: std::fmt::Debug>(result: Result<T, ControlError>) -> Vec<ControlErrorCode> {
    match result.unwrap_err() {
        Failure::Refused(refusals) => refusals.into_iter().map(|refusal| refusal.code).collect(),
        failure => panic!("{failure:?}"),
    }
}
