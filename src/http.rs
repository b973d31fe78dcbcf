//! The HTTP server: routes, media types, credentials, statuses.

pub mod accept;
pub mod admission;
pub mod answer;
mod client_address;
mod compress;
mod conditional;
mod credentials;
pub mod deprecation;
pub mod documents;
mod exports;
pub mod graphql;
pub mod health;
pub mod jwks;
pub mod limits;
mod metrics;
pub mod observe;
pub mod outliving;
pub mod page;
mod parameters;
pub mod profiling;
mod refused;
pub mod router;
pub mod serve;
pub mod socket;
pub mod stream;
mod uncached;
mod watched;
