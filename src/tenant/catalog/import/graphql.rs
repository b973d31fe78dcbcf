//! The import at the edge.

mod subscription;

use std::sync::Arc;

use async_graphql::connection::EmptyFields;
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

pub use subscription::ImportSubscription;

use super::error::RowErrorCode;
use super::model::{Import, ImportOptions, OnConflict, OnInvalidIsbn, RowError};
use super::progress::Progress;
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::CatalogUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Request, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::ImportId;
use crate::tenant::catalog::error::CatalogErrorCode;

/// An import of a catalogue, with its report.
#[derive(Clone)]
pub struct ImportNode(pub Import);

impl From<Import> for ImportNode {
    fn from(import: Import) -> Self {
        Self(import)
    }
}

/// The state of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ImportStatus {
    /// The import was broken off; nothing was imported.
    Failed,
    /// The import is done.
    Completed,
    /// The import is going on.
    Running,
}

/// The numbers of rows of an import: `rows` is the sum of the other four.
#[derive(SimpleObject)]
pub struct ImportCounts {
    /// The number of records in the file.
    rows: i32,
    /// The number of books that were made.
    created: i32,
    /// The number of books that were changed.
    updated: i32,
    /// The number of records whose book existed already and stayed as it was.
    unchanged: i32,
    /// The number of records that were rejected; each has a row error.
    rejected: i32,
}

/// A record that was rejected, and the reason.
#[derive(SimpleObject)]
pub struct ImportRowError {
    /// The line of the file on which the record starts; the header is line 1.
    line: i64,
    /// The column of the cell that is wrong; null where the record as a whole is.
    column: Option<String>,
    /// The code of the error, for programs.
    code: RowErrorCode,
    /// The error in words, for people.
    message: String,
}

impl From<RowError> for ImportRowError {
    fn from(error: RowError) -> Self {
        let code = RowErrorCode::parse(&error.code).unwrap_or(RowErrorCode::RowMalformed);
        Self { line: error.line, column: error.column_name, code, message: error.message }
    }
}

/// An import of a catalogue, with its report.
#[Object(name = "Import")]
impl ImportNode {
    /// The import's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The state of the import.
    async fn status(&self, ctx: &Context<'_>) -> ApiResult<ImportStatus> {
        let is_running = self.0.lost_in(Request::of(ctx)?.clock().now()).is_some();
        Ok(match self.0.status.as_str() {
            "completed" => ImportStatus::Completed,
            _ if is_running => ImportStatus::Running,
            _ => ImportStatus::Failed,
        })
    }

    /// The numbers of rows, and what became of them.
    async fn counts(&self) -> ImportCounts {
        ImportCounts {
            rows: self.0.row_count,
            created: self.0.created_count,
            updated: self.0.updated_count,
            unchanged: self.0.unchanged_count,
            rejected: self.0.rejected_count,
        }
    }

    /// The rejected rows in the order of the file.
    async fn row_errors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<i32, ImportRowError>> {
        let shop = Shop::of(ctx)?;
        let request = PageArgs::new(after, before, first, last).parse()?;
        let page = service::row_error_list(&shop.read().await?, shop.actor(), self.0.id, request).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |(position, error)| (position, error.into())))
    }

    /// The time when the import began.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// The time when it ended; null while it is going on, and if it died with its server.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
}

/// Queries about imports.
#[derive(Default)]
pub struct ImportQuery;

#[Object]
impl ImportQuery {
    /// An import by id.
    #[graphql(directive = access::apply(needs(Permission::CatalogImport)))]
    async fn import(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<ImportNode>> {
        let shop = Shop::of(ctx)?;
        let import = service::import_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        import.map(|import| import.map(ImportNode)).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// The treatment of a row whose book exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Default)]
#[graphql(remote = "OnConflict")]
pub enum ImportOnConflict {
    /// The book stays as it is.
    #[default]
    Skip,
    /// The book takes over what the row has; an empty cell erases nothing.
    Update,
}

/// The treatment of a row whose ISBN is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Default)]
#[graphql(remote = "OnInvalidIsbn")]
pub enum ImportOnInvalidIsbn {
    /// The row is imported without an ISBN.
    Drop,
    /// The row is rejected.
    #[default]
    Reject,
}

/// A catalogue to import.
#[derive(InputObject)]
pub struct BookImportInput {
    /// The file's text: CSV with a header, parted by commas, semicolons or tabs. Known columns are `title`,
    /// `original_title`, `authors`, `isbn`, `isbn13`, `original_publication_year`, `language_code`, `category`, `price`,
    /// `currency` and `stock`; others are passed over.
    csv: String,
    /// The treatment of a row whose book exists already.
    #[graphql(default)]
    on_conflict: ImportOnConflict,
    /// The treatment of a row whose ISBN is invalid.
    #[graphql(default)]
    on_invalid_isbn: ImportOnInvalidIsbn,
}

payload!(
    /// The answer to `bookImport`.
    BookImportPayload {
        /// The import with its report.
        import: ImportNode(Import)
    },
    CatalogUserError(CatalogErrorCode)
);

/// The mutation that imports.
#[derive(Default)]
pub struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Imports a catalogue. Rows for which the shop's plan has no room are rejected. Books are recognised by their ISBN, or by title and authors where they have none, so the same
    /// file may be imported twice.
    #[graphql(directive = access::apply(needs(Permission::CatalogImport)))]
    async fn book_import(
        &self,
        ctx: &Context<'_>,
        input: BookImportInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<BookImportPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let tenant = call.shop.tenant();
        let id = ImportId(call.request.clock().new_id());
        let options = ImportOptions {
            id: Some(id),
            on_conflict: input.on_conflict.into(),
            on_invalid_isbn: input.on_invalid_isbn.into(),
        };
        let csv = input.csv.as_bytes();
        let session = call.shop.another_session(call.request);
        let progress = Progress::of(id, session, Arc::clone(&call.request.services().clock));
        let tell = |rows| progress.tell(rows);
        let work = async |tx: &mut _| {
            service::book_import(tx, call.actor(), call.request.clock(), tenant, csv, options, tell).await
        };
        BookImportPayload::new(call.write("book.import", Permission::CatalogImport, work).await, call.actor())
    }
}
