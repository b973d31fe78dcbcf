//! What the platform does to a shop's own settings. No person of the shop acts: who did, of the platform, is told by what the
//! shop's trail keeps of it.

use serde_json::json;

use super::repo;
use super::service::entity;
use crate::db::{DbError, TenantSession, TenantTx};
use crate::failure::Failure;
use crate::kernel::clock::Clock;
use crate::kernel::journal::Change;
use crate::kernel::news::Fact;
use crate::kernel::settings::Setting;
use crate::tenant::journal::{self, Act};
use crate::vault::Vault;

/// Takes what a shop has set of a setting back, and answers whether it had set anything.
///
/// # Errors
/// The database failed.
pub async fn own_reset(
    session: &TenantSession,
    (vault, clock): (&Vault, &dyn Clock),
    operator: &str,
    setting: Setting,
) -> Result<bool, DbError> {
    let work = async |tx: &mut TenantTx| {
        let Some(before) = repo::own_lock(tx, setting).await? else { return Ok(false) };
        repo::own_delete(tx, setting).await?;
        tx.tell(Fact::SETTINGS);
        tx.note(Change::changed(entity(setting), before.trail(), json!({ "operator": operator })));
        Ok::<_, Failure<std::convert::Infallible>>(true)
    };
    let act = Act::of_system("setting.reset", session.tenant(), vault, clock);
    journal::service::write(session, act, work).await.map_err(|failure| match failure {
        Failure::Db(error) => error,
        failure => DbError::Other(format!("a shop's setting could not be reset: {failure:?}")),
    })
}
