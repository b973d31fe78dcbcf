//! The alerts: which there are, what each says, and that tests show of each when it fires and when it does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::files::{below, document, entries, items, path, string};
use super::promql::selectors;

/// What somebody has to know.
const ALERTS: &[&str] = &[
    "BackendMemory",
    "DeadLetters",
    "HighErrorRate",
    "HighP99Latency",
    "IsolationViolation",
    "MigrationStuck",
    "NotReady",
    "PoolExhaustion",
    "QueryCountSpike",
    "TenantQueueBacklog",
    "WebhookSuspensions",
    "WorkerQueueBacklog",
];

/// Every rule that alerts.
fn rules() -> Vec<Value> {
    let mut found = Vec::new();
    for file in below("deploy/prometheus/rules", ".yml") {
        for group in items(&document(&file)["groups"]) {
            found.extend(items(&group["rules"]).iter().filter(|rule| rule["alert"].is_string()).cloned());
        }
    }
    found
}

#[test]
fn there_is_each_alert_and_each_says_what_to_do() {
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| string(&rule["alert"])).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ALERTS);
    for rule in &rules {
        let name = string(&rule["alert"]);
        assert!(["critical", "warning"].contains(&string(&rule["labels"]["severity"])), "{name}");
        let annotations = &rule["annotations"];
        for text in ["summary", "description"] {
            assert!(string(&annotations[text]).ends_with('.'), "{name}: {text}");
        }
        let page = string(&annotations["runbook_url"]);
        assert!(page.starts_with("runbooks/") && path(page).is_file(), "{name}: {page} is no page");
    }
}

#[test]
fn tests_show_of_each_rule_that_it_fires_and_of_each_alert_that_it_does_not() {
    let labels = |labels: &Value| -> BTreeMap<String, String> {
        entries(labels).map(|(name, value)| (name.to_owned(), string(value).to_owned())).collect()
    };
    let (mut fired, mut silent) = (Vec::new(), BTreeSet::new());
    for file in below("deploy/prometheus/tests", ".yml") {
        for test in items(&document(&file)["tests"]) {
            for look in items(&test["alert_rule_test"]) {
                let name = string(&look["alertname"]).to_owned();
                let alerts = items(&look["exp_alerts"]);
                fired.extend(alerts.iter().map(|alert| (name.clone(), labels(&alert["exp_labels"]))));
                if alerts.is_empty() {
                    silent.insert(name);
                }
            }
        }
    }
    assert_eq!(silent.iter().map(String::as_str).collect::<Vec<_>>(), ALERTS);
    for rule in rules() {
        let (name, wanted) = (string(&rule["alert"]), labels(&rule["labels"]));
        let is_shown = |(alert, found): &(String, BTreeMap<String, String>)| {
            alert == name && wanted.iter().all(|(label, value)| found.get(label) == Some(value))
        };
        assert!(fired.iter().any(is_shown), "no test has {name} with {wanted:?} fire");
    }
}

#[test]
fn a_test_has_every_family_that_rules_ask_for_come_through_an_idle_gap() {
    let stories = document("deploy/prometheus/tests/idle.yml");
    let told: BTreeSet<String> = items(&items(&stories["tests"])[0]["input_series"])
        .iter()
        .flat_map(|series| selectors(string(&series["series"])))
        .map(|selector| selector.name)
        .collect();
    for file in below("deploy/prometheus/rules", ".yml") {
        for rule in items(&document(&file)["groups"]).iter().flat_map(|group| items(&group["rules"])) {
            // What is recorded comes of what is told.
            for name in selectors(string(&rule["expr"])).into_iter().map(|selector| selector.name) {
                assert!(told.contains(&name) || name.contains(':'), "{name} is not among them: {rule}");
            }
        }
    }
}

#[test]
fn production_wakes_somebody_and_staging_nobody() {
    let config = document("deploy/prometheus/alertmanager.yml");
    let receivers: BTreeSet<&str> = items(&config["receivers"]).iter().map(|it| string(&it["name"])).collect();
    let route = &config["route"];
    let mut pagers = 0;
    for route in items(&route["routes"]).iter().chain([route]) {
        let receiver = string(&route["receiver"]);
        assert!(receivers.contains(receiver), "{receiver}");
        if receiver.ends_with("pager") {
            pagers += 1;
            let matchers: Vec<&str> = items(&route["matchers"]).iter().map(string).collect();
            assert_eq!(matchers, [r#"environment="production""#, r#"severity="critical""#]);
        }
    }
    assert_eq!(pagers, 1);
}
