//! Anchors of the tenants' trails: where each ended at some time, kept where no tenant's role reaches.
//!
//! A trail proves the order and content of what it has, and not that it still has its end. So its end is written down here
//! every now and then, and nothing of it is ever changed or removed.

mod repo;
pub mod service;
