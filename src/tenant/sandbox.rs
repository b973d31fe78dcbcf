//! What a sandbox gets in the place of a shop's people: as many, who are nobody.

pub use super::orders::sandbox::{CUSTOMERS, Disguised, ORDERS, Page, page};
