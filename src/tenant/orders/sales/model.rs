//! A report of sales, and what it is asked by.

use chrono::NaiveDate;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

/// The most days that a report is about.
pub const DAYS_MAX: i64 = 366;

/// What the rows of a report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SalesBy {
    /// A row for each day, in their order.
    Day,
    /// A row for each book, the best first.
    Book,
    /// A row for each category, the best first. A book counts in the category that it is in now.
    Category,
}

/// The days that a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SalesRange {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
}

/// A row of a report.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SalesRow {
    /// The day, in UTC, of a report by day.
    #[diesel(sql_type = Nullable<Date>)]
    pub day: Option<NaiveDate>,
    /// The book, of a report by book.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub book: Option<Uuid>,
    /// The title that the book was last sold under.
    #[diesel(sql_type = Nullable<Text>)]
    pub title: Option<String>,
    /// The category, of a report by category; none: books without one.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub category: Option<Uuid>,
    /// Paid orders.
    #[diesel(sql_type = BigInt)]
    pub orders: i64,
    /// Copies in them.
    #[diesel(sql_type = BigInt)]
    pub copies: i64,
    /// What they come to, in minor units.
    #[diesel(sql_type = BigInt)]
    pub revenue_minor: i64,
}
