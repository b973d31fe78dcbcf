//! SQL of customers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::model::Customer;
use crate::db::schema::tenant::customers;
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
    tx.one(update).await
}
