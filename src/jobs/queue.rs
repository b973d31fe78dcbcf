//! SQL of the queue: one statement for each thing that happens to jobs.
//!
//! Times are the database's, so that workers need not agree on theirs.

mod claim;
mod finish;
mod tend;

pub use claim::{CLAIM, CLAIM_OPENING, Claim, claim};
pub use finish::{Claimed, Ending, Verdict, beat, finish};
pub use tend::{Expired, Periodical, StateDepth, depth, periodic_enqueue, promote, prune, rescue_list};
