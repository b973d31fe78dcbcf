//! Which parts of the API that go away an operation uses.
//!
//! The schema is read once, as text, and a document once for as long as it is remembered: what its text tells is kept with
//! it, and of an operation's variables only those are looked into that can hold such a part. Directives that leave fields
//! out are not believed: once the part is gone, the document is refused whatever they say.

pub mod visible;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, ExecutableDocument, Field, FieldDefinition, InputValueDefinition, OperationDefinition,
    OperationType, Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, Positioned, Value as Constant, Variables};
use async_graphql_value::Value;

use super::diff::reason_of;
use super::guard::Guarded;
use crate::kernel::deprecation::Part;

/// The parts of a schema that go away, and where they are.
pub struct Deprecations {
    /// In the order of the schema's text.
    parts: Vec<Arc<Part>>,
    types: HashMap<String, Shape>,
    /// Inputs and enums within which there is such a part, at any depth.
    concerned: HashSet<String>,
}

/// What is known of a type.
enum Shape {
    /// An object or an interface.
    Fields(HashMap<String, FieldShape>),
    /// An input object.
    Input(HashMap<String, Place>),
    /// An enum: its values that go away.
    Enum(HashMap<String, usize>),
}

struct FieldShape {
    answer: Place,
    arguments: HashMap<String, Place>,
}

/// Something that has a type and may go away.
struct Place {
    /// Its type, lists taken off.
    ty: String,
    part: Option<usize>,
}

/// What the operations of a document use, as far as its text tells.
#[derive(Debug, Clone, Default)]
pub struct Told(Vec<(Option<Name>, OfOperation)>);

#[derive(Debug, Clone, Default)]
struct OfOperation {
    parts: BTreeSet<usize>,
    /// Variables that may hold more, with their types.
    variables: Vec<(Name, String)>,
}

impl Deprecations {
    /// Reads a schema's text. A part whose reason has not the one form is passed over: a test lets none get here.
    #[must_use]
    pub fn new(sdl: &str) -> Self {
        let mut reader = Reader::default();
        for definition in parse_schema(sdl).map(|document| document.definitions).unwrap_or_default() {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            let shape = match definition.node.kind {
                TypeKind::Object(object) => reader.fields(&name, &object.fields),
                TypeKind::Interface(interface) => reader.fields(&name, &interface.fields),
                TypeKind::InputObject(input) => {
                    let places = input.fields.iter().map(|field| reader.input(&field.node, &format!("{name}.")));
                    Shape::Input(places.collect())
                }
                TypeKind::Enum(values) => Shape::Enum(
                    values
                        .values
                        .iter()
                        .filter_map(|value| {
                            let coordinate = format!("{name}.{}", value.node.value.node);
                            let part = reader.part(&value.node.directives, || coordinate)?;
                            Some((value.node.value.node.to_string(), part))
                        })
                        .collect(),
                ),
                TypeKind::Scalar | TypeKind::Union(_) => continue,
            };
            reader.types.insert(name, shape);
        }
        let concerned = concerned(&reader.types);
        Self { parts: reader.parts, types: reader.types, concerned }
    }

    /// All parts that go away.
    #[must_use]
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// The part with a coordinate.
    #[must_use]
    pub fn part(&self, coordinate: &str) -> Option<&Arc<Part>> {
        self.parts.iter().find(|part| part.coordinate == coordinate)
    }

    /// The parts that an operation uses, each once.
    #[must_use]
    pub fn used(&self, guarded: &Guarded, name: Option<&str>, variables: &Variables) -> Vec<Arc<Part>> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let Told(operations) = guarded.told.get_or_init(|| self.read(&guarded.document));
        let told = match name {
            Some(name) => operations.iter().find(|(known, _)| known.as_ref().is_some_and(|known| known == name)),
            None => operations.first().filter(|_| operations.len() == 1),
        };
        let Some((_, told)) = told else { return Vec::new() };
        if told.variables.is_empty() {
            return told.parts.iter().map(|&part| Arc::clone(&self.parts[part])).collect();
        }
        let mut found = told.parts.clone();
        for (name, ty) in &told.variables {
            if let Some(value) = variables.get(name) {
                self.constant(value, ty, &mut found);
            }
        }
        found.into_iter().map(|part| Arc::clone(&self.parts[part])).collect()
    }

    /// What a document's text tells.
    fn read(&self, document: &ExecutableDocument) -> Told {
        let read = |(name, operation): (Option<&Name>, &Positioned<OperationDefinition>)| {
            (name.cloned(), self.operation(document, &operation.node))
        };
        Told(document.operations.iter().map(read).collect())
    }

    fn operation(&self, document: &ExecutableDocument, operation: &OperationDefinition) -> OfOperation {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut walk = Walk { schema: self, document, seen: HashSet::new(), found: BTreeSet::new() };
        walk.set(&operation.selection_set.node, root);
        let (mut parts, mut variables) = (walk.found, Vec::new());
        for definition in operation.variable_definitions.iter().map(|definition| &definition.node) {
            let ty = base(&definition.var_type.node);
            if !self.concerned.contains(ty) {
                continue;
            }
            if let Some(default) = &definition.default_value {
                self.constant(&default.node, ty, &mut parts);
            }
            variables.push((definition.name.node.clone(), ty.to_owned()));
        }
        OfOperation { parts, variables }
    }

    /// What a value without variables uses. A value of an enum that came as JSON is a text.
    fn constant(&self, value: &Constant, ty: &str, found: &mut BTreeSet<usize>) {
        match (value, self.types.get(ty)) {
            (Constant::List(items), _) => items.iter().for_each(|item| self.constant(item, ty, found)),
            (Constant::Object(entries), Some(Shape::Input(places))) => {
                for (name, value) in entries {
                    let Some(place) = places.get(name.as_str()) else { continue };
                    found.extend(place.part);
                    if self.concerned.contains(&place.ty) {
                        self.constant(value, &place.ty, found);
                    }
                }
            }
            (Constant::Enum(name), Some(Shape::Enum(values))) => found.extend(values.get(name.as_str())),
            (Constant::String(name), Some(Shape::Enum(values))) => found.extend(values.get(name.as_str())),
            _ => {}
        }
    }
}

/// Reads a schema.
#[derive(Default)]
struct Reader {
    parts: Vec<Arc<Part>>,
    types: HashMap<String, Shape>,
}

impl Reader {
    fn fields(&mut self, ty: &str, fields: &[Positioned<FieldDefinition>]) -> Shape {
        let fields = fields.iter().map(|field| {
            let (field, name) = (&field.node, field.node.name.node.to_string());
            let part = self.part(&field.directives, || format!("{ty}.{name}"));
            let arguments = field.arguments.iter();
            let arguments = arguments.map(|argument| self.argument(&argument.node, &format!("{ty}.{name}"))).collect();
            (name, FieldShape { answer: Place { ty: base(&field.ty.node).to_owned(), part }, arguments })
        });
        Shape::Fields(fields.collect())
    }

    fn argument(&mut self, argument: &InputValueDefinition, field: &str) -> (String, Place) {
        let name = argument.name.node.to_string();
        let part = self.part(&argument.directives, || format!("{field}({name}:)"));
        (name, Place { ty: base(&argument.ty.node).to_owned(), part })
    }

    fn input(&mut self, field: &InputValueDefinition, of: &str) -> (String, Place) {
        let name = field.name.node.to_string();
        let part = self.part(&field.directives, || format!("{of}{name}"));
        (name, Place { ty: base(&field.ty.node).to_owned(), part })
    }

    /// The number of a part, if it goes away.
    fn part(
        &mut self,
        directives: &[Positioned<ConstDirective>],
        coordinate: impl FnOnce() -> String,
    ) -> Option<usize> {
        let reason = reason_of(directives)?.parse().ok()?;
        self.parts.push(Arc::new(Part { coordinate: coordinate(), reason }));
        Some(self.parts.len() - 1)
    }
}

/// Inputs and enums within which a part goes away, at any depth.
fn concerned(types: &HashMap<String, Shape>) -> HashSet<String> {
    let mut concerned = HashSet::new();
    // Ends: each turn but the last adds a type.
    loop {
        let is_new = |(name, shape): &(&String, &Shape)| {
            let is_concerned = match shape {
                Shape::Fields(_) => false,
                Shape::Enum(values) => !values.is_empty(),
                Shape::Input(places) => {
                    places.values().any(|place| place.part.is_some() || concerned.contains(&place.ty))
                }
            };
            is_concerned && !concerned.contains(*name)
        };
        let new: Vec<String> = types.iter().filter(is_new).map(|(name, _)| name.clone()).collect();
        if new.is_empty() {
            return concerned;
        }
        concerned.extend(new);
    }
}

/// Walks an operation. A fragment has one type, so it is walked once, wherever it is spread.
struct Walk<'a> {
    schema: &'a Deprecations,
    document: &'a ExecutableDocument,
    seen: HashSet<&'a str>,
    found: BTreeSet<usize>,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, ty: &str) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, ty),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(ty, |condition| condition.node.on.node.as_str());
                    self.set(&inline.node.selection_set.node, on);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.seen.insert(name)
                    {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.set(&fragment.node.selection_set.node, on);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'a Field, ty: &str) {
        let schema = self.schema;
        let Some(Shape::Fields(fields)) = schema.types.get(ty) else { return };
        // What the schema does not have is the library's to refuse.
        let Some(known) = fields.get(field.name.node.as_str()) else { return };
        self.found.extend(known.answer.part);
        for (name, value) in &field.arguments {
            if let Some(place) = known.arguments.get(name.node.as_str()) {
                self.found.extend(place.part);
                self.literal(&value.node, &place.ty);
            }
        }
        self.set(&field.selection_set.node, &known.answer.ty);
    }

    /// What a value in the text uses. What its variables hold is looked up for each request.
    fn literal(&mut self, value: &Value, ty: &str) {
        let schema = self.schema;
        match (value, schema.types.get(ty)) {
            (Value::List(items), _) => items.iter().for_each(|item| self.literal(item, ty)),
            (Value::Object(entries), Some(Shape::Input(places))) => {
                for (name, value) in entries {
                    if let Some(place) = places.get(name.as_str()) {
                        self.found.extend(place.part);
                        self.literal(value, &place.ty);
                    }
                }
            }
            (Value::Enum(name), Some(Shape::Enum(values))) => self.found.extend(values.get(name.as_str())),
            _ => {}
        }
    }
}

/// A type without its lists and exclamation marks.
fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => base(inner),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graphql::guard;

    const SDL: &str = r#"
        type Query { book(id: ID!): Book node(id: ID!): Node
            books(filter: Filter, words: String @deprecated(reason: "Use `search`. Deprecated 2026-10-01. Removal on 2027-07-01 UTC.")): [Book!]! }
        type Mutation { create(input: [NewBook!]): Book }
        interface Node { id: ID! }
        type Book implements Node { id: ID! title: String!
            cents: Int @deprecated(reason: "Use `price`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.")
            old: Int @deprecated(reason: "some day") }
        enum Sort { NEW OLD @deprecated(reason: "Use `NEW`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.") }
        input Filter { sort: Sort deep: Filter plain: Plain }
        input Plain { x: Int }
        input NewBook { title: String
            cents: Int @deprecated(reason: "Use `price`. Deprecated 2026-10-01. Removal on 2027-04-01 UTC.") }
    "#;

    fn used(query: &str, name: Option<&str>, variables: serde_json::Value) -> Vec<String> {
        let guarded = guard::parse(query).unwrap();
        let schema = Deprecations::new(SDL);
        let used = || schema.used(&guarded, name, &Variables::from_json(variables.clone()));
        let first: Vec<String> = used().iter().map(|part| part.coordinate.clone()).collect();
        // By what is remembered as by what was read.
        assert_eq!(used().iter().map(|part| part.coordinate.clone()).collect::<Vec<_>>(), first);
        first
    }

    #[test]
    fn fields_are_found_wherever_they_are_selected() {
        let check = |query: &str, expected: &[&str]| assert_eq!(used(query, None, json!({})), expected, "{query}");
        check("{ book(id: 1) { title } }", &[]);
        check("{ book(id: 1) { title cents a: cents } }", &["Book.cents"]);
        check("{ node(id: 1) { id ... on Book { cents } } }", &["Book.cents"]);
        check("{ node(id: 1) { ...B } } fragment B on Book { ... { cents } }", &["Book.cents"]);
        check("{ books { cents @skip(if: true) } }", &["Book.cents"]);
        check("{ book(id: 1) { nothing { cents } } }", &[]);
        check("{ book(id: 1) { old } }", &[]);
    }

    #[test]
    fn arguments_values_and_fields_of_inputs_are_found_in_the_text() {
        let check = |query: &str, expected: &[&str]| assert_eq!(used(query, None, json!({})), expected, "{query}");
        check(r#"{ books(words: "x") { title } }"#, &["Query.books(words:)"]);
        check("{ books(filter: { sort: NEW }) { title } }", &[]);
        check("{ books(filter: { deep: { deep: { sort: OLD } } }) { title } }", &["Sort.OLD"]);
        check("mutation { create(input: [{ title: \"x\" }, { cents: 1 }]) { id } }", &["NewBook.cents"]);
        check("mutation { create(input: { cents: null }) { id } }", &["NewBook.cents"]);
        check("query($f: Filter = { sort: OLD }) { books(filter: $f) { title } }", &["Sort.OLD"]);
        check("query($x: Int) { books(filter: { plain: { x: $x } }) { title } }", &[]);
    }

    #[test]
    fn variables_are_looked_into_where_they_can_hold_such_a_part() {
        let check = |query: &str, variables: serde_json::Value, expected: &[&str]| {
            assert_eq!(used(query, None, variables.clone()), expected, "{query} {variables}");
        };
        let list = "query($f: Filter) { books(filter: $f) { title } }";
        check(list, json!({ "f": { "sort": "NEW", "deep": { "plain": { "x": 1 } } } }), &[]);
        check(list, json!({ "f": { "deep": { "sort": "OLD" } } }), &["Sort.OLD"]);
        check(list, json!({ "f": null }), &[]);
        check(
            "query($s: Sort) { books(filter: { sort: $s }) { cents } }",
            json!({ "s": "OLD" }),
            &["Book.cents", "Sort.OLD"],
        );
        let create = "mutation($i: [NewBook!]!) { create(input: $i) { id } }";
        check(create, json!({ "i": [{ "title": "x" }, { "cents": 1 }] }), &["NewBook.cents"]);
        check(create, json!({ "i": [{ "title": "x" }] }), &[]);
    }

    #[test]
    fn only_the_operation_that_runs_counts() {
        let two = "query A { books { cents } } query B { books { title } }";
        assert_eq!(used(two, Some("A"), json!({})), ["Book.cents"]);
        assert_eq!(used(two, Some("B"), json!({})), Vec::<String>::new());
        assert_eq!(used(two, None, json!({})), Vec::<String>::new());
        assert_eq!(used(two, Some("C"), json!({})), Vec::<String>::new());
    }
}
