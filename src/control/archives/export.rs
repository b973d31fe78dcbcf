//! Makes archives: one moment of a shop, read under the shop's own role and streamed into the object store.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::contents::archived_columns;
use super::contents::row::{Locker, Tally, hex, publish};
use super::error::ArchiveError;
use super::manifest::{EntryFacts, FORM, Manifest, TableFacts, TenantFacts, content_sha256};
use super::model::{Archive, Purpose};
use super::pack::{Packed, Part, pack};
use super::terms::{self, terms_of};
use crate::control::anchors::service::anchor_list;
use crate::control::tenants::Tenant;
use crate::control::tenants::service::tenant_by_id;
use crate::db::contents::{cursor_close, cursor_next, cursor_open, settings_fix};
use crate::db::{ControlDb, DbError, TenantDb, TenantRead};
use crate::failure::Failure;
use crate::kernel::clock::Clock;
use crate::kernel::seal::Key;
use crate::kernel::stream::Sealer;
use crate::kernel::tenant::TenantCtx;
use crate::objects::Objects;
use crate::tenant::opened::opened;
use crate::tenant::tables::{TABLES, Table};
use crate::vault::Vault;

/// Bytes that are handed on at once, about.
const BLOCK_LEN: usize = 256 << 10;

/// Rows that are fetched at once, at most.
const ROWS_MAX: usize = 1_000;

/// Blocks and pieces that wait at most, at each of two places.
const WAITING_MAX: usize = 2;

/// The one table of the trail.
const TRAIL: &str = "audit_log";

/// What archives are made with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The book of archives.
    pub control: &'a ControlDb,
    /// The shops.
    pub tenants: &'a TenantDb,
    /// The keys.
    pub vault: &'a Vault,
    /// Where archives are kept.
    pub objects: &'a Objects,
    /// Time and ids.
    pub clock: &'a dyn Clock,
}

/// Writes an archive of a tenant as an object with a name.
///
/// # Errors
/// The tenant cannot be read, was migrated meanwhile, or the store failed. There is no object then.
pub(super) async fn export(
    desk: Desk<'_>,
    archive: &Archive,
    tenant: &Tenant,
    (name, key): (&str, &Key),
) -> Result<(Packed, Manifest), ArchiveError> {
    let (parts, of_parts) = mpsc::channel(WAITING_MAX);
    let (pieces, of_pieces) = mpsc::channel(WAITING_MAX);
    let sealer = Sealer::new(key, desk.clock.nonce());
    let packing = async {
        let packing = tokio::task::spawn_blocking(move || pack(of_parts, pieces, sealer));
        packing.await.map_err(|error| ArchiveError::File(error.to_string()))?
    };
    let writer = Writer { desk, archive, tenant, key, parts };
    // Each ends when the one beside it does, so all end. What failed first is what the others broke off for.
    let (written, packed, stored) = tokio::join!(writer.write(), packing, desk.objects.put(name, of_pieces));
    match (written, packed, stored) {
        (Ok(manifest), Ok(packed), Ok(_)) => Ok((packed, manifest)),
        (_, _, Err(error)) if !matches!(error, crate::objects::ObjectError::Unfinished) => Err(error.into()),
        (Err(error), _, _) | (_, Err(error), _) => Err(error),
        (_, _, Err(error)) => Err(error.into()),
    }
}

/// Hands a shop in, entry by entry.
struct Writer<'a> {
    desk: Desk<'a>,
    archive: &'a Archive,
    tenant: &'a Tenant,
    key: &'a Key,
    parts: mpsc::Sender<Part>,
}

impl Writer<'_> {
    async fn write(self) -> Result<Manifest, ArchiveError> {
        let Self { desk, archive, .. } = &self;
        let unreadable = || DbError::Other("the tenant's entry holds what this version cannot read".to_owned());
        let context = self.tenant.context().ok_or_else(unreadable)?;
        // Asked before the moment that is read and after it: a schema that changed in between is read anew.
        let before = self.tenant_now().await?;
        let session = desk.tenants.session(context.clone());
        let read = session.read().await?;
        settings_fix(&read).await?;
        let at = desk.clock.now();
        let is_whole = archive.purpose() != Purpose::Audit;
        let mut tables = Vec::new();
        let mut last = 0;
        for table in TABLES.iter().filter(|table| table.archived && (is_whole || table.name == TRAIL)) {
            let Some((facts, last_row)) = self.table(&read, &context, table).await? else { continue };
            tables.push(facts);
            if table.name == TRAIL {
                last = last_row
                    .and_then(|row| serde_json::from_str::<Value>(&row).ok()?["sequence"].as_i64())
                    .unwrap_or(0);
            }
        }
        session.finish().await;
        let anchors = self.anchors(last).await?;
        let mut terms = None;
        if is_whole {
            let locker = Locker { key: self.key, tenant: self.tenant.id };
            let (entry, facts) = terms_of(desk.control, &before).await?.publish(locker, || desk.clock.nonce())?;
            self.send(Part::Entry(terms::ENTRY.to_owned())).await?;
            self.send(Part::Bytes(entry.into_bytes())).await?;
            terms = Some(facts);
            let keys = desk.vault.tenant_keys_pack(before.id, &before.keys().ok_or_else(unreadable)?, self.key)?;
            self.entry("keys.json", &json!(keys)).await?;
        }
        let after = self.tenant_now().await?;
        if after.schema_version != before.schema_version || after.keys != before.keys {
            return Err(DbError::Conflict("the tenant was changed while it was read".to_owned()).into());
        }
        let manifest = self.manifest(&before, at, tables, (anchors, terms));
        self.entry("manifest.json", &json!(manifest)).await?;
        self.send(Part::End).await?;
        Ok(manifest)
    }

    fn manifest(
        &self,
        tenant: &Tenant,
        at: chrono::DateTime<chrono::Utc>,
        tables: Vec<TableFacts>,
        (anchors, terms): (EntryFacts, Option<EntryFacts>),
    ) -> Manifest {
        Manifest {
            form: FORM.to_owned(),
            archive: self.archive.id.to_string(),
            purpose: self.archive.purpose.clone(),
            at,
            schema_version: tenant.schema_version.clone(),
            tenant: TenantFacts {
                id: tenant.id.to_string(),
                slug: tenant.slug.clone(),
                name: tenant.name.clone(),
                plan: tenant.plan.clone(),
                currency: tenant.currency.clone(),
                sealed_as: tenant.sealed_as().to_string(),
            },
            content_sha256: content_sha256(&tables),
            tables,
            anchors,
            terms,
        }
    }

    /// Writes a table, and answers its facts and its last row; nothing where the schema has no such table.
    async fn table(
        &self,
        read: &TenantRead,
        context: &TenantCtx,
        table: &Table,
    ) -> Result<Option<(TableFacts, Option<String>)>, ArchiveError> {
        let Some(columns) = archived_columns(read, table).await? else { return Ok(None) };
        let Desk { vault, clock, .. } = self.desk;
        let locker = Locker { key: self.key, tenant: self.tenant.id };
        let mut facts = TableFacts {
            name: table.name.to_owned(),
            rows: 0,
            content_sha256: String::new(),
            entry_sha256: String::new(),
        };
        let (mut content, mut entry, mut last) = (Tally::default(), Tally::default(), None);
        let mut count = 1;
        self.send(Part::Entry(facts.entry())).await?;
        cursor_open(read, (table.name, table.order), &columns).await?;
        loop {
            let rows = cursor_next(read, count).await?;
            if rows.is_empty() {
                break;
            }
            // A trail that is kept for years tells of nobody: what it has sealed stays sealed.
            let opened = if self.archive.purpose() == Purpose::Audit {
                vec![None; rows.len()]
            } else {
                opened(read, (vault, context), table.name, &rows).await.map_err(Self::failed)?
            };
            let mut block = Vec::with_capacity(BLOCK_LEN);
            for (row, opened) in rows.iter().zip(&opened) {
                if row.contains('\n') {
                    return Err(DbError::Other(format!("a row of {} has a line feed", table.name)).into());
                }
                content.add(row);
                let line = if table.secrets.is_empty() && opened.is_none() {
                    row.clone()
                } else {
                    publish(row, table.secrets, opened.as_ref(), locker, || clock.nonce())?
                };
                entry.add(&line);
                block.extend_from_slice(line.as_bytes());
                block.push(b'\n');
            }
            // As many as make a block, going by these.
            count = (rows.len() * BLOCK_LEN / block.len().max(1)).clamp(1, ROWS_MAX);
            last = rows.into_iter().next_back();
            self.send(Part::Bytes(block)).await?;
        }
        cursor_close(read).await?;
        facts.rows = content.rows;
        facts.content_sha256 = content.hash();
        facts.entry_sha256 = entry.hash();
        Ok(Some((facts, last)))
    }

    /// Writes the anchors of the trail up to an entry.
    async fn anchors(&self, last: i64) -> Result<EntryFacts, ArchiveError> {
        self.send(Part::Entry("audit/anchors.ndjson".to_owned())).await?;
        let (mut tally, mut after) = (Tally::default(), 0);
        loop {
            let page = anchor_list(self.desk.control, self.tenant.id, (after, last)).await?;
            let mut block = String::new();
            for anchor in &page {
                let line = json!({ "hash": hex(&anchor.hash), "sequence": anchor.sequence }).to_string();
                tally.add(&line);
                block.push_str(&line);
                block.push('\n');
            }
            // Each page begins behind the last one's end, so the loop ends with the anchors.
            let Some(anchor) = page.last() else { break };
            after = anchor.sequence;
            self.send(Part::Bytes(block.into_bytes())).await?;
        }
        Ok(EntryFacts { rows: tally.rows, entry_sha256: tally.hash() })
    }

    async fn entry(&self, name: &str, value: &Value) -> Result<(), ArchiveError> {
        self.send(Part::Entry(name.to_owned())).await?;
        let text = format!("{value:#}\n");
        self.send(Part::Bytes(text.into_bytes())).await
    }

    async fn send(&self, part: Part) -> Result<(), ArchiveError> {
        let sent = self.parts.send(part).await;
        sent.map_err(|_| ArchiveError::File("whoever packs the archive has gone away".to_owned()))
    }

    async fn tenant_now(&self) -> Result<Tenant, ArchiveError> {
        let tenant = tenant_by_id(self.desk.control, self.tenant.id).await?;
        Ok(tenant.ok_or_else(|| DbError::Other("the tenant is gone".to_owned()))?)
    }

    fn failed(failure: Failure<std::convert::Infallible>) -> ArchiveError {
        match failure {
            Failure::Db(error) => error.into(),
            Failure::Key(error) => error.into(),
            other => DbError::Other(format!("{other:?}")).into(),
        }
    }
}

/// A hash as the row has it.
pub(super) fn bytes_of(hash: &str) -> Vec<u8> {
    (0..hash.len() / 2).filter_map(|at| u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

/// The SHA-256 of a short entry.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
