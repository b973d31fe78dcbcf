//! A server with two shops that nobody else uses.
//!
//! A test works in shop A. When it ends, shop B must be as it was, no connection may be kept, and no job of either shop
//! may have appeared that the test did not ask for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::app::App;
use shelfwise::auth::Claims;
use shelfwise::config::Config;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::provisioning::{NewTenant, tenant_provision};
use shelfwise::http::serve::{bind, serve};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::UserId;
use shelfwise::kernel::tenant::TenantCtx;
use tokio::sync::oneshot;

use super::client::Client;
use super::cluster::{psql, shared_urls};

/// How long a token of the tests is valid.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// How long a borrowed connection may take to come back after a test.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

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
        let listener = bind(&app).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(Arc::clone(&app), listener, async {
            let _ = stopped.await;
        }));
        Self { app, base_url, http: reqwest::Client::new(), a, b, stop: Some(stop), server }
    }

    /// The owner of shop A.
    pub fn owner(&self) -> Client<'_> {
        self.user(&self.a, Role::Owner)
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
        let token = self.token(&Claims::Admin { subject: "admin:test".to_owned() });
        Client::new(self, "/admin/graphql", Some(token))
    }

    /// Nobody.
    pub fn stranger(&self) -> Client<'_> {
        Client::new(self, "/graphql", None)
    }

    /// A token for claims.
    pub fn token(&self, claims: &Claims) -> String {
        self.app.tokens.mint(claims, SystemClock.now(), TOKEN_LIFETIME).unwrap()
    }

    /// Stops the server.
    pub async fn end(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.server.await.unwrap().unwrap();
    }

    /// Waits until every connection is back in the pool.
    pub async fn assert_nothing_borrowed(&self) {
        let returned = async {
            loop {
                let state = self.app.tenants.pool_state();
                if state.permits_free == state.size_max as usize && state.idle == state.connections {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let state = || self.app.tenants.pool_state();
        tokio::time::timeout(RETURN_TIMEOUT, returned).await.unwrap_or_else(|_| panic!("kept: {:?}", state()));
    }
}

/// The claims of somebody with a role in a shop.
pub fn user_claims(shop: &TenantCtx, role: Role) -> Claims {
    Claims::Tenant { slug: shop.slug.clone(), tenant: shop.id, user: UserId(SystemClock.new_id()), role }
}

/// A configuration over the shared database.
pub fn config(settings: &[(&str, &str)]) -> Config {
    config_over(&shared_urls(), settings)
}

/// A configuration over any database.
pub fn config_over(urls: &DatabaseUrls, settings: &[(&str, &str)]) -> Config {
    let mut vars: HashMap<&str, String> = HashMap::from([
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting()),
        ("PORT", "0".to_owned()),
        ("DB_POOL_MAX", "4".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ]);
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
    let tenant = tenant_provision(app.owner.as_ref().unwrap(), &SystemClock, &new).await.unwrap();
    tenant.context().unwrap()
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

/// The content of all tables of a shop, its jobs and its registry entry.
pub async fn fingerprint(shop: &TenantCtx) -> Vec<(String, String)> {
    let psql = psql().await;
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
