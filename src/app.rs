//! The one place where the parts of the server are put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::FutureExt as _;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;

use crate::auth::{External, Passwords, Strangers, Tokens};
use crate::cache::Cache;
use crate::config::Config;
use crate::config::database::DatabaseUrls;
use crate::control::admins::Admins;
use crate::control::health::{Health, LOOK_TIMEOUT};
use crate::control::tenants::Registry;
use crate::db::listen::{Liveness, Signal, listen};
use crate::db::pool::Pool;
use crate::db::tls::Target;
use crate::db::{Bell, ControlDb, News, OwnerDb, TenantDb};
use crate::graphql::Services;
use crate::graphql::asked::root_fields;
use crate::graphql::cost::Costs;
use crate::graphql::deprecation::Deprecations;
use crate::graphql::schema::{
    AdminSchema, AdminWatchSchema, TenantSchema, WatchSchema, admin_schema, admin_watch_schema, sdl_options,
    tenant_schema, watch_schema,
};
use crate::http::documents::Documents;
use crate::kernel::clock::Clock;
use crate::kernel::ids::base32_encode;
use crate::limits::Limiter;
use crate::live::Hub;
use crate::mail::Mailer;
use crate::news::Carrier;
use crate::objects::Objects;
use crate::payments::PaymentProvider;
use crate::payments::simulator::Simulator;
use crate::redis::Redis;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::operations::Operations;
use crate::tenant::deprecations::counter::Counter;
use crate::tenant::identity::principals::Principals;
use crate::tenant::settings::ShopSettings;
use crate::vault::Vault;

/// The least pause between two questions for the memory of a backend.
const BACKEND_PAUSE: Duration = Duration::from_secs(10);

/// The channel on which the registry's changes are notified, by a trigger of `control.tenants`.
const TENANTS_CHANNEL: &str = "shelfwise_tenants";

/// A server's parts, built once and shared by all requests.
pub struct App {
    /// The settings.
    pub config: Config,
    /// What operations share.
    pub services: Arc<Services>,
    /// The control plane's database.
    pub control: ControlDb,
    /// Who makes schemas, where the owner's login is known.
    pub owner: Option<OwnerDb>,
    /// What shops' credentials allow.
    pub principals: Principals,
    /// Which administrators' log-ins stand.
    pub admins: Admins,
    /// Verifies other issuers' tokens.
    pub external: External,
    /// Who sends mail, where there is a server that takes it.
    pub mailer: Option<Arc<Mailer>>,
    /// Where archives are kept.
    pub objects: Objects,
    /// What is counted.
    pub metrics: Metrics,
    /// Where operations are counted.
    pub operations: Operations,
    /// Parsed documents.
    pub documents: Documents,
    /// What operations of the tenants' API may cost.
    pub tenant_costs: Costs,
    /// What operations of the operators' API may cost.
    pub admin_costs: Costs,
    /// The tenants' API.
    pub tenant_schema: TenantSchema,
    /// The operators' API.
    pub admin_schema: AdminSchema,
    /// What answers the tenants' subscriptions.
    pub watch_schema: WatchSchema,
    /// What answers the operators' subscriptions.
    pub admin_watch_schema: AdminWatchSchema,
    /// Who looks on.
    pub live: Hub,
    /// What goes on beside requests for as long as the app is there.
    _tasks: JoinSet<()>,
}

impl App {
    /// Puts the parts together. Nothing is connected but the listener, which tries until it succeeds.
    ///
    /// # Errors
    /// No database is configured, or a URL or key is malformed.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let urls = urls(&config)?;
        let runtime = runtime(&config)?;
        let listen_target = Target::from_url(urls.listen.expose_secret()).context("DATABASE_LISTEN_URL")?;
        let control = ControlDb::new(Pool::control(runtime.clone(), config.database.checkout_timeout));
        let redis = config.redis.url.as_ref().map(|url| Redis::new(url, config.redis.answer_timeout)).transpose()?;
        let (bell, news) = (Bell::default(), News::new(redis.is_some()));
        let metrics = Metrics::new()?;
        let tenants = tenants(runtime, &config, &metrics).with_bell(bell.clone()).with_news(news.clone());
        // Told of news before those who look on, or they would be answered with what is outdated.
        let cache = Cache::new(config.cache, &news, redis.clone(), Arc::clone(&clock), metrics.cache.clone());
        let (liveness, vault) = (Liveness::default(), Vault::new(&config.crypto, Arc::clone(&clock)));
        let registry = Registry::new(control.clone(), liveness.clone()).counted(metrics.cache.registry.clone());
        let live = hub(&config, &news);
        let heard = on_registry(registry.clone(), vault.clone(), live.clone());
        let (name, mut tasks) = (base32_encode(clock.new_id()), JoinSet::new());
        tasks.spawn(listen(listen_target.clone(), TENANTS_CHANNEL, name.clone(), liveness, heard));
        tasks.spawn(bell.clone().carry(control.clone()).map(drop));
        let carrier = Carrier { news: news.clone(), control: control.clone(), redis: redis.clone(), name };
        tasks.spawn(carrier.run(listen_target));
        cache.iter().cloned().for_each(|cache| drop(tasks.spawn(cache.run().map(drop))));
        let (tenant_schema, admin_schema) = (tenant_schema(), admin_schema());
        let (tenant_sdl, admin_sdl) = sdls(&tenant_schema, &admin_schema);
        Ok(Self {
            owner: urls.owner.is_some().then(|| owner(urls)).transpose()?,
            principals: Principals::new(tenants.clone(), vault.clone(), Arc::clone(&clock))
                .counted(metrics.cache.principals.clone()),
            admins: Admins::new(control.clone(), Arc::clone(&clock)),
            external: External::new(config.environment.outbound()),
            services: Arc::new(Services {
                tokens: Tokens::new(&config.auth)?,
                passwords: Passwords::new(clock.secret())?,
                admin_passwords: Passwords::new(clock.secret())?,
                strangers: Arc::new(Strangers::new(config.database.pool_max)),
                vault,
                registry,
                settings: settings(&config, &news, &metrics),
                offboarding_grace: config.retention.offboarding_grace,
                payments: payments(&config, &control, &clock),
                health: health(&config, redis.as_ref(), &clock, &metrics)?,
                limiter: limiter(&config, redis.clone(), &clock),
                redis,
                cache,
                bell,
                news,
                deprecations: Deprecations::new(&tenant_sdl),
                usage: Counter::new(tenants.clone(), Arc::clone(&clock)),
                tenants,
                clock,
                outbound: config.environment.outbound(),
                spares: config.provisioning.spares,
            }),
            mailer: Mailer::from_config(&config.mail)?,
            objects: Objects::new(config.objects.clone()),
            operations: Operations::new(&metrics.operations, root_fields(&tenant_sdl), root_fields(&admin_sdl)),
            metrics,
            documents: Documents::new(config.http.trusted_documents),
            tenant_costs: Costs::new(&tenant_sdl),
            admin_costs: Costs::new(&admin_sdl),
            tenant_schema,
            admin_schema,
            watch_schema: watch_schema(),
            admin_watch_schema: admin_watch_schema(),
            live,
            config,
            control,
            _tasks: tasks,
        })
    }
}

/// The texts of both schemas.
fn sdls(tenant: &TenantSchema, admin: &AdminSchema) -> (String, String) {
    (tenant.sdl_with_options(sdl_options()), admin.sdl_with_options(sdl_options()))
}

/// The tenants' door by a configuration.
fn tenants(runtime: Target, config: &Config, metrics: &Metrics) -> TenantDb {
    let database = &config.database;
    // Nobody waits for a connection beyond the end of the operation that wants it.
    let patience = database.checkout_timeout.min(config.http.request_timeout);
    let pool = Pool::new(runtime, database.pool_max, patience, database.tenants_per_connection_max)
        .with_queue_max(database.queue_max)
        .with_metrics(metrics.admission.clone())
        .with_backends(metrics.backends.clone(), BACKEND_PAUSE);
    TenantDb::new(pool)
}

/// What shops' settings come to, told of news from now on.
fn settings(config: &Config, news: &News, metrics: &Metrics) -> ShopSettings {
    ShopSettings::new(Arc::clone(&config.settings.environment), news).counted(metrics.cache.settings.clone())
}

/// Who looks on, told of news from now on.
fn hub(config: &Config, news: &News) -> Hub {
    let hub = Hub::new(config.sockets.max as usize, config.sockets.per_tenant_max as usize);
    let told = hub.clone();
    news.attach(Arc::new(move |bulletin, _| told.on_news(bulletin)));
    hub
}

/// What keeps tenants within their rates by a configuration.
fn limiter(config: &Config, redis: Option<Redis>, clock: &Arc<dyn Clock>) -> Limiter {
    Limiter::roomy(Arc::clone(clock), redis, config.limits.replicas, config.limits.headroom)
}

/// What the process will know of its own health. It looks by a connection of its own: however much there is to do, that is no reason
/// to say that it cannot be done.
fn health(config: &Config, redis: Option<&Redis>, clock: &Arc<dyn Clock>, metrics: &Metrics) -> anyhow::Result<Health> {
    let database = ControlDb::new(Pool::new(runtime(config)?, 1, LOOK_TIMEOUT, usize::MAX));
    let (interval, ready) = (config.health.interval, metrics.ready.clone());
    Ok(Health::new(database, redis.cloned(), Arc::clone(clock), interval, ready))
}

/// What happens when a tenant's entry has changed.
fn on_registry(registry: Registry, vault: Vault, live: Hub) -> impl Fn(Signal) {
    move |signal| {
        registry.on_signal(&signal);
        // Whoever's keys were destroyed is among those whose entry has changed.
        vault.forget();
        // Last, because who looks on looks at once.
        live.on_registry(&signal);
    }
}

/// Who takes payments by a configuration.
fn payments(config: &Config, control: &ControlDb, clock: &Arc<dyn Clock>) -> Option<Arc<dyn PaymentProvider>> {
    let simulator = config.payments.simulator?;
    Some(Arc::new(Simulator::new(control.clone(), Arc::clone(clock), simulator)))
}

/// The databases of a configuration.
///
/// # Errors
/// None is configured.
pub fn urls(config: &Config) -> anyhow::Result<&DatabaseUrls> {
    config.database.urls.as_ref().context("DATABASE_URL must be set; `shelfwise dev` needs none")
}

/// The runtime login of a configuration, through whatever pooler stands between.
///
/// # Errors
/// No database is configured, or the URL is malformed.
pub fn runtime(config: &Config) -> anyhow::Result<Target> {
    let target = Target::from_url(urls(config)?.runtime.expose_secret()).context("DATABASE_URL")?;
    Ok(Target { keeps_statements: config.database.statement_cache, ..target })
}

/// The owner's door of a configuration.
///
/// # Errors
/// The owner's login is not configured, or a URL is malformed.
pub fn owner(urls: &DatabaseUrls) -> anyhow::Result<OwnerDb> {
    let url = urls.owner.as_ref().context("DATABASE_OWNER_URL must be set for this")?;
    let target = Target::from_url(url.expose_secret()).context("DATABASE_OWNER_URL")?;
    let runtime = Target::from_url(urls.runtime.expose_secret()).context("DATABASE_URL")?;
    Ok(OwnerDb::new(target, runtime.config.get_user().context("DATABASE_URL names no user")?))
}
