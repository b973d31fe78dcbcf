//! Being paid for an order: a payment goes from step to step, each kept before the next, and is taken back where the
//! order was given up meanwhile.
//!
//! ```text
//! pending ── reserve ─▶ authorized ── capture ─▶ captured ── confirm ─▶ confirmed ── refund ─▶ refunding ─▶ refunded
//!    └─ declined ─▶ failed  └─ void ─▶ voided        └──── order given up ────────────────────────┘
//! ```

pub mod graphql;
pub mod loaders;
pub mod model;
pub mod repo;
pub mod saga;
pub mod service;
