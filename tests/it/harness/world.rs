//! A server with two shops that nobody else uses.
//!
//! A test works in shop A. When it ends, shop B must be as it was, no connection may be kept, and no job of either shop
//! may have appeared that the test did not ask for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::app::{App, owner};
use shelfwise::auth::Claims;
use shelfwise::auth::tokens::AdminClaims;
use shelfwise::config::Config;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::{CryptoConfig, MasterKey};
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::audit::Operator;
use shelfwise::control::provisioning::{NewTenant, tenant_provision};
use shelfwise::control::tenants::Lookup;
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::{DbError, OwnerTx, TenantTx};
use shelfwise::http::serve::{bind, serve};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock, SystemClock};
use shelfwise::kernel::ids::UserId;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::vault::Vault;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::client::Client;
use super::cluster::{own_database, psql, shared_urls};
use super::pooler::between;

/// How long a token of the tests is valid: longer than any of them puts its clock forward.
const TOKEN_LIFETIME: Duration = Duration::from_secs(100 * 24 * 3600);

/// How long a borrowed connection may take to come back after a test.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may take to hear of a change of a tenant's entry.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Plans that no storm of requests comes to the end of, for a database of a test's own.
pub const AMPLE_PLANS: &str = "UPDATE control.plans SET points_per_minute = 60000000, requests_per_minute = 60000000,
    mutations_per_minute = 60000000, concurrent_operations = 10000, books = 1000000000, jobs = 1000";

/// A running server and its two shops.
pub struct World {
    pub app: Arc<App>,
    pub base_url: String,
    pub http: reqwest::Client,
    /// The shop that the test works in.
    pub a: Arc<TenantCtx>,
    /// The shop that must not notice.
    pub b: Arc<TenantCtx>,
    stop: Option<oneshot::Sender<()>>,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// Runs a test in a world with default settings.
pub async fn world(test: impl AsyncFnOnce(&World)) {
    world_with(&[], test).await;
}

/// Runs a test in a world with settings of its own.
pub async fn world_with(settings: &[(&str, &str)], test: impl AsyncFnOnce(&World)) {
    let world = World::start(settings).await;
    let before = fingerprint(&world.b).await;
    test(&world).await;
    world.assert_nothing_borrowed().await;
    assert_eq!(fingerprint(&world.b).await, before, "the other shop has changed");
    world.end().await;
}

impl World {
    /// Starts a server and makes two shops.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let app = app(settings);
        let a = shop(&app, "a").await;
        let b = shop(&app, "b").await;
        Self::serve(app, a, b).await
    }

    /// Starts a server with a clock of its own in a database of its own, for what workers do, and makes two shops: workers
    /// on one queue would steal each other's jobs. Answers the database's name too.
    pub async fn start_alone(clock: Arc<dyn Clock>, settings: &[(&str, &str)]) -> (Self, String) {
        let (name, urls) = own_database().await;
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let app = Arc::new(App::new(config_over(&urls, settings), clock).unwrap());
        let (a, b) = (shop(&app, "a").await, shop(&app, "b").await);
        (Self::serve(app, a, b).await, name)
    }

    /// Starts a server over a database that has the control plane's tables, of whatever cluster, and makes two shops.
    pub async fn start_over(urls: &DatabaseUrls, settings: &[(&str, &str)]) -> Self {
        let app = Arc::new(App::new(config_over(urls, settings), Arc::new(SystemClock)).unwrap());
        let (a, b) = (shop(&app, "a").await, shop(&app, "b").await);
        Self::serve(app, a, b).await
    }

    /// Another server with the same settings over the same database, be it shared or the test's own, and the same shops.
    pub async fn twin(&self) -> Self {
        let app = Arc::new(App::new(self.app.config.clone(), Arc::clone(&self.app.services.clock)).unwrap());
        Self::serve(app, Arc::clone(&self.a), Arc::clone(&self.b)).await
    }

    /// Another server over the same shops, as a second replica would be.
    pub async fn beside(world: &Self) -> Self {
        Self::beside_with(world, &[]).await
    }

    /// The same with settings of its own.
    pub async fn beside_with(world: &Self, settings: &[(&str, &str)]) -> Self {
        Self::serve(app(settings), Arc::clone(&world.a), Arc::clone(&world.b)).await
    }

    async fn serve(app: Arc<App>, a: Arc<TenantCtx>, b: Arc<TenantCtx>) -> Self {
        let listener = bind(&app).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(Arc::clone(&app), listener, async {
            let _ = stopped.await;
        }));
        Self { app, base_url, http: http_client(), a, b, stop: Some(stop), server }
    }

    /// The owner of shop A.
    pub fn owner(&self) -> Client<'_> {
        self.user(&self.a, Role::Owner)
    }

    /// The token of shop A's owner, for requests that no client sends.
    pub fn owner_token(&self) -> String {
        self.token(&user_claims(&self.a, Role::Owner))
    }

    /// The owner of shop B.
    pub fn other_owner(&self) -> Client<'_> {
        self.user(&self.b, Role::Owner)
    }

    /// Somebody with a role in a shop.
    pub fn user(&self, shop: &TenantCtx, role: Role) -> Client<'_> {
        Client::new(self, "/graphql", Some(self.token(&user_claims(shop, role))))
    }

    /// An administrator of the platform.
    pub fn admin(&self) -> Client<'_> {
        let token = self.token(&admin_claims());
        Client::new(self, "/admin/graphql", Some(token))
    }

    /// Nobody.
    pub fn stranger(&self) -> Client<'_> {
        Client::new(self, "/graphql", None)
    }

    /// A token for claims.
    pub fn token(&self, claims: &Claims) -> String {
        self.app.services.tokens.mint(claims, self.app.services.clock.now(), TOKEN_LIFETIME).unwrap()
    }

    /// Stops the server.
    pub async fn end(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.server.await.unwrap().unwrap();
    }

    /// The context that the server has of shop A, once it is so.
    pub async fn context_when(&self, is_so: impl Fn(&TenantCtx) -> bool) -> Arc<TenantCtx> {
        let heard = async {
            loop {
                let lookup = self.app.services.registry.resolve(&self.a.slug).await.unwrap();
                let Lookup::Active(context) = lookup else { panic!("{lookup:?}") };
                if is_so(&context) {
                    return context;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HEARD_WITHIN, heard).await.expect("the server hears of the change")
    }

    /// Waits until every connection is back in the pool.
    pub async fn assert_nothing_borrowed(&self) {
        let returned = async {
            loop {
                let state = self.app.services.tenants.pool_state();
                if state.permits_free == state.size_max as usize && state.idle == state.connections {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let state = || self.app.services.tenants.pool_state();
        tokio::time::timeout(RETURN_TIMEOUT, returned).await.unwrap_or_else(|_| panic!("kept: {:?}", state()));
    }
}

/// The claims of an operator at the command line.
pub fn admin_claims() -> Claims {
    Claims::Admin(AdminClaims::Operator { name: "cli:test".to_owned() })
}

/// The claims of somebody with a role in a shop.
pub fn user_claims(shop: &TenantCtx, role: Role) -> Claims {
    let user = user_id(shop, role);
    Claims::Tenant { slug: shop.slug.clone(), tenant: shop.id, user, session: None, role: Some(role) }
}

/// The user of a shop who has a role and no other. The id is told by shop and role, so that nobody has to carry it.
pub fn user_id(shop: &TenantCtx, role: Role) -> UserId {
    let number = Role::ALL.iter().position(|known| *known == role).unwrap() as u128 + 1;
    UserId(Uuid::from_u128(shop.id.0.as_u128() ^ number))
}

/// A client of the server under test, over plain HTTP. It trusts no certificate, so it need not read the machine's.
pub fn http_client() -> reqwest::Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

/// A configuration over the shared database.
pub fn config(settings: &[(&str, &str)]) -> Config {
    config_over(&shared_urls(), settings)
}

/// How long an answer of a Redis is waited for: longer than a busy machine takes, so that what is counted is counted by Redis
/// wherever there is one.
pub const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// A configuration over any database.
pub fn config_over(urls: &DatabaseUrls, settings: &[(&str, &str)]) -> Config {
    let mut vars: HashMap<&str, String> = HashMap::from([
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting()),
        ("PORT", "0".to_owned()),
        ("DB_POOL_MAX", "4".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
        ("SPARE_SCHEMAS", "0".to_owned()),
        // Tests write below the API and count statements. Those of the cache set it.
        ("CACHE_TTL_SECONDS", "0".to_owned()),
        ("REDIS_TIMEOUT_MS", REDIS_TIMEOUT.as_millis().to_string()),
    ]);
    vars.extend(between(urls));
    vars.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Config::from_vars(&|name| vars.get(name).cloned()).unwrap()
}

/// An app over the shared database, without a server.
pub fn app(settings: &[(&str, &str)]) -> Arc<App> {
    Arc::new(App::new(config(settings), Arc::new(SystemClock)).unwrap())
}

/// A slug that nobody else has. It starts with the letter, so that titles made of it tell their shop.
pub fn fresh_slug(letter: &str) -> String {
    format!("{letter}{}", SystemClock.new_id().simple())
}

/// Makes a shop of a test's own.
pub async fn shop(app: &App, letter: &str) -> Arc<TenantCtx> {
    let new = new_tenant(&fresh_slug(letter));
    let tenant = tenant_provision(app.owner.as_ref().unwrap(), &app.services.vault, &SystemClock, &operator(), &new)
        .await
        .unwrap();
    let shop = tenant.context().unwrap();
    people(app, &shop).await;
    shop
}

/// The master key of all servers of the tests: they share a database.
pub fn master_key() -> MasterKey {
    static KEY: OnceLock<MasterKey> = OnceLock::new();
    KEY.get_or_init(|| MasterKey::generate("test-1").unwrap()).clone()
}

/// The vault of a process that has some master keys.
pub fn vault(master_keys: &[MasterKey]) -> Vault {
    Vault::new(&CryptoConfig { master_keys: master_keys.to_vec() }, Arc::new(SystemClock))
}

/// Who acts on the platform in tests.
pub fn operator() -> Operator {
    Operator::cli("test")
}

/// Adds one active user for each default role, below the API.
pub async fn people(app: &App, shop: &Arc<TenantCtx>) {
    let insert = "WITH person AS (
            INSERT INTO users (id, email, email_key, name, status, created_at)
            VALUES ($1, $2 || '@test.example', $2 || '@test.example', $2, 'active', now()) RETURNING id)
        INSERT INTO user_roles (user_id, role_id) SELECT person.id, roles.id FROM person, roles WHERE key = $2";
    let work = async |tx: &mut OwnerTx| {
        let mut tx: TenantTx = tx.as_tenant(shop.id).await?;
        for role in Role::ALL {
            let insert = diesel::sql_query(insert)
                .bind::<diesel::sql_types::Uuid, _>(user_id(shop, role).0)
                .bind::<diesel::sql_types::Text, _>(role.as_str());
            tx.execute(insert).await?;
        }
        Ok::<(), DbError>(())
    };
    // By the owner's door, so that the pool that a test counts is untouched.
    app.owner.as_ref().unwrap().write(work).await.unwrap();
}

/// A request for a tenant that is right in every field.
pub fn new_tenant(slug: &str) -> NewTenant {
    NewTenant {
        slug: slug.to_owned(),
        name: format!("Shop {slug}"),
        plan: "business".to_owned(),
        owner_email: "owner@shop.example".to_owned(),
        currency: "EUR".to_owned(),
    }
}

/// Everything that a shop's tables but for one hold, as PostgreSQL writes it.
pub async fn dump(shop: &TenantCtx, except: &str) -> String {
    let psql = psql().await;
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 AND tablename <> $2";
    let mut text = String::new();
    for row in psql.query(tables, &[&shop.schema.as_str(), &except]).await.unwrap() {
        let table: String = row.get(0);
        let query = format!(r#"SELECT coalesce(string_agg(t::text, E'\n'), '') FROM "{}"."{table}" t"#, shop.schema);
        text.push_str(&psql.query_one(&query, &[]).await.unwrap().get::<_, String>(0));
    }
    text
}

/// The content of all tables of a shop, its jobs and its registry entry.
pub async fn fingerprint(shop: &TenantCtx) -> Vec<(String, String)> {
    fingerprint_by(&psql().await, shop).await
}

/// The same by a superuser's connection to any database.
pub async fn fingerprint_by(psql: &tokio_postgres::Client, shop: &TenantCtx) -> Vec<(String, String)> {
    let tables = psql
        .query("SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", &[&shop.schema.as_str()])
        .await
        .unwrap();
    let mut contents = Vec::new();
    for row in tables {
        let table: String = row.get(0);
        let query = format!(
            r#"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), 'empty') FROM "{}"."{table}" t"#,
            shop.schema
        );
        contents.push((table, psql.query_one(&query, &[]).await.unwrap().get(0)));
    }
    let query = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t.id)), 'empty') FROM control.jobs t
                 WHERE tenant_id = $1";
    contents.push(("control.jobs".to_owned(), psql.query_one(query, &[&shop.id.0]).await.unwrap().get(0)));
    let query = "SELECT md5(t::text) FROM control.tenants t WHERE id = $1";
    contents.push(("control.tenants".to_owned(), psql.query_one(query, &[&shop.id.0]).await.unwrap().get(0)));
    contents
}
