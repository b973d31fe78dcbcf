//! A walk along the chain, entry by entry. It knows nothing of where entries come from.

use super::{Break, Fault};
use crate::tenant::audit::chain::{Fields, digest, link};
use crate::tenant::audit::head::Head;
use crate::tenant::audit::model::StoredEntry;

/// How far the walk has come.
#[derive(Debug)]
pub struct Walk {
    /// The last entry that is as it was written.
    pub last: Head,
    /// How many anchors agreed.
    pub anchors: i64,
}

impl Walk {
    /// A walk that has not begun.
    pub fn new() -> Self {
        Self { last: Head { sequence: 0, hash: Vec::new() }, anchors: 0 }
    }

    /// Goes along the next entries, and past the anchors that were kept of them.
    pub fn along(&mut self, entries: &[StoredEntry], anchors: &[Head]) -> Result<(), Break> {
        let mut anchors = anchors.iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            let sequence = self.last.sequence + 1;
            let broken = |fault| Err(Break { sequence, fault });
            if entry.sequence < sequence {
                return Err(Break { sequence: entry.sequence, fault: Fault::OutOfOrder });
            }
            if entry.sequence > sequence {
                return broken(Fault::Missing);
            }
            if !self.continues_with(entry) {
                let is_elsewhere = entries[index + 1..].iter().any(|other| self.continues_with(other));
                return broken(if is_elsewhere { Fault::OutOfOrder } else { Fault::Changed });
            }
            if let Some(anchor) = anchors.next_if(|anchor| anchor.sequence == sequence) {
                if anchor.hash != entry.hash {
                    return broken(Fault::AnchorDiffers);
                }
                self.anchors += 1;
            }
            self.last = Head { sequence, hash: entry.hash.clone() };
        }
        Ok(())
    }

    /// Compares the end that was reached with what the head says and with the next anchor, if one was kept beyond.
    pub fn end(&self, head: &Head, beyond: Option<&Head>) -> Result<(), Break> {
        let next = self.last.sequence + 1;
        if head.sequence > self.last.sequence {
            return Err(Break { sequence: next, fault: Fault::Missing });
        }
        if *head != self.last {
            return Err(Break { sequence: head.sequence, fault: Fault::HeadDiffers });
        }
        match beyond {
            Some(anchor) => Err(Break { sequence: next, fault: Fault::CutOff { anchor: anchor.sequence } }),
            None => Ok(()),
        }
    }

    /// Whether an entry was written behind the last one, whatever its number says now.
    fn continues_with(&self, entry: &StoredEntry) -> bool {
        let fields = Fields {
            at: entry.at,
            actor: &entry.actor,
            via: entry.via.as_deref(),
            action: &entry.action,
            entity: &entry.entity,
            before: entry.before.as_ref().map(|json| json.0.as_str()),
            after: entry.after.as_ref().map(|json| json.0.as_str()),
            sealed: entry.sealed.as_deref(),
            request_id: entry.request_id.as_deref(),
            address: entry.address.as_deref(),
        };
        entry.hash == link(&self.last.hash, self.last.sequence + 1, &digest(&fields))
    }
}
