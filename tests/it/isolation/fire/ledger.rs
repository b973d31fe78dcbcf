//! What is known of one shop's rows: what was sent, what was acknowledged, and what was seen by whom.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::operation::{Expected, Operation};
use super::shelf::{AUTHORS, BOOKS, Row, Shelf, authors_of, category_name, category_of};

/// One shop's book-keeping. Every answer and every row is held against it; what does not fit fails the test.
pub struct Ledger {
    slug: String,
    shelf: Arc<Shelf>,
    /// The texts that may have reached the server, and the rows they are for.
    sent: HashMap<String, Row>,
    /// The text of each version that was seen.
    seen: HashMap<(Row, i64), String>,
    /// The version that each text was seen with: one, or it was kept twice.
    versions: HashMap<String, i64>,
    /// The highest version that was seen of each row.
    latest: HashMap<Row, i64>,
    /// Changes that may have been kept.
    launched: HashMap<Row, i64>,
    /// Changes that the server says it has kept.
    acknowledged: HashMap<Row, i64>,
    /// Titles of new books that may have been kept.
    attempted: HashSet<String>,
    /// New books that the server says it has kept: their ids by title.
    created: HashMap<String, String>,
}

impl Ledger {
    /// The book-keeping of a shop that has the shelf's rows and no others.
    pub fn new(slug: &str, shelf: Arc<Shelf>) -> Self {
        Self {
            slug: slug.to_owned(),
            shelf,
            sent: HashMap::new(),
            seen: HashMap::new(),
            versions: HashMap::new(),
            latest: HashMap::new(),
            launched: HashMap::new(),
            acknowledged: HashMap::new(),
            attempted: HashSet::new(),
            created: HashMap::new(),
        }
    }

    /// The shop's slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The highest version that was seen of a row.
    pub fn latest(&self, row: Row) -> i64 {
        self.latest.get(&row).copied().unwrap_or(1)
    }

    /// Remembers that the server may get to see a request. What was not launched must never be found.
    pub fn launch(&mut self, operation: &Operation) {
        match &operation.expected {
            Expected::Changed { row, text, .. } => {
                self.sent.insert(text.clone(), *row);
                *self.launched.entry(*row).or_default() += 1;
            }
            Expected::Created(title) => assert!(self.attempted.insert(title.clone()), "{title} is attempted twice"),
            _ => {}
        }
    }

    /// Holds the data of an answer without errors against what was expected.
    pub fn settle(&mut self, operation: &Operation, data: &Value) {
        match &operation.expected {
            Expected::Book(index) => self.book(*index, &data["book"]),
            Expected::Node(row) => self.row(*row, &data["node"]),
            Expected::List => {
                let nodes = data["books"]["nodes"].as_array().unwrap_or_else(|| panic!("{data}"));
                assert_eq!(nodes.len(), BOOKS, "{data}");
                for (index, node) in nodes.iter().enumerate() {
                    self.book(index, node);
                }
            }
            Expected::Several([a, b], author) => {
                self.book(*a, &data["a"]);
                self.book(*b, &data["b"]);
                self.row(Row::Author(*author), &data["c"]);
            }
            Expected::Nothing => assert_eq!(*data, json!({ "books": { "totalCount": 0, "nodes": [] } })),
            Expected::Changed { row, version, text } => self.changed(*row, *version, text, &data["r"]),
            Expected::Created(title) => self.created(title, &data["r"]),
            Expected::Refused(codes) => {
                let code = data["r"]["userErrors"][0]["code"].as_str().unwrap_or_default();
                assert!(codes.contains(&code) && data["r"]["entity"].is_null(), "{operation:?}: {data}");
            }
            Expected::Invalid(_) => panic!("{operation:?} was executed: {data}"),
        }
    }

    fn changed(&mut self, row: Row, version: i64, text: &str, payload: &Value) {
        if let Some(reason) = payload["userErrors"].get(0) {
            assert_eq!((&reason["code"], &payload["entity"]), (&json!("VERSION_CONFLICT"), &Value::Null), "{payload}");
            let current = reason["currentVersion"].as_i64().unwrap_or_else(|| panic!("{payload}"));
            assert_ne!(current, version, "{payload}");
            self.advance(row, current);
            *self.launched.entry(row).or_default() -= 1;
            return;
        }
        let entity = &payload["entity"];
        match row {
            Row::Book(index) => self.book(index, entity),
            Row::Author(_) => self.row(row, entity),
        }
        let kept = (entity["version"].as_i64(), text_of(row, entity));
        assert_eq!(kept, (Some(version + 1), text), "{payload}");
        *self.acknowledged.entry(row).or_default() += 1;
    }

    fn created(&mut self, title: &str, payload: &Value) {
        let book = &payload["entity"];
        assert_eq!((&payload["userErrors"], book["title"].as_str()), (&json!([]), Some(title)), "{payload}");
        assert_eq!(book["version"], 1, "{payload}");
        let authors = book["authors"]["nodes"].as_array().unwrap_or_else(|| panic!("{payload}"));
        assert_eq!(authors.len(), 1, "{payload}");
        self.row(Row::Author(AUTHORS - 1), &authors[0]);
        let category = book["category"]["name"].as_str().unwrap_or_default();
        assert!(category.starts_with(&format!("{} category ", self.slug)), "{payload}");
        self.created.insert(title.to_owned(), book["id"].as_str().unwrap_or_else(|| panic!("{payload}")).to_owned());
    }

    /// A book of the shelf with its relations.
    fn book(&mut self, index: usize, book: &Value) {
        self.row(Row::Book(index), book);
        let authors = book["authors"]["nodes"].as_array().unwrap_or_else(|| panic!("{book}"));
        let expected = authors_of(index);
        assert_eq!(authors.len(), expected.len(), "{book}");
        for (author, place) in authors.iter().zip(expected) {
            self.row(Row::Author(place), author);
        }
        let category = category_of(index);
        let expected = json!({ "id": self.shelf.category_id(category), "name": category_name(&self.slug, category) });
        assert_eq!(book["category"], expected, "{book}");
    }

    /// A row of the shelf by itself.
    fn row(&mut self, row: Row, entity: &Value) {
        assert_eq!(entity["id"], self.shelf.id(row), "{entity}");
        let version = entity["version"].as_i64().unwrap_or_else(|| panic!("{entity}"));
        self.observe(row, version, text_of(row, entity));
    }

    /// A version of a row has one text for ever, which somebody has sent for this very row.
    fn observe(&mut self, row: Row, version: i64, text: &str) {
        if version == 1 {
            assert_eq!(text, row.first_text(&self.slug));
        } else {
            assert_eq!(self.sent.get(text), Some(&row), "nobody has sent `{text}` for {row:?}");
        }
        let seen = self.seen.entry((row, version)).or_insert_with(|| text.to_owned());
        assert_eq!(seen.as_str(), text, "version {version} of {row:?} has two texts");
        let first = *self.versions.entry(text.to_owned()).or_insert(version);
        assert_eq!(first, version, "`{text}` was kept twice");
        self.advance(row, version);
    }

    /// Remembers the highest version, whatever the order of the answers.
    fn advance(&mut self, row: Row, version: i64) {
        let latest = self.latest(row).max(version);
        self.latest.insert(row, latest);
    }

    /// Holds what is stored against what was acknowledged: all of that, and of the rest each change once at most.
    pub fn audit(&mut self, books: &[(String, String, i64)], authors: &[(String, String, i64)]) {
        let slug = self.slug.clone();
        let mut kept: HashMap<&str, &str> = HashMap::new();
        let rows: HashMap<String, Row> = (0..BOOKS)
            .map(Row::Book)
            .chain((0..AUTHORS).map(Row::Author))
            .map(|row| (self.shelf.id(row), row))
            .collect();
        let mut found = 0;
        for (id, text, version) in books.iter().chain(authors) {
            let Some(row) = rows.get(id).copied() else {
                assert!(self.attempted.contains(text) && *version == 1, "{slug}: nobody has made `{text}`, {id}");
                assert!(kept.insert(text, id).is_none(), "{slug}: `{text}` was made twice");
                continue;
            };
            found += 1;
            self.observe(row, *version, text);
            let (launched, acknowledged) = (count(&self.launched, row), count(&self.acknowledged, row));
            let changes = version - 1;
            assert!(
                (acknowledged..=launched).contains(&changes),
                "{slug}: {row:?} has {changes} changes; {launched} were sent, {acknowledged} acknowledged"
            );
        }
        assert_eq!(found, BOOKS + AUTHORS, "{slug}: rows of the shelf are gone");
        for (title, id) in &self.created {
            assert_eq!(kept.get(title.as_str()), Some(&id.as_str()), "{slug}: `{title}` was acknowledged and is gone");
        }
    }
}

fn text_of(row: Row, entity: &Value) -> &str {
    let field = match row {
        Row::Book(_) => "title",
        Row::Author(_) => "name",
    };
    entity[field].as_str().unwrap_or_else(|| panic!("{entity}"))
}

fn count(counts: &HashMap<Row, i64>, row: Row) -> i64 {
    counts.get(&row).copied().unwrap_or_default()
}
