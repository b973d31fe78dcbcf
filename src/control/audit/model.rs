//! An entry of the trail, and who is behind it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::admin_audit;
use crate::kernel::ids::{AdminId, SessionId};

/// Who acts on the platform. No service of the control plane writes without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What the trail calls them: `admin_…` of an account, `cli:…` of whoever had the keys at hand, or `platform`.
    pub name: String,
    /// The account and the log-in, where it is one.
    pub account: Option<(AdminId, SessionId)>,
    /// The request by which they act.
    pub request_id: Option<String>,
    /// The address that they act from.
    pub address: Option<String>,
}

impl Operator {
    /// The platform itself, where nobody asked.
    #[must_use]
    pub fn platform() -> Self {
        Self { name: "platform".to_owned(), account: None, request_id: None, address: None }
    }

    /// Whoever runs a command on a machine that has the platform's keys.
    #[must_use]
    pub fn cli(login: &str) -> Self {
        Self { name: format!("cli:{login}"), account: None, request_id: None, address: None }
    }
}

/// What an operator did.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = admin_audit)]
pub struct AuditEntry {
    /// The entry; ids are made in the order of time.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub operator: String,
    /// What, as `tenant.suspend`.
    pub action: String,
    /// To whom: a tenant's slug, or an administrator's address.
    pub target: String,
    /// With what.
    pub details: Value,
    /// By which request.
    pub request_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
}
