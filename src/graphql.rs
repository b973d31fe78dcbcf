//! The GraphQL edge that all domains share: roots, contexts, errors, connections, scalars.
//!
//! Types here translate and decide nothing. No type derives both a diesel and a GraphQL trait.

pub mod access;
pub mod asked;
pub mod call;
pub mod changelog;
pub mod connection;
pub mod context;
pub mod cost;
pub mod deprecation;
pub mod diff;
pub mod error;
pub mod guard;
pub mod limits;
pub mod loaders;
pub mod node;
pub mod patch;
pub mod payload;
pub mod prompt;
mod reads;
pub mod scalars;
pub mod schema;
pub mod settings;
pub mod user_error;
pub mod watch;

pub use call::{Call, IdempotencyKey, RequestKey};
pub use context::{AdminRequest, Origin, Request, Services, Shop};
pub use error::{ApiError, ApiResult, ErrorCode};
pub use reads::Uncached;
