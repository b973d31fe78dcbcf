//! The jobs that send mail, for who sends it in the job engine's stead on a developer's machine.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::tenants::Tenant;
use crate::db::schema::control::{jobs, tenants};
use crate::db::{ControlDb, ControlTx, DbError};

/// Mails that are looked at in one go.
const BATCH: i64 = 20;

/// A mail that is to be sent.
pub struct Mail {
    /// The job.
    pub id: Uuid,
    /// What it is.
    pub kind: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// To whom, in lower case.
    pub email: String,
}

/// The oldest mails that are to be sent.
///
/// # Errors
/// The database failed.
pub async fn mail_list(control: &ControlDb) -> Result<Vec<Mail>, DbError> {
    let query = jobs::table
        .inner_join(tenants::table.on(jobs::tenant_id.eq(tenants::id.nullable())))
        .filter(jobs::state.eq("available"))
        .filter(jobs::kind.like("mail.%"))
        .order((jobs::created_at, jobs::id))
        .limit(BATCH)
        .select((jobs::id, jobs::kind, jobs::payload, Tenant::as_select()));
    let rows: Vec<(Uuid, String, serde_json::Value, Tenant)> = control.load(query).await?;
    let mail = |(id, kind, payload, tenant): (Uuid, String, serde_json::Value, Tenant)| Mail {
        id,
        kind,
        tenant,
        email: payload["email"].as_str().unwrap_or_default().to_owned(),
    };
    Ok(rows.into_iter().map(mail).collect())
}

/// Notes that a mail was sent.
///
/// # Errors
/// The database failed.
pub async fn mail_done(control: &ControlDb, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    let update =
        diesel::update(jobs::table.find(id)).set((jobs::state.eq("completed"), jobs::finalized_at.eq(Some(now))));
    control.write(async |tx: &mut ControlTx| tx.execute(update).await.map(drop)).await
}
