//! What the shop's plan gives it, and how much of that is used. What enforces it is where it is used.

pub mod graphql;
