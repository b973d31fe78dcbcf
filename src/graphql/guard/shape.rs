//! The second look: what a document amounts to once its fragments are expanded, without expanding them.

use std::collections::HashMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};

use super::Excess;

/// Fields and spreads of a document at most, once expanded.
pub const SELECTIONS_MAX: u64 = 10_000;

/// Levels of selections at most, once expanded. The introspection query of common tools has 13.
pub const DEPTH_MAX: u64 = 16;

/// Aliases at most, once expanded.
pub const ALIASES_MAX: u64 = 500;

/// Directives at most, once expanded.
pub const DIRECTIVES_MAX: u64 = 100;

/// Fragments at most: the bound of this module's own recursion.
pub const FRAGMENTS_MAX: usize = 200;

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
        self.top_fields = self.top_fields.saturating_add(other.top_fields);
    }

    /// One selection with what is below it: a field begins a level, a spread does not.
    fn selection(directives: usize) -> Self {
        Self { selections: 1, directives: directives as u64, ..Self::default() }
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
}

/// Measures a document and compares it with the bounds. Every operation and fragment counts, also those that are not
/// asked for: the library looks at them too.
///
/// # Errors
/// The bound that it breaks.
pub fn check(document: &ExecutableDocument) -> Result<(), Excess> {
    if document.fragments.len() > FRAGMENTS_MAX {
        return Err(Excess::Fragments);
    }
    let mut measurer = Measurer { document, memos: HashMap::with_capacity(document.fragments.len()) };
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
    compare(total)
}

fn compare(measure: Measure) -> Result<(), Excess> {
    match measure {
        Measure { selections, .. } if selections > SELECTIONS_MAX => Err(Excess::Selections),
        Measure { depth, .. } if depth > DEPTH_MAX => Err(Excess::Depth),
        Measure { aliases, .. } if aliases > ALIASES_MAX => Err(Excess::Aliases),
        Measure { directives, .. } if directives > DIRECTIVES_MAX => Err(Excess::Directives),
        _ => Ok(()),
    }
}

impl<'a> Measurer<'a> {
    fn operation(&mut self, operation: &'a Positioned<OperationDefinition>) -> Result<Measure, Excess> {
        let operation = &operation.node;
        let mut measure = self.set(&operation.selection_set.node)?;
        let on_variables = operation.variable_definitions.iter().map(|variable| variable.node.directives.len());
        let directives = operation.directives.len() + on_variables.sum::<usize>();
        measure.directives = measure.directives.saturating_add(directives as u64);
        Ok(measure)
    }

    /// The levels of one set are bounded by the lexical check, those of fragments by their number, so this recursion is.
    fn set(&mut self, set: &'a SelectionSet) -> Result<Measure, Excess> {
        let mut total = Measure::default();
        for selection in &set.items {
            total.beside(self.selection(&selection.node)?);
        }
        Ok(total)
    }

    fn selection(&mut self, selection: &'a Selection) -> Result<Measure, Excess> {
        let own = |directives: &[Positioned<Directive>]| Measure::selection(directives.len());
        match selection {
            Selection::Field(field) => {
                let field = &field.node;
                let below = self.set(&field.selection_set.node)?;
                let mut measure = own(&field.directives);
                measure.beside(Measure { top_fields: 0, ..below });
                measure.depth = below.depth.saturating_add(1);
                measure.aliases = measure.aliases.saturating_add(u64::from(field.alias.is_some()));
                measure.top_fields = 1;
                Ok(measure)
            }
            Selection::InlineFragment(inline) => {
                let mut measure = own(&inline.node.directives);
                measure.beside(self.set(&inline.node.selection_set.node)?);
                Ok(measure)
            }
            Selection::FragmentSpread(spread) => {
                let mut measure = own(&spread.node.directives);
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
        measure.directives = measure.directives.saturating_add(fragment.node.directives.len() as u64);
        // Early exit: nothing that contains this one can be within bounds.
        compare(measure)?;
        self.memos.insert(name, Memo::Done(measure));
        Ok(measure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::guard::parse;

    fn refused(text: &str) -> Option<Excess> {
        parse(text).err()
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
        assert_eq!(refused("{ nonsense"), None, "what cannot be parsed is the executor's to explain");
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
            let mut measurer = Measurer { document: &document, memos: HashMap::new() };
            if let Ok(measure) = measurer.operation(operation) {
                let expected = expanded(&document, &operation.node.selection_set.node);
                proptest::prop_assert_eq!((measure.selections, measure.depth), expected);
            }
        }
    }
}
