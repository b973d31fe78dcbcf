//! What has changed of what clients send: arguments, and fields of inputs.

use std::collections::BTreeMap;

use super::shape::{Given, takes};
use super::{Change, Rule, compare_reasons, new_part};

/// Whose parts are compared.
pub(super) enum Owner<'a> {
    /// A field, by its coordinate: its arguments.
    Field(&'a str),
    /// An input: its fields.
    Input(&'a str),
}

impl Owner<'_> {
    fn coordinate(&self, name: &str) -> String {
        match self {
            Self::Field(field) => format!("{field}({name}:)"),
            Self::Input(input) => format!("{input}.{name}"),
        }
    }

    /// The rules for what is gone and for what is new.
    fn rules(&self) -> (Rule, Rule) {
        match self {
            Self::Field(_) => (Rule::ArgumentRemoved, Rule::ArgumentAdded),
            Self::Input(_) => (Rule::InputFieldRemoved, Rule::InputFieldAdded),
        }
    }
}

/// Compares what one owner takes.
pub(super) fn compare(
    owner: &Owner<'_>,
    was: &BTreeMap<String, Given>,
    is: &BTreeMap<String, Given>,
    changes: &mut Vec<Change>,
) {
    let (removed, added) = owner.rules();
    for (name, was) in was {
        let coordinate = owner.coordinate(name);
        match is.get(name) {
            None => {
                changes.push(Change::new(removed, coordinate, "is gone.").announced(was.reason.as_ref()));
            }
            Some(is) => compare_one(coordinate, was, is, changes),
        }
    }
    for (name, is) in is.iter().filter(|(name, _)| !was.contains_key(*name)) {
        let (rule, message) = if is.is_required() {
            (Rule::RequiredAdded, "is new, and must be given.".to_owned())
        } else {
            (added, new_part(is.reason.as_ref()))
        };
        changes.push(Change::new(rule, owner.coordinate(name), message));
    }
}

fn compare_one(coordinate: String, was: &Given, is: &Given, changes: &mut Vec<Change>) {
    compare_reasons(&coordinate, was.reason.as_ref(), is.reason.as_ref(), changes);
    if is.is_required() && !was.is_required() {
        changes.push(Change::new(Rule::RequiredAdded, coordinate, "must be given now."));
        return;
    }
    if was.ty != is.ty {
        // What has a default may be left out, whether or not it may be null.
        let rule = if takes(&was.ty, &is.ty) { Rule::InputTypeWidened } else { Rule::InputTypeChanged };
        let message = format!("was of type `{}` and is of type `{}`.", was.ty, is.ty);
        changes.push(Change::new(rule, coordinate.clone(), message));
    }
    if was.default != is.default {
        let name = |default: &Option<String>| default.clone().unwrap_or_else(|| "nothing".to_owned());
        let message = format!("was {} where it is not given, and is {}.", name(&was.default), name(&is.default));
        changes.push(Change::new(Rule::DefaultChanged, coordinate, message));
    }
}
