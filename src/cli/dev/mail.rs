//! Invitations and password resets of a developer's machine, which sends no mail: their links are printed.

use std::convert::Infallible;
use std::time::Duration;

use crate::app::App;
use crate::cli::output::print_line;
use crate::control::mail::{Mail, mail_done, mail_list};
use crate::db::TenantTx;
use crate::tenant::identity::links::service::{Purpose, link_create};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Prints links for as long as the server runs.
pub async fn print_links(app: &App, base: &str) -> Infallible {
    loop {
        if let Err(error) = print_new(app, base).await {
            tracing::warn!(%error, "Mail could not be looked for");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn print_new(app: &App, base: &str) -> anyhow::Result<()> {
    for mail in mail_list(&app.control).await? {
        // What is not a link is not printed; what cannot be made now is not tried again: a developer asks anew.
        if let Some(purpose) = Purpose::of_job_kind(&mail.kind)
            && let Err(error) = print(app, base, purpose, &mail).await
        {
            tracing::warn!(%error, "A mail could not be printed");
        }
        mail_done(&app.control, mail.id, app.services.clock.now()).await?;
    }
    Ok(())
}

async fn print(app: &App, base: &str, purpose: Purpose, mail: &Mail) -> anyhow::Result<()> {
    let Some(tenant) = mail.tenant.context() else { return Ok(()) };
    let slug = tenant.slug.clone();
    let session = app.services.tenants.session(tenant);
    let work = async |tx: &mut TenantTx| link_create(tx, &*app.services.clock, &slug, purpose, &mail.email).await;
    // Nobody has the address, or nobody who could use the link: there is nothing to send.
    let Some((user, purpose, credential)) = session.write(work).await? else { return Ok(()) };
    let (what, token) = (purpose.as_str(), credential.reveal());
    print_line(format_args!(
        "\n  Mail to {} of `{slug}`: {what}\n    {base}/#tenant={slug}&{what}={token}\n",
        user.email
    ))?;
    Ok(())
}
