//! Webhooks: what has happened in a shop, told to the addresses that it names.

mod interop;
