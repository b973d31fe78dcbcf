//! A customer as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::db::schema::tenant::customers;
use crate::kernel::ids::CustomerId;

/// The most characters of a name.
pub const NAME_LEN_MAX: usize = 200;

/// The most characters of a postal address.
pub const ADDRESS_LEN_MAX: usize = 1_000;

/// Somebody who buys: a key, and nothing that is known without it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = customers)]
pub struct Customer {
    /// The customer.
    #[diesel(deserialize_as = Uuid)]
    pub id: CustomerId,
    /// The customer's key, sealed with the tenant's; none: erased.
    pub subject_key: Option<Vec<u8>>,
    /// When the customer first bought.
    pub created_at: DateTime<Utc>,
    /// When all that was known was erased.
    pub erased_at: Option<DateTime<Utc>>,
}

/// What a user types of a customer.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// The postal address, in lines.
    pub address: Option<String>,
}

/// What is known of a customer by one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// The postal address, in lines.
    pub address: Option<String>,
}
