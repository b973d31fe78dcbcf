//! What clients were told of their orders. Each order has one client, so what was told last is so.

use std::collections::{BTreeMap, HashMap};

use shelfwise::kernel::ids::{BookId, OrderId};
use uuid::Uuid;

/// What was told of one order.
#[derive(Debug, Default)]
pub struct Told {
    /// How many of each book.
    pub lines: BTreeMap<Uuid, i32>,
    /// What was done, in its order.
    pub moves: Vec<&'static str>,
    /// Whether the books came back.
    pub is_returned: bool,
}

/// What was told of one shop.
#[derive(Default)]
pub struct Ledger {
    pub orders: HashMap<Uuid, Told>,
    /// Keys that were used, each for one mutation.
    pub keys: i64,
}

impl Ledger {
    /// An order was entered.
    pub fn created(&mut self, id: &str, lines: Vec<(String, i32)>) {
        let lines = lines.into_iter().map(|(book, quantity)| (book_of(&book), quantity)).collect();
        let told = Told { lines, ..Told::default() };
        assert!(self.orders.insert(order_of(id), told).is_none(), "{id} was entered by two keys");
    }

    /// A line was set.
    pub fn edited(&mut self, id: &str, book: String, quantity: i32) {
        self.order(id).lines.insert(book_of(&book), quantity);
    }

    /// An order was moved.
    pub fn moved(&mut self, id: &str, mutation: &'static str) {
        self.order(id).moves.push(mutation);
    }

    /// The books of a refunded order came back.
    pub fn returned(&mut self, id: &str) {
        self.order(id).is_returned = true;
    }

    fn order(&mut self, id: &str) -> &mut Told {
        self.orders.get_mut(&order_of(id)).expect("it was entered")
    }
}

impl Told {
    /// How often a mutation was done.
    pub fn count(&self, mutation: &str) -> usize {
        self.moves.iter().filter(|done| **done == mutation).count()
    }

    /// Whether a mutation was done.
    pub fn has(&self, mutation: &str) -> bool {
        self.count(mutation) > 0
    }

    /// The state that the order must be in, but for that a payment may have made it paid.
    pub fn status(&self) -> &'static str {
        let ends = [
            ("orderRefund", "refunded"),
            ("orderCancel", "canceled"),
            ("orderDeliver", "delivered"),
            ("orderFulfill", "fulfilled"),
            ("orderPlace", "placed"),
        ];
        ends.into_iter().find(|(mutation, _)| self.has(mutation)).map_or("draft", |(_, status)| status)
    }
}

fn order_of(id: &str) -> Uuid {
    id.parse::<OrderId>().unwrap().0
}

fn book_of(id: &str) -> Uuid {
    id.parse::<BookId>().unwrap().0
}
