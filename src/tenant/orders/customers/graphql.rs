//! Customers at the edge.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::model::{Contact, NewCustomer};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::payload;
use crate::graphql::user_error::OrderUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey};
use crate::kernel::actor::Permission;
use crate::tenant::orders::error::OrderErrorCode;
use crate::tenant::orders::order::graphql::desk;

/// A customer who buys.
#[derive(InputObject)]
pub struct CustomerInput {
    /// The name.
    name: String,
    /// The e-mail address.
    email: String,
    /// The postal address, in lines.
    address: Option<String>,
}

impl From<CustomerInput> for NewCustomer {
    fn from(input: CustomerInput) -> Self {
        Self { name: input.name, email: input.email, address: input.address }
    }
}

/// A customer, as given for the order.
#[derive(SimpleObject, Default)]
pub struct Customer {
    /// The name; null where it was erased.
    name: Option<String>,
    /// The e-mail address; null where it was erased.
    email: Option<String>,
    /// The postal address, in lines; null where none was given, and where it was erased.
    address: Option<String>,
    /// Tells whether the customer's personal data was erased.
    is_erased: bool,
}

impl From<Option<Contact>> for Customer {
    fn from(contact: Option<Contact>) -> Self {
        match contact {
            Some(Contact { name, email, address }) => {
                Self { name: Some(name), email: Some(email), address, is_erased: false }
            }
            None => Self { is_erased: true, ..Self::default() },
        }
    }
}

payload!(
    /// The answer to `customerErase`.
    CustomerErasePayload,
    OrderUserError(OrderErrorCode)
);

/// Mutations of customers.
#[derive(Default)]
pub struct CustomerMutation;

#[Object]
impl CustomerMutation {
    /// Erases the personal data of the customer with an e-mail address, in all orders at once and for good, by
    /// destroying the key that it is encrypted with. The orders stay.
    #[graphql(directive = access::apply(needs(Permission::OrdersRefund)))]
    async fn customer_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's e-mail address.")] email: String,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<CustomerErasePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let work = async |tx: &mut _| service::customer_erase(tx, desk(&call), &email).await.map(drop);
        CustomerErasePayload::new(call.write("customer.erase", Permission::OrdersRefund, work).await, call.actor())
    }
}
