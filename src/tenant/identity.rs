//! The shop's people: who they are, how they show it, and what they may do.
//!
//! Two rules run through all of it. Nobody grants, changes or takes what exceeds their own permissions. And a stranger
//! learns nothing: an account that exists answers as one that does not, in words and in time.

pub mod api_keys;
pub mod error;
pub mod links;
mod names;
pub mod principals;
pub mod provider;
pub mod roles;
pub mod sessions;
pub mod users;

pub use error::{IdentityError, IdentityErrorCode};
