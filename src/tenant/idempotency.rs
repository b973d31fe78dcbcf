//! Requests that may come again: what a mutation answered is kept with its effect, and answered again.
//!
//! A client that does not know whether its request arrived sends it again under the same key. The key's row commits
//! with the effect, so there is never one without the other, whatever dies in between; no cache is asked. The row keeps
//! an id or the reasons of a refusal, and the selection is resolved anew: a key holds no personal data and no secret.
//! (After the IETF's draft of the `Idempotency-Key` header.)

pub mod key;
pub mod recall;
mod repo;
pub mod service;

pub use key::{Key, Keyring};
pub use recall::{Code, Recall};
