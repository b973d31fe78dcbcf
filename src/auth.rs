//! How callers show who they are: signed tokens, passwords, the keys of other issuers; and what those cost who do not.

pub mod attest;
pub mod external;
pub mod passwords;
pub mod strangers;
pub mod tokens;

pub use external::External;
pub use passwords::Passwords;
pub use strangers::Strangers;
pub use tokens::{Claims, InvalidToken, Tokens};
