//! A notice, and what a row of notices says in one mail.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::notices;

/// The most lines of a digest; how many there are beside them is told.
pub const DIGEST_LINES_MAX: usize = 50;

/// Something that operators are told of.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = notices)]
pub struct Notice {
    /// The notice; ids are made in the order of time.
    pub id: Uuid,
    /// What has happened, as `tenant.provisioned`.
    pub kind: String,
    /// To what: an object.
    pub details: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// What several notices say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// How many there are of each kind, in the order of their first.
    pub counts: Vec<(String, usize)>,
    /// The first of them, a line each.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Digest {
    /// The digest of some notices.
    #[must_use]
    pub fn of(notices: &[Notice]) -> Self {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for notice in notices {
            match counts.iter_mut().find(|(kind, _)| *kind == notice.kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((notice.kind.clone(), 1)),
            }
        }
        let lines: Vec<String> = notices.iter().take(DIGEST_LINES_MAX).map(line).collect();
        Self { counts, more: notices.len() - lines.len(), lines }
    }
}

/// A notice in a line.
fn line(Notice { kind, details, at, .. }: &Notice) -> String {
    let at = at.format("%Y-%m-%d %H:%M UTC");
    let details: Vec<String> = details
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        })
        .collect();
    format!("{at}  {kind}: {}", details.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice(number: u128, kind: &str) -> Notice {
        let details = json!({ "plan": "free", "slug": format!("shop-{number}"), "count": number as u64 });
        Notice { id: Uuid::from_u128(number), kind: kind.to_owned(), details, at: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_digest_counts_all_and_lists_some() {
        let mut notices: Vec<Notice> = (0..1_000).map(|number| notice(number, "tenant.provisioned")).collect();
        notices.push(notice(1_000, "fleet.paused"));
        let digest = Digest::of(&notices);
        assert_eq!(digest.counts, [("tenant.provisioned".to_owned(), 1_000), ("fleet.paused".to_owned(), 1)]);
        assert_eq!((digest.lines.len(), digest.more), (DIGEST_LINES_MAX, 951));
        assert_eq!(digest.lines[1], "1970-01-01 00:00 UTC  tenant.provisioned: count 1, plan free, slug shop-1");
    }

    #[test]
    fn of_few_notices_none_is_left_out() {
        let digest = Digest::of(&[notice(1, "a.b")]);
        assert_eq!((digest.lines.len(), digest.more), (1, 0));
    }
}
