//! The state machine of an order, as one pure function.
//!
//! ```text
//! draft ── place ─▶ placed ── pay ─▶ paid ── fulfill ─▶ fulfilled ── deliver ─▶ delivered
//!   │                 │               │                     │                       │
//!   └──── cancel ─────┴─▶ canceled    └────────── refund ───┴───────────────────────┴─▶ refunded
//! ```

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Being put together; nothing is promised.
    Draft,
    /// Promised: copies are reserved and prices are frozen.
    Placed,
    /// Paid for.
    Paid,
    /// Handed over to whoever delivers.
    Fulfilled,
    /// At the customer's.
    Delivered,
    /// Given up before it was paid.
    Canceled,
    /// Paid back.
    Refunded,
}

/// What can be done with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderMove {
    /// Change its lines.
    Edit,
    /// Promise it.
    Place,
    /// Be paid for it.
    Pay,
    /// Hand it over.
    Fulfill,
    /// Note that it has arrived.
    Deliver,
    /// Give it up.
    Cancel,
    /// Pay it back.
    Refund,
}

impl OrderStatus {
    /// Every status, in the order of an order's life.
    pub const ALL: [Self; 7] =
        [Self::Draft, Self::Placed, Self::Paid, Self::Fulfilled, Self::Delivered, Self::Canceled, Self::Refunded];

    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Fulfilled => "fulfilled",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Refunded => "refunded",
        }
    }

    /// The status of a text that the table stores. One that no version knows is one from which nothing goes on.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Canceled)
    }

    /// Whether no move leads on.
    #[must_use]
    pub fn is_last(self) -> bool {
        matches!(self, Self::Canceled | Self::Refunded)
    }

    /// Where a move leads; nowhere where it is not allowed.
    #[must_use]
    pub fn after(self, mv: OrderMove) -> Option<Self> {
        match (self, mv) {
            (Self::Draft, OrderMove::Edit) => Some(Self::Draft),
            (Self::Draft, OrderMove::Place) => Some(Self::Placed),
            (Self::Placed, OrderMove::Pay) => Some(Self::Paid),
            (Self::Paid, OrderMove::Fulfill) => Some(Self::Fulfilled),
            (Self::Fulfilled, OrderMove::Deliver) => Some(Self::Delivered),
            (Self::Draft | Self::Placed, OrderMove::Cancel) => Some(Self::Canceled),
            (Self::Paid | Self::Fulfilled | Self::Delivered, OrderMove::Refund) => Some(Self::Refunded),
            _ => None,
        }
    }

    /// The moves that are allowed from here.
    pub fn moves(self) -> impl Iterator<Item = OrderMove> {
        OrderMove::ALL.into_iter().filter(move |mv| self.after(*mv).is_some())
    }
}

impl OrderMove {
    /// Every move.
    pub const ALL: [Self; 7] =
        [Self::Edit, Self::Place, Self::Pay, Self::Fulfill, Self::Deliver, Self::Cancel, Self::Refund];

    /// The move's name, which the outcomes of keys and messages use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Place => "place",
            Self::Pay => "pay",
            Self::Fulfill => "fulfill",
            Self::Deliver => "deliver",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }

    /// The move of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mv| mv.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_this_table() {
        use OrderMove::{Cancel, Deliver, Edit, Fulfill, Pay, Place, Refund};
        use OrderStatus::{Canceled, Delivered, Draft, Fulfilled, Paid, Placed, Refunded};
        let table = [
            (Draft, vec![(Edit, Draft), (Place, Placed), (Cancel, Canceled)]),
            (Placed, vec![(Pay, Paid), (Cancel, Canceled)]),
            (Paid, vec![(Fulfill, Fulfilled), (Refund, Refunded)]),
            (Fulfilled, vec![(Deliver, Delivered), (Refund, Refunded)]),
            (Delivered, vec![(Refund, Refunded)]),
            (Canceled, vec![]),
            (Refunded, vec![]),
        ];
        assert_eq!(table.len(), OrderStatus::ALL.len());
        for (from, allowed) in table {
            let found: Vec<_> = from.moves().filter_map(|mv| Some((mv, from.after(mv)?))).collect();
            assert_eq!(found, allowed, "{from:?}");
        }
    }

    #[test]
    fn names_are_read_again_and_an_unknown_status_leads_nowhere() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::of(status.as_str()), status);
        }
        for mv in OrderMove::ALL {
            assert_eq!(OrderMove::of(mv.as_str()), Some(mv));
        }
        assert_eq!(OrderStatus::of("shipped").moves().count(), 0);
    }
}
