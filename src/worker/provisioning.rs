//! Jobs of the platform around new tenants: the stock of spare schemas, and what operators are told of.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::app::App;
use crate::control::notices::model::{Digest, Notice};
use crate::control::notices::service::{prune, told, untold};
use crate::control::spares::{self, refill};
use crate::db::OwnerDb;
use crate::jobs::{Answer, Handler, Handlers, Job, Periodic, Setback};
use crate::kernel::ids::base32_encode;
use crate::mail::{Mail, Mailer, letter};

/// The kind of the job that tells operators.
const NOTICES: &str = "operations.notices";

/// The pause between two looks at the stock, and at what operators are to be told of.
const EVERY: Duration = Duration::from_secs(60);

/// How long filling up an empty stock may take: a thousand schemas, on a machine that has other things to do.
const REFILL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Fills the stock of spare schemas up. Twice is safe: a full stock is left as it is, and of two that fill it up at once
/// one goes home.
struct Refill {
    app: Arc<App>,
    owner: OwnerDb,
}

/// Tells operators what has happened: by mail, or in the log where nobody is named or no server takes mail. Twice is safe: what they
/// were told of is marked. A process that dies in between tells them again, by the same mail.
struct Notices {
    app: Arc<App>,
    /// None where it is only logged.
    mailer: Option<Arc<Mailer>>,
}

/// What comes by itself, by the settings of an installation.
pub(super) fn periodic(app: &App) -> Vec<Periodic> {
    let refill = (app.owner.is_some() && app.config.provisioning.spares > 0)
        .then_some(Periodic { kind: spares::REFILL, every: EVERY });
    refill.into_iter().chain([Periodic { kind: NOTICES, every: EVERY }]).collect()
}

/// These handlers, and those that need no mailer. Schemas are made where the owner's login is known, and by nobody else.
pub(super) fn with_provisioning(mut handlers: Handlers, app: &Arc<App>) -> Handlers {
    if let Some(owner) = &app.owner {
        handlers = handlers.with(Refill { app: Arc::clone(app), owner: owner.clone() });
    }
    // Where nobody is named, or nothing can be mailed: what nobody is ever told of would pile up.
    if app.config.provisioning.operations_email.is_none() || app.mailer.is_none() {
        handlers = handlers.with(Notices { app: Arc::clone(app), mailer: None });
    }
    handlers
}

/// These handlers, and those that mail operators, where any are named.
pub(super) fn with_operations_mail(handlers: Handlers, app: &Arc<App>, mailer: &Arc<Mailer>) -> Handlers {
    match &app.config.provisioning.operations_email {
        Some(_) => handlers.with(Notices { app: Arc::clone(app), mailer: Some(Arc::clone(mailer)) }),
        None => handlers,
    }
}

impl Refill {
    async fn refill(&self) -> Answer {
        let made = refill(&self.owner, &*self.app.services.clock, self.app.services.spares).await?;
        if made > 0 {
            tracing::info!(spares.made = made, "Made spare schemas");
        }
        Ok(())
    }
}

impl Handler for Refill {
    fn kind(&self) -> &'static str {
        spares::REFILL
    }

    fn timeout(&self) -> Duration {
        REFILL_TIMEOUT
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.refill().boxed()
    }
}

impl Notices {
    async fn tell(&self) -> Answer {
        let (control, clock) = (&self.app.control, &*self.app.services.clock);
        // Each round marks what it tells of, so the loop ends with the notices, or with this attempt's time.
        loop {
            let notices = untold(control).await?;
            let (Some(first), Some(last)) = (notices.first(), notices.last()) else { break };
            let id = format!("{}.{}", base32_encode(first.id), base32_encode(last.id));
            let digest = Digest::of(&notices);
            match &self.mailer {
                Some(mailer) => self.mail(mailer, id, digest).await?,
                None => notices.iter().for_each(log),
            }
            told(control, clock, &notices).await?;
        }
        prune(control, clock).await?;
        Ok(())
    }

    async fn mail(&self, mailer: &Mailer, id: String, digest: Digest) -> Answer {
        // Nobody is named any more: nothing is lost, the job without a mailer takes over.
        let Some(to) = &self.app.config.provisioning.operations_email else { return Ok(()) };
        let Digest { counts, lines, more } = digest;
        let letter = letter::operations_digest(&counts, &lines, more)
            .map_err(|error| Setback::GiveUp(format!("a template failed: {error}")))?;
        let to: &str = to.as_ref();
        let at = self.app.services.clock.now();
        Ok(mailer.send(&Mail { id, shop: None, to, reply_to: None, letter: &letter, at }).await?)
    }
}

/// Tells of a notice where nobody is mailed.
fn log(Notice { kind, details, at, .. }: &Notice) {
    tracing::info!(notice.kind = %kind, notice.details = %details, notice.at = %at, "Operators should know: {kind}");
}

impl Handler for Notices {
    fn kind(&self) -> &'static str {
        NOTICES
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.tell().boxed()
    }
}
