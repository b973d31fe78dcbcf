//! `CHANGELOG.api.md`: what has changed in the APIs, release by release. Its first section is made from the schemas.

use std::fmt::Write as _;

use chrono::NaiveDate;

use super::diff::{Change, Class};

/// Where it is committed.
pub const FILE: &str = "CHANGELOG.api.md";

/// The heading of what is yet to be released.
const UNRELEASED: &str = "## Unreleased\n";

/// What begins the section of a release.
const RELEASE: &str = "\n## ";

/// The section of what is yet to be released: the changes of each API since its last release.
#[must_use]
pub fn unreleased(apis: &[(&str, Vec<Change>)]) -> String {
    let mut text = UNRELEASED.to_owned();
    for (api, changes) in apis.iter().filter(|(_, changes)| !changes.is_empty()) {
        // A text is written whole.
        let _ = write!(text, "\n### {api}\n");
        for (class, heading) in [(Class::Breaking, "Breaking"), (Class::Dangerous, "Dangerous"), (Class::Safe, "Safe")]
        {
            let of_class: Vec<&Change> = changes.iter().filter(|change| change.class == class).collect();
            if !of_class.is_empty() {
                let _ = write!(text, "\n{heading}:\n\n");
            }
            for change in of_class {
                let announced = if change.announced_for.is_some() { " As announced." } else { "" };
                let _ = writeln!(text, "- {change}{announced}");
            }
        }
    }
    if apis.iter().all(|(_, changes)| changes.is_empty()) {
        text.push_str("\nNothing.\n");
    }
    text
}

/// The changelog with another section of what is yet to be released; nothing where it has no place for one.
#[must_use]
pub fn with_unreleased(changelog: &str, section: &str) -> Option<String> {
    let start = changelog.find(UNRELEASED)?;
    let rest = &changelog[start + UNRELEASED.len()..];
    let after = rest.find(RELEASE).map_or("", |end| &rest[end..]);
    Some(format!("{}{section}{after}", &changelog[..start]))
}

/// The changelog once what is yet to be released has been, on a day.
#[must_use]
pub fn released(changelog: &str, section: &str, day: NaiveDate) -> Option<String> {
    let released = section.replacen(UNRELEASED, &format!("## {day}\n"), 1);
    with_unreleased(changelog, &format!("{}\n{released}", unreleased(&[])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::diff::diff;

    const HEAD: &str = "# Changes\n\nWords.\n\n";

    fn section() -> String {
        let changes = diff("type Query { a: Int b: Int }", "type Query { a: Int! c: Int }").unwrap();
        unreleased(&[("Tenants' API", changes), ("Operators' API", Vec::new())])
    }

    #[test]
    fn changes_are_listed_by_what_they_mean() {
        assert_eq!(
            section(),
            "## Unreleased\n\n### Tenants' API\n\nBreaking:\n\n- `Query.b` is gone.\n\nSafe:\n\n\
             - `Query.a` was of type `Int` and is of type `Int!`.\n- `Query.c` is new.\n"
        );
        assert_eq!(unreleased(&[("Tenants' API", Vec::new())]), "## Unreleased\n\nNothing.\n");
    }

    #[test]
    fn a_section_takes_the_place_of_the_one_before_and_a_release_keeps_it() {
        let old = format!("{HEAD}## Unreleased\n\nNothing.\n\n## 2026-11-28\n\nThe first.\n");
        let new = with_unreleased(&old, &section()).unwrap();
        assert_eq!(new, format!("{HEAD}{}\n## 2026-11-28\n\nThe first.\n", section()));
        assert_eq!(with_unreleased(&new, &section()).unwrap(), new);
        let day = NaiveDate::from_ymd_opt(2026, 12, 24).unwrap();
        let released = released(&new, &section(), day).unwrap();
        let of_release = section().replace("Unreleased", "2026-12-24");
        assert_eq!(released, format!("{HEAD}## Unreleased\n\nNothing.\n\n{of_release}\n## 2026-11-28\n\nThe first.\n"));
        assert_eq!(with_unreleased("# Changes\n", &section()), None);
    }
}
