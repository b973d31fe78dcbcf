//! Two demo shops with a small catalogue and a few orders each.

mod orders;

use std::sync::Arc;

use anyhow::Context as _;

use crate::app::App;
use crate::cli::operator;
use crate::cli::output::error;
use crate::control::provisioning::{NewTenant, tenant_provision};
use crate::control::tenants::service::tenant_by_slug;
use crate::db::{OwnerDb, TenantTx};
use crate::kernel::actor::Actor;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::catalog::import::model::ImportOptions;
use crate::tenant::catalog::import::service::book_import;
use crate::tenant::journal::{self, Act};

/// The demo shops.
pub const SLUGS: [&str; 2] = ["acme", "borealis"];

/// A catalogue of old books; `{slug}` stands for the shop, so that nobody takes one's titles for the other's.
const CATALOGUE: &str = include_str!("demo.csv");

/// Makes the demo shops that are missing. Those that are there stay as they are.
pub async fn prepare(app: &App, owner: &OwnerDb) -> anyhow::Result<()> {
    for (slug, name) in SLUGS.into_iter().zip(["Acme Books", "Borealis Bøger"]) {
        if let Some(tenant) = tenant_by_slug(&app.control, slug).await? {
            // Filled again, which changes nothing, unless the first start was broken off before it was.
            let context = tenant.context().context("the demo shop has no context")?;
            fill(app, Arc::clone(&context)).await?;
            orders::fill(app, &context).await?;
            continue;
        }
        let new = NewTenant {
            slug: slug.to_owned(),
            name: name.to_owned(),
            plan: "business".to_owned(),
            owner_email: format!("owner@{slug}.example"),
            currency: "EUR".to_owned(),
        };
        let tenant = tenant_provision(owner, &app.services.vault, &*app.services.clock, &operator(), &new)
            .await
            .map_err(error)?;
        let context = tenant.context().context("the demo shop has no context")?;
        fill(app, Arc::clone(&context)).await?;
        orders::fill(app, &context).await?;
    }
    Ok(())
}

async fn fill(app: &App, context: Arc<TenantCtx>) -> anyhow::Result<()> {
    let csv = CATALOGUE.replace("{slug}", context.slug.as_str());
    let session = app.services.tenants.session(Arc::clone(&context));
    let work = async |tx: &mut TenantTx| {
        book_import(
            tx,
            &Actor::System,
            &*app.services.clock,
            &context,
            csv.as_bytes(),
            ImportOptions::default(),
            |_| {},
        )
        .await
    };
    let act = Act::of_system("book.import", &context, &app.services.vault, &*app.services.clock);
    let import = journal::service::write(&session, act, work).await.map_err(error)?;
    anyhow::ensure!(import.rejected_count == 0, "{} rows of the demo catalogue were rejected", import.rejected_count);
    Ok(())
}
