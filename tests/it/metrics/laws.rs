//! What holds of every family, and of what is written about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use super::{Family, Scrape, scrape};
use crate::harness::world;

/// The families that may name tenants: ten at most.
const ABOUT_TENANTS: [&str; 2] = ["shelfwise_jobs_tenant", "shelfwise_jobs_tenant_oldest_due_seconds"];

/// What is no base unit, and whose seconds and bytes those are.
const OTHER_UNITS: [&str; 8] =
    ["_ms", "_milliseconds", "_micros", "_minutes", "_kilobytes", "_kib", "_megabytes", "_percent"];

/// A name in the README's table with the labels it is said to have.
type Written = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn a_scrape_is_text_that_prometheus_reads_and_names_follow_its_conventions() {
    world(async |world| {
        world.owner().data("{ books { totalCount } }", json!({})).await;
        let scrape = scrape(world).await;
        for (name, family) in &scrape.families {
            check_name(name, &family.kind);
            assert!(family.help.ends_with('.') && family.help.len() > 10, "{name}: {}", family.help);
            check_samples(name, family);
        }
        assert!(scrape.families.len() > 40, "{:?}", scrape.names());
    })
    .await;
}

fn check_name(name: &str, kind: &str) {
    assert!(name.starts_with("shelfwise_") || name.starts_with("process_"), "{name}");
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    for unit in OTHER_UNITS {
        assert!(!name.contains(&format!("{unit}_")) && !name.ends_with(unit), "{name} is in no base unit");
    }
    for word in ["_duration", "_wait", "_idle", "_oldest_due", "_cpu"] {
        assert!(!name.contains(word) || name.contains("_seconds") || name.ends_with("_waiting"), "{name} has no unit");
    }
    assert!(!name.contains("_memory") || name.ends_with("_bytes"), "{name} has no unit");
}

fn check_samples(name: &str, family: &Family) {
    let mut series = BTreeMap::<_, Vec<(f64, f64)>>::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        assert!(!labels.contains_key("tenant") || ABOUT_TENANTS.contains(&name), "{name} names tenants");
        let suffix = sample.name.strip_prefix(name).unwrap_or_else(|| panic!("{} is not of {name}", sample.name));
        let bound = labels.remove("le");
        match (family.kind.as_str(), suffix, bound) {
            ("counter", "", None) => assert!(sample.value >= 0.0, "{name}"),
            ("gauge", "", None) | ("histogram", "_sum", None) => {}
            ("histogram", "_count", None) => assert!(counts.insert(labels, sample.value).is_none()),
            ("histogram", "_bucket", Some(bound)) => {
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                series.entry(labels).or_default().push((bound, sample.value));
            }
            odd => panic!("{name}: {odd:?}"),
        }
    }
    for (labels, buckets) in series {
        assert!(buckets.is_sorted(), "{name}: each bucket has those below it: {buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, counts[&labels])), "{name}");
    }
}

#[tokio::test]
async fn the_readme_and_a_scrape_name_the_same_families_with_the_same_labels() {
    world(async |world| {
        world.owner().data("{ books { totalCount } }", json!({})).await;
        let (written, scrape) = (written(), scrape(world).await);
        assert_eq!(written.keys().cloned().collect::<BTreeSet<_>>(), scrape.names());
        for (name, family) in &scrape.families {
            for sample in &family.samples {
                let labels: BTreeSet<String> = sample.labels.keys().filter(|label| *label != "le").cloned().collect();
                assert_eq!(written[name], labels, "{name}");
            }
        }
    })
    .await;
}

/// What the README's table of metrics has.
fn written() -> Written {
    let readme = include_str!("../../../README.md");
    let rows = readme.lines().filter(|line| line.starts_with("| `shelfwise_") || line.starts_with("| `process_"));
    let mut written = Written::new();
    for row in rows {
        let names = row.split(" | ").next().unwrap().split('`').skip(1).step_by(2);
        for name in names {
            let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
            let labels = labels.strip_suffix('}').unwrap().split_terminator(',').map(str::to_owned).collect();
            assert!(written.insert(name.to_owned(), labels).is_none(), "{name} is written twice");
        }
    }
    written
}

#[tokio::test]
async fn the_value_of_every_family_is_read_by_a_test() {
    world(async |world| {
        let mut texts = String::new();
        read_all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")), &mut texts);
        // A name as a test asks for it: at the beginning of a text.
        let unread: Vec<String> = scrape(world)
            .await
            .names()
            .into_iter()
            .filter(|name| {
                ["", "_count", "_sum"].iter().all(|suffix| {
                    ["\"", "{", "{{", " "].iter().all(|end| !texts.contains(&format!("\"{name}{suffix}{end}")))
                })
            })
            // Others set them, and test it.
            .filter(|name| name != "shelfwise_spans_dropped_total")
            .collect();
        assert_eq!(unread, Vec::<String>::new());
    })
    .await;
}

fn read_all(folder: &Path, texts: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("metrics/laws.rs") {
            texts.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn what_is_no_scrape_is_not_read() {
    let check = |text: &str| assert!(std::panic::catch_unwind(|| Scrape::read(text)).is_err(), "{text}");
    Scrape::read("# HELP a A.\n# TYPE a gauge\n# HELP b B.\n# TYPE b counter\nb{c=\"d\"} 1\n");
    check("# HELP a A.\n# TYPE a gauge\na 1\na 2\n");
    check("# HELP a A.\n# TYPE b gauge\n");
    check("# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n# TYPE a gauge\n");
    check("# HELP a A.\n# TYPE a gauge\na one\n");
    check("a 1\n");
    check("# HELP a A.\n# TYPE a gauge");
}
