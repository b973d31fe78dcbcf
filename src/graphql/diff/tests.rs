//! A case for each rule.

use super::*;

const OLD: &str = r#"
    type Query { a: String b(x: Int, y: Int = 1): Int c: [Thing] d: Color e: Both f(in: In, s: Sort): Node
        gone: Gone @deprecated(reason: "Use `a`. Deprecated 2026-01-01. Removal on 2026-07-01 UTC.")
        open: Int @access(requires: "public") shut: Int @access(requires: "catalog.read") }
    type Thing implements Node { id: ID! name: String! }
    type Gone { deeper: Deeper self: Gone }
    type Deeper { x: Int }
    type Left { x: Int }
    interface Node { id: ID! }
    union Both = Thing | Left
    enum Color { RED GREEN }
    enum Sort { UP DOWN }
    input In { a: Int b: Int! c: Int = 1 }
    scalar Date
    directive @include(if: Boolean!) on FIELD | INLINE_FRAGMENT
"#;

/// Replaces a text of the old schema and answers what has changed, as rules and coordinates.
#[track_caller]
fn change(from: &str, to: &str) -> Vec<(Rule, String)> {
    assert!(OLD.contains(from), "{from}");
    let changes = diff(OLD, &OLD.replace(from, to)).unwrap();
    changes.into_iter().map(|change| (change.rule, change.coordinate)).collect()
}

#[test]
fn order_and_words_are_no_changes() {
    assert_eq!(diff(OLD, OLD).unwrap(), []);
    assert_eq!(change("enum Color { RED GREEN }", "\"Colors\" enum Color { GREEN \"red\" RED }"), []);
    assert_eq!(change("union Both = Thing | Left", "union Both = Left | Thing"), []);
}

#[test]
fn each_change_has_its_rule() {
    let check = |from: &str, to: &str, rule: Rule, coordinate: &str| {
        assert_eq!(change(from, to), [(rule, coordinate.to_owned())], "{from} → {to}");
    };
    check("a: String b", "b", Rule::FieldRemoved, "Query.a");
    check("a: String b", "a: String a2: Int b", Rule::FieldAdded, "Query.a2");
    check("a: String b", "a: String! b", Rule::FieldTypeNarrowed, "Query.a");
    check("name: String!", "name: String", Rule::FieldTypeChanged, "Thing.name");
    check("c: [Thing]", "c: [Thing!]!", Rule::FieldTypeNarrowed, "Query.c");
    check("c: [Thing]", "c: Thing", Rule::FieldTypeChanged, "Query.c");
    check("b(x: Int, y: Int = 1)", "b(y: Int = 1)", Rule::ArgumentRemoved, "Query.b(x:)");
    check("b(x: Int, y", "b(x: Int, z: Int, y", Rule::ArgumentAdded, "Query.b(z:)");
    check("b(x: Int, y", "b(x: Int, z: Int! = 3, y", Rule::ArgumentAdded, "Query.b(z:)");
    check("b(x: Int, y", "b(x: Int, z: Int!, y", Rule::RequiredAdded, "Query.b(z:)");
    check("b(x: Int, y", "b(x: Int!, y", Rule::RequiredAdded, "Query.b(x:)");
    check("b(x: Int, y", "b(x: String, y", Rule::InputTypeChanged, "Query.b(x:)");
    check("y: Int = 1", "y: Int = 2", Rule::DefaultChanged, "Query.b(y:)");
    check("y: Int = 1", "y: Int", Rule::DefaultChanged, "Query.b(y:)");
    check("input In { a: Int", "input In {", Rule::InputFieldRemoved, "In.a");
    check("input In { a: Int", "input In { a: Int z: Int", Rule::InputFieldAdded, "In.z");
    check("b: Int! c", "b: Int c", Rule::InputTypeWidened, "In.b");
    check("c: Int = 1 }", "c: Int! = 1 }", Rule::InputTypeChanged, "In.c");
    check("RED GREEN", "RED", Rule::EnumValueRemoved, "Color.GREEN");
    check("RED GREEN", "RED GREEN BLUE", Rule::EnumValueAdded, "Color.BLUE");
    check("UP DOWN", "UP DOWN BEST", Rule::EnumValueAcceptedAdded, "Sort.BEST");
    check("Thing | Left", "Thing", Rule::MemberRemoved, "Both");
    check("Thing | Left", "Thing | Left | Deeper", Rule::MemberAdded, "Both");
    check("Thing implements Node", "Thing", Rule::InterfaceRemoved, "Thing");
    check("interface Node { id: ID! }", "interface Node { id: ID! } type New { x: Int }", Rule::TypeAdded, "New");
    check("type Left { x: Int }", "", Rule::TypeRemoved, "Left");
    check("scalar Date", "enum Date { X }", Rule::TypeKindChanged, "Date");
    check("FIELD | INLINE_FRAGMENT", "FIELD", Rule::DirectiveRemoved, "@include on InlineFragment");
    check("requires: \"public\"", "requires: \"signed-in\"", Rule::AccessNarrowed, "Query.open");
    check("requires: \"catalog.read\"", "requires: \"orders.read\"", Rule::AccessNarrowed, "Query.shut");
    check("requires: \"catalog.read\"", "requires: \"signed-in\"", Rule::AccessWidened, "Query.shut");
}

#[test]
fn an_announcement_may_be_made_moved_back_and_withdrawn_and_not_hastened() {
    let reason = r#"@deprecated(reason: "Use `a`. Deprecated 2026-01-01. Removal on 2026-07-01 UTC.")"#;
    let later = reason.replace("2026-07-01", "2026-10-01");
    let earlier = reason.replace("2026-01-01", "2025-01-01").replace("2026-07-01", "2026-04-01");
    let gone = "Query.gone".to_owned();
    assert_eq!(change(reason, &later), [(Rule::DeprecationReworded, gone.clone())]);
    assert_eq!(change(reason, &earlier), [(Rule::DeprecationHastened, gone.clone())]);
    assert_eq!(change(reason, ""), [(Rule::DeprecationWithdrawn, gone)]);
    assert_eq!(change("a: String b", &format!("a: String {reason} b")), [(Rule::Deprecated, "Query.a".to_owned())]);
}

#[test]
fn what_was_announced_may_go_when_its_day_has_come_and_what_only_it_leads_to_goes_with_it() {
    let (start, end) = (OLD.find("gone: Gone").unwrap(), OLD.find("open: Int").unwrap());
    let without = format!("{}{}", &OLD[..start], &OLD[end..]);
    let without = without.replace("type Gone { deeper: Deeper self: Gone }", "").replace("type Deeper { x: Int }", "");
    let changes = diff(OLD, &without).unwrap();
    let coordinates: Vec<&str> = changes.iter().map(|change| change.coordinate.as_str()).collect();
    assert_eq!(coordinates, ["Deeper", "Gone", "Query.gone"]);
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    for change in changes {
        assert_eq!(change.class, Class::Breaking);
        assert!(change.breaks(day("2026-06-30")), "{change}");
        assert!(!change.breaks(day("2026-07-01")), "{change}");
    }
    // What others lead to as well was not announced.
    let changes = diff(OLD, &OLD.replace("type Thing implements Node { id: ID! name: String! }", "")).unwrap();
    assert!(changes[0].breaks(NaiveDate::MAX), "{}", changes[0]);
    assert!(diff(OLD, &OLD.replace("a: String b", "b")).unwrap()[0].breaks(NaiveDate::MAX));
}

#[test]
fn what_is_no_schema_is_refused() {
    assert!(diff(OLD, "type {").is_err());
    assert!(diff("{", OLD).is_err());
}
