//! The second look: what a document amounts to once its fragments are expanded, without expanding them.

use std::collections::HashMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Value as ConstValue};
use async_graphql_value::Value;

use super::Excess;

/// Fields and spreads of a document at most, once expanded.
pub const SELECTIONS_MAX: u64 = 10_000;

/// Levels of selections at most, once expanded. The introspection query of common tools has 13.
pub const DEPTH_MAX: u64 = 16;

/// Aliases at most, once expanded.
pub const ALIASES_MAX: u64 = 500;

/// Directives at most, once expanded.
pub const DIRECTIVES_MAX: u64 = 100;

/// Items of list and object literals at most, once expanded.
///
/// The library copies a literal for each field that has it, and data travels in variables. Counted here because the parser makes more items of a text than it has tokens: `000` is
/// three numbers to it.
pub const LIST_ITEMS_MAX: u64 = 1_000;

/// Fragments at most.
pub const FRAGMENTS_MAX: usize = 200;

/// Levels of sets, spreads and fragments at most, followed from an operation down: what this module's own recursion is
/// bounded by. The library follows fewer.
pub const LEVELS_MAX: usize = 256;

/// Operations at most. The library compares the variables of each with all that the fragments use.
pub const OPERATIONS_MAX: usize = 20;

/// The selections times the arguments of the field with the most, at most. The library writes an error for each argument
/// by which two fields of one name differ, and does not stop counting them.
pub const ARGUMENT_PAIRS_MAX: u64 = 50_000;

/// Fields that list a type's parts, at most, in an introspection. The query of common tools has six.
pub const INTROSPECTIONS_MAX: u64 = 20;

/// How deep such fields may be within each other. Each level multiplies by the schema's size, and tools need one.
pub const INTROSPECTION_DEPTH_MAX: u64 = 2;

/// The fields that list a type's parts (October 2021, section 4.2).
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// Fields at the root of a query at most.
pub const QUERY_FIELDS_MAX: u64 = 30;

/// Fields at the root of a mutation at most: each is a transaction.
pub const MUTATION_FIELDS_MAX: u64 = 5;

/// What a selection set amounts to. Every number stops at its type's greatest instead of wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// Fields and spreads.
    pub selections: u64,
    /// Levels.
    pub depth: u64,
    /// Fields with another name.
    pub aliases: u64,
    /// Directives.
    pub directives: u64,
    /// Items of list and object literals.
    pub list_items: u64,
    /// Arguments of the field that has the most.
    pub arguments_most: u64,
    /// Places where a variable's value is put, and copied to.
    pub variable_uses: u64,
    /// Fields that list a type's parts.
    pub introspections: u64,
    /// Levels of such fields.
    pub introspection_depth: u64,
    /// Fields of the topmost level.
    pub top_fields: u64,
}

impl Measure {
    /// Adds what stands beside.
    fn beside(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.depth = self.depth.max(other.depth);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.list_items = self.list_items.saturating_add(other.list_items);
        self.arguments_most = self.arguments_most.max(other.arguments_most);
        self.variable_uses = self.variable_uses.saturating_add(other.variable_uses);
        self.introspections = self.introspections.saturating_add(other.introspections);
        self.introspection_depth = self.introspection_depth.max(other.introspection_depth);
        self.top_fields = self.top_fields.saturating_add(other.top_fields);
    }

    /// One selection with what is below it: a field begins a level, a spread does not.
    fn selection(directives: &[Positioned<Directive>]) -> Self {
        Self { selections: 1, ..Self::directives(directives) }
    }

    /// Directives with their arguments.
    fn directives(directives: &[Positioned<Directive>]) -> Self {
        let mut measure = Self { directives: directives.len() as u64, ..Self::default() };
        for directive in directives {
            measure.beside(Self::arguments(&directive.node.arguments));
        }
        measure
    }

    /// What arguments are made of.
    fn arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Self {
        let values = || arguments.iter().map(|(_, value)| &value.node);
        Self { list_items: values().map(items).sum(), variable_uses: values().map(uses).sum(), ..Self::default() }
    }
}

/// A fragment's measure, or that it is being taken.
enum Memo {
    Underway,
    Done(Measure),
}

/// Measures fragments, each once.
struct Measurer<'a> {
    document: &'a ExecutableDocument,
    memos: HashMap<&'a str, Memo>,
    level: usize,
}

/// Measures a document and compares it with the bounds. Every operation and fragment counts, also those that are not
/// asked for: the library looks at them too.
///
/// # Errors
/// The bound that it breaks.
pub fn check(document: &ExecutableDocument) -> Result<Measure, Excess> {
    if document.fragments.len() > FRAGMENTS_MAX {
        return Err(Excess::Fragments);
    }
    if document.operations.iter().count() > OPERATIONS_MAX {
        return Err(Excess::Operations);
    }
    let mut measurer = Measurer { document, memos: HashMap::with_capacity(document.fragments.len()), level: 0 };
    let mut total = Measure::default();
    let mut add = |operation: &'_ Positioned<OperationDefinition>, measure: Measure| {
        let fields_max = match operation.node.ty {
            OperationType::Mutation => MUTATION_FIELDS_MAX,
            OperationType::Query => QUERY_FIELDS_MAX,
            OperationType::Subscription => 1,
        };
        total.beside(measure);
        if measure.top_fields > fields_max { Err(Excess::RootFields) } else { Ok(()) }
    };
    match &document.operations {
        DocumentOperations::Single(operation) => add(operation, measurer.operation(operation)?)?,
        DocumentOperations::Multiple(operations) => {
            for operation in operations.values() {
                add(operation, measurer.operation(operation)?)?;
            }
        }
    }
    for name in document.fragments.keys() {
        total.beside(measurer.fragment(name)?);
    }
    compare(total)?;
    Ok(total)
}

fn compare(measure: Measure) -> Result<(), Excess> {
    match measure {
        Measure { selections, .. } if selections > SELECTIONS_MAX => Err(Excess::Selections),
        Measure { depth, .. } if depth > DEPTH_MAX => Err(Excess::Depth),
        Measure { aliases, .. } if aliases > ALIASES_MAX => Err(Excess::Aliases),
        Measure { directives, .. } if directives > DIRECTIVES_MAX => Err(Excess::Directives),
        Measure { list_items, .. } if list_items > LIST_ITEMS_MAX => Err(Excess::ListItems),
        Measure { introspections, introspection_depth, .. }
            if introspections > INTROSPECTIONS_MAX || introspection_depth > INTROSPECTION_DEPTH_MAX =>
        {
            Err(Excess::Introspection)
        }
        Measure { selections, arguments_most, .. }
            if selections.saturating_mul(arguments_most) > ARGUMENT_PAIRS_MAX =>
        {
            Err(Excess::Arguments)
        }
        _ => Ok(()),
    }
}

/// The items of a literal and of those within it, which the lexical check keeps flat.
fn items(value: &Value) -> u64 {
    match value {
        Value::List(list) => list.len() as u64 + list.iter().map(items).sum::<u64>(),
        Value::Object(object) => object.len() as u64 + object.values().map(items).sum::<u64>(),
        _ => 0,
    }
}

/// The variables within a value.
fn uses(value: &Value) -> u64 {
    match value {
        Value::Variable(_) => 1,
        Value::List(list) => list.iter().map(uses).sum(),
        Value::Object(object) => object.values().map(uses).sum(),
        _ => 0,
    }
}

/// The items of a literal without variables, as a variable's default is.
fn const_items(value: &ConstValue) -> u64 {
    match value {
        ConstValue::List(list) => list.len() as u64 + list.iter().map(const_items).sum::<u64>(),
        ConstValue::Object(object) => object.len() as u64 + object.values().map(const_items).sum::<u64>(),
        _ => 0,
    }
}

impl<'a> Measurer<'a> {
    fn operation(&mut self, operation: &'a Positioned<OperationDefinition>) -> Result<Measure, Excess> {
        let operation = &operation.node;
        let mut measure = self.set(&operation.selection_set.node)?;
        measure.beside(Measure::directives(&operation.directives));
        for variable in &operation.variable_definitions {
            measure.beside(Measure::directives(&variable.node.directives));
            let default = variable.node.default_value.as_ref().map_or(0, |value| const_items(&value.node));
            measure.list_items = measure.list_items.saturating_add(default);
        }
        Ok(measure)
    }

    /// The one step of this module's recursion, which is refused before it is too deep for a thread's stack.
    fn set(&mut self, set: &'a SelectionSet) -> Result<Measure, Excess> {
        self.level += 1;
        if self.level > LEVELS_MAX {
            return Err(Excess::Depth);
        }
        let mut total = Measure::default();
        for selection in &set.items {
            total.beside(self.selection(&selection.node)?);
        }
        self.level -= 1;
        Ok(total)
    }

    fn selection(&mut self, selection: &'a Selection) -> Result<Measure, Excess> {
        match selection {
            Selection::Field(field) => {
                let field = &field.node;
                let below = self.set(&field.selection_set.node)?;
                let mut measure = Measure::selection(&field.directives);
                measure.beside(Measure { top_fields: 0, ..below });
                measure.beside(Measure::arguments(&field.arguments));
                if INTROSPECTION_LISTS.contains(&field.name.node.as_str()) {
                    measure.introspections = measure.introspections.saturating_add(1);
                    measure.introspection_depth = below.introspection_depth.saturating_add(1);
                }
                measure.arguments_most = measure.arguments_most.max(field.arguments.len() as u64);
                measure.depth = below.depth.saturating_add(1);
                measure.aliases = measure.aliases.saturating_add(u64::from(field.alias.is_some()));
                measure.top_fields = 1;
                Ok(measure)
            }
            Selection::InlineFragment(inline) => {
                let mut measure = Measure::selection(&inline.node.directives);
                measure.beside(self.set(&inline.node.selection_set.node)?);
                Ok(measure)
            }
            Selection::FragmentSpread(spread) => {
                let mut measure = Measure::selection(&spread.node.directives);
                measure.beside(self.fragment(&spread.node.fragment_name.node)?);
                Ok(measure)
            }
        }
    }

    /// A fragment that does not exist measures nothing: the library says that it is missing.
    fn fragment(&mut self, name: &str) -> Result<Measure, Excess> {
        match self.memos.get(name) {
            Some(Memo::Done(measure)) => return Ok(*measure),
            Some(Memo::Underway) => return Err(Excess::Circle),
            None => {}
        }
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(Measure::default()) };
        self.memos.insert(name, Memo::Underway);
        let mut measure = self.set(&fragment.node.selection_set.node)?;
        measure.beside(Measure::directives(&fragment.node.directives));
        // Early exit: nothing that contains this one can be within bounds.
        compare(measure)?;
        self.memos.insert(name, Memo::Done(measure));
        Ok(measure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::guard::{Unfit, parse};

    fn refused(text: &str) -> Option<Excess> {
        match parse(text) {
            Err(Unfit::Excess(excess)) => Some(excess),
            _ => None,
        }
    }

    /// A chain of fragments, each of which spreads the next so many times.
    fn chain(links: usize, spreads: usize) -> String {
        let mut text = "{ ...F0 }".to_owned();
        for link in 0..links {
            text.push_str(&format!(
                " fragment F{link} on Query {{ {} }}",
                format!("...F{} ", link + 1).repeat(spreads)
            ));
        }
        text.push_str(&format!(" fragment F{links} on Query {{ __typename }}"));
        text
    }

    #[test]
    fn each_bound_has_its_refusal() {
        assert_eq!(refused("{ a { b ...F } } fragment F on B { c d @skip(if: true) }"), None);
        assert_eq!(refused(&chain(24, 2)), Some(Excess::Selections));
        assert_eq!(refused(&chain(6, 24)), Some(Excess::Selections));
        assert_eq!(refused(&chain(100, 1)), None);
        assert_eq!(refused(&chain(300, 1)), Some(Excess::Fragments));
        assert_eq!(refused("{ ...A } fragment A on Q { ...B } fragment B on Q { x { ...A } }"), Some(Excess::Circle));
        assert_eq!(refused("{ a } fragment A on Q { ...A }"), Some(Excess::Circle), "also where nobody asks for it");
        assert_eq!(refused(&format!("{{ {} x {} }}", "a { ".repeat(16), "} ".repeat(16))), Some(Excess::Depth));
        let aliases: String = (0..501).map(|index| format!("a{index}: b ")).collect();
        assert_eq!(refused(&format!("{{ x {{ {aliases} }} }}")), Some(Excess::Aliases));
        assert_eq!(refused(&format!("{{ a {} }}", "@skip(if: true) ".repeat(101))), Some(Excess::Directives));
        assert_eq!(
            refused(&format!("{{ {} }}", (0..31).map(|i| format!("f{i} ")).collect::<String>())),
            Some(Excess::RootFields)
        );
        assert_eq!(refused("mutation { a b c d e f }"), Some(Excess::RootFields));
        assert_eq!(refused("mutation { a ...F ... { f } } fragment F on M { b c d e }"), Some(Excess::RootFields));
        assert_eq!(refused("{ nonsense"), None, "what cannot be parsed breaks no bound");
    }

    #[test]
    fn what_the_library_would_take_too_deep_or_too_often_is_refused() {
        let levels = |fragments: usize| -> String {
            let body = |next: usize| format!("{} ...F{next} {}", "a { ".repeat(60), "} ".repeat(60));
            let links = (0..fragments).map(|index| format!("fragment F{index} on Q {{ {} }} ", body(index + 1)));
            format!("{{ ...F0 }} {} fragment F{fragments} on Q {{ a }}", links.collect::<String>())
        };
        assert_eq!(refused(&levels(70)), Some(Excess::Depth), "on this thread's stack");
        let arguments = |count: usize| (0..count).map(|index| format!("a{index}: 1 ")).collect::<String>();
        let conflicts = |count, fields: usize| format!("{{ x {{ f({}) {} }} }}", arguments(count), "f ".repeat(fields));
        assert_eq!(refused(&conflicts(7, 7_000)), None);
        assert_eq!(refused(&conflicts(50, 1_000)), Some(Excess::Arguments));
        let operations = |count: usize| (0..count).map(|index| format!("query Q{index} {{ a }} ")).collect::<String>();
        assert_eq!(refused(&operations(20)), None);
        assert_eq!(refused(&operations(21)), Some(Excess::Operations));
    }

    #[test]
    fn a_schema_is_not_multiplied_with_itself() {
        let aliases = |count: usize| (0..count).map(|i| format!("a{i}: fields {{ name }} ")).collect::<String>();
        assert_eq!(refused(&format!("{{ __schema {{ types {{ {} }} }} }}", aliases(20))), None);
        assert_eq!(refused(&format!("{{ __schema {{ types {{ {} }} }} }}", aliases(21))), Some(Excess::Introspection));
        let nested = "{ __schema { types { interfaces { possibleTypes { fields { name } } } } } }";
        assert_eq!(refused(nested), Some(Excess::Introspection));
    }

    #[test]
    fn uses_of_variables_are_counted_once_expanded() {
        let text = "query($x: [ID!]) { a(b: $x) ...F ...F } fragment F on Q { c(d: [$x, { e: $x }]) @f(g: $x) }";
        // Three times three in the fragment: twice spread and once by itself.
        assert_eq!(parse(text).unwrap().variable_uses, 1 + 3 * 3);
    }

    #[test]
    fn items_of_literals_are_counted_wherever_they_stand() {
        let list = |count: usize| format!("[{}]", "1,".repeat(count));
        assert_eq!(refused(&format!("{{ a(b: {}) }}", list(1_000))), None);
        assert_eq!(refused(&format!("{{ a(b: {}) }}", list(1_001))), Some(Excess::ListItems));
        assert_eq!(refused(&format!("{{ a(b: {{ c: {} }}) }}", list(1_000))), Some(Excess::ListItems));
        assert_eq!(refused(&format!("{{ a @d(b: {}) }}", list(1_001))), Some(Excess::ListItems));
        assert_eq!(refused(&format!("query($v: [Int] = {}) {{ a }}", list(1_001))), Some(Excess::ListItems));
        assert_eq!(refused(&format!("query @d(b: {}) {{ a }}", list(1_001))), Some(Excess::ListItems));
        assert_eq!(
            refused(&format!("{{ a(b: [{}]) }}", "0".repeat(256) + &" 0".repeat(745))),
            Some(Excess::ListItems),
            "one token"
        );
        let spread =
            |times: usize| format!("{{ {} }} fragment F on Q {{ a(b: {}) }}", "...F ".repeat(times), list(250));
        assert_eq!(refused(&spread(3)), None, "three times and once for the fragment itself");
        assert_eq!(refused(&spread(4)), Some(Excess::ListItems));
    }

    /// The same by expanding, as a library would that remembers nothing.
    fn expanded(document: &ExecutableDocument, set: &SelectionSet) -> (u64, u64) {
        let (mut count, mut depth) = (0, 0);
        for selection in &set.items {
            let (below, levels) = match &selection.node {
                Selection::Field(field) => {
                    let (below, levels) = expanded(document, &field.node.selection_set.node);
                    (below, levels + 1)
                }
                Selection::InlineFragment(inline) => expanded(document, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => match document.fragments.get(&spread.node.fragment_name.node) {
                    Some(fragment) => expanded(document, &fragment.node.selection_set.node),
                    None => (0, 0),
                },
            };
            count += below + 1;
            depth = depth.max(levels);
        }
        (count, depth)
    }

    proptest::proptest! {
        /// Documents whose fragments spread only later ones, so that expanding ends.
        #[test]
        fn measuring_is_expanding(spreads in proptest::collection::vec(proptest::collection::vec(0_usize..4, 1..4), 1..7)) {
            let count = spreads.len();
            let body = |from: usize, picks: &[usize]| -> String {
                picks.iter().map(|pick| match (pick, from + pick) {
                    (0, _) => "x { y } ".to_owned(),
                    (_, target) if target < count => format!("z {{ ...F{target} }} "),
                    _ => "... { w } ".to_owned(),
                }).collect()
            };
            let mut text = format!("{{ {} }}", body(0, &[1, 1]).replace("...F1", "...F0"));
            for (index, picks) in spreads.iter().enumerate() {
                text.push_str(&format!(" fragment F{index} on Q {{ {} }}", body(index, picks)));
            }
            let document = async_graphql::parser::parse_query(&text).unwrap();
            let DocumentOperations::Single(operation) = &document.operations else { panic!() };
            let mut measurer = Measurer { document: &document, memos: HashMap::new(), level: 0 };
            if let Ok(measure) = measurer.operation(operation) {
                let expected = expanded(&document, &operation.node.selection_set.node);
                proptest::prop_assert_eq!((measure.selections, measure.depth), expected);
            }
        }
    }
}
