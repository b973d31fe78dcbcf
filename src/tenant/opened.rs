//! What a shop has sealed, opened for people who read its archive: who bought, and what the trail tells of people.

use std::collections::HashMap;
use std::convert::Infallible;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{DbError, TenantRead};
use crate::failure::Failure;
use crate::kernel::ids::{CustomerId, OrderId};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::audit::model::Entry;
use crate::tenant::audit::personal;
use crate::tenant::orders::customers::model::Customer;
use crate::tenant::orders::customers::service::{contact_open, customer_list_by_id};
use crate::vault::{KeyError, Vault};

/// An order's row, as JSON has it.
#[derive(Deserialize)]
struct OrderRow {
    id: Uuid,
    customer_id: Uuid,
    customer_sealed: String,
}

/// An entry's row, as JSON has it.
#[derive(Deserialize)]
struct EntryRow {
    sequence: i64,
    at: DateTime<Utc>,
    actor: String,
    via: Option<String>,
    action: String,
    entity: String,
    sealed: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
}

/// What is sealed in each of these rows of a table, opened; nothing for tables that have nothing for people to read.
///
/// # Errors
/// The database failed, or the tenant's keys cannot be used.
pub async fn opened(
    read: &TenantRead,
    (vault, tenant): (&Vault, &TenantCtx),
    table: &str,
    rows: &[String],
) -> Result<Vec<Option<Value>>, Failure<Infallible>> {
    match table {
        "orders" => orders(read, (vault, tenant), rows).await,
        "audit_log" => rows.iter().map(|row| entry((vault, tenant), row)).collect(),
        _ => Ok(vec![None; rows.len()]),
    }
}

async fn orders(
    read: &TenantRead,
    (vault, tenant): (&Vault, &TenantCtx),
    rows: &[String],
) -> Result<Vec<Option<Value>>, Failure<Infallible>> {
    let rows: Vec<OrderRow> =
        rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<_, _>>().map_err(odd)?;
    let mut ids: Vec<CustomerId> = rows.iter().map(|row| CustomerId(row.customer_id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let customers = customer_list_by_id(read, &ids).await?;
    let customers: HashMap<Uuid, Customer> = customers.into_iter().map(|customer| (customer.id.0, customer)).collect();
    let open = |row: &OrderRow| {
        let Some(customer) = customers.get(&row.customer_id) else { return Ok(None) };
        let contact = contact_open((vault, tenant), OrderId(row.id), &bytes(&row.customer_sealed)?, customer);
        told("customer_sealed", contact.map(|contact| contact.map(|contact| json!(contact))))
    };
    rows.iter().map(open).collect()
}

fn entry((vault, tenant): (&Vault, &TenantCtx), row: &str) -> Result<Option<Value>, Failure<Infallible>> {
    let row: EntryRow = serde_json::from_str(row).map_err(odd)?;
    let Some(sealed) = &row.sealed else { return Ok(None) };
    let entry = Entry {
        sequence: row.sequence,
        at: row.at,
        actor: row.actor,
        via: row.via,
        action: row.action,
        entity: row.entity,
        before: None,
        after: None,
        sealed: Some(bytes(sealed)?),
        request_id: row.request_id,
        address: row.address,
        hash: Vec::new(),
    };
    told("sealed", personal::open(vault, tenant, &entry))
}

/// What is written beside a sealed column. What is erased is nothing, and a value that does not open keeps no archive from
/// being made: it is told of where it is.
fn told(column: &str, opened: Result<Option<Value>, KeyError>) -> Result<Option<Value>, Failure<Infallible>> {
    match opened {
        Ok(value) => Ok(Some(json!({ column: value }))),
        Err(error @ (KeyError::Seal(_) | KeyError::Unknown(_))) => {
            Ok(Some(json!({ column: null, "error": error.to_string() })))
        }
        Err(error) => Err(error.into()),
    }
}

/// Bytes as the database writes them in JSON.
fn bytes(text: &str) -> Result<Vec<u8>, DbError> {
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() % 2 == 0 && digits.is_ascii());
    let digits = digits.ok_or_else(|| odd("bytes are not in hexadecimal"))?;
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(odd)
}

fn odd(error: impl std::fmt::Display) -> DbError {
    DbError::Other(format!("a row cannot be read: {error}"))
}
