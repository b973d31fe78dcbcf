//! The platform's administrators: accounts as carefully kept as those of a shop's people.
//!
//! All may the same, so every act is in the trail. There is no mail: who invites hands the invitation over, and a lost
//! password is mended by another invitation.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;
pub mod sessions;
mod standing;

pub use sessions::service::sweep;
pub use standing::Admins;
