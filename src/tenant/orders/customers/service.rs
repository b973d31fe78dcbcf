//! Decisions about customers.

use serde_json::json;

use super::model::{ADDRESS_LEN_MAX, Contact, Customer, NAME_LEN_MAX, NewCustomer};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::Permission;
use crate::kernel::email::Email;
use crate::kernel::ids::{CustomerId, OrderId};
use crate::kernel::journal::Change;
use crate::kernel::seal::Place;
use crate::kernel::tenant::TenantCtx;
use crate::kernel::text::tidy;
use crate::tenant::orders::error::{OrderError, OrderErrorCode, OrderRefusal};
use crate::tenant::orders::order::model::Order;
use crate::tenant::orders::order::service::Desk;
use crate::vault::{KeyError, Subject, Vault};

/// What the place of an order's customer data is called.
pub(in crate::tenant::orders) const SEALED: &str = "orders.customer_sealed";

/// What the hash of an address is called.
const EMAIL: &str = "customers.email";

/// Customers whose keys are sealed anew in one go.
const RESEAL_PAGE: usize = 500;

/// How far it has come to seal customers' keys anew.
#[derive(Debug, Default)]
pub struct Resealed {
    /// Whom to go on after; nobody where it is done.
    pub next: Option<CustomerId>,
    /// Customers whose keys are not what was sealed. They stay as they are.
    pub damaged: usize,
}

/// A customer who keeps all rules.
///
/// # Errors
/// A refusal for each field that breaks one.
pub fn valid_customer(new: &NewCustomer) -> Result<(Contact, Email), Vec<OrderRefusal>> {
    let mut refusals = Vec::new();
    let mut refuse = |code, message: String, field: &'static str| {
        refusals.push(OrderRefusal::new(code, message, &["input", "customer", field]));
    };
    let name = tidy(&new.name);
    if !(1..=NAME_LEN_MAX).contains(&name.chars().count()) {
        refuse(OrderErrorCode::NameInvalid, format!("A name has 1 to {NAME_LEN_MAX} characters."), "name");
    }
    let address = new.address.as_deref().map(str::trim).filter(|address| !address.is_empty());
    if address.is_some_and(|address| address.chars().count() > ADDRESS_LEN_MAX) {
        let message = format!("A postal address has at most {ADDRESS_LEN_MAX} characters.");
        refuse(OrderErrorCode::AddressInvalid, message, "address");
    }
    let email = new.email.parse::<Email>();
    if email.is_err() {
        refuse(OrderErrorCode::EmailInvalid, "This is not an e-mail address.".to_owned(), "email");
    }
    match email {
        Ok(email) if refusals.is_empty() => {
            let address = address.map(str::to_owned);
            Ok((Contact { name, email: email.as_str().to_owned(), address }, email))
        }
        _ => Err(refusals),
    }
}

/// The customer with an address, entered where there is none, and the contact sealed for an order.
///
/// # Errors
/// The tenant's keys cannot be used, or the database failed.
pub(in crate::tenant::orders) async fn customer_of(
    tx: &TenantTx,
    desk: Desk<'_>,
    order: OrderId,
    (contact, email): &(Contact, Email),
) -> Result<(CustomerId, Vec<u8>), OrderError> {
    let hash = email_hash(desk.vault, desk.tenant, email)?;
    let customer = match repo::customer_share(tx, &hash).await? {
        Some(customer) => customer,
        None => customer_enter(tx, desk, &hash).await?,
    };
    let subject = subject(desk.vault, desk.tenant, &customer)?;
    let contact = serde_json::to_vec(contact).map_err(|error| DbError::Other(error.to_string()))?;
    let sealed = subject.seal(Place { row: order.0, column: SEALED }, &contact)?;
    Ok((customer.id, sealed))
}

async fn customer_enter(tx: &TenantTx, desk: Desk<'_>, hash: &[u8]) -> Result<Customer, OrderError> {
    let id = CustomerId(desk.clock.new_id());
    let (_, wrapped) = desk.vault.subject_new(desk.tenant, id.0)?;
    if let Some(customer) = repo::customer_insert(tx, id, (hash, &wrapped), desk.clock.now()).await? {
        return Ok(customer);
    }
    // Somebody else has just entered the same address, and this statement has waited for it.
    let customer = repo::customer_share(tx, hash).await?;
    Ok(customer.ok_or_else(|| DbError::Conflict("a customer was entered and erased at once".to_owned()))?)
}

/// What is known of the customer of an order; nothing where it was erased.
///
/// # Errors
/// The tenant's keys cannot be used, or what is stored is not what was sealed.
pub fn contact(
    vault: &Vault,
    tenant: &TenantCtx,
    order: &Order,
    customer: &Customer,
) -> Result<Option<Contact>, KeyError> {
    contact_open((vault, tenant), order.id, &order.customer_sealed, customer)
}

/// As [`contact`], of what an order has sealed.
///
/// # Errors
/// As [`contact`].
pub fn contact_open(
    (vault, tenant): (&Vault, &TenantCtx),
    order: OrderId,
    sealed: &[u8],
    customer: &Customer,
) -> Result<Option<Contact>, KeyError> {
    let place = Place { row: order.0, column: SEALED };
    let plain = match subject(vault, tenant, customer).and_then(|key| key.open(place, sealed)) {
        Ok(plain) => plain,
        Err(KeyError::Gone) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_slice(&plain).ok())
}

/// Customers by their ids, in no order.
///
/// # Errors
/// The database failed.
pub async fn customer_list_by_id(read: &TenantRead, ids: &[CustomerId]) -> Result<Vec<Customer>, DbError> {
    repo::customer_list_by_id(read, ids).await
}

/// Erases all that is known of the customer with an address, in all orders at once, by destroying the customer's key.
/// The orders stay.
///
/// # Errors
/// No customer has the address.
pub async fn customer_erase(tx: &mut TenantTx, desk: Desk<'_>, email: &str) -> Result<Customer, OrderError> {
    desk.actor.require(Permission::OrdersRefund)?;
    let not_found = || {
        let message = "No customer has this e-mail address.";
        OrderError::refused(OrderErrorCode::CustomerNotFound, message, &["email"])
    };
    let email: Email = email.parse().map_err(|_| not_found())?;
    let hash = email_hash(desk.vault, desk.tenant, &email)?;
    let customer = repo::customer_lock(tx, &hash).await?.ok_or_else(not_found)?;
    let customer = repo::customer_erase(tx, customer.id, desk.clock.now()).await?;
    tx.note(Change::removed(customer.id, json!({ "createdAt": customer.created_at })));
    Ok(customer)
}

/// Seals the keys of the next customers with the tenant's key of now, where an earlier one sealed them. What they seal
/// stays as it is. Twice is safe: what the key of now has sealed is passed over.
///
/// # Errors
/// The tenant's keys cannot be used, or the database failed.
pub async fn keys_reseal(
    tx: &TenantTx,
    (vault, tenant): (&Vault, &TenantCtx),
    after: Option<CustomerId>,
) -> Result<Resealed, OrderError> {
    let customers = repo::customer_list_kept(tx, after, RESEAL_PAGE as i64).await?;
    let mut replace = repo::KeysReplace { ids: Vec::new(), old: Vec::new(), new: Vec::new() };
    let mut resealed = Resealed::default();
    for Customer { id, subject_key, .. } in &customers {
        let Some(old) = subject_key else { continue };
        match vault.subject_reseal(tenant, id.0, old) {
            Ok(Some(new)) => {
                replace.ids.push(id.0);
                replace.old.push(old.clone());
                replace.new.push(new);
            }
            // By the key of now already; or by one that is destroyed, and nobody's any more.
            Ok(None) | Err(KeyError::Gone) => {}
            Err(KeyError::Seal(_)) => resealed.damaged += 1,
            Err(error) => return Err(error.into()),
        }
    }
    if !replace.ids.is_empty() {
        repo::subject_keys_replace(tx, replace).await?;
    }
    resealed.next = customers.last().filter(|_| customers.len() == RESEAL_PAGE).map(|customer| customer.id);
    Ok(resealed)
}

/// The keyed hash by which an address is found.
///
/// # Errors
/// The tenant's keys cannot be used.
pub fn email_hash(vault: &Vault, tenant: &TenantCtx, email: &Email) -> Result<Vec<u8>, KeyError> {
    vault.index_hash(tenant, EMAIL, email.key().as_bytes()).map(|hash| hash.to_vec())
}

fn subject<'a>(vault: &'a Vault, tenant: &TenantCtx, customer: &Customer) -> Result<Subject<'a>, KeyError> {
    vault.subject(tenant, customer.id.0, customer.subject_key.as_deref())
}
