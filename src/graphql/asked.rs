//! What an operation asks for first: the name that it is counted by.

use async_graphql::Name;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, Selection, SelectionSet, TypeKind, TypeSystemDefinition,
};

use crate::telemetry::operations::Asked;

/// The roots of both schemas.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// The names of all fields of a schema's roots, each once.
#[must_use]
pub fn root_fields(sdl: &str) -> Vec<String> {
    let mut names = Vec::new();
    for definition in parse_schema(sdl).map(|document| document.definitions).unwrap_or_default() {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        if let TypeKind::Object(object) = definition.node.kind
            && ROOTS.contains(&definition.node.name.node.as_str())
        {
            names.extend(object.fields.into_iter().map(|field| field.node.name.node.to_string()));
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The operation of a document that is meant, and what the document calls it; nothing where that is not clear.
#[must_use]
pub fn meant<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<(Option<&'a str>, &'a OperationDefinition)> {
    let mut operations = document.operations.iter();
    let found = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known.as_str() == name)),
        None => operations.next().filter(|_| operations.next().is_none()),
    };
    found.map(|(name, operation)| (name.map(Name::as_str), &operation.node))
}

/// What the operation of a document that is meant asks for first. The document has passed the guard.
#[must_use]
pub fn asked<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<Asked<'a>> {
    let mut asked = None;
    let (_, operation) = meant(document, name)?;
    first(document, &operation.selection_set.node, &mut asked);
    asked
}

/// Finds the first field that is not about the schema, through fragments. Answers whether there was one.
fn first<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, asked: &mut Option<Asked<'a>>) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => {
            let name = field.node.name.node.as_str();
            let is_about_schema = name.starts_with("__");
            *asked = Some(if is_about_schema { Asked::Introspection } else { Asked::Field(name) });
            !is_about_schema
        }
        Selection::InlineFragment(fragment) => first(document, &fragment.node.selection_set.node, asked),
        // The guard lets no fragment pass that leads back to itself.
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .is_some_and(|fragment| first(document, &fragment.node.selection_set.node, asked)),
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn an_operation_asks_for_its_first_field() {
        let check = |text: &str, name: Option<&str>, expected: Option<Asked<'_>>| {
            assert_eq!(asked(&parse_query(text).unwrap(), name), expected, "{text}");
        };
        check("{ books { nodes { id } } viewer { id } }", None, Some(Asked::Field("books")));
        check("{ viewer: books { nodes { id } } }", None, Some(Asked::Field("books")));
        check("{ __typename books { totalCount } }", None, Some(Asked::Field("books")));
        check("{ ...F } fragment F on Query { ... { ...G } } fragment G on Query { x }", None, Some(Asked::Field("x")));
        check("{ ...F y } fragment F on Query { __typename }", None, Some(Asked::Field("y")));
        check("{ ...Gone }", None, None);
        check("{ __schema { types { name } } }", None, Some(Asked::Introspection));
        check("{ __typename }", None, Some(Asked::Introspection));
        check("mutation { bookCreate { book { id } } }", None, Some(Asked::Field("bookCreate")));
        check("query A { a } query B { b }", Some("B"), Some(Asked::Field("b")));
        check("query A { a } query B { b }", Some("C"), None);
        check("query A { a } query B { b }", None, None);
    }

    #[test]
    fn a_schema_has_the_fields_of_its_roots() {
        let sdl = "type Query { b: Int a: Int } type Book { c: Int } type Mutation { a: Int d(x: Int): Book }";
        assert_eq!(root_fields(sdl), ["a", "b", "d"]);
        assert_eq!(root_fields("type"), [""; 0]);
    }
}
