//! The schema keeps within what schema-based sharding allows, and works on a Citus where there is one.

mod catalogue;
mod code;
mod server;
