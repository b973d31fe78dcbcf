//! - `SPARE_SCHEMAS` (20): schemas that are made in advance, so that a sign-up makes none; 0 for none. A process without
//!   `DATABASE_OWNER_URL` makes none.
//! - `OPERATIONS_EMAIL` (none): who is told by mail of new tenants and of what else the platform's operators should know.

use lettre::Address;

use super::Reader;

/// The most schemas in advance: each weighs on the catalogues like a tenant.
const SPARES_MAX: u16 = 1_000;

/// What is made in advance, and who is told of what was made.
#[derive(Debug, Clone)]
pub struct ProvisioningConfig {
    /// Schemas that are made in advance.
    pub spares: u16,
    /// Who is told; nobody where it is `None`.
    pub operations_email: Option<Address>,
}

impl ProvisioningConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let spares = reader.or("SPARE_SCHEMAS", 20);
        if spares > SPARES_MAX {
            reader.problem("SPARE_SCHEMAS", &format!("must be at most {SPARES_MAX}"));
        }
        Self { spares, operations_email: reader.optional("OPERATIONS_EMAIL") }
    }
}
