//! The worker: every job that this release knows, and what runs them.

mod archives;
mod deprecations;
mod flags;
pub mod fleet;
pub mod gauges;
mod keys;
pub mod mail;
mod offboarding;
mod patrol;
mod payments;
mod provisioning;
pub mod tenants;
mod upkeep;
pub mod webhooks;

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::{FutureExt as _, join};
use secrecy::ExposeSecret as _;

use crate::app::{App, urls};
use crate::control::migrations::MigrationSet;
use crate::db::bell::CHANNEL;
use crate::db::listen::{Liveness, Signal, listen};
use crate::db::tls::Target;
use crate::jobs::prune::Prune;
use crate::jobs::runner::Room;
use crate::jobs::{Handlers, Pace, Periodic, Runner};
use crate::kernel::ids::base32_encode;
use crate::outbound::Outbound;
use deprecations::{Notify, with_deprecations};
use offboarding::{LookAfter, with_offboarding};
use patrol::Patrol;
use webhooks::webhook_handlers;

/// What workers enqueue by themselves, whatever the settings.
const PERIODIC: [Periodic; 7] = [
    Patrol::PERIODIC,
    Prune::PERIODIC,
    archives::Sweep::PERIODIC,
    archives::Schedule::PERIODIC,
    LookAfter::PERIODIC,
    flags::Review::PERIODIC,
    Notify::PERIODIC,
];

/// The jobs that every worker knows. Where no server takes mail, jobs that mail wait for a worker that has one.
#[must_use]
pub fn handlers(app: &Arc<App>) -> Handlers {
    let jobs = &app.config.jobs;
    let handlers = match &app.mailer {
        Some(mailer) => mail::with_mail(Handlers::default(), app, mailer, &mail::link_base(app)),
        None => Handlers::default(),
    };
    let handlers = provisioning::with_provisioning(handlers, app);
    let handlers = with_deprecations(handlers, app);
    let handlers = fleet::with_fleet(handlers, app, MigrationSet::embedded());
    let handlers = with_offboarding(archives::with_archives(handlers, app), app);
    keys::with_keys(upkeep::with_upkeep(payments::with_payments(handlers, app), app), app)
        .with(Patrol::new(Arc::clone(app)))
        .with(flags::Review(Arc::clone(app)))
        .with(Prune { control: app.control.clone(), retention: jobs.retention, dead_retention: jobs.dead_retention })
}

/// Works with these handlers until `stop` resolves, and ends what is under way.
///
/// # Errors
/// No database is configured, or its URL is malformed.
pub async fn work(app: Arc<App>, handlers: Handlers, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let target = Target::from_url(urls(&app.config)?.listen.expose_secret()).context("DATABASE_LISTEN_URL")?;
    let bell = app.services.bell.clone();
    let name = base32_encode(app.services.clock.new_id());
    let heard = bell.clone();
    let hear = move |signal| match signal {
        Signal::Connected => heard.wake(),
        Signal::Payload(payload) => heard.hear(&payload),
    };
    let runner = |handlers, slots, periodic: &[Periodic]| Runner {
        control: app.control.clone(),
        bell: bell.clone(),
        clock: Arc::clone(&app.services.clock),
        handlers,
        periodic: periodic.to_vec(),
        room: Room { slots, per_tenant_max: app.config.jobs.per_tenant_max },
        pace: Pace::default(),
        metrics: app.metrics.jobs.clone(),
        name: name.clone(),
    };
    let policy = app.services.outbound;
    let outbound = Outbound::for_deliveries(policy, app.config.webhooks.timeout)?;
    let webhooks = webhook_handlers(&app, outbound);
    let periodic: Vec<Periodic> = PERIODIC.into_iter().chain(provisioning::periodic(&app)).collect();
    let stop = stop.shared();
    let works = join(
        runner(handlers, app.config.jobs.slots, &periodic).run(stop.clone()),
        // Endpoints are waited for in slots of their own, so that nobody else's jobs wait for them.
        runner(webhooks, app.config.webhooks.slots, &[]).run(stop),
    );
    tokio::select! {
        ((), ()) = works => {}
        () = listen(target, CHANNEL, name, Liveness::default(), hear) => {}
        never = gauges::keep(&app) => match never {},
    }
    Ok(())
}
