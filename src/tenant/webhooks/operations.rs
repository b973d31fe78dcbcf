//! What the platform does to all endpoints of a shop, and what it sends once more for it.
//!
//! No person of the shop acts: who did, of the platform, is told by what the shop's trail keeps of it.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::WebhookError;
use super::deliveries::model::{Delivery, DeliveryFilter};
use super::deliveries::service::{deliveries_replay, delivery_replay};
use super::endpoints::model::{Endpoint, EndpointStatus};
use super::endpoints::repo;
use super::endpoints::service::{backlog, resumed, stopped, valid_reason};
use crate::db::{DbError, TenantSession, TenantTx};
use crate::kernel::actor::Actor;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::journal::Change;
use crate::tenant::journal::{self, Act};
use crate::vault::Vault;

/// A shop on whose webhooks the platform acts, each time in one transaction.
#[derive(Clone, Copy)]
pub struct Operations<'a> {
    /// The shop's transactions.
    pub session: &'a TenantSession,
    /// Seals what the trail keeps of people.
    pub vault: &'a Vault,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Who of the platform acts, for the trail.
    pub operator: &'a str,
}

impl Operations<'_> {
    /// Stops sending to all endpoints that are active, and answers to how many. Events wait for them.
    ///
    /// # Errors
    /// The reason is malformed, or the database failed.
    pub async fn suspend_all(&self, reason: &str) -> Result<usize, WebhookError> {
        let reason = valid_reason(reason)?;
        let work = async |tx: &mut TenantTx| {
            let before = repo::endpoints_lock(tx, EndpointStatus::Active).await?;
            for endpoint in &before {
                stopped(tx, self.clock, endpoint, EndpointStatus::Suspended, reason.clone()).await?;
            }
            self.note_all(tx, &before, json!({ "reason": reason }));
            Ok::<_, WebhookError>(before.len())
        };
        journal::service::write(self.session, self.act("webhooks.suspend"), work).await
    }

    /// Sends to all suspended endpoints again, whoever has suspended them, and answers to how many: with what has waited, in
    /// order and no faster than is bearable, or without. One that is disabled stays so.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resume_all(&self, skips_backlog: bool) -> Result<usize, WebhookError> {
        let work = async |tx: &mut TenantTx| {
            let before = repo::endpoints_lock(tx, EndpointStatus::Suspended).await?;
            for endpoint in &before {
                resumed(tx, self.clock, endpoint, skips_backlog).await?;
            }
            self.note_all(tx, &before, json!({ "skipBacklog": skips_backlog }));
            Ok::<_, WebhookError>(before.len())
        };
        journal::service::write(self.session, self.act("webhooks.resume"), work).await
    }

    /// Begins finished deliveries to an endpoint anew, and answers how many.
    ///
    /// # Errors
    /// There is no such endpoint, the time range is empty, or deliveries are asked for that have not ended.
    pub async fn replay(&self, id: WebhookEndpointId, filter: DeliveryFilter) -> Result<usize, WebhookError> {
        let work = async |tx: &mut TenantTx| {
            let mut after = filter.trail();
            let (_, count) = deliveries_replay(tx, &Actor::System, self.clock, id, filter).await?;
            after["replayed"] = json!(count);
            // In the place of what a person's call would have noted.
            tx.note(Change::changed(id, json!({}), self.signed(after)));
            Ok::<_, WebhookError>(count)
        };
        journal::service::write(self.session, self.act("webhooks.replay"), work).await
    }

    /// Begins a finished delivery anew, with all its attempts and under the same id.
    ///
    /// # Errors
    /// There is no such delivery, or it is on its way already.
    pub async fn delivery_replay(&self, id: WebhookDeliveryId) -> Result<Delivery, WebhookError> {
        let work = async |tx: &mut TenantTx| {
            let delivery = delivery_replay(tx, &Actor::System, self.clock, id).await?;
            tx.note(Change::changed(id, json!({}), self.signed(delivery.trail())));
            Ok::<_, WebhookError>(delivery)
        };
        journal::service::write(self.session, self.act("webhook_delivery.replay"), work).await
    }

    /// All endpoints, the oldest first, each with how much waits for it, up to 10,000.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self) -> Result<Vec<(Endpoint, i64)>, DbError> {
        let read = self.session.read().await?;
        let endpoints = repo::endpoint_list(&read).await?;
        // They share a round trip.
        let counts = try_join_all(endpoints.iter().map(|endpoint| backlog(&read, endpoint.id))).await?;
        Ok(endpoints.into_iter().zip(counts).collect())
    }

    /// Notes what was done to many endpoints, as one change of the shop; nothing where there were none.
    fn note_all(&self, tx: &mut TenantTx, endpoints: &[Endpoint], mut after: Value) {
        if endpoints.is_empty() {
            return;
        }
        let ids: Vec<String> = endpoints.iter().map(|endpoint| endpoint.id.to_string()).collect();
        after["endpoints"] = json!(ids.len());
        after["endpointIds"] = json!(ids);
        tx.note(Change::changed(self.session.tenant().id, json!({}), self.signed(after)));
    }

    /// What the trail keeps, with who acted.
    fn signed(&self, mut after: Value) -> Value {
        after["operator"] = json!(self.operator);
        after
    }

    fn act(&self, action: &'static str) -> Act<'_> {
        Act::of_system(action, self.session.tenant(), self.vault, self.clock)
    }
}
