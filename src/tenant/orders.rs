//! Orders: a draft is placed, paid, fulfilled and delivered, or canceled, or refunded.
//!
//! A copy of a book is in stock, reserved or sold; an order moves copies from one to the other and changes no sum. Prices
//! are frozen when an order is placed. What is known of a customer is sealed with a key of the customer's own.

pub mod customers;
pub mod error;
pub mod order;
pub mod payments;
pub mod sales;
pub mod sandbox;
pub mod status;

pub use error::{OrderError, OrderErrorCode};
