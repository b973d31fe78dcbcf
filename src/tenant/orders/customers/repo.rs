//! SQL of customers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::Customer;
use crate::db::schema::tenant::customers;
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::CustomerId;

/// The customer whose address has a hash. Shared against being erased until the transaction ends.
pub async fn customer_share(tx: &TenantTx, email_hash: &[u8]) -> Result<Option<Customer>, DbError> {
    let query = customers::table.filter(customers::email_hash.eq(email_hash.to_vec())).select(Customer::as_select());
    tx.first(query.for_share()).await
}

/// Enters a customer; nothing where another has entered one with the address at the same moment.
pub async fn customer_insert(
    tx: &TenantTx,
    id: CustomerId,
    (email_hash, subject_key): (&[u8], &[u8]),
    now: DateTime<Utc>,
) -> Result<Option<Customer>, DbError> {
    let insert = diesel::insert_into(customers::table)
        .values((
            customers::id.eq(id.0),
            customers::email_hash.eq(email_hash.to_vec()),
            customers::subject_key.eq(subject_key.to_vec()),
            customers::created_at.eq(now),
        ))
        .on_conflict(customers::email_hash)
        .do_nothing()
        .returning(Customer::as_returning());
    tx.first(insert).await
}

/// Customers by their ids, in no order.
pub async fn customer_list_by_id(read: &TenantRead, ids: &[CustomerId]) -> Result<Vec<Customer>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(customers::table.filter(customers::id.eq_any(ids)).select(Customer::as_select())).await
}

/// The customer whose address has a hash, locked until the transaction ends.
pub async fn customer_lock(tx: &TenantTx, email_hash: &[u8]) -> Result<Option<Customer>, DbError> {
    let query = customers::table.filter(customers::email_hash.eq(email_hash.to_vec())).select(Customer::as_select());
    tx.first(query.for_update()).await
}

/// Destroys a customer's key, and with it all that is known of the customer.
pub async fn customer_erase(tx: &TenantTx, id: CustomerId, now: DateTime<Utc>) -> Result<Customer, DbError> {
    let update = diesel::update(customers::table.filter(customers::id.eq(id.0)))
        .set((
            customers::email_hash.eq(None::<Vec<u8>>),
            customers::subject_key.eq(None::<Vec<u8>>),
            customers::erased_at.eq(now),
        ))
        .returning(Customer::as_returning());
    tx.one(kept(update)).await
}

/// The next customers after one, in the order of their ids.
pub async fn customer_list_after(
    read: &TenantRead,
    after: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, DbError> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let query = customers::table.filter(customers::id.gt(after)).order(customers::id).limit(limit);
    read.load(query.select(Customer::as_select())).await
}

/// The next customers after one who are not erased, in the order of their ids.
pub async fn customer_list_kept(
    read: &TenantRead,
    after: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, DbError> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let query = customers::table.filter(customers::id.gt(after)).filter(customers::subject_key.is_not_null());
    read.load(query.order(customers::id).limit(limit).select(Customer::as_select())).await
}

statement!(
    /// Puts other bytes in the place of customers' keys, where these are as they were read.
    pub(super) KeysReplace {
        /// The customers.
        ids: Vec<Uuid> => Array<SqlUuid>,
        /// The bytes that were read.
        old: Vec<Vec<u8>> => Array<Binary>,
        /// The bytes in their place.
        new: Vec<Vec<u8>> => Array<Binary>,
    } -> SqlUuid =
    "UPDATE customers SET subject_key = sealed.new
     FROM unnest({}, {}, {}) AS sealed (id, old, new)
     WHERE customers.id = sealed.id AND customers.subject_key = sealed.old
     RETURNING customers.id"
);

/// Puts other bytes in the place of customers' keys. Who was erased since they were read stays erased.
pub(super) async fn subject_keys_replace(tx: &TenantTx, replace: KeysReplace) -> Result<(), DbError> {
    let _: Vec<Uuid> = tx.load(replace).await?;
    Ok(())
}
