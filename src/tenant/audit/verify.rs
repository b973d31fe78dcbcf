//! Whether the trail is what was written: each entry, their order, its end, and the anchors that were kept elsewhere.

pub mod service;
mod walk;

use std::fmt;

use super::head::Head;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Entries that are as they were written, from the first one on: up to the end, or to where the trail is broken.
    pub entries: i64,
    /// Anchors that the trail agrees with.
    pub anchors: i64,
    /// Where the shop says that its trail ends.
    pub head: Head,
    /// Where the trail is broken first.
    pub broken: Option<Break>,
}

/// A place where the trail is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// The number of the first entry that is wrong, or missing.
    pub sequence: i64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The entry, or its hash, is not what was written.
    Changed,
    /// The entry is gone.
    Missing,
    /// Another entry is in its place.
    OutOfOrder,
    /// The trail goes on, or otherwise, than the shop's head says.
    HeadDiffers,
    /// The trail and the head end here, and an anchor beyond was kept.
    CutOff {
        /// The number of the first anchor that is beyond.
        anchor: i64,
    },
    /// The entry agrees with those before, and not with the anchor that was kept of it: all of them were written anew.
    AnchorDiffers,
}

impl Fault {
    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::OutOfOrder => "out_of_order",
            Self::HeadDiffers => "head_differs",
            Self::CutOff { .. } => "cut_off",
            Self::AnchorDiffers => "anchor_differs",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the entry was changed"),
            Self::Missing => f.write_str("the entry is missing"),
            Self::OutOfOrder => f.write_str("another entry is in its place"),
            Self::HeadDiffers => f.write_str("the head of the shop does not agree with the last entry"),
            Self::CutOff { anchor } => write!(f, "the trail was cut off before anchor {anchor}"),
            Self::AnchorDiffers => f.write_str("the trail was written anew: the anchor of this entry does not agree"),
        }
    }
}
