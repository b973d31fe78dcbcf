//! Customers and orders of a sandbox: the same orders, of as many customers, about whom nothing is known.
//!
//! Nothing of the shop's is opened for it. Each customer gets a new key, under the sandbox's own, and each order what that
//! key seals about nobody.

use std::collections::HashMap;

use super::customers::model::{Contact, Customer};
use super::customers::repo as customers;
use super::customers::service::{SEALED, email_hash};
use super::order::repo as orders;
use crate::db::{DbError, TenantRead};
use crate::kernel::email::Email;
use crate::kernel::ids::{CustomerId, OrderId};
use crate::kernel::seal::Place;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::orders::error::OrderError;
use crate::vault::{KeyError, Subject, Vault};

/// The table of customers.
pub const CUSTOMERS: &str = "customers";

/// The table of orders.
pub const ORDERS: &str = "orders";

/// Customers that are disguised in one go.
const CUSTOMERS_PAGE: i64 = 500;

/// Orders that are disguised in one go.
const ORDERS_PAGE: i64 = 2_000;

/// Some of a shop's customers, in the order of their ids.
pub struct Page {
    customers: Vec<Customer>,
    /// How many customers there are before them.
    before: usize,
}

/// Customers who are nobody, and what belongs into their rows.
pub struct Disguised<'a> {
    /// The customers.
    pub ids: Vec<CustomerId>,
    /// What each is found by; nothing where the customer is erased.
    pub email_hashes: Vec<Option<Vec<u8>>>,
    /// The key of each, sealed; nothing where the customer is erased.
    pub subject_keys: Vec<Option<Vec<u8>>>,
    people: HashMap<CustomerId, (Subject<'a>, Contact)>,
}

/// The customers of a shop after these; the first ones where there are none before.
///
/// # Errors
/// The database failed.
pub async fn page(read: &TenantRead, last: Option<&Page>) -> Result<Option<Page>, DbError> {
    let after = last.and_then(|last| last.customers.last()).map(|customer| customer.id);
    let before = last.map_or(0, |last| last.before + last.customers.len());
    let customers = customers::customer_list_after(read, after, CUSTOMERS_PAGE).await?;
    Ok((!customers.is_empty()).then_some(Page { customers, before }))
}

impl Page {
    /// The same customers as nobody, for the shop of a context.
    ///
    /// # Errors
    /// The tenant's keys cannot be used.
    pub fn disguise<'a>(&self, vault: &'a Vault, tenant: &TenantCtx) -> Result<Disguised<'a>, OrderError> {
        let mut disguised =
            Disguised { ids: Vec::new(), email_hashes: Vec::new(), subject_keys: Vec::new(), people: HashMap::new() };
        for (place, customer) in self.customers.iter().enumerate() {
            let number = self.before + place + 1;
            let address = format!("customer-{number}@example.invalid");
            let email: Email = address.parse().map_err(|_| DbError::Other("the address is none".to_owned()))?;
            let (subject, wrapped) = vault.subject_new(tenant, customer.id.0)?;
            let is_known = customer.subject_key.is_some();
            disguised.ids.push(customer.id);
            let hash = is_known.then(|| email_hash(vault, tenant, &email)).transpose()?;
            disguised.email_hashes.push(hash);
            // Of who is erased the key is lost here as it is there.
            disguised.subject_keys.push(is_known.then_some(wrapped));
            let contact = Contact { name: format!("Customer {number}"), email: address, address: None };
            disguised.people.insert(customer.id, (subject, contact));
        }
        Ok(disguised)
    }
}

impl Disguised<'_> {
    /// The next orders of these customers after one, in the order of their ids, each with what is sealed in it.
    ///
    /// # Errors
    /// The database failed, or the value cannot be sealed.
    pub async fn orders(
        &self,
        read: &TenantRead,
        after: Option<OrderId>,
    ) -> Result<Vec<(OrderId, Vec<u8>)>, OrderError> {
        let orders = orders::order_list_of_customers(read, &self.ids, after, ORDERS_PAGE).await?;
        let seal = |(order, customer): (OrderId, CustomerId)| Ok((order, self.seal(order, customer)?));
        orders.into_iter().map(seal).collect()
    }

    fn seal(&self, order: OrderId, customer: CustomerId) -> Result<Vec<u8>, OrderError> {
        let (subject, contact) = self.people.get(&customer).ok_or(KeyError::Gone)?;
        let contact = serde_json::to_vec(contact).map_err(|error| DbError::Other(error.to_string()))?;
        Ok(subject.seal(Place { row: order.0, column: SEALED }, &contact)?)
    }
}
