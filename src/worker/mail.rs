//! Jobs that mail.
//!
//! Doing one twice is safe: a mail's `Message-ID` is made of its job and its recipient, so that whoever gets it again can
//! tell that it is the same, and a second link works beside the first until one is used. Links are made by the job that
//! mails them, so that no secret lies in the queue.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::provisioning::with_operations_mail;
use super::tenants::{ForTenant, TenantHandler};
use crate::app::App;
use crate::control::archives::service::{LINK_LIFETIME, archive_by_id};
use crate::control::provisioning::WELCOME;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::jobs::{Answer, Handlers, Job, Setback};
use crate::kernel::ids::{ArchiveId, base32_encode};
use crate::kernel::settings::MAIL_REPLY_TO;
use crate::kernel::tenant::TenantCtx;
use crate::mail::letter::{self, Letter};
use crate::mail::{Mail, MailError, Mailer};
use crate::tenant::identity::links::service::{Purpose, link_create};
use crate::tenant::identity::users::model::User;
use crate::tenant::identity::users::service::{owner_list_active, user_by_email};

/// How long a job may take that mails to all owners. The server is not waited for that long: where it fails once, the
/// rest is left to the next attempt.
const OWNERS_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Where the links of a process lead that is told nothing else: to itself.
#[must_use]
pub fn link_base(app: &App) -> String {
    app.config.mail.app_url.clone().unwrap_or_else(|| format!("http://localhost:{}", app.config.http.port))
}

/// Says at the start of a process that nothing is mailed, where it is so.
pub fn warn_if_mail_waits(app: &App) {
    if app.mailer.is_none() {
        tracing::warn!("SMTP_URL is not set: this process mails nothing, and jobs that mail wait for one that does");
    }
}

/// These handlers, and those that mail by a mailer, with links that begin with `base`.
#[must_use]
pub fn with_mail(handlers: Handlers, app: &Arc<App>, mailer: &Arc<Mailer>, base: &str) -> Handlers {
    let post = Post { app: Arc::clone(app), mailer: Arc::clone(mailer), base: base.into() };
    let links = [Purpose::Invitation, Purpose::PasswordReset];
    let handlers =
        with_operations_mail(handlers, app, mailer).with(for_tenant(app, MailWelcome { post: post.clone() }));
    let handlers = links
        .into_iter()
        .fold(handlers, |handlers, purpose| handlers.with(for_tenant(app, MailLink { post: post.clone(), purpose })));
    Notice::ALL
        .into_iter()
        .fold(handlers, |handlers, notice| handlers.with(for_tenant(app, MailOwners { post: post.clone(), notice })))
}

fn for_tenant<H>(app: &App, handler: H) -> ForTenant<H> {
    ForTenant { control: app.control.clone(), clock: Arc::clone(&app.services.clock), handler }
}

/// What all jobs that mail have in common.
#[derive(Clone)]
struct Post {
    app: Arc<App>,
    mailer: Arc<Mailer>,
    base: Arc<str>,
}

impl Post {
    async fn send(
        &self,
        tenant: &TenantCtx,
        job: &Job,
        (to, reply_to): (&User, Option<&str>),
        letter: &Letter,
    ) -> Result<(), MailError> {
        let mail = Mail {
            id: format!("{}.{}", base32_encode(job.id), base32_encode(to.id.0)),
            shop: Some(&tenant.slug),
            to: &to.email,
            reply_to,
            letter,
            at: self.app.services.clock.now(),
        };
        self.mailer.send(&mail).await
    }

    /// Where answers to a shop's mails go, if it has said so. `read` has just been opened.
    async fn reply_to(&self, tenant: &TenantCtx, read: &TenantRead) -> Result<Option<String>, DbError> {
        Ok(self.app.services.settings.of(tenant, read).await?.get(MAIL_REPLY_TO))
    }
}

/// Mails a link to whoever has an address.
struct MailLink {
    post: Post,
    purpose: Purpose,
}

/// To whom a link goes.
#[derive(Deserialize)]
struct ToAddress {
    email: String,
}

impl MailLink {
    async fn mail(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let ToAddress { email } = ToAddress::deserialize(&job.payload)?;
        let services = &self.post.app.services;
        let work = async |tx: &mut TenantTx| {
            if !tx.hold_job(job.id, job.fence).await? {
                return Ok::<_, DbError>(None);
            }
            link_create(tx, &*services.clock, &tenant.slug, self.purpose, &email).await
        };
        let session = services.tenants.session(Arc::clone(&tenant));
        let link = session.write(work).await?;
        let reply_to = self.post.reply_to(&tenant, &session.read().await?).await?;
        // The server may take its time, and others want for a connection.
        session.finish().await;
        // Nobody has the address, or nobody who could use the link: there is nothing to send.
        let Some((user, purpose, credential)) = link else { return Ok(()) };
        let (base, slug, what, token) = (&self.post.base, &tenant.slug, purpose.as_str(), credential.reveal());
        let link = format!("{base}/#tenant={slug}&{what}={token}");
        let letter = match purpose {
            Purpose::Invitation => letter::invitation(&tenant.name, link),
            Purpose::PasswordReset => letter::password_reset(&tenant.name, link),
        };
        Ok(self.post.send(&tenant, &job, (&user, reply_to.as_deref()), &written(letter)?).await?)
    }
}

impl TenantHandler for MailLink {
    fn kind(&self) -> &'static str {
        self.purpose.job_kind()
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.mail(tenant, job).boxed()
    }
}

/// Welcomes the first owner of a shop. Nobody is where the address has been given up since.
struct MailWelcome {
    post: Post,
}

impl MailWelcome {
    async fn mail(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let ToAddress { email } = ToAddress::deserialize(&job.payload)?;
        let session = self.post.app.services.tenants.session(Arc::clone(&tenant));
        let read = session.read().await?;
        let reply_to = self.post.reply_to(&tenant, &read).await?;
        let user = user_by_email(&read, &email).await?;
        session.finish().await;
        let Some(user) = user else { return Ok(()) };
        let link = format!("{}/#tenant={}", self.post.base, tenant.slug);
        let letter = written(letter::welcome(&tenant.name, &tenant.plan, link))?;
        Ok(self.post.send(&tenant, &job, (&user, reply_to.as_deref()), &letter).await?)
    }
}

impl TenantHandler for MailWelcome {
    fn kind(&self) -> &'static str {
        WELCOME
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.mail(tenant, job).boxed()
    }
}

/// What a shop's owners are told.
#[derive(Debug, Clone, Copy)]
enum Notice {
    WebhookSuspended,
    FieldDeprecated,
    ExportReady,
}

/// What `mail.webhook_suspended` is about: it reacts to an event.
#[derive(Deserialize)]
struct OfEndpoint {
    entity: String,
    data: EndpointFacts,
}

/// What the event tells of the endpoint.
#[derive(Deserialize)]
struct EndpointFacts {
    /// The host alone: a path may hold a secret.
    url: String,
    reason: String,
}

/// What `mail.deprecation_notice` is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfField {
    field: String,
    replacement: String,
    removal_on: NaiveDate,
    operations: Vec<String>,
}

/// What `mail.export_ready` is about.
#[derive(Deserialize)]
struct OfExport {
    archive: Uuid,
}

impl Notice {
    const ALL: [Self; 3] = [Self::WebhookSuspended, Self::FieldDeprecated, Self::ExportReady];

    fn kind(self) -> &'static str {
        match self {
            Self::WebhookSuspended => "mail.webhook_suspended",
            Self::FieldDeprecated => "mail.deprecation_notice",
            Self::ExportReady => "mail.export_ready",
        }
    }
}

/// Mails a notice to every active owner of a shop, one mail to each.
///
/// Where one of them cannot be reached now, all are mailed again: for those who have it already it is the same mail.
struct MailOwners {
    post: Post,
    notice: Notice,
}

impl MailOwners {
    /// The letter that a job's payload asks for; none where there is nothing to tell any more.
    async fn letter(&self, tenant: &TenantCtx, of: &Value) -> Result<Option<Letter>, Setback> {
        let shop = &tenant.name;
        let letter = match self.notice {
            Notice::WebhookSuspended => {
                let OfEndpoint { entity, data: EndpointFacts { url, reason } } = OfEndpoint::deserialize(of)?;
                letter::webhook_suspended(shop, &entity, &url, &reason)
            }
            Notice::FieldDeprecated => {
                let OfField { field, replacement, removal_on, operations } = OfField::deserialize(of)?;
                letter::deprecation_notice(shop, &field, &replacement, removal_on, &operations)
            }
            Notice::ExportReady => {
                let OfExport { archive } = OfExport::deserialize(of)?;
                let Some((link, until)) = self.export_link(tenant, ArchiveId(archive)).await? else { return Ok(None) };
                letter::export_ready(shop, link, until)
            }
        };
        written(letter).map(Some)
    }

    /// A link to a shop's archive, and until when it is good; nothing where the archive is gone, or another's.
    async fn export_link(&self, tenant: &TenantCtx, id: ArchiveId) -> Result<Option<(String, DateTime<Utc>)>, Setback> {
        let Post { app, base, .. } = &self.post;
        let now = app.services.clock.now();
        let archive = archive_by_id(&app.control, id).await?;
        let archive = archive.filter(|archive| archive.is_completed() && archive.tenant_id == tenant.id);
        let Some(expires_at) = archive.and_then(|archive| archive.expires_at) else { return Ok(None) };
        let until = expires_at.min(now + LINK_LIFETIME);
        let token = app.services.tokens.mint_link(id, now, until)?;
        Ok(Some((format!("{base}/exports/{id}?token={token}"), until)))
    }

    async fn mail(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let Some(letter) = self.letter(&tenant, &job.payload).await? else { return Ok(()) };
        let session = self.post.app.services.tenants.session(Arc::clone(&tenant));
        let read = session.read().await?;
        let reply_to = self.post.reply_to(&tenant, &read).await?;
        let owners = owner_list_active(&read).await?;
        drop((read, session));
        let (mut refusals, mut later) = (Vec::new(), None);
        for owner in &owners {
            match self.post.send(&tenant, &job, (owner, reply_to.as_deref()), &letter).await {
                Ok(()) => {}
                // The others can still have theirs.
                Err(MailError::Refused(why)) => refusals.push(why),
                Err(error @ MailError::Later(_)) => later = Some(error),
            }
        }
        if let Some(error) = later {
            return Err(error.into());
        }
        match refusals.pop() {
            Some(why) => Err(Setback::GiveUp(format!("{} of {} owners: {why}", refusals.len() + 1, owners.len()))),
            None => Ok(()),
        }
    }
}

impl TenantHandler for MailOwners {
    fn kind(&self) -> &'static str {
        self.notice.kind()
    }

    fn timeout(&self) -> Duration {
        OWNERS_TIMEOUT
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.mail(tenant, job).boxed()
    }
}

impl From<MailError> for Setback {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Refused(why) => Self::GiveUp(why),
            MailError::Later(why) => Self::Retry(why),
        }
    }
}

fn written(letter: askama::Result<Letter>) -> Result<Letter, Setback> {
    letter.map_err(|error| Setback::GiveUp(format!("a template failed: {error}")))
}
