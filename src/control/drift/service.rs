//! Comparing schemas with what their migrations make.

use std::collections::HashMap;

use crate::control::tenants::Tenant;
use crate::db::catalogue::{Difference, Object, differences, expected, objects};
use crate::db::{DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// A comparison of any number of tenants: what is expected at each version is made once.
pub struct Comparison<'a> {
    owner: &'a OwnerDb,
    clock: &'a dyn Clock,
    expected: HashMap<String, Vec<Object>>,
}

impl<'a> Comparison<'a> {
    /// A comparison that has made nothing yet.
    #[must_use]
    pub fn new(owner: &'a OwnerDb, clock: &'a dyn Clock) -> Self {
        Self { owner, clock, expected: HashMap::new() }
    }

    /// In which objects a tenant's schema differs from what the migrations up to its version make; none where it has gone.
    ///
    /// # Errors
    /// The database failed, or a migration did.
    pub async fn differences(&mut self, tenant: &Tenant) -> Result<Vec<Difference>, DbError> {
        let version = &tenant.schema_version;
        if !self.expected.contains_key(version) {
            let scratch = SchemaName::from(TenantId(self.clock.new_id()));
            let made = expected(self.owner, version, &scratch).await?;
            self.expected.insert(version.clone(), made);
        }
        let schema = SchemaName::from(tenant.id);
        let found = self.owner.rehearse(async |tx: &mut OwnerTx| objects(tx, &schema).await).await?;
        Ok(differences(&self.expected[version], &found))
    }
}
