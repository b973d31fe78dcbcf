//! What a shop sets for itself, and what its settings come to. Which settings there are is said in `kernel::settings`.

mod error;
pub mod graphql;
mod known;
pub mod model;
pub mod operations;
mod repo;
pub mod sealed;
pub mod service;

pub use error::{SettingError, SettingErrorCode, SettingRefusal};
pub use known::ShopSettings;
