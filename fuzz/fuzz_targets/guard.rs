//! Feeds texts to the guard and holds it to its word about those that it lets pass.
//!
//! Not for what the guard refuses: that is the tests' to name. Here only what passes can be wrong, or what takes long.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_graphql::Variables;
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use libfuzzer_sys::{Corpus, fuzz_target};
use shelfwise::graphql::cost::Costs;
use shelfwise::graphql::guard::{self, DEPTH_MAX, MUTATION_FIELDS_MAX, QUERY_FIELDS_MAX, SELECTIONS_MAX};

/// What one document may take, measured and refused or costed, in a build that counts every branch.
const BUDGET: Duration = Duration::from_millis(250);

/// What each of a document's bytes may take beside, so that a short one cannot be slow: ten times what the slowest
/// known takes.
const BUDGET_PER_BYTE: Duration = Duration::from_micros(20);

/// What any document may take: a moment of the machine's own.
const BUDGET_LEAST: Duration = Duration::from_millis(20);

/// The costs of the schema that is committed.
static COSTS: LazyLock<Costs> = LazyLock::new(|| Costs::new(include_str!("../../schema.graphql")));

fuzz_target!(
    init: LazyLock::force(&COSTS),
    |bytes: &[u8]| -> Corpus {
        match std::str::from_utf8(bytes) {
            Ok(text) => check(text),
            Err(_) => Corpus::Reject,
        }
    }
);

/// Measures one text. One that is over its time is measured again, since the machine may have been busy.
fn check(text: &str) -> Corpus {
    let budget = (BUDGET_LEAST + BUDGET_PER_BYTE * text.len().min(guard::DOCUMENT_BYTES_MAX) as u32).min(BUDGET);
    let is_in_time = (0..3).any(|_| {
        let started = Instant::now();
        measure(text);
        started.elapsed() <= budget
    });
    assert!(is_in_time, "{} bytes take longer than {budget:?}, three times", text.len());
    if let Ok(guarded) = guard::parse(text) {
        check_expansion(&guarded.document);
    }
    Corpus::Keep
}

/// What a request costs before it is admitted.
fn measure(text: &str) {
    let Ok(guard::Guarded { document, .. }) = guard::parse(text) else { return };
    let variables = Variables::default();
    for (_, operation) in document.operations.iter() {
        // An overflow would panic, since this build checks for it.
        std::hint::black_box(COSTS.of(&document, &operation.node, &variables));
    }
}

/// Expands a document that passed, as a library does that remembers nothing, and compares it with the bounds.
fn check_expansion(document: &ExecutableDocument) {
    let mut expansion = Expansion { document, selections: 0 };
    for (_, operation) in document.operations.iter() {
        let roots = expansion.set(&operation.node.selection_set.node, 0);
        let roots_max = match operation.node.ty {
            OperationType::Query => QUERY_FIELDS_MAX,
            OperationType::Mutation => MUTATION_FIELDS_MAX,
            OperationType::Subscription => 1,
        };
        assert!(roots <= roots_max, "an operation has {roots} fields at its root");
    }
}

/// An expansion under way.
struct Expansion<'a> {
    document: &'a ExecutableDocument,
    /// Fields and spreads so far, over all operations.
    selections: u64,
}

impl Expansion<'_> {
    /// Expands one set below so many levels and answers the fields of its topmost level. Ends with the first bound that
    /// is broken, so that a document which should not have passed fails here rather than never.
    fn set(&mut self, set: &SelectionSet, depth: u64) -> u64 {
        let mut top_fields = 0;
        for selection in &set.items {
            self.selections += 1;
            assert!(self.selections <= SELECTIONS_MAX, "the document selects more than {SELECTIONS_MAX}");
            top_fields += match &selection.node {
                Selection::Field(field) => {
                    assert!(depth < DEPTH_MAX, "the selections nest deeper than {DEPTH_MAX}");
                    self.set(&field.node.selection_set.node, depth + 1);
                    1
                }
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, depth),
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => self.set(&fragment.node.selection_set.node, depth),
                        None => 0,
                    }
                }
            };
        }
        top_fields
    }
}
