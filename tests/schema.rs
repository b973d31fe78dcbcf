//! The schemas as contracts: in step with the code, described, named by the rules, and documented.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{ConstDirective, FieldDefinition, TypeDefinition, TypeKind, TypeSystemDefinition};
use async_graphql::{Positioned, Value as ConstValue};
use shelfwise::cli::schema::{APIS, admin_sdl, tenant_sdl};
use shelfwise::config::VARIABLES;
use shelfwise::graphql::changelog;
use shelfwise::graphql::cost::COST_MAX;
use shelfwise::graphql::diff::diff;
use shelfwise::graphql::{ErrorCode, guard};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::deprecation::Reason;

/// Both schemas, with the file each is committed as.
fn schemas() -> [(&'static str, String, &'static str); 2] {
    [
        ("schema.graphql", tenant_sdl(), include_str!("../schema.graphql")),
        ("schema.admin.graphql", admin_sdl(), include_str!("../schema.admin.graphql")),
    ]
}

fn types(sdl: &str) -> Vec<TypeDefinition> {
    let definitions = parse_schema(sdl).unwrap().definitions;
    let types = definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
}

fn fields(kind: &TypeKind) -> &[Positioned<FieldDefinition>] {
    match kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

#[test]
fn the_committed_schemas_are_the_codes() {
    for (file, sdl, committed) in schemas() {
        assert_eq!(sdl, committed, "{file}: print the schema again");
    }
}

#[test]
fn everything_is_described() {
    let mut silent = Vec::new();
    for (file, sdl, _) in schemas() {
        for definition in types(&sdl) {
            let name = &definition.name.node;
            // The library makes connections and gives them no description; their fields have one.
            if definition.description.is_none() && !name.ends_with("Connection") {
                silent.push(format!("{file} {name}"));
            }
            for field in fields(&definition.kind) {
                if field.node.description.is_none() {
                    silent.push(format!("{file} {name}.{}", field.node.name.node));
                }
                // `id`, `slug` and `input` say all there is to say; the type of `idempotencyKey` does.
                let plain = ["id", "slug", "input", "isbn", "idempotencyKey"];
                for argument in field.node.arguments.iter().filter(|a| !plain.contains(&a.node.name.node.as_str())) {
                    if argument.node.description.is_none() {
                        silent.push(format!("{file} {name}.{}({})", field.node.name.node, argument.node.name.node));
                    }
                }
            }
            match &definition.kind {
                TypeKind::InputObject(input) => silent.extend(
                    input
                        .fields
                        .iter()
                        .filter(|f| f.node.description.is_none())
                        .map(|f| format!("{file} {name}.{}", f.node.name.node)),
                ),
                TypeKind::Enum(values) => silent.extend(
                    values
                        .values
                        .iter()
                        .filter(|v| v.node.description.is_none())
                        .map(|v| format!("{file} {name}.{}", v.node.value.node)),
                ),
                _ => {}
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// What no description begins with: it leaves open what the thing is that it is about.
const OPENINGS: &[&str] = &[
    "What",
    "When",
    "Who",
    "Whose",
    "Which",
    "Whether",
    "Where",
    "Why",
    "How",
    "Since",
    "Until",
    "By",
    "For",
    "From",
    "To",
    "With",
    "Of",
    "In",
    "At",
    "Only",
    "Those",
    "That",
    "There",
    "It",
    "Its",
    "Not",
    "Nothing",
    "Nobody",
    "Something",
    "Somebody",
    "Everything",
];

#[test]
fn descriptions_begin_with_a_noun_or_a_verb() {
    let mut open = Vec::new();
    for (file, sdl, _) in schemas() {
        let mut lines = sdl.lines().map(str::trim);
        while lines.any(|line| line == "\"\"\"") {
            let text = lines.by_ref().take_while(|line| *line != "\"\"\"").collect::<Vec<_>>().join(" ");
            let opening = text.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
            // The library describes `PageInfo`.
            if (opening.is_empty() || OPENINGS.contains(&opening)) && !text.starts_with("When paginating ") {
                open.push(format!("{file}: {text}"));
            }
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

/// What a mutation's name ends with.
const VERBS: &[&str] = &[
    "Create",
    "Update",
    "Archive",
    "Cancel",
    "Deliver",
    "Erase",
    "Fulfill",
    "Pay",
    "Place",
    "Refund",
    "Unarchive",
    "Import",
    "Provision",
    "Clone",
    "Export",
    "Restore",
    "Suspend",
    "Resume",
    "RotateKey",
    "RotateSecret",
    "Test",
    "Offboard",
    "Invite",
    "Reinvite",
    "Disable",
    "Enable",
    "Override",
    "Clear",
    "Delete",
    "Rotate",
    "Revoke",
    "Set",
    "Remove",
    // How people get in and out, in the words that everybody uses for it.
    "login",
    "logout",
    "Refresh",
    "Change",
    "Request",
    "Confirm",
    "Accept",
    "Replay",
    "Discard",
    "Cancel",
    "Start",
    "Pause",
    "Retry",
    "Rollback",
    "Reset",
];

#[test]
fn names_keep_the_rules() {
    let mut odd = Vec::new();
    for (file, sdl, _) in schemas() {
        for definition in types(&sdl) {
            let name = definition.name.node.as_str();
            if name == "Mutation" {
                for field in fields(&definition.kind) {
                    let field = &field.node;
                    let mutation = field.name.node.as_str();
                    let mut letters = mutation.chars();
                    let payload: String = letters
                        .next()
                        .map(|c| c.to_ascii_uppercase())
                        .into_iter()
                        .chain(letters)
                        .chain("Payload!".chars())
                        .collect();
                    if !VERBS.iter().any(|verb| mutation.ends_with(verb)) || field.ty.node.to_string() != payload {
                        odd.push(format!("{file} {mutation}: entityVerb with its own payload, never null"));
                    }
                }
            }
            if name.ends_with("Payload")
                && !fields(&definition.kind).iter().any(|field| field.node.name.node == "userErrors")
            {
                odd.push(format!("{file} {name}: no userErrors"));
            }
            if matches!(definition.kind, TypeKind::Enum(_)) && name.ends_with("Enum") {
                odd.push(format!("{file} {name}: no suffix"));
            }
            for field in fields(&definition.kind) {
                let is_bool = field.node.ty.node.to_string().starts_with("Boolean");
                let field_name = field.node.name.node.as_str();
                if is_bool && !["is", "has", "viewerCan"].iter().any(|prefix| field_name.starts_with(prefix)) {
                    odd.push(format!("{file} {name}.{field_name}: isX or hasX"));
                }
            }
        }
    }
    assert_eq!(odd, Vec::<String>::new());
}

/// The parts of a schema that are deprecated, by their coordinates, with their reasons.
fn deprecated(sdl: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut look = |coordinate: String, directives: &[Positioned<ConstDirective>]| {
        let directive = directives.iter().find(|directive| directive.node.name.node == "deprecated");
        found.extend(directive.map(|directive| (coordinate, reason(&directive.node))));
    };
    for definition in types(sdl) {
        let name = &definition.name.node;
        for field in fields(&definition.kind).iter().map(|field| &field.node) {
            let place = format!("{name}.{}", field.name.node);
            for argument in field.arguments.iter().map(|argument| &argument.node) {
                look(format!("{place}({}:)", argument.name.node), &argument.directives);
            }
            look(place, &field.directives);
        }
        match &definition.kind {
            TypeKind::InputObject(input) => {
                input.fields.iter().for_each(|f| look(format!("{name}.{}", f.node.name.node), &f.node.directives));
            }
            TypeKind::Enum(values) => {
                values.values.iter().for_each(|v| look(format!("{name}.{}", v.node.value.node), &v.node.directives));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn what_is_deprecated_says_until_when_and_is_gone_in_time() {
    let today = SystemClock.now().date_naive();
    for (file, sdl, _) in schemas() {
        for (coordinate, reason) in deprecated(&sdl) {
            let reason: Reason = reason.parse().unwrap_or_else(|error| panic!("{file} {coordinate}: {error}"));
            // Past its date it is refused; so long somebody may have been given more time.
            assert!(today < reason.extendable_until(), "{file} {coordinate}: overdue, take it out of the code");
            assert!(reason.deprecated_on <= today, "{file} {coordinate}: announced in the future");
        }
    }
}

#[test]
fn there_is_a_deprecation_of_every_kind() {
    let coordinates: Vec<String> = deprecated(&tenant_sdl()).into_iter().map(|(coordinate, _)| coordinate).collect();
    for coordinate in [
        "Book.priceCents",
        "Order.total",
        "Query.books(query:)",
        "OrderSortField.TOTAL",
        "BookCreateInput.priceCents",
        "BookUpdateInput.priceCents",
    ] {
        assert!(coordinates.iter().any(|known| known == coordinate), "{coordinate} of {coordinates:?}");
    }
}

fn reason(directive: &ConstDirective) -> String {
    match directive.get_argument("reason").map(|value| &value.node) {
        Some(ConstValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

#[test]
fn nothing_that_was_released_is_broken_and_the_changelog_tells_what_has_changed() {
    let today = SystemClock.now().date_naive();
    let released = [include_str!("../schema.released.graphql"), include_str!("../schema.admin.released.graphql")];
    let changes: Vec<_> =
        APIS.iter().zip(released).map(|(api, released)| (api.name, diff(released, &(api.sdl)()).unwrap())).collect();
    let breaking: Vec<String> = changes
        .iter()
        .flat_map(|(_, changes)| changes)
        .filter(|change| change.breaks(today))
        .map(ToString::to_string)
        .collect();
    assert_eq!(breaking, Vec::<String>::new(), "deprecate it, and take it out when its day has come");
    let text = include_str!("../CHANGELOG.api.md");
    let new = changelog::with_unreleased(text, &changelog::unreleased(&changes)).unwrap();
    assert_eq!(new, text, "shelfwise schema changelog");
}

#[test]
fn limits_are_set() {
    assert!((13..=20).contains(&guard::DEPTH_MAX), "deep enough for introspection, and no deeper");
    assert!((1_000..=100_000).contains(&COST_MAX));
    const { assert!(guard::MUTATION_FIELDS_MAX <= 5) };
}

#[test]
fn the_readme_lists_every_error_code_and_variable() {
    let readme = include_str!("../README.md");
    for code in ErrorCode::ALL {
        assert!(readme.contains(&format!("`{}`", code.as_str())), "{} is not in the README", code.as_str());
    }
    let mut rest = readme;
    for name in VARIABLES {
        let place = rest.find(&format!("| `{name}`")).unwrap_or_else(|| panic!("{name} is missing or out of order"));
        rest = &rest[place..];
    }
}
