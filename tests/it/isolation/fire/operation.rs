//! What a client asks for, and what must be answered if anything is.

use serde_json::{Value, json};
use shelfwise::kernel::ids::AuthorId;
use uuid::Uuid;

use super::ledger::Ledger;
use super::shelf::{AUTHORS, BOOKS, CATEGORIES, ISBN, Row, Shelf};
use crate::harness::chance::Random;

/// What is asked of every book, so that each relation is loaded as well.
const BOOK_FIELDS: &str = "fragment B on Book {
    id version title authors(first: 5) { nodes { id version name } } category { id name }
}";

/// What is asked of every mutation beside its entity.
const REASONS: &str = "userErrors { code currentVersion }";

/// A request.
#[derive(Debug)]
pub struct Operation {
    pub document: String,
    pub variables: Value,
    pub header: Option<(&'static str, String)>,
    pub expected: Expected,
}

/// What an answer without an outage must be.
#[derive(Debug, PartialEq)]
pub enum Expected {
    /// The book of this place at `book`.
    Book(usize),
    /// The row at `node`.
    Node(Row),
    /// All books that the shop started with, in their order.
    List,
    /// Two books and an author, loaded side by side.
    Several([usize; 2], usize),
    /// No book: what was looked for is the neighbour's.
    Nothing,
    /// The row with its next version and this text, or a refusal because it had another version.
    Changed { row: Row, version: i64, text: String },
    /// A new book with this title.
    Created(String),
    /// A refusal with one of these codes, and nothing kept.
    Refused(&'static [&'static str]),
    /// Not executed, for this code.
    Invalid(&'static str),
}

impl Operation {
    fn new(document: String, variables: Value, expected: Expected) -> Self {
        Self { document, variables, header: None, expected }
    }

    /// Something that chance chooses. `mark` is unlike that of any other call, and becomes part of what is written.
    pub fn draw(shelf: &Shelf, ledger: &Ledger, neighbour: &str, random: &mut Random, mark: &str) -> Self {
        match random.below(100) {
            0..20 => Self::book(shelf, random.index(BOOKS)),
            20..30 => {
                let row = if random.below(2) == 0 {
                    Row::Book(random.index(BOOKS))
                } else {
                    Row::Author(random.index(AUTHORS))
                };
                Self::node(shelf, row)
            }
            30..40 => Self::list(),
            40..50 => Self::several(shelf, [random.index(BOOKS), random.index(BOOKS)], random.index(AUTHORS)),
            50..55 => Self::probe(neighbour),
            55..72 => Self::change(shelf, ledger, Row::Book(random.index(BOOKS)), mark),
            72..80 => Self::change(shelf, ledger, Row::Author(random.index(AUTHORS - 1)), mark),
            80..88 => Self::create(shelf, ledger.slug(), random.index(CATEGORIES), mark),
            88..94 => Self::refused(shelf, ledger, random, mark),
            _ => Self::invalid(shelf, neighbour, random),
        }
    }

    /// A book by its id.
    pub fn book(shelf: &Shelf, index: usize) -> Self {
        let document = format!("query($id: ID!) {{ book(id: $id) {{ ...B }} }} {BOOK_FIELDS}");
        Self::new(document, json!({ "id": shelf.id(Row::Book(index)) }), Expected::Book(index))
    }

    fn node(shelf: &Shelf, row: Row) -> Self {
        let document =
            "query($id: ID!) { node(id: $id) { id ... on Book { version title } ... on Author { version name } } }";
        Self::new(document.to_owned(), json!({ "id": shelf.id(row) }), Expected::Node(row))
    }

    /// The books that the shop started with.
    pub fn list() -> Self {
        let document = format!("query($first: Int) {{ books(first: $first) {{ nodes {{ ...B }} }} }} {BOOK_FIELDS}");
        Self::new(document, json!({ "first": BOOKS }), Expected::List)
    }

    fn several(shelf: &Shelf, books: [usize; 2], author: usize) -> Self {
        let document = format!(
            "query($a: ID!, $b: ID!, $c: ID!) {{
                a: book(id: $a) {{ ...B }} b: book(id: $b) {{ ...B }} c: author(id: $c) {{ id version name }}
            }} {BOOK_FIELDS}"
        );
        let [a, b] = books.map(|index| shelf.id(Row::Book(index)));
        let variables = json!({ "a": a, "b": b, "c": shelf.id(Row::Author(author)) });
        Self::new(document, variables, Expected::Several(books, author))
    }

    /// Looks for what only the neighbour has.
    fn probe(neighbour: &str) -> Self {
        let document = "query($words: String!) { books(search: $words) { totalCount nodes { id title } } }";
        Self::new(document.to_owned(), json!({ "words": neighbour }), Expected::Nothing)
    }

    fn change(shelf: &Shelf, ledger: &Ledger, row: Row, mark: &str) -> Self {
        let version = ledger.latest(row);
        let text = format!("{} r{mark}", row.first_text(ledger.slug()));
        let variables = json!({ "id": shelf.id(row), "version": version, "text": text });
        Self::new(change_document(row), variables, Expected::Changed { row, version, text })
    }

    fn create(shelf: &Shelf, slug: &str, category: usize, mark: &str) -> Self {
        let title = format!("{slug} new {mark}");
        let author = shelf.id(Row::Author(AUTHORS - 1));
        let input = json!({ "title": title, "authorIds": [author], "categoryId": shelf.category_id(category) });
        Self::new(create_document(), json!({ "input": input }), Expected::Created(title))
    }

    /// A mutation that is refused, before or after it has written something.
    fn refused(shelf: &Shelf, ledger: &Ledger, random: &mut Random, mark: &str) -> Self {
        let slug = ledger.slug();
        let title = format!("{slug} refused {mark}");
        let create = |input: Value, codes| Self::new(create_document(), json!({ "input": input }), codes);
        match random.below(4) {
            0 => create(json!({ "title": title, "isbn": ISBN }), Expected::Refused(&["ISBN_TAKEN"])),
            1 => {
                let nobody = AuthorId(Uuid::from_u128(random.below(u64::MAX).into())).to_string();
                create(json!({ "title": title, "authorIds": [nobody] }), Expected::Refused(&["AUTHOR_NOT_FOUND"]))
            }
            2 => {
                let row = Row::Book(random.index(BOOKS));
                let variables = json!({ "id": shelf.id(row), "version": 0, "text": title });
                Self::new(change_document(row), variables, Expected::Refused(&["VERSION_CONFLICT"]))
            }
            _ => {
                let (row, taken) = (Row::Author(0), Row::Author(AUTHORS - 1).first_text(slug));
                let variables = json!({ "id": shelf.id(row), "version": ledger.latest(row), "text": taken });
                let codes = Expected::Refused(&["AUTHOR_NAME_TAKEN", "VERSION_CONFLICT"]);
                Self::new(change_document(row), variables, codes)
            }
        }
    }

    /// A request that is not executed, or whose one field is not.
    fn invalid(shelf: &Shelf, neighbour: &str, random: &mut Random) -> Self {
        let bad = |document: &str, id: &str| {
            Self::new(document.to_owned(), json!({ "id": id }), Expected::Invalid("BAD_REQUEST"))
        };
        match random.below(4) {
            0 => bad("{ books { nodes { titel } } }", ""),
            1 => bad("{ book(id: ", ""),
            2 => bad("query($id: ID!) { book(id: $id) { title } }", &shelf.id(Row::Author(0))),
            _ => Self {
                // The neighbour is named by the request, and must not be by the answer.
                header: Some(("x-tenant", neighbour.to_owned())),
                expected: Expected::Invalid("TENANT_MISMATCH"),
                ..Self::list()
            },
        }
    }
}

fn change_document(row: Row) -> String {
    match row {
        Row::Book(_) => format!(
            "mutation($id: ID!, $version: Int!, $text: String!) {{
                r: bookUpdate(id: $id, version: $version, input: {{ title: $text }}) {{ entity: book {{ ...B }} {REASONS} }}
            }} {BOOK_FIELDS}"
        ),
        Row::Author(_) => format!(
            "mutation($id: ID!, $version: Int!, $text: String!) {{
                r: authorUpdate(id: $id, version: $version, input: {{ name: $text }}) {{
                    entity: author {{ id version name }} {REASONS}
                }}
            }}"
        ),
    }
}

fn create_document() -> String {
    format!(
        "mutation($input: BookCreateInput!) {{
            r: bookCreate(input: $input) {{ entity: book {{ ...B }} {REASONS} }}
        }} {BOOK_FIELDS}"
    )
}
