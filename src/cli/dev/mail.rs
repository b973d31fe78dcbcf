//! Invitations and password resets of a developer's machine, which sends no mail: their links are printed.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;

use crate::app::App;
use crate::cli::output::print_line;
use crate::db::{DbError, TenantTx};
use crate::jobs::{Answer, Handlers, Job};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::identity::links::service::{Purpose, link_create};
use crate::worker::tenants::{ForTenant, TenantHandler};

/// Prints the link of one kind of mail. Twice is safe: a second link works beside the first, until one is used.
struct PrintLink {
    app: Arc<App>,
    base: Arc<str>,
    purpose: Purpose,
}

/// To whom the mail goes.
#[derive(Deserialize)]
struct Payload {
    email: String,
}

/// These handlers, and those that print the links of mails.
pub fn with_mail(handlers: Handlers, app: &Arc<App>, base: &str) -> Handlers {
    let handler = |purpose| ForTenant {
        control: app.control.clone(),
        clock: Arc::clone(&app.services.clock),
        handler: PrintLink { app: Arc::clone(app), base: base.into(), purpose },
    };
    handlers.with(handler(Purpose::Invitation)).with(handler(Purpose::PasswordReset))
}

impl PrintLink {
    async fn print(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let Payload { email } = serde_json::from_value(job.payload)?;
        let slug = tenant.slug.clone();
        let session = self.app.services.tenants.session(tenant);
        let work = async |tx: &mut TenantTx| {
            if !tx.hold_job(job.id, job.fence).await? {
                return Ok::<_, DbError>(None);
            }
            link_create(tx, &*self.app.services.clock, &slug, self.purpose, &email).await
        };
        // Nobody has the address, or nobody who could use the link: there is nothing to send.
        let Some((user, purpose, credential)) = session.write(work).await? else { return Ok(()) };
        let (what, token) = (purpose.as_str(), credential.reveal());
        print_line(format_args!(
            "\n  Mail to {} of `{slug}`: {what}\n    {}/#tenant={slug}&{what}={token}\n",
            user.email, self.base
        ))
        .map_err(anyhow::Error::from)?;
        Ok(())
    }
}

impl TenantHandler for PrintLink {
    fn kind(&self) -> &'static str {
        self.purpose.job_kind()
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.print(tenant, job).boxed()
    }
}
