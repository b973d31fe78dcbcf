//! A schema as far as its changes matter: sorted, without descriptions.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::Positioned;
use async_graphql::Value as Constant;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, DirectiveDefinition, FieldDefinition, InputValueDefinition, Type, TypeKind,
    TypeSystemDefinition,
};

use super::NoSchema;
use crate::kernel::deprecation::Reason;

/// A schema.
pub(super) struct Schema {
    pub(super) types: BTreeMap<String, TypeShape>,
    /// Where documents may have directives, as `@skip on FIELD`.
    pub(super) directives: BTreeSet<String>,
    /// The types that fields answer.
    pub(super) answered: BTreeSet<String>,
}

/// A type.
pub(super) struct TypeShape {
    pub(super) kind: Kind,
    pub(super) interfaces: BTreeSet<String>,
}

/// What kind of type it is, and what it has.
pub(super) enum Kind {
    Scalar,
    /// An object, or an interface as the word says.
    Fields(&'static str, BTreeMap<String, Field>),
    Union(BTreeSet<String>),
    Enum(BTreeMap<String, Option<Reason>>),
    Input(BTreeMap<String, Given>),
}

/// A field that answers.
pub(super) struct Field {
    pub(super) ty: Type,
    pub(super) arguments: BTreeMap<String, Given>,
    pub(super) reason: Option<Reason>,
    /// What it asks of its caller.
    pub(super) access: Option<String>,
}

/// An argument, or a field of an input.
pub(super) struct Given {
    pub(super) ty: Type,
    pub(super) default: Option<String>,
    pub(super) reason: Option<Reason>,
}

/// Something that leads to a type.
pub(super) struct Place<'a> {
    /// The type.
    pub(super) of: &'a str,
    /// In which type.
    pub(super) owner: &'a str,
    /// Until when.
    pub(super) reason: Option<&'a Reason>,
}

impl Schema {
    pub(super) fn parse(sdl: &str) -> Result<Self, NoSchema> {
        let definitions = parse_schema(sdl).map_err(|error| NoSchema(error.to_string()))?.definitions;
        let (mut types, mut directives) = (BTreeMap::new(), BTreeSet::new());
        for definition in definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => {
                    let name = definition.node.name.node.to_string();
                    types.insert(name, TypeShape::of(definition.node.kind));
                }
                TypeSystemDefinition::Directive(definition) => directives.extend(places(&definition.node)),
                TypeSystemDefinition::Schema(_) => {}
            }
        }
        let fields = types.values().flat_map(|shape| match &shape.kind {
            Kind::Fields(_, fields) => fields.values().collect(),
            _ => Vec::new(),
        });
        let answered = fields.map(|field| base(&field.ty).to_owned()).collect();
        Ok(Self { types, directives, answered })
    }

    /// All that leads from one type to another.
    pub(super) fn places(&self) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        for (owner, shape) in &self.types {
            let mut lead = |of, reason| places.push(Place { of, owner, reason });
            match &shape.kind {
                Kind::Fields(_, fields) => {
                    for field in fields.values() {
                        lead(base(&field.ty), field.reason.as_ref());
                        for given in field.arguments.values() {
                            // Of two announcements the earlier one counts.
                            let reasons = [given.reason.as_ref(), field.reason.as_ref()];
                            let first = reasons.into_iter().flatten().min_by_key(|reason| reason.removal_on);
                            lead(base(&given.ty), first);
                        }
                    }
                }
                Kind::Input(fields) => fields.values().for_each(|given| lead(base(&given.ty), given.reason.as_ref())),
                Kind::Union(members) => members.iter().for_each(|member| lead(member, None)),
                Kind::Scalar | Kind::Enum(_) => {}
            }
            // Whoever gets an interface may get what implements it.
            places.extend(shape.interfaces.iter().map(|interface| Place { of: owner, owner: interface, reason: None }));
        }
        places
    }
}

impl TypeShape {
    fn of(kind: TypeKind) -> Self {
        let named = |names: Vec<Positioned<async_graphql::Name>>| {
            names.into_iter().map(|name| name.node.to_string()).collect::<BTreeSet<_>>()
        };
        let (kind, interfaces) = match kind {
            TypeKind::Scalar => (Kind::Scalar, BTreeSet::new()),
            TypeKind::Object(object) => (Kind::Fields("an object", fields(object.fields)), named(object.implements)),
            TypeKind::Interface(interface) => {
                (Kind::Fields("an interface", fields(interface.fields)), named(interface.implements))
            }
            TypeKind::Union(union) => (Kind::Union(named(union.members)), BTreeSet::new()),
            TypeKind::Enum(values) => {
                let values = values.values.into_iter().map(|value| value.node);
                let values = values.map(|value| (value.value.node.to_string(), reason(&value.directives)));
                (Kind::Enum(values.collect()), BTreeSet::new())
            }
            TypeKind::InputObject(input) => (Kind::Input(given(input.fields)), BTreeSet::new()),
        };
        Self { kind, interfaces }
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Scalar => "a scalar",
            Kind::Fields(name, _) => name,
            Kind::Union(_) => "a union",
            Kind::Enum(_) => "an enum",
            Kind::Input(_) => "an input",
        }
    }
}

impl Given {
    pub(super) fn is_required(&self) -> bool {
        !self.ty.nullable && self.default.is_none()
    }
}

fn fields(fields: Vec<Positioned<FieldDefinition>>) -> BTreeMap<String, Field> {
    let fields = fields.into_iter().map(|field| {
        let field = field.node;
        let access = field.directives.iter().find(|directive| directive.node.name.node == "access");
        let access = access.and_then(|access| match &access.node.get_argument("requires")?.node {
            Constant::String(text) => Some(text.clone()),
            _ => None,
        });
        let reason = reason(&field.directives);
        (field.name.node.to_string(), Field { ty: field.ty.node, arguments: given(field.arguments), reason, access })
    });
    fields.collect()
}

fn given(values: Vec<Positioned<InputValueDefinition>>) -> BTreeMap<String, Given> {
    let values = values.into_iter().map(|value| {
        let value = value.node;
        let default = value.default_value.map(|default| default.node.to_string());
        (value.name.node.to_string(), Given { ty: value.ty.node, default, reason: reason(&value.directives) })
    });
    values.collect()
}

/// The reason that a part of a schema is deprecated for; nothing where it is not.
#[must_use]
pub(in crate::graphql) fn reason_of(directives: &[Positioned<ConstDirective>]) -> Option<&str> {
    let directive = directives.iter().find(|directive| directive.node.name.node == "deprecated")?;
    match &directive.node.get_argument("reason")?.node {
        Constant::String(text) => Some(text),
        _ => None,
    }
}

fn reason(directives: &[Positioned<ConstDirective>]) -> Option<Reason> {
    reason_of(directives)?.parse().ok()
}

/// Where documents may have a directive; where only schemas have it is nobody's concern.
fn places(definition: &DirectiveDefinition) -> Vec<String> {
    let name = &definition.name.node;
    let places = definition.locations.iter().map(|place| format!("{:?}", place.node));
    let executable =
        ["Query", "Mutation", "Subscription", "Field", "FragmentDefinition", "FragmentSpread", "InlineFragment"];
    places.filter(|place| executable.contains(&place.as_str())).map(|place| format!("@{name} on {place}")).collect()
}

/// A type's name, lists and exclamation marks taken off.
fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => base(inner),
    }
}

/// Whether who expects the old type of an answer can take the new one.
pub(super) fn answers(old: &Type, new: &Type) -> bool {
    let is_bounded = old.nullable || !new.nullable;
    is_bounded
        && match (&old.base, &new.base) {
            (BaseType::Named(old), BaseType::Named(new)) => old == new,
            (BaseType::List(old), BaseType::List(new)) => answers(old, new),
            _ => false,
        }
}

/// Whether what was sent as the old type is taken as the new one.
pub(super) fn takes(old: &Type, new: &Type) -> bool {
    answers(new, old)
}
