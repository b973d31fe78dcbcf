//! The only code of the tests that touches plumbing.

pub mod authority;
pub mod chance;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod collector;
pub mod command;
pub mod logs;
pub mod pooler;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod smtp;
pub mod socket;
pub mod world;

pub use client::{Client, GqlResponse};
pub use world::{World, world};
