//! What an operation may cost at most, computed before it runs: its fields, those of a list times the list's length.
//!
//! The schema is read once, as text, into a table of fields. Sizes of pages are resolved from variables; where only one of
//! several types can be answered, the dearest counts; directives that leave fields out are not believed.

use std::cell::Cell;
use std::collections::HashMap;

use async_graphql::Variables;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql_value::Value;

use super::connection::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, ROWS_DEFAULT, ROWS_MAX};
use super::error::{ApiError, ErrorCode};

/// The highest cost of an operation.
pub const COST_MAX: u64 = 20_000;

/// The length that is assumed of a list without paging.
const LIST_LEN_ASSUMED: u64 = 100;

/// What an operation takes of its shop's rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Points: fields, those of a list times its length.
    pub points: u64,
    /// Fields at the root of a mutation, each of which is a transaction.
    pub mutations: u64,
}

impl Cost {
    /// That of an operation of which nothing is executed.
    pub const LEAST: Self = Self { points: 1, mutations: 0 };
}

/// The fields of a schema's types, as far as costs need them.
pub struct Costs {
    types: HashMap<String, HashMap<String, FieldCost>>,
    roots: [String; 3],
}

/// What a field's cost is computed from.
struct FieldCost {
    /// The type of what it answers, lists taken off.
    ty: String,
    list: List,
}

/// How many of its type a field answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    /// One.
    No,
    /// A connection: its items are as many as the page asks for.
    Paged,
    /// The items of the connection that is its parent.
    Items,
    /// As many as are asked for, without pages: the rows of a report. A plan's page size is not about them.
    Rows,
    /// As many as there are.
    Unpaged,
}

/// What an operation is computed with.
struct Operation<'a> {
    document: &'a ExecutableDocument,
    definition: &'a OperationDefinition,
    variables: &'a Variables,
    /// The greatest page that was asked for so far.
    page_most: Cell<u64>,
}

impl Operation<'_> {
    /// The value of a variable: what was sent, or what the operation declares.
    fn variable(&self, name: &str) -> Option<&async_graphql::Value> {
        self.variables.get(name).or_else(|| {
            let definitions = self.definition.variable_definitions.iter();
            let mut definitions = definitions.map(|definition| &definition.node);
            let definition = definitions.find(|definition| definition.name.node.as_str() == name)?;
            definition.default_value.as_ref().map(|value| &value.node)
        })
    }
}

impl Costs {
    /// Reads a schema's text. A text that is no schema, which is a defect, costs everything the same.
    #[must_use]
    pub fn new(sdl: &str) -> Self {
        let definitions = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
        let mut types = HashMap::new();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let is_connection = name.ends_with("Connection");
            let costs = fields.into_iter().map(|field| {
                let field = field.node;
                let (ty, is_list) = base(&field.ty.node);
                let is_paged = field.arguments.iter().any(|argument| argument.node.name.node == "first");
                let list = match (is_list, is_paged) {
                    (true, true) => List::Rows,
                    (false, true) => List::Paged,
                    (true, false) if is_connection => List::Items,
                    // A payload's reasons are few.
                    (true, false) if field.name.node != "userErrors" => List::Unpaged,
                    _ => List::No,
                };
                (field.name.node.to_string(), FieldCost { ty, list })
            });
            types.insert(name, costs.collect());
        }
        Self { types, roots: ["Query".to_owned(), "Mutation".to_owned(), "Subscription".to_owned()] }
    }

    /// The cost of an operation. The document has passed the guard, so its expansion is short.
    #[must_use]
    pub fn of(&self, document: &ExecutableDocument, operation: &OperationDefinition, variables: &Variables) -> u64 {
        self.measure(document, operation, variables).0
    }

    /// The cost of an operation, and the greatest page of those that the API has that it asks for.
    fn measure(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> (u64, u64) {
        let root = match operation.ty {
            OperationType::Mutation => &self.roots[1],
            OperationType::Query => &self.roots[0],
            OperationType::Subscription => &self.roots[2],
        };
        let context = Operation { document, definition: operation, variables, page_most: Cell::new(0) };
        let cost = self.set(&context, &operation.selection_set.node, root, 1);
        (cost, context.page_most.get())
    }

    /// Refuses an operation that may cost more than [`COST_MAX`] or asks for pages that its shop's plan does not have, and
    /// answers what the others may cost.
    ///
    /// # Errors
    /// `QUERY_TOO_COMPLEX` with the cost and the limit, `BAD_REQUEST` with the greatest page.
    pub fn check(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
        page_size_max: usize,
    ) -> Result<Cost, ApiError> {
        let (cost, page_most) = self.measure(document, operation, variables);
        if page_most > page_size_max as u64 {
            let message = format!("On this shop's plan a page has 1 to {page_size_max} items.");
            return Err(ApiError::bad_request(message));
        }
        let mutations = match operation.ty {
            OperationType::Mutation => root_fields(document, &operation.selection_set.node),
            OperationType::Query | OperationType::Subscription => 0,
        };
        if cost <= COST_MAX {
            return Ok(Cost { points: cost, mutations });
        }
        let message = format!("The operation may cost {cost}; the limit is {COST_MAX}. Ask for smaller pages.");
        Err(ApiError::new(ErrorCode::QueryTooComplex, message))
    }

    /// The cost of a selection set on a type, within a page of so many items.
    fn set(&self, operation: &Operation<'_>, set: &SelectionSet, ty: &str, page: u64) -> u64 {
        let mut common: u64 = 0;
        // What is asked for one type alone; an object has one type, so only the dearest can be answered.
        let mut by_type: HashMap<&str, u64> = HashMap::new();
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    common = common.saturating_add(self.field(operation, &field.node, ty, page));
                }
                Selection::InlineFragment(inline) => {
                    let on =
                        inline.node.type_condition.as_ref().map_or(ty, |condition| condition.node.on.node.as_str());
                    let cost = self.set(operation, &inline.node.selection_set.node, on, page);
                    add(&mut common, &mut by_type, ty, on, cost);
                }
                Selection::FragmentSpread(spread) => {
                    let Some(fragment) = operation.document.fragments.get(&spread.node.fragment_name.node) else {
                        continue;
                    };
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    let cost = self.set(operation, &fragment.node.selection_set.node, on, page);
                    add(&mut common, &mut by_type, ty, on, cost);
                }
            }
        }
        common.saturating_add(by_type.values().copied().max().unwrap_or(0))
    }

    fn field(&self, operation: &Operation<'_>, field: &Field, ty: &str, page: u64) -> u64 {
        let known = self.types.get(ty).and_then(|fields| fields.get(field.name.node.as_str()));
        // A field that the schema does not have is refused by the library; `__typename` and the like cost one.
        let Some(known) = known else { return 1 };
        let set = &field.selection_set.node;
        let below = |page| self.set(operation, set, &known.ty, page);
        1_u64.saturating_add(match known.list {
            List::No => below(page),
            List::Paged => below(page_size(operation, field)),
            List::Items => page.saturating_mul(below(1)),
            List::Rows => rows(operation, field).saturating_mul(below(1)),
            List::Unpaged => LIST_LEN_ASSUMED.saturating_mul(below(1)),
        })
    }
}

/// The fields of a set once its fragments are expanded, which the guard has found to be few.
fn root_fields(document: &ExecutableDocument, set: &SelectionSet) -> u64 {
    let fields = set.items.iter().map(|selection| match &selection.node {
        Selection::Field(_) => 1,
        Selection::InlineFragment(inline) => root_fields(document, &inline.node.selection_set.node),
        Selection::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node);
            fragment.map_or(0, |fragment| root_fields(document, &fragment.node.selection_set.node))
        }
    });
    fields.sum()
}

fn add<'a>(common: &mut u64, by_type: &mut HashMap<&'a str, u64>, ty: &str, on: &'a str, cost: u64) {
    let sum = if on == ty { common } else { by_type.entry(on).or_default() };
    *sum = sum.saturating_add(cost);
}

/// The number of items that a field asks for.
fn asked(operation: &Operation<'_>, field: &Field) -> Option<u64> {
    let sizes = ["first", "last"].into_iter().filter_map(|name| match &field.get_argument(name)?.node {
        Value::Variable(variable) => match operation.variable(variable) {
            Some(async_graphql::Value::Number(number)) => Some(number.as_u64().unwrap_or(u64::MAX)),
            _ => None,
        },
        Value::Number(number) => Some(number.as_u64().unwrap_or(u64::MAX)),
        _ => None,
    });
    sizes.max()
}

/// The page that a field asks for. A size that is wrong is refused by the resolver; here it counts as the greatest.
fn page_size(operation: &Operation<'_>, field: &Field) -> u64 {
    let size = asked(operation, field);
    // A page beyond what the API has is the resolver's to refuse, who knows where it is.
    let asked = size.filter(|size| *size <= PAGE_SIZE_MAX as u64).unwrap_or(0);
    operation.page_most.set(operation.page_most.get().max(asked));
    size.unwrap_or(PAGE_SIZE_DEFAULT as u64).clamp(1, PAGE_SIZE_MAX as u64)
}

/// The rows that a report is asked for, by the same rule.
fn rows(operation: &Operation<'_>, field: &Field) -> u64 {
    let [default, most] = [ROWS_DEFAULT, ROWS_MAX].map(|rows| u64::from(rows.unsigned_abs()));
    asked(operation, field).unwrap_or(default).clamp(1, most)
}

/// A type without its lists and exclamation marks, and whether there was a list.
fn base(ty: &Type) -> (String, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.to_string(), false),
        BaseType::List(inner) => (base(inner).0, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::schema::{admin_schema, sdl_options, tenant_schema};
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::DocumentOperations;

    fn cost(query: &str, variables: serde_json::Value) -> u64 {
        let costs = Costs::new(&tenant_schema().sdl_with_options(sdl_options()));
        let document = parse_query(query).unwrap();
        let DocumentOperations::Single(operation) = &document.operations else { panic!("one operation") };
        costs.of(&document, &operation.node, &Variables::from_json(variables))
    }

    #[test]
    fn lists_multiply_and_variables_are_resolved() {
        let check = |query: &str, variables, expected: u64| assert_eq!(cost(query, variables), expected, "{query}");
        let none = serde_json::Value::Null;
        check("{ __typename }", none.clone(), 1);
        check("{ book(id: 1) { title price { amount } } }", none.clone(), 4);
        // books, nodes, ten titles.
        check("{ books(first: 10) { nodes { title } } }", none.clone(), 12);
        check("{ books { nodes { title } } }", none.clone(), 22);
        check("query($n: Int) { books(last: $n) { nodes { title } } }", serde_json::json!({ "n": 50 }), 52);
        check("query($n: Int) { books(first: $n) { nodes { title } } }", serde_json::json!({ "n": -1 }), 102);
        check("query($n: Int = 50) { books(first: $n) { nodes { title } } }", none.clone(), 52);
        // The total and the page's ends are no items.
        check("{ books(first: 10) { totalCount pageInfo { hasNextPage } nodes { title } } }", none.clone(), 15);
        // Each of ten books: authors, nodes, twenty names.
        check("{ books(first: 10) { nodes { authors { nodes { name } } } } }", none.clone(), 2 + 10 * 22);
        check("{ categories(first: 10) { nodes { children { name } } } }", none.clone(), 2 + 10 * 101);
        check(
            "{ books(first: 2) { ...P } } fragment P on BookConnection { nodes { title } edges { cursor } }",
            none,
            7,
        );
    }

    #[test]
    fn the_rows_of_a_report_are_as_many_as_are_asked_for() {
        let check = |first: &str, variables, rows: u64| {
            let query = format!(
                "query($n: Int) {{ salesReport(from: 1, to: 1, by: BOOK{first}) {{ orderCount book {{ title }} }} }}"
            );
            assert_eq!(cost(&query, variables), 1 + rows * 3, "{first}");
        };
        let none = serde_json::Value::Null;
        check("", none.clone(), 100);
        check(", first: 1", none.clone(), 1);
        check(", first: 366", none.clone(), 366);
        check(", first: 367", none.clone(), 366);
        check(", first: $n", none, 100);
        check(", first: $n", serde_json::json!({ "n": 50 }), 50);
        check(", first: $n", serde_json::json!({ "n": -1 }), 366);
        let deep = "{ salesReport(from: 1, to: 1, by: BOOK, first: 366) {
            book { category { children { children { name } } } } } }";
        assert_eq!(cost(deep, serde_json::Value::Null), 1 + 366 * (2 + 1 + 100 * (1 + 100)));
    }

    /// A list with `first` has a bound of its own, which this file must know.
    #[test]
    fn no_list_but_reports_takes_a_length_without_being_a_connection() {
        let mut found = Vec::new();
        for sdl in [tenant_schema().sdl_with_options(sdl_options()), admin_schema().sdl_with_options(sdl_options())] {
            for (ty, fields) in Costs::new(&sdl).types {
                let rows = fields.into_iter().filter(|(_, field)| field.list == List::Rows);
                found.extend(rows.map(|(name, _)| format!("{ty}.{name}")));
            }
        }
        assert_eq!(found, ["Query.salesReport"]);
    }

    #[test]
    fn of_several_types_the_dearest_counts() {
        let query = "{ node(id: 1) { id ... on Book { title price { amount } } ... on Author { name } ...C } }
                     fragment C on Category { name }";
        assert_eq!(cost(query, serde_json::Value::Null), 1 + 1 + 3);
    }

    #[test]
    fn what_multiplies_beyond_all_bounds_stays_a_number() {
        let deep = format!(
            "{{ categories(first: 100) {{ nodes {{ {} name {} }} }} }}",
            "children { ".repeat(14),
            "} ".repeat(14)
        );
        assert_eq!(cost(&deep, serde_json::Value::Null), u64::MAX);
    }
}
