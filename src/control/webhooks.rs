//! Webhooks as operators see them: which endpoints of which tenants are not well, and what is done about a tenant's.
//!
//! Endpoints are rows of the shops' schemas: what is done to them goes through `tenant::webhooks::operations`, in the shop's
//! own transaction. What is kept here is a book of endpoints that are not well, written by the worker that delivers, a moment
//! after it became so; an endpoint that is well has no row.

pub mod graphql;
pub mod model;
pub mod operations;
mod repo;
pub mod service;
