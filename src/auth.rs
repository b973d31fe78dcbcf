//! How callers show who they are: signed tokens, passwords, and the keys of other issuers.

pub mod external;
pub mod passwords;
pub mod tokens;

pub use external::External;
pub use passwords::Passwords;
pub use tokens::{Claims, InvalidToken, Tokens};
