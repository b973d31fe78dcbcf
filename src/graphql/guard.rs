//! Refuses hostile documents before any library walks them.
//!
//! A library that follows each fragment spread anew takes time exponential in the length of a document. So a document
//! is first read letter by letter ([`lexical`]), which bounds what the parser will meet, then parsed, and then measured
//! as if it were expanded, each fragment once ([`shape`]). All three are linear in its bytes. What passes is small when
//! expanded, so that whatever the library does with it is small too.

pub mod lexical;
pub mod shape;

use std::sync::OnceLock;

use async_graphql::parser::types::ExecutableDocument;

pub use lexical::{DOCUMENT_BYTES_MAX, NESTING_MAX, TOKENS_MAX, WORD_BYTES_MAX};
pub use shape::{
    ALIASES_MAX, ARGUMENT_PAIRS_MAX, DEPTH_MAX, DIRECTIVES_MAX, FRAGMENTS_MAX, INTROSPECTION_DEPTH_MAX,
    INTROSPECTIONS_MAX, LEVELS_MAX, LIST_ITEMS_MAX, MUTATION_FIELDS_MAX, OPERATIONS_MAX, QUERY_FIELDS_MAX,
    SELECTIONS_MAX,
};

use super::deprecation::Told;
use super::error::{ApiError, ErrorCode};

/// Which bound a document breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Its text is too long.
    #[error("the document has more than {DOCUMENT_BYTES_MAX} bytes")]
    Bytes,
    /// It has too many names, numbers, texts and signs.
    #[error("the document has more than {TOKENS_MAX} tokens")]
    Tokens,
    /// A name or number is too long.
    #[error("a name or number has more than {WORD_BYTES_MAX} bytes")]
    Word,
    /// Its braces, brackets and parentheses are nested too deep.
    #[error("the document nests deeper than {NESTING_MAX} levels")]
    Nesting,
    /// A block string has no end.
    #[error("a block string is not closed")]
    Unclosed,
    /// It has too many fragments.
    #[error("the document has more than {FRAGMENTS_MAX} fragments")]
    Fragments,
    /// A fragment leads back to itself.
    #[error("a fragment contains itself")]
    Circle,
    /// It selects too much once its fragments are expanded.
    #[error("the document selects more than {SELECTIONS_MAX} fields once its fragments are expanded")]
    Selections,
    /// Its selections are nested too deep once its fragments are expanded.
    #[error("the selections nest deeper than {DEPTH_MAX} levels once the fragments are expanded")]
    Depth,
    /// It gives too many fields another name.
    #[error("the document has more than {ALIASES_MAX} aliases once its fragments are expanded")]
    Aliases,
    /// It has too many directives.
    #[error("the document has more than {DIRECTIVES_MAX} directives once its fragments are expanded")]
    Directives,
    /// Its lists and input objects are too long.
    #[error("the document's lists and objects have more than {LIST_ITEMS_MAX} items once its fragments are expanded")]
    ListItems,
    /// It has too many operations.
    #[error("the document has more than {OPERATIONS_MAX} operations")]
    Operations,
    /// It lists parts of the schema within parts of the schema.
    #[error("an introspection lists parts of types {INTROSPECTIONS_MAX} times at most, {INTROSPECTION_DEPTH_MAX} deep")]
    Introspection,
    /// It has fields with very many arguments beside very many others.
    #[error("the document has too many arguments for the number of its fields")]
    Arguments,
    /// It asks for too many things at once.
    #[error("an operation has at most {QUERY_FIELDS_MAX} fields at its root, a mutation {MUTATION_FIELDS_MAX}")]
    RootFields,
}

impl From<Excess> for ApiError {
    fn from(excess: Excess) -> Self {
        let code = match excess {
            Excess::Circle | Excess::Unclosed => ErrorCode::BadRequest,
            _ => ErrorCode::QueryTooComplex,
        };
        Self::new(code, format!("{excess}."))
    }
}

/// A document that has passed.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The document.
    pub document: ExecutableDocument,
    /// Places where a variable's value is put: the library copies the value to each.
    pub variable_uses: u64,
    /// What its text tells of its use of what goes away of the tenants' API, once somebody has asked.
    pub told: OnceLock<Told>,
}

/// Why a document does not pass.
#[derive(Debug)]
pub enum Unfit {
    /// It breaks a bound.
    Excess(Excess),
    /// It cannot be parsed.
    Syntax(async_graphql::parser::Error),
}

impl From<Excess> for Unfit {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

/// Parses a document that keeps all bounds.
///
/// # Errors
/// The bound that it breaks, or where its text is wrong.
pub fn parse(text: &str) -> Result<Guarded, Unfit> {
    lexical::check(text)?;
    let document = async_graphql::parser::parse_query(text).map_err(Unfit::Syntax)?;
    let variable_uses = shape::check(&document)?.variable_uses;
    Ok(Guarded { document, variable_uses, told: OnceLock::new() })
}
