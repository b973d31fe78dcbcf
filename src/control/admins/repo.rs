//! SQL of administrators' accounts.
//!
//! Rows are locked FOR NO KEY UPDATE: a log-in or token that is being added refers to its account, and would wait for
//! a stronger lock while its writer holds what the locker wants next.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::{Admin, AdminStatus};
use crate::db::schema::control::admins;
use crate::db::statement::kept;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::email::Email;
use crate::kernel::ids::AdminId;

/// An account with the hash of its password.
type WithPassword = (Admin, Option<String>);

/// Makes whoever changes the set of accounts come one after the other, until the transaction ends.
pub async fn accounts_lock(tx: &mut ControlTx) -> Result<(), DbError> {
    let statement = "SELECT pg_advisory_xact_lock(hashtext('control.admins'))";
    tx.execute(diesel::sql_query(statement)).await.map(drop)
}

/// All accounts in the order of their addresses, locked until the transaction ends.
pub async fn admin_list_lock(tx: &mut ControlTx) -> Result<Vec<Admin>, DbError> {
    tx.load(admins::table.order(admins::email_key).select(Admin::as_select()).for_no_key_update()).await
}

/// All accounts in the order of their addresses.
pub async fn admin_list(control: &ControlDb) -> Result<Vec<Admin>, DbError> {
    control.load(admins::table.order(admins::email_key).select(Admin::as_select())).await
}

/// An account by id.
pub async fn admin_by_id(control: &ControlDb, id: AdminId) -> Result<Option<Admin>, DbError> {
    Ok(control.load(admins::table.filter(admins::id.eq(id.0)).select(Admin::as_select())).await?.pop())
}

/// The account with an address, in lower case.
pub async fn admin_by_email(tx: &mut ControlTx, email_key: &str) -> Result<Option<Admin>, DbError> {
    let query = admins::table.filter(admins::email_key.eq(email_key.to_owned())).select(Admin::as_select());
    Ok(tx.load(query).await?.pop())
}

/// The account with an address, in lower case, that can log in, with its password.
pub async fn active_with_password(tx: &mut ControlTx, email_key: &str) -> Result<Option<WithPassword>, DbError> {
    let query = admins::table
        .filter(admins::email_key.eq(email_key.to_owned()))
        .filter(admins::status.eq(AdminStatus::Active.as_str()))
        .select((Admin::as_select(), admins::password_hash));
    Ok(tx.load(query).await?.pop())
}

/// An account by id, with its password.
pub async fn admin_with_password(tx: &mut ControlTx, id: AdminId) -> Result<Option<WithPassword>, DbError> {
    let query = admins::table.filter(admins::id.eq(id.0)).select((Admin::as_select(), admins::password_hash));
    Ok(tx.load(query).await?.pop())
}

/// An account, locked until the transaction ends.
pub async fn admin_lock(tx: &mut ControlTx, id: AdminId) -> Result<Option<Admin>, DbError> {
    let query = admins::table.filter(admins::id.eq(id.0)).select(Admin::as_select()).for_no_key_update();
    Ok(tx.load(query).await?.pop())
}

/// An account that can log in and has this password still, locked until the transaction ends.
pub async fn admin_lock_verified(
    tx: &mut ControlTx,
    id: AdminId,
    password_hash: &str,
) -> Result<Option<Admin>, DbError> {
    let query = admins::table
        .filter(admins::id.eq(id.0))
        .filter(admins::status.eq(AdminStatus::Active.as_str()))
        .filter(admins::password_hash.eq(password_hash.to_owned()))
        .select(Admin::as_select())
        .for_no_key_update();
    Ok(tx.load(query).await?.pop())
}

/// Adds an account that has yet to accept its invitation.
pub async fn admin_insert(
    tx: &mut ControlTx,
    id: AdminId,
    email: &Email,
    now: DateTime<Utc>,
) -> Result<Option<Admin>, DbError> {
    let insert = diesel::insert_into(admins::table)
        .values((
            admins::id.eq(id.0),
            admins::email.eq(email.as_str().to_owned()),
            admins::email_key.eq(email.key()),
            admins::status.eq(AdminStatus::Invited.as_str()),
            admins::created_at.eq(now),
            admins::updated_at.eq(now),
        ))
        .returning(Admin::as_returning());
    Ok(tx.load(insert).await?.pop())
}

/// Changes an account's state and answers the row as it is then.
pub async fn admin_update_status(
    tx: &mut ControlTx,
    id: AdminId,
    status: AdminStatus,
    now: DateTime<Utc>,
) -> Result<Option<Admin>, DbError> {
    let update = diesel::update(admins::table.filter(admins::id.eq(id.0)))
        .set((admins::status.eq(status.as_str()), admins::updated_at.eq(now)))
        .returning(Admin::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// Gives an account another password, by which it can log in.
pub async fn password_update(
    tx: &mut ControlTx,
    id: AdminId,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Admin>, DbError> {
    let update = diesel::update(admins::table.filter(admins::id.eq(id.0)))
        .set((
            admins::password_hash.eq(Some(password_hash.to_owned())),
            admins::status.eq(AdminStatus::Active.as_str()),
            admins::updated_at.eq(now),
        ))
        .returning(Admin::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}
