//! SQL of what goes away.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Extension, PartCount, TenantUsage, UsageFilter, UsagePlace, Used, User};
use crate::db::schema::control::{deprecated_usage, deprecation_extensions, deprecation_notices, tenants};
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;
use crate::kernel::page::{Direction, PageRequest};

statement!(
    /// Keeps what a tenant's own table says. Its counts only grow, so of two reports the greater one is the later.
    UsagePut {
        /// The tenant.
        tenant: Uuid => SqlUuid,
        /// The part of each row.
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
INSERT INTO control.deprecated_usage AS known
    (tenant_id, part, operation, credential, client, count, first_used_at, last_used_at)
SELECT {}, new.* FROM unnest({}, {}, {}, {}, {}, {}, {}) AS new
ON CONFLICT (tenant_id, part, operation, credential, client) DO UPDATE SET
    count = greatest(known.count, excluded.count),
    first_used_at = least(known.first_used_at, excluded.first_used_at),
    last_used_at = greatest(known.last_used_at, excluded.last_used_at)"
);

/// Keeps what a tenant's own table says.
pub async fn usage_put(tx: &mut ControlTx, tenant: TenantId, rows: Vec<Used>) -> Result<(), DbError> {
    let mut put = UsagePut {
        tenant: tenant.0,
        parts: Vec::new(),
        operations: Vec::new(),
        credentials: Vec::new(),
        clients: Vec::new(),
        counts: Vec::new(),
        firsts: Vec::new(),
        lasts: Vec::new(),
    };
    for row in rows {
        put.parts.push(row.part);
        put.operations.push(row.operation);
        put.credentials.push(row.credential);
        put.clients.push(row.client);
        put.counts.push(row.count);
        put.firsts.push(row.first_used_at);
        put.lasts.push(row.last_used_at);
    }
    tx.execute(put).await.map(drop)
}

/// Deletes what was last used before a time.
pub async fn usage_prune(tx: &mut ControlTx, before: DateTime<Utc>) -> Result<usize, DbError> {
    let old = deprecated_usage::table.filter(deprecated_usage::last_used_at.lt(before));
    tx.execute(kept(diesel::delete(old))).await
}

/// The columns of [`UsageAfter`] and [`UsageBefore`].
type UsageColumns = (SqlUuid, Text, Text, Text, Text, Text, BigInt, Timestamptz, Timestamptz);

macro_rules! usage_page {
    ($(#[$doc:meta])* $name:ident, $than:literal, $order:literal) => {
        statement!(
            $(#[$doc])*
            $name {
                /// Whether there is no place.
                is_first: bool => Bool,
                /// The place's tenant.
                tenant: Uuid => SqlUuid,
                /// The place's part.
                part: String => Text,
                /// The place's operation.
                operation: String => Text,
                /// The place's credential.
                credential: String => Text,
                /// The place's client.
                client: String => Text,
                /// The one tenant.
                slug: Option<String> => Nullable<Text>,
                /// The one part.
                of_part: Option<String> => Nullable<Text>,
                /// Used since.
                since: Option<DateTime<Utc>> => Nullable<Timestamptz>,
                /// How many.
                rows: i64 => BigInt,
            } -> UsageColumns = concat!("
SELECT tenant_id, slug, part, operation, credential, client, count, first_used_at, last_used_at
FROM control.deprecated_usage JOIN control.tenants ON tenants.id = tenant_id
WHERE ({} OR (tenant_id, part, operation, credential, client) ", $than, " ({}, {}, {}, {}, {}))
    AND slug = coalesce({}, slug) AND part = coalesce({}, part) AND last_used_at >= coalesce({}, last_used_at)
ORDER BY tenant_id", $order, ", part", $order, ", operation", $order, ", credential", $order, ", client", $order, "
LIMIT {}")
        );
    };
}

usage_page!(
    /// Rows behind a place, in their order.
    UsageAfter, ">", ""
);
usage_page!(
    /// Rows before a place, in the reverse order.
    UsageBefore, "<", " DESC"
);

/// A row as a statement answers it.
type UsageRow = (Uuid, String, String, String, String, String, i64, DateTime<Utc>, DateTime<Utc>);

/// One page's rows in the order of tenants and parts, read in the page's direction.
pub async fn usage_list(
    control: &ControlDb,
    filter: UsageFilter,
    page: &PageRequest<UsagePlace>,
) -> Result<Vec<TenantUsage>, DbError> {
    let UsageFilter { slug, part: of_part, used_since: since } = filter;
    let (is_first, rows) = (page.from.is_none(), page.rows());
    let (tenant, [part, operation, credential, client]) = page.from.clone().unwrap_or_default();
    let rows: Vec<UsageRow> = match page.direction {
        Direction::Forward => {
            let query =
                UsageAfter { is_first, tenant, part, operation, credential, client, slug, of_part, since, rows };
            control.load(query).await?
        }
        Direction::Backward => {
            let query =
                UsageBefore { is_first, tenant, part, operation, credential, client, slug, of_part, since, rows };
            control.load(query).await?
        }
    };
    let usage = |(tenant, slug, part, operation, credential, client, count, first_used_at, last_used_at)| TenantUsage {
        tenant: TenantId(tenant),
        slug,
        used: Used { part, operation, credential, client, count, first_used_at, last_used_at },
    };
    Ok(rows.into_iter().map(usage).collect())
}

statement!(
    /// How many tenants have used each part since a time.
    PartCounts { since: DateTime<Utc> => Timestamptz } -> (Text, BigInt) = "
SELECT part, count(DISTINCT tenant_id) FROM control.deprecated_usage WHERE last_used_at >= {} GROUP BY part"
);

/// How many tenants have used each part since a time.
pub async fn part_counts(control: &ControlDb, since: DateTime<Utc>) -> Result<Vec<PartCount>, DbError> {
    control.load(PartCounts { since }).await
}

statement!(
    /// Tenants that have used a part since a time, behind one of them.
    Users {
        part: String => Text,
        since: DateTime<Utc> => Timestamptz,
        from: Uuid => SqlUuid,
        limit: i64 => BigInt,
    } -> (SqlUuid, Text, Nullable<Date>, BigInt, Timestamptz, Array<Text>) = "
SELECT used.tenant_id, tenants.slug, max(extensions.until), sum(used.count)::bigint, max(used.last_used_at),
    array_agg(DISTINCT used.operation)
FROM control.deprecated_usage AS used
JOIN control.tenants ON tenants.id = used.tenant_id AND tenants.status IN ('active', 'suspended')
LEFT JOIN control.deprecation_extensions AS extensions
    ON extensions.tenant_id = used.tenant_id AND extensions.part = used.part
WHERE used.part = {} AND used.last_used_at >= {} AND used.tenant_id > {}
GROUP BY used.tenant_id, tenants.slug ORDER BY used.tenant_id LIMIT {}"
);

/// Tenants in use that have used a part since a time, in the order of their ids behind one of them.
pub async fn user_list(
    control: &ControlDb,
    part: &str,
    since: DateTime<Utc>,
    from: Uuid,
    limit: i64,
) -> Result<Vec<User>, DbError> {
    control.load(Users { part: part.to_owned(), since, from, limit }).await
}

/// Notes that a tenant is told of a part's end, so many days before; false where it was noted already.
pub async fn notice_insert(
    tx: &mut ControlTx,
    tenant: TenantId,
    part: &str,
    (removal_on, days): (NaiveDate, i16),
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let insert = diesel::insert_into(deprecation_notices::table).values((
        deprecation_notices::tenant_id.eq(tenant.0),
        deprecation_notices::part.eq(part.to_owned()),
        deprecation_notices::removal_on.eq(removal_on),
        deprecation_notices::days.eq(days),
        deprecation_notices::at.eq(now),
    ));
    Ok(tx.execute(insert.on_conflict_do_nothing()).await? == 1)
}

/// Gives a tenant more time, in place of what it was given before.
pub async fn extension_upsert(tx: &mut ControlTx, tenant: TenantId, extension: &Extension) -> Result<(), DbError> {
    let Extension { part, until, reason, made_by, made_at, .. } = extension.clone();
    let insert = diesel::insert_into(deprecation_extensions::table)
        .values((
            deprecation_extensions::tenant_id.eq(tenant.0),
            deprecation_extensions::part.eq(part),
            deprecation_extensions::until.eq(until),
            deprecation_extensions::reason.eq(reason.clone()),
            deprecation_extensions::made_by.eq(made_by.clone()),
            deprecation_extensions::made_at.eq(made_at),
        ))
        .on_conflict((deprecation_extensions::tenant_id, deprecation_extensions::part))
        .do_update()
        .set((
            deprecation_extensions::until.eq(until),
            deprecation_extensions::reason.eq(reason),
            deprecation_extensions::made_by.eq(made_by),
            deprecation_extensions::made_at.eq(made_at),
        ));
    tx.execute(insert).await.map(drop)
}

/// Takes back what a tenant was given, and answers the day; nothing where it was given nothing.
pub async fn extension_delete(tx: &mut ControlTx, tenant: TenantId, part: &str) -> Result<Option<NaiveDate>, DbError> {
    let row = deprecation_extensions::table.find((tenant.0, part.to_owned()));
    Ok(tx.load(kept(diesel::delete(row).returning(deprecation_extensions::until))).await?.pop())
}

/// All extensions, the first to end first; of one tenant, or of all.
pub async fn extension_list(control: &ControlDb, slug: Option<&str>, limit: i64) -> Result<Vec<Extension>, DbError> {
    let query = deprecation_extensions::table.inner_join(tenants::table).select((
        tenants::slug,
        deprecation_extensions::part,
        deprecation_extensions::until,
        deprecation_extensions::reason,
        deprecation_extensions::made_by,
        deprecation_extensions::made_at,
    ));
    let query = query
        .order((deprecation_extensions::until, tenants::slug, deprecation_extensions::part))
        .limit(limit)
        .into_boxed();
    match slug {
        Some(slug) => control.load(query.filter(tenants::slug.eq(slug.to_owned()))).await,
        None => control.load(query).await,
    }
}
