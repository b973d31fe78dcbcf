//! An order as the tenant has it, and the questions that a list of orders answers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::{books, order_lines, orders};
use crate::kernel::ids::{BookId, CustomerId, OrderId};
use crate::kernel::money::Money;
use crate::tenant::orders::status::OrderStatus;

/// The most lines of an order.
pub const LINES_MAX: usize = 100;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub struct Order {
    /// The order.
    #[diesel(deserialize_as = Uuid)]
    pub id: OrderId,
    /// What people call it.
    pub number: i64,
    /// Who buys.
    #[diesel(deserialize_as = Uuid)]
    pub customer_id: CustomerId,
    /// The customer's data for this order, sealed.
    pub customer_sealed: Vec<u8>,
    /// Where it is, as text.
    pub status: String,
    /// The currency of its amounts.
    pub currency: String,
    /// The sum of the lines, in minor units.
    pub total_minor: i64,
    /// Why it was given up.
    pub cancel_reason: Option<String>,
    /// Counts the changes.
    pub version: i32,
    /// Who entered it.
    pub created_by: Option<Uuid>,
    /// When it was entered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was placed.
    pub placed_at: Option<DateTime<Utc>>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it was handed over.
    pub fulfilled_at: Option<DateTime<Utc>>,
    /// When it arrived.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub canceled_at: Option<DateTime<Utc>>,
    /// When it was paid back.
    pub refunded_at: Option<DateTime<Utc>>,
}

impl Order {
    /// Where it is.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        OrderStatus::of(&self.status)
    }

    /// An amount of it.
    #[must_use]
    pub fn money(&self, minor: i64) -> Option<Money> {
        Money::from_minor(minor, self.currency.parse().ok()?).ok()
    }

    /// What the trail keeps of it: the customer by id alone.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "number": self.number,
            "customerId": self.customer_id.to_string(),
            "status": self.status,
            "totalMinor": self.total_minor,
            "currency": self.currency,
            "cancelReason": self.cancel_reason,
            "version": self.version,
        })
    }
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = order_lines)]
pub struct Line {
    /// The order.
    #[diesel(deserialize_as = Uuid)]
    pub order_id: OrderId,
    /// The book.
    #[diesel(deserialize_as = Uuid)]
    pub book_id: BookId,
    /// Copies.
    pub quantity: i32,
    /// The book's title when the line was last set; placing the order brings it up to date and freezes it.
    pub title: String,
    /// The price of a copy in minor units when the line was last set; placing the order brings it up to date and freezes it.
    pub unit_price_minor: i64,
}

impl Line {
    /// What the line comes to, in minor units.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.unit_price_minor.saturating_mul(self.quantity.into())
    }
}

/// What an order must know of a book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = books)]
pub struct Offer {
    /// The book.
    #[diesel(deserialize_as = Uuid)]
    pub id: BookId,
    /// Its title.
    pub title: String,
    /// Its price in minor units; none: not for sale.
    pub price_minor: Option<i64>,
    /// Copies that are free.
    pub stock: i32,
    /// Since when it is not sold any more.
    pub archived_at: Option<DateTime<Utc>>,
}

impl Offer {
    /// The price of a copy, if it is for sale.
    #[must_use]
    pub fn price(&self) -> Option<i64> {
        self.price_minor.filter(|_| self.archived_at.is_none())
    }
}

/// What a user types for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLine {
    /// The book.
    pub book: BookId,
    /// Copies.
    pub quantity: i32,
}

/// Copies that an order moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockMove {
    /// From stock to reserved: the order is placed.
    Reserve,
    /// From reserved back to stock: the order is given up, or paid back before it was handed over.
    Release,
    /// From reserved to sold: the order is handed over.
    Sell,
    /// From sold back to stock: the books came back.
    Return,
}

impl StockMove {
    /// What one copy adds to stock, reserved and sold.
    #[must_use]
    pub fn signs(self) -> [i32; 3] {
        match self {
            Self::Reserve => [-1, 1, 0],
            Self::Release => [1, -1, 0],
            Self::Sell => [0, -1, 1],
            Self::Return => [1, 0, -1],
        }
    }
}

/// Which orders to list.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Those in one of these states; in any where it is empty.
    pub statuses: Vec<OrderStatus>,
    /// Those placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Those placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
    /// Those of the customer with an address, by its hash.
    pub email_hash: Option<Vec<u8>>,
    /// Those that have this book.
    pub book: Option<BookId>,
}

/// What a list of orders is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderOrder {
    /// The time of entry.
    CreatedAt,
    /// The total.
    TotalPrice,
}

/// How a list of orders is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSort {
    /// By what.
    pub order: OrderOrder,
    /// From the greatest to the least.
    pub descending: bool,
}

/// A place in a list of orders. The key is the total, or nothing in the order of entry, which is that of the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderPosition {
    /// The order that the list has.
    pub order: OrderOrder,
    /// The total there.
    pub total_minor: i64,
    /// The id there.
    pub id: OrderId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_copies_changes_no_sum() {
        for mv in [StockMove::Reserve, StockMove::Release, StockMove::Sell, StockMove::Return] {
            assert_eq!(mv.signs().iter().sum::<i32>(), 0, "{mv:?}");
        }
    }
}
