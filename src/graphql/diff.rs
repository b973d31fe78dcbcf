//! What has changed from one schema to another, and what that means for those who use the first.
//!
//! Texts of SDL are compared as what they say: order and descriptions do not count. Each change has a rule, and the rule has a
//! class. A change of the access that a field asks for is one too: the schema tells it by `@access`.

mod inputs;
mod shape;

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

use crate::kernel::deprecation::Reason;
pub(super) use shape::reason_of;
use shape::{Field, Kind, Place, Schema, TypeShape};

/// What a change means for clients that were written against the schema before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Documents that were valid are not any more, or what is answered is not what was promised.
    Breaking,
    /// All documents are valid, but what is answered may be what a client does not expect.
    Dangerous,
    /// Nobody notices.
    Safe,
}

/// Which rule a change falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A field asks for more than it did.
    AccessNarrowed,
    /// A field asks for less than it did.
    AccessWidened,
    /// An optional argument is new.
    ArgumentAdded,
    /// An argument is gone.
    ArgumentRemoved,
    /// An argument has another default.
    DefaultChanged,
    /// A part is to go away from now on.
    Deprecated,
    /// The reason says something else, and the date is no earlier.
    DeprecationReworded,
    /// A part goes away earlier than was promised.
    DeprecationHastened,
    /// A part does not go away after all.
    DeprecationWithdrawn,
    /// A directive that documents may use is gone, or may not be used where it could.
    DirectiveRemoved,
    /// A value is new of an enum that is answered.
    EnumValueAdded,
    /// A value is new of an enum that is only sent.
    EnumValueAcceptedAdded,
    /// A value of an enum is gone.
    EnumValueRemoved,
    /// A field is new.
    FieldAdded,
    /// A field is gone.
    FieldRemoved,
    /// A field answers what clients of its old type do not take.
    FieldTypeChanged,
    /// A field promises more than it did.
    FieldTypeNarrowed,
    /// An optional field of an input is new.
    InputFieldAdded,
    /// A field of an input is gone.
    InputFieldRemoved,
    /// What was taken of an argument or a field of an input is not any more.
    InputTypeChanged,
    /// More is taken of an argument or a field of an input than was.
    InputTypeWidened,
    /// A type implements another interface.
    InterfaceAdded,
    /// A type does not implement an interface any more.
    InterfaceRemoved,
    /// A union has another member.
    MemberAdded,
    /// A union has a member less.
    MemberRemoved,
    /// An argument or a field of an input must be given that need not, or was not there.
    RequiredAdded,
    /// A type is new.
    TypeAdded,
    /// A type is of another kind.
    TypeKindChanged,
    /// A type is gone.
    TypeRemoved,
}

impl Rule {
    /// What a change under this rule means.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::AccessNarrowed
            | Self::ArgumentRemoved
            | Self::DeprecationHastened
            | Self::DirectiveRemoved
            | Self::EnumValueRemoved
            | Self::FieldRemoved
            | Self::FieldTypeChanged
            | Self::InputFieldRemoved
            | Self::InputTypeChanged
            | Self::InterfaceRemoved
            | Self::MemberRemoved
            | Self::RequiredAdded
            | Self::TypeKindChanged
            | Self::TypeRemoved => Class::Breaking,
            Self::DefaultChanged | Self::EnumValueAdded | Self::InterfaceAdded | Self::MemberAdded => Class::Dangerous,
            Self::AccessWidened
            | Self::ArgumentAdded
            | Self::Deprecated
            | Self::DeprecationReworded
            | Self::DeprecationWithdrawn
            | Self::EnumValueAcceptedAdded
            | Self::FieldAdded
            | Self::FieldTypeNarrowed
            | Self::InputFieldAdded
            | Self::InputTypeWidened
            | Self::TypeAdded => Class::Safe,
        }
    }
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What it means.
    pub class: Class,
    /// Of what: a schema coordinate.
    pub coordinate: String,
    /// Which rule says so.
    pub rule: Rule,
    /// What has changed, for people.
    pub message: String,
    /// With what is gone: from which day on it may be, if that was announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced_for: Option<NaiveDate>,
}

impl Change {
    fn new(rule: Rule, coordinate: impl Into<String>, message: impl Into<String>) -> Self {
        let (coordinate, message) = (coordinate.into(), message.into());
        Self { class: rule.class(), coordinate, rule, message, announced_for: None }
    }

    /// The same of something whose end was announced.
    fn announced(mut self, reason: Option<&Reason>) -> Self {
        self.announced_for = reason.map(|reason| reason.removal_on);
        self
    }

    /// Whether it breaks what was promised as of a day: what is gone after it was announced breaks nothing.
    #[must_use]
    pub fn breaks(&self, today: NaiveDate) -> bool {
        self.class == Class::Breaking && self.announced_for.is_none_or(|day| today < day)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.coordinate, self.message)
    }
}

/// A text is no schema.
#[derive(Debug, thiserror::Error)]
#[error("this is no schema: {0}")]
pub struct NoSchema(String);

/// All that has changed from one schema's text to another's, breaking changes first.
///
/// # Errors
/// One of them is no schema.
pub fn diff(old: &str, new: &str) -> Result<Vec<Change>, NoSchema> {
    let (old, new) = (Schema::parse(old)?, Schema::parse(new)?);
    let (mut changes, ends) = (Vec::new(), ends(&old));
    for (name, was) in &old.types {
        match new.types.get(name) {
            None => {
                let mut change = Change::new(Rule::TypeRemoved, name, "is gone.");
                change.announced_for = ends.get(name.as_str()).copied();
                changes.push(change);
            }
            Some(is) if was.kind_name() != is.kind_name() => {
                let message = format!("was {} and is {}.", was.kind_name(), is.kind_name());
                changes.push(Change::new(Rule::TypeKindChanged, name, message));
            }
            Some(is) => compare_types(name, (was, is), &old, &mut changes),
        }
    }
    let is_new = |name: &&String| !old.types.contains_key(*name);
    changes.extend(new.types.keys().filter(is_new).map(|name| Change::new(Rule::TypeAdded, name, "is new.")));
    for place in old.directives.difference(&new.directives) {
        changes.push(Change::new(Rule::DirectiveRemoved, place, "may not be written any more."));
    }
    changes.sort();
    Ok(changes)
}

fn compare_types(name: &str, (was, is): (&TypeShape, &TypeShape), old: &Schema, changes: &mut Vec<Change>) {
    match (&was.kind, &is.kind) {
        (Kind::Fields(_, was), Kind::Fields(_, is)) => {
            for (field, was) in was {
                let coordinate = format!("{name}.{field}");
                match is.get(field) {
                    None => {
                        let change = Change::new(Rule::FieldRemoved, coordinate, "is gone.");
                        changes.push(change.announced(was.reason.as_ref()));
                    }
                    Some(is) => compare_fields(&coordinate, was, is, changes),
                }
            }
            for (field, is) in is.iter().filter(|(field, _)| !was.contains_key(*field)) {
                changes.push(Change::new(Rule::FieldAdded, format!("{name}.{field}"), new_part(is.reason.as_ref())));
            }
        }
        (Kind::Input(was), Kind::Input(is)) => inputs::compare(&inputs::Owner::Input(name), was, is, changes),
        (Kind::Enum(was), Kind::Enum(is)) => {
            let added = if old.answered.contains(name) { Rule::EnumValueAdded } else { Rule::EnumValueAcceptedAdded };
            for (value, was) in was {
                let coordinate = format!("{name}.{value}");
                match is.get(value) {
                    None => {
                        let change = Change::new(Rule::EnumValueRemoved, coordinate, "is gone.");
                        changes.push(change.announced(was.as_ref()));
                    }
                    Some(is) => compare_reasons(&coordinate, was.as_ref(), is.as_ref(), changes),
                }
            }
            for (value, is) in is.iter().filter(|(value, _)| !was.contains_key(*value)) {
                changes.push(Change::new(added, format!("{name}.{value}"), new_part(is.as_ref())));
            }
        }
        (Kind::Union(was), Kind::Union(is)) => {
            let gone = was.difference(is).map(|member| (Rule::MemberRemoved, member, "is no"));
            let new = is.difference(was).map(|member| (Rule::MemberAdded, member, "is a"));
            changes.extend(gone.chain(new).map(|(rule, member, verb)| {
                Change::new(rule, name, format!("has another set of members: `{member}` {verb} member."))
            }));
        }
        _ => {}
    }
    for interface in was.interfaces.difference(&is.interfaces) {
        changes.push(Change::new(Rule::InterfaceRemoved, name, format!("does not implement `{interface}` any more.")));
    }
    for interface in is.interfaces.difference(&was.interfaces) {
        changes.push(Change::new(Rule::InterfaceAdded, name, format!("implements `{interface}`.")));
    }
}

fn compare_fields(coordinate: &str, was: &Field, is: &Field, changes: &mut Vec<Change>) {
    if was.ty != is.ty {
        let rule = if shape::answers(&was.ty, &is.ty) { Rule::FieldTypeNarrowed } else { Rule::FieldTypeChanged };
        changes.push(Change::new(rule, coordinate, format!("was of type `{}` and is of type `{}`.", was.ty, is.ty)));
    }
    inputs::compare(&inputs::Owner::Field(coordinate), &was.arguments, &is.arguments, changes);
    compare_reasons(coordinate, was.reason.as_ref(), is.reason.as_ref(), changes);
    if was.access != is.access {
        let rank = |access: &Option<String>| match access.as_deref() {
            None | Some("public") => 0,
            Some("signed-in") => 1,
            Some(_) => 2,
        };
        let is_wider = rank(&is.access) < rank(&was.access);
        let rule = if is_wider { Rule::AccessWidened } else { Rule::AccessNarrowed };
        let name = |access: &Option<String>| access.clone().unwrap_or_else(|| "nothing".to_owned());
        let message = format!("asked for `{}` and asks for `{}`.", name(&was.access), name(&is.access));
        changes.push(Change::new(rule, coordinate, message));
    }
}

/// What has become of the announcement of a part's end.
fn compare_reasons(coordinate: &str, was: Option<&Reason>, is: Option<&Reason>, changes: &mut Vec<Change>) {
    let (rule, message) = match (was, is) {
        (None, Some(is)) => (Rule::Deprecated, format!("goes away on {}: use `{}`.", is.removal_on, is.instead)),
        (Some(_), None) => (Rule::DeprecationWithdrawn, "does not go away after all.".to_owned()),
        (Some(was), Some(is)) if is.removal_on < was.removal_on => {
            (Rule::DeprecationHastened, format!("goes away on {}, not on {}.", is.removal_on, was.removal_on))
        }
        (Some(was), Some(is)) if was != is => {
            (Rule::DeprecationReworded, format!("goes away on {}: use `{}`.", is.removal_on, is.instead))
        }
        _ => return,
    };
    changes.push(Change::new(rule, coordinate, message));
}

/// What is said of a part that is new.
fn new_part(reason: Option<&Reason>) -> String {
    match reason {
        None => "is new.".to_owned(),
        Some(reason) => format!("is new, and goes away on {}: use `{}`.", reason.removal_on, reason.instead),
    }
}

/// From which day on each type may be gone that all roads to end at some time: the last of them. A type has no announcement
/// of its own.
fn ends(schema: &Schema) -> BTreeMap<&str, NaiveDate> {
    let is_root = |name: &str| ["Query", "Mutation", "Subscription"].contains(&name);
    let start = |name: &str| if is_root(name) { NaiveDate::MAX } else { NaiveDate::MIN };
    let mut ends: BTreeMap<&str, NaiveDate> = schema.types.keys().map(|name| (name.as_str(), start(name))).collect();
    // Ends: a type's day only moves on, from one of few to another.
    loop {
        let mut has_moved = false;
        for Place { of, owner, reason } in schema.places() {
            // Gone when the place is or when its owner is, whichever is first.
            let of_owner = ends.get(owner).copied().unwrap_or(NaiveDate::MAX);
            let end = reason.map_or(of_owner, |reason| of_owner.min(reason.removal_on));
            if let Some(known) = ends.get_mut(of).filter(|known| **known < end) {
                *known = end;
                has_moved = true;
            }
        }
        if !has_moved {
            // To what nothing leads, nothing that ends has led.
            ends.retain(|_, end| *end != NaiveDate::MAX && *end != NaiveDate::MIN);
            return ends;
        }
    }
}

#[cfg(test)]
mod tests;
