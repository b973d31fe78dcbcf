//! A user as the tenant has it.

use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::tenant::users;
use crate::kernel::ids::UserId;

/// One of the shop's people.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    /// The user.
    #[diesel(deserialize_as = Uuid)]
    pub id: UserId,
    /// Where mail for the user goes.
    pub email: String,
    /// The name of the user's role.
    pub role: String,
}
