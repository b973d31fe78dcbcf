//! Who does what, for the trail.

use chrono::{DateTime, Utc};

use crate::kernel::actor::{Actor, Via};
use crate::kernel::clock::Clock;
use crate::kernel::tenant::TenantCtx;
use crate::vault::Vault;

/// One act: what a mutation, a job or a command is about to do.
#[derive(Clone, Copy)]
pub struct Act<'a> {
    /// What it is called, as `book.create`.
    pub action: &'static str,
    /// Who acts.
    pub actor: &'a Actor,
    /// The request by which they act.
    pub request_id: Option<&'a str>,
    /// The address that they act from.
    pub address: Option<std::net::IpAddr>,
    /// The shop whose key seals what is known of people by it.
    pub tenant: &'a TenantCtx,
    /// Seals it.
    pub vault: &'a Vault,
    /// Time and ids.
    pub clock: &'a dyn Clock,
}

impl<'a> Act<'a> {
    /// An act of the platform itself: a job's or a command's.
    #[must_use]
    pub fn of_system(action: &'static str, tenant: &'a TenantCtx, vault: &'a Vault, clock: &'a dyn Clock) -> Self {
        Self { action, actor: &Actor::System, request_id: None, address: None, tenant, vault, clock }
    }

    /// The present moment.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// What the trail calls the actor, and the credential.
    pub(super) fn names(&self) -> (String, Option<String>) {
        match self.actor {
            Actor::Anonymous => ("anonymous".to_owned(), None),
            Actor::System => ("system".to_owned(), None),
            Actor::User(principal) => {
                let via = match principal.via {
                    Via::Session(session) => session.to_string(),
                    Via::ApiKey(key) => key.to_string(),
                    Via::IdentityProvider => "identity_provider".to_owned(),
                    Via::Operator => "operator".to_owned(),
                };
                (principal.user.to_string(), Some(via))
            }
        }
    }
}
