//! SQL of the use of what goes away.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

use super::model::{Tally, Usage, UsageFilter, UsageKey};
use crate::db::schema::tenant::deprecated_usage;
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::page::{Direction, PageRequest};

statement!(
    /// Adds to rows that are there, and makes those that are not. Their order is the same for all who do, so that none waits
    /// for the other in a circle.
    UsageAdd {
        /// The part of each.
        parts: Vec<String> => Array<Text>,
        /// The operation of each.
        operations: Vec<String> => Array<Text>,
        /// The credential of each.
        credentials: Vec<String> => Array<Text>,
        /// The client of each.
        clients: Vec<String> => Array<Text>,
        /// How often each.
        counts: Vec<i64> => Array<BigInt>,
        /// When first.
        firsts: Vec<DateTime<Utc>> => Array<Timestamptz>,
        /// When last.
        lasts: Vec<DateTime<Utc>> => Array<Timestamptz>,
    } -> Bool = "
INSERT INTO deprecated_usage AS known (part, operation, credential, client, count, first_used_at, last_used_at)
SELECT * FROM unnest({}, {}, {}, {}, {}, {}, {})
ON CONFLICT (part, operation, credential, client) DO UPDATE SET
    count = known.count + excluded.count,
    first_used_at = least(known.first_used_at, excluded.first_used_at),
    last_used_at = greatest(known.last_used_at, excluded.last_used_at)"
);

/// Adds what was counted, in the order of the keys.
pub async fn usage_add(tx: &mut TenantTx, rows: impl IntoIterator<Item = (UsageKey, Tally)>) -> Result<(), DbError> {
    let mut add = UsageAdd {
        parts: Vec::new(),
        operations: Vec::new(),
        credentials: Vec::new(),
        clients: Vec::new(),
        counts: Vec::new(),
        firsts: Vec::new(),
        lasts: Vec::new(),
    };
    for (key, tally) in rows {
        add.parts.push(key.part);
        add.operations.push(key.operation);
        add.credentials.push(key.credential);
        add.clients.push(key.client);
        add.counts.push(tally.count);
        add.firsts.push(tally.first);
        add.lasts.push(tally.last);
    }
    tx.execute(add).await.map(drop)
}

/// How many rows there are.
pub async fn usage_count(read: &TenantRead) -> Result<i64, DbError> {
    read.one(deprecated_usage::table.count()).await
}

/// The keys of all rows.
pub async fn usage_keys(read: &TenantRead) -> Result<Vec<UsageKey>, DbError> {
    read.load(deprecated_usage::table.select(UsageKey::as_select())).await
}

/// All rows.
pub async fn usage_all(read: &TenantRead) -> Result<Vec<Usage>, DbError> {
    read.load(deprecated_usage::table.select(Usage::as_select())).await
}

/// Deletes rows of what was last used before a time.
pub async fn usage_prune(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<usize, DbError> {
    let old = deprecated_usage::table.filter(deprecated_usage::last_used_at.lt(before));
    tx.execute(kept(diesel::delete(old))).await
}

statement!(
    /// Rows behind a key, in the order of keys.
    UsageAfter {
        /// Whether there is no key.
        is_first: bool => Bool,
        /// The key's part.
        part: String => Text,
        /// The key's operation.
        operation: String => Text,
        /// The key's credential.
        credential: String => Text,
        /// The key's client.
        client: String => Text,
        /// The one part.
        of_part: Option<String> => Nullable<Text>,
        /// The one credential.
        by: Option<String> => Nullable<Text>,
        /// Used since.
        since: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// How many.
        rows: i64 => BigInt,
    } -> (Text, Text, Text, Text, BigInt, Timestamptz, Timestamptz) = "
SELECT part, operation, credential, client, count, first_used_at, last_used_at FROM deprecated_usage
WHERE ({} OR (part, operation, credential, client) > ({}, {}, {}, {}))
    AND part = coalesce({}, part) AND credential = coalesce({}, credential)
    AND last_used_at >= coalesce({}, last_used_at)
ORDER BY part, operation, credential, client LIMIT {}"
);

statement!(
    /// Rows before a key, in the reverse order of keys.
    UsageBefore {
        /// Whether there is no key.
        is_first: bool => Bool,
        /// The key's part.
        part: String => Text,
        /// The key's operation.
        operation: String => Text,
        /// The key's credential.
        credential: String => Text,
        /// The key's client.
        client: String => Text,
        /// The one part.
        of_part: Option<String> => Nullable<Text>,
        /// The one credential.
        by: Option<String> => Nullable<Text>,
        /// Used since.
        since: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// How many.
        rows: i64 => BigInt,
    } -> (Text, Text, Text, Text, BigInt, Timestamptz, Timestamptz) = "
SELECT part, operation, credential, client, count, first_used_at, last_used_at FROM deprecated_usage
WHERE ({} OR (part, operation, credential, client) < ({}, {}, {}, {}))
    AND part = coalesce({}, part) AND credential = coalesce({}, credential)
    AND last_used_at >= coalesce({}, last_used_at)
ORDER BY part DESC, operation DESC, credential DESC, client DESC LIMIT {}"
);

/// A row as a statement answers it.
type Row = (String, String, String, String, i64, DateTime<Utc>, DateTime<Utc>);

/// One page's rows in the order of their keys, read in the page's direction.
pub async fn usage_list(
    read: &TenantRead,
    filter: UsageFilter,
    page: &PageRequest<UsageKey>,
) -> Result<Vec<Usage>, DbError> {
    let UsageFilter { part: of_part, credential: by, used_since: since } = filter;
    let (is_first, rows) = (page.from.is_none(), page.rows());
    let empty =
        || UsageKey { part: String::new(), operation: String::new(), credential: String::new(), client: String::new() };
    let UsageKey { part, operation, credential, client } = page.from.clone().unwrap_or_else(empty);
    let rows: Vec<Row> = match page.direction {
        Direction::Forward => {
            read.load(UsageAfter { is_first, part, operation, credential, client, of_part, by, since, rows }).await?
        }
        Direction::Backward => {
            read.load(UsageBefore { is_first, part, operation, credential, client, of_part, by, since, rows }).await?
        }
    };
    let usage = |(part, operation, credential, client, count, first_used_at, last_used_at)| Usage {
        key: UsageKey { part, operation, credential, client },
        count,
        first_used_at,
        last_used_at,
    };
    Ok(rows.into_iter().map(usage).collect())
}
