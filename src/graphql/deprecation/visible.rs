//! What an introspection leaves out: the parts that are gone on the day that is asked about.
//!
//! Each part that goes away names its function here by `visible`. A test asks for the schema of a day on which all are gone, and
//! so misses none.

use std::collections::BTreeSet;

use async_graphql::Context;

/// The parts that are gone, by their coordinates; a request has it where there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone(pub BTreeSet<String>);

fn stands(ctx: &Context<'_>, coordinate: &str) -> bool {
    ctx.data_opt::<Gone>().is_none_or(|Gone(parts)| !parts.contains(coordinate))
}

macro_rules! parts {
    ($($name:ident = $coordinate:literal),+ $(,)?) => {
        $(
            #[doc = concat!("Whether `", $coordinate, "` is there.")]
            #[must_use]
            pub fn $name(ctx: &Context<'_>) -> bool {
                stands(ctx, $coordinate)
            }
        )+
    };
}

parts! {
    book_create_input_price_cents = "BookCreateInput.priceCents",
    book_price_cents = "Book.priceCents",
    book_update_input_price_cents = "BookUpdateInput.priceCents",
    books_query = "Query.books(query:)",
    order_sort_field_total = "OrderSortField.TOTAL",
    order_total = "Order.total",
}
