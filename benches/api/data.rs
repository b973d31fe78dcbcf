//! The cluster under measurement: shops with the same books under the same ids, so that pgbench can ask what we ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::auth::{Claims, Tokens};
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::auth::{AuthConfig, JwtKey};
use shelfwise::config::crypto::{CryptoConfig, MasterKey};
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::audit::Operator;
use shelfwise::control::provisioning::{NewTenant, tenant_provision};
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{TenantDb, TenantTx};
use shelfwise::kernel::actor::Actor;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::UserId;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::catalog::import::model::ImportOptions;
use shelfwise::tenant::catalog::import::service::book_import;
use shelfwise::tenant::journal::Act;
use shelfwise::tenant::journal::service::write;
use shelfwise::vault::Vault;
use tokio_postgres::NoTls;

use super::pgbench::pgbench;

/// Plans that no load comes to the end of.
const AMPLE_PLANS: &str = "UPDATE control.plans SET points_per_minute = 60000000, requests_per_minute = 60000000,
    mutations_per_minute = 60000000, concurrent_operations = 10000, books = 1000000000, jobs = 1000";

/// Shops that are asked at random, unless `BENCH_TENANTS` says otherwise.
const TENANTS: usize = 100;

/// Shops that are made to time the making, at least.
const PROVISIONED: usize = 200;

/// Books of each shop.
const BOOKS: usize = 500;

/// Everything that the measurements share.
pub struct Bench {
    cluster: Cluster,
    urls: DatabaseUrls,
    key: JwtKey,
    master_key: MasterKey,
    shops: Vec<Arc<TenantCtx>>,
    /// The owner of each shop.
    owners: Vec<UserId>,
    folder: tempfile::TempDir,
    pub postgres_pid: u32,
    /// How many shops were made, how long one took, and all of them.
    pub provisioned: usize,
    pub provision_median: Duration,
    pub provision_total: Duration,
}

impl Bench {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
        open_to_all(folder.path());
        let settings = [("shared_buffers", "512MB"), ("max_connections", "100"), ("autovacuum", "off")];
        let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &settings).await.unwrap();
        let urls = prepare(&cluster, "shelfwise").await.unwrap();
        let owner = owner(&urls).unwrap();
        migrate_control(&owner).await.unwrap();
        // The server is measured, and not how it keeps shops within their plans.
        let (psql, connection) = tokio_postgres::connect(&cluster.superuser_url("shelfwise"), NoTls).await.unwrap();
        tokio::spawn(connection);
        psql.batch_execute(AMPLE_PLANS).await.unwrap();

        let operator = Operator::cli("bench");
        let master_key = MasterKey::generate("bench-1").unwrap();
        let vault = Vault::new(&CryptoConfig { master_keys: vec![master_key.clone()] }, Arc::new(SystemClock));
        let (mut shops, mut times) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let tenants = std::env::var("BENCH_TENANTS").map_or(TENANTS, |count| count.parse().unwrap());
        let provisioned = PROVISIONED.max(tenants);
        for number in 0..provisioned {
            let one = Instant::now();
            let new = NewTenant {
                slug: format!("shop-{number}"),
                name: "Shop".to_owned(),
                plan: "free".to_owned(),
                owner_email: "owner@shop.example".to_owned(),
                currency: "EUR".to_owned(),
            };
            shops.push(
                tenant_provision(&owner, &vault, &SystemClock, &operator, &new).await.unwrap().context().unwrap(),
            );
            times.push(one.elapsed());
        }
        let provision_total = started.elapsed();
        times.sort_unstable();
        shops.truncate(tenants);
        let pid = std::fs::read_to_string(
            std::fs::canonicalize(folder.path().join("cluster/data")).unwrap().join("postmaster.pid"),
        );
        let postgres_pid = pid.unwrap().lines().next().unwrap().parse().unwrap();
        let key = JwtKey::generate("bench-1").unwrap();
        let provision_median = times[times.len() / 2];
        let mut bench = Self {
            cluster,
            urls,
            key,
            master_key,
            shops,
            owners: Vec::new(),
            folder,
            postgres_pid,
            provisioned,
            provision_median,
            provision_total,
        };
        bench.fill(&vault).await;
        bench
    }

    /// Fills the first shop by an import and copies its rows to the others, ids and all.
    async fn fill(&mut self, vault: &Vault) {
        let mut csv = "title,authors,category,price,stock,year,language\n".to_owned();
        for book in 0..BOOKS {
            let (one, two) = (book * 7 % 211, book * 13 % 193);
            csv.push_str(&format!(
                "A Book of Some Length Number {book},\"Author Number {one}, Second Author {two}\",{},{}.90,{},{},eng\n",
                ["Fiction", "Non-fiction", "Children", "Comics"][book % 4],
                5 + book % 40,
                book % 9,
                1800 + book % 220
            ));
        }
        let target = Target::from_url(self.urls.runtime.expose_secret()).unwrap();
        let tenants = TenantDb::new(Pool::new(target, 1, Duration::from_secs(5), 300));
        let session = tenants.session(Arc::clone(&self.shops[0]));
        let work = async |tx: &mut TenantTx| {
            book_import(
                tx,
                &Actor::System,
                &SystemClock,
                &self.shops[0],
                csv.as_bytes(),
                ImportOptions::default(),
                |_| {},
            )
            .await
        };
        let act = Act::of_system("book.import", &self.shops[0], vault, &SystemClock);
        let import = write(&session, act, work).await.unwrap();
        assert_eq!(import.created_count as usize, BOOKS);

        let psql = self.psql().await;
        let first = &self.shops[0].schema;
        for shop in &self.shops[1..] {
            let to = &shop.schema;
            let columns =
                "id, title, title_key, authors_key, isbn13, category_id, price_minor, price_currency, language,
                published_year, published_month, published_day, stock, version, archived_at, created_at, updated_at";
            psql.batch_execute(&format!(
                r#"DELETE FROM "{to}".categories;
                   INSERT INTO "{to}".categories SELECT * FROM "{first}".categories;
                   INSERT INTO "{to}".authors SELECT * FROM "{first}".authors;
                   INSERT INTO "{to}".books ({columns}) SELECT {columns} FROM "{first}".books;
                   INSERT INTO "{to}".book_authors SELECT * FROM "{first}".book_authors;"#
            ))
            .await
            .unwrap();
        }
        for shop in &self.shops {
            let id = psql.query_one(&format!(r#"SELECT id FROM "{}".users"#, shop.schema), &[]).await.unwrap().get(0);
            self.owners.push(UserId(id));
        }
        psql.batch_execute("VACUUM ANALYZE").await.unwrap();
    }

    /// Enters tenants into the registry until there are so many; nobody asks for their schemas.
    pub async fn register_more(&self, total: i32) {
        let statement = "INSERT INTO control.tenants (id, slug, schema_name, name, plan, currency, status, schema_version, created_at, updated_at)
            SELECT gen_random_uuid(), 'more-' || n, 'none-' || n, 'More', 'free', 'EUR', 'active', '0', now(), now()
            FROM generate_series((SELECT count(*) FROM control.tenants) + 1, $1) n";
        self.psql().await.execute(statement, &[&i64::from(total)]).await.unwrap();
    }

    /// What the server is started with.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DATABASE_URL", self.urls.runtime.expose_secret().to_owned()),
            ("SHELFWISE_ENV", "production".to_owned()),
            ("JWT_KEYS", self.key.to_setting()),
            ("MASTER_KEYS", self.master_key.to_setting()),
            ("LOG_LEVEL", "info".to_owned()),
            ("DB_POOL_MAX", "8".to_owned()),
            // What is compared with PostgreSQL asks PostgreSQL.
            ("CACHE_TTL_SECONDS", "0".to_owned()),
        ]
    }

    /// A token for each shop.
    pub fn tokens(&self) -> Vec<String> {
        let tokens = Tokens::new(&AuthConfig { jwt_keys: vec![self.key.clone()] }).unwrap();
        let token = |(shop, user): (&Arc<TenantCtx>, &UserId)| {
            let user = *user;
            let claims = Claims::Tenant { slug: shop.slug.clone(), tenant: shop.id, user, session: None, role: None };
            tokens.mint(&claims, SystemClock.now(), Duration::from_secs(3600)).unwrap()
        };
        self.shops.iter().zip(&self.owners).map(token).collect()
    }

    /// The schemas of the shops.
    pub fn schemas(&self) -> Vec<String> {
        self.shops.iter().map(|shop| shop.schema.to_string()).collect()
    }

    /// The slugs of the shops.
    pub fn slugs(&self) -> Vec<String> {
        self.shops.iter().map(|shop| shop.slug.to_string()).collect()
    }

    /// Lets the runtime login have the rights of its roles without entering them, or no more.
    pub async fn inherit(&self, inherits: bool) {
        let statement = if inherits { "ALTER ROLE shelfwise INHERIT" } else { "ALTER ROLE shelfwise NOINHERIT" };
        self.psql().await.batch_execute(statement).await.unwrap();
    }

    /// The same statements as the catalogue query's, by pgbench with prepared statements and the path set: transactions
    /// a second.
    pub async fn pgbench_catalogue(&self, seconds: u64) -> f64 {
        let tenants = self.shops.len();
        let psql = self.psql().await;
        let first = &self.shops[0].schema;
        let page =
            format!(r#"SELECT id, category_id FROM "{first}".books WHERE archived_at IS NULL ORDER BY id LIMIT 20"#);
        let list = async |column: &str| -> String {
            let query = format!("SELECT string_agg(DISTINCT {column}::text, ',') FROM ({page}) p");
            psql.query_one(&query, &[]).await.unwrap().get(0)
        };
        let (books, categories) = (list("id").await, list("category_id").await);
        let schemas: Vec<String> = self.shops.iter().map(|shop| format!("'{}, pg_temp'", shop.schema)).collect();
        let script = format!(
            "\\set shop random(1, {tenants})
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT set_config('search_path', (ARRAY[{}])[:shop], true);
SELECT id, title, title_key, isbn13, category_id, price_minor, price_currency, language, published_year, published_month, published_day, stock, version, archived_at, created_at, updated_at, price_key, published_key FROM books WHERE archived_at IS NULL ORDER BY id ASC LIMIT 21;
SELECT book_authors.book_id, authors.id, authors.name, authors.name_key, authors.version, authors.archived_at, authors.created_at, authors.updated_at FROM book_authors INNER JOIN authors ON book_authors.author_id = authors.id WHERE book_authors.book_id = ANY('{{{books}}}'::uuid[]) ORDER BY book_authors.book_id, book_authors.position;
SELECT id, name, name_key, parent_id, path, version, archived_at, created_at, updated_at FROM categories WHERE id = ANY('{{{categories}}}'::uuid[]);
COMMIT;
",
            schemas.join(",")
        );
        let options = ["-c", "16", "-T", &seconds.to_string()].map(str::to_owned).to_vec();
        self.pgbench(&script, options).await
    }

    /// Runs a script by pgbench, with prepared statements: transactions a second.
    pub async fn pgbench(&self, script: &str, options: Vec<String>) -> f64 {
        pgbench(self.folder.path(), self.cluster.superuser_url("shelfwise"), script, options).await
    }

    /// The shops and their owners.
    pub fn shops(&self) -> impl Iterator<Item = (&TenantCtx, UserId)> {
        self.shops.iter().map(Arc::as_ref).zip(self.owners.iter().copied())
    }

    /// A connection that may do everything.
    pub async fn psql(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.cluster.superuser_url("shelfwise"), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// The server may run as another user, who must be able to walk there.
fn open_to_all(folder: &std::path::Path) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder, permissions).unwrap();
}
