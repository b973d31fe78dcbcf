//! An import, its options and its report.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::{import_row_errors, imports};
use crate::kernel::ids::ImportId;
use crate::kernel::isbn::Isbn13;
use crate::kernel::language::LanguageTag;
use crate::kernel::money::Money;
use crate::kernel::partial_date::PartialDate;

/// What becomes of a row whose book exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnConflict {
    /// The book stays as it is.
    #[default]
    Skip,
    /// The book takes over what the row has; an empty cell erases nothing.
    Update,
}

/// What becomes of a row whose ISBN is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnInvalidIsbn {
    /// The row is rejected.
    #[default]
    Reject,
    /// The row is imported without an ISBN.
    Drop,
}

/// How to import.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// The import's id, where it must be known before the import is done.
    pub id: Option<ImportId>,
    /// What becomes of a row whose book exists already.
    pub on_conflict: OnConflict,
    /// What becomes of a row whose ISBN is invalid.
    pub on_invalid_isbn: OnInvalidIsbn,
}

/// A run of the import, with its counts.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = imports)]
pub struct Import {
    /// The import.
    #[diesel(deserialize_as = Uuid, serialize_as = Uuid)]
    pub id: ImportId,
    /// `running`, `completed` or `failed`.
    pub status: String,
    /// Records in the file.
    pub row_count: i32,
    /// Books that were made.
    pub created_count: i32,
    /// Books that were changed.
    pub updated_count: i32,
    /// Records whose book was there already and stayed as it was.
    pub unchanged_count: i32,
    /// Records that were rejected; each has a row error.
    pub rejected_count: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An import is one operation, none of which lasts so long: one that runs since then died with its server.
const RUNNING_MAX: TimeDelta = TimeDelta::minutes(15);

impl Import {
    /// In how long it counts as lost; nothing where it is not going on, or is lost.
    #[must_use]
    pub fn lost_in(&self, now: DateTime<Utc>) -> Option<Duration> {
        let lost_at = self.started_at + RUNNING_MAX;
        if self.status == "running" && now <= lost_at { (lost_at - now).to_std().ok() } else { None }
    }

    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "rowCount": self.row_count,
            "createdCount": self.created_count,
            "updatedCount": self.updated_count,
            "unchangedCount": self.unchanged_count,
            "rejectedCount": self.rejected_count,
        })
    }
}

/// Why a record was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = import_row_errors)]
pub struct RowError {
    /// The line of the file on which the record starts; the header is line 1.
    pub line: i64,
    /// The column of the cell that is wrong.
    pub column_name: Option<String>,
    /// What is wrong, for programs.
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
}

/// A record that was understood, ready to be matched with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which the record starts.
    pub line: i64,
    /// The title.
    pub title: String,
    /// The folded title.
    pub title_key: String,
    /// The authors in their order: each name and its folded form.
    pub authors: Vec<(String, String)>,
    /// The ISBN.
    pub isbn13: Option<Isbn13>,
    /// The folded name of the category.
    pub category_key: Option<String>,
    /// The price.
    pub price: Option<Money>,
    /// The language.
    pub language: Option<LanguageTag>,
    /// The date of publication.
    pub published_on: Option<PartialDate>,
    /// Copies in stock.
    pub stock: Option<i32>,
}

/// What a book is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Its ISBN.
    Isbn(String),
    /// Its folded title and authors, where it has no ISBN.
    TitleAndAuthors(String, String),
}

impl Row {
    /// The folded names of the authors, as a book stores them.
    #[must_use]
    pub fn authors_key(&self) -> String {
        let keys: Vec<&str> = self.authors.iter().map(|(_, key)| key.as_str()).collect();
        keys.join(", ")
    }

    /// What the row's book is recognised by.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match &self.isbn13 {
            Some(isbn13) => Identity::Isbn(isbn13.as_str().to_owned()),
            None => Identity::TitleAndAuthors(self.title_key.clone(), self.authors_key()),
        }
    }
}
