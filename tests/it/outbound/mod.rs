//! Calls to addresses that a tenant chose.

mod deliveries;
mod documents;
mod host;
mod hostile_hosts;
mod reach;
