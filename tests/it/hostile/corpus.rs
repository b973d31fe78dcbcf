//! Attacks, each with what it is called and the code that refuses it. The benchmark measures the same ones.

use serde_json::json;
use shelfwise::graphql::guard;

/// A chain of fragments, each of which spreads the next so many times.
fn chain(links: usize, spreads: usize) -> String {
    let link =
        |index: usize| format!("fragment F{index} on Query {{ {} }} ", format!("...F{} ", index + 1).repeat(spreads));
    let links_text: String = (0..links).map(link).collect();
    format!("{{ ...F0 }} {links_text} fragment F{links} on Query {{ __typename }}")
}

/// Documents that are meant to hurt.
pub fn documents() -> Vec<Attack> {
    [texts(), shapes()].concat()
}

/// An attack: what it is called, its text, and the code that refuses it.
pub type Attack = (&'static str, String, &'static str);

/// Texts that are hard to read.
fn texts() -> Vec<Attack> {
    vec![
        ("directives", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(5_000)), "QUERY_TOO_COMPLEX"),
        ("braces", "{ a ".repeat(20_000), "QUERY_TOO_COMPLEX"),
        ("brackets", format!("{{ a(b: {}) }}", "[".repeat(40_000)), "QUERY_TOO_COMPLEX"),
        ("objects", format!("{{ a(b: {}) }}", "{c: ".repeat(30_000)), "QUERY_TOO_COMPLEX"),
        ("parentheses", format!("query {}", "(".repeat(40_000)), "QUERY_TOO_COMPLEX"),
        ("a long list", format!("{{ a(b: [{}]) }}", "1,".repeat(60_000)), "QUERY_TOO_COMPLEX"),
        ("a list of numbers without spaces", format!("{{ a(b: [{}]) }}", "0".repeat(20_000)), "QUERY_TOO_COMPLEX"),
        ("a long name", format!("{{ {} }}", "a".repeat(100_000)), "QUERY_TOO_COMPLEX"),
        ("a long comment", format!("#{}\n{{ nope }}", "x".repeat(100_000)), "BAD_REQUEST"),
        ("an endless text", format!("{{ book(id: \"{}", "\\\"".repeat(50_000)), "BAD_REQUEST"),
        ("blocks of text", format!("{{ book(id: {}) {{ id }} }}", r#""""\""" "#.repeat(2_000)), "BAD_REQUEST"),
        ("brackets that seem to be text", format!("{{ a(b: [\"\"\"\" {} }}", "[".repeat(50_000)), "BAD_REQUEST"),
        (
            "nesting that seems to be text",
            format!("{{ a(b: [\"\"\"\" {}{}]) }}", "[".repeat(3_000), "]".repeat(3_000)),
            "BAD_REQUEST",
        ),
        ("blocks that are opened anew", format!("{{ a(b: [{}]) }}", r#""\\""""" "#.repeat(14_000)), "BAD_REQUEST"),
        (
            "more than the document's bytes",
            format!("{{ __typename {} }}", " ".repeat(guard::DOCUMENT_BYTES_MAX)),
            "QUERY_TOO_COMPLEX",
        ),
        ("controls", "{ \u{0}\u{1}\u{7f} }".to_owned(), "BAD_REQUEST"),
    ]
}

/// Documents that ask for more than they seem to.
fn shapes() -> Vec<Attack> {
    let fields = |count: usize, field: &str| (0..count).map(|index| format!("a{index}: {field} ")).collect::<String>();
    vec![
        ("fragments that double", chain(26, 2), "QUERY_TOO_COMPLEX"),
        ("fragments that double, long", chain(190, 2), "QUERY_TOO_COMPLEX"),
        ("fragments with many spreads", chain(6, 24), "QUERY_TOO_COMPLEX"),
        ("a chain of fragments", chain(3_000, 1), "QUERY_TOO_COMPLEX"),
        (
            "fragments in a circle",
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
            "BAD_REQUEST",
        ),
        ("a fragment in itself", "{ ...A } fragment A on Query { node(id: 1) { ...A } }".to_owned(), "BAD_REQUEST"),
        ("a flood of __typename", format!("{{ {} }}", fields(20_000, "__typename")), "QUERY_TOO_COMPLEX"),
        ("a flood of aliases", format!("{{ books {{ nodes {{ {} }} }} }}", fields(501, "title")), "QUERY_TOO_COMPLEX"),
        ("roots without end", format!("{{ {} }}", fields(31, "books { totalCount }")), "QUERY_TOO_COMPLEX"),
        (
            "mutations without end",
            format!("mutation {{ {} }}", fields(6, "authorArchive(id: 1) { author { id } }")),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "pages of pages",
            "{ books(first: 100) { nodes { authors(first: 100) { nodes { name id } } } } }".to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "lists of lists",
            format!("{{ categories {{ nodes {{ {} name {} }} }} }}", "children { ".repeat(6), "} ".repeat(6)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "a schema within a schema",
            "{ __schema { types { possibleTypes { interfaces { possibleTypes { fields { name } } } } } } }".to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "a schema many times",
            format!("{{ __schema {{ types {{ {} }} }} }}", fields(400, "fields { name }")),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "operations without end",
            (0..300).map(|i| format!("query q{i} {{ ...F }} ")).collect::<String>()
                + "fragment F on Query { __typename }",
            "QUERY_TOO_COMPLEX",
        ),
        (
            "fields that differ in many arguments",
            format!(
                "{{ books {{ f({}) {} }} }}",
                (0..1_000).map(|i| format!("a{i}: 1 ")).collect::<String>(),
                "f ".repeat(1_000)
            ),
            "QUERY_TOO_COMPLEX",
        ),
    ]
}

/// Whole bodies that are meant to hurt by what is beside the document.
pub fn requests() -> Vec<Attack> {
    let uses: String = (0..300).map(|index| format!("a{index}: authors(first: $x) {{ totalCount }} ")).collect();
    let copied = format!("query($x: [ID!]) {{ book(id: 1) {{ {uses} }} }}");
    vec![
        (
            "a large variable in many places",
            json!({ "query": copied, "variables": { "x": "y".repeat(2_000_000) } }).to_string(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "values without number",
            json!({ "query": "{ __typename }", "variables": { "x": vec![json!([]); 100_000] } }).to_string(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "values that nobody reads",
            json!({ "query": "{ __typename }", "extensions": { "x": vec![json!({}); 100_000] } }).to_string(),
            "QUERY_TOO_COMPLEX",
        ),
        ("a batch", json!(vec![json!({ "query": "{ __typename }" }); 1_000]).to_string(), "BAD_REQUEST"),
    ]
}
