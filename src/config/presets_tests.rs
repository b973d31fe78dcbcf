//! The table of presets in `deploy/PRESETS.md` and the code say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::auth::JwtKey;
use super::crypto::MasterKey;
use super::{Config, Environment, VARIABLES};

/// A row of the table: what it is about, by which variable, and what it says of either environment.
struct Preset {
    what: String,
    variable: Option<String>,
    staging: String,
    production: String,
}

const TABLE: &str = include_str!("../../deploy/PRESETS.md");

/// The rows of the table.
fn presets() -> Vec<Preset> {
    let rows = TABLE.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(|line| match cells(line).as_slice() {
        [what, variable, staging, production] => Preset {
            what: what.clone(),
            variable: Some(variable.clone()).filter(|variable| VARIABLES.contains(&variable.as_str())),
            staging: staging.clone(),
            production: production.clone(),
        },
        other => panic!("a row of {} cells: {other:?}", other.len()),
    })
    .collect()
}

/// What is read where nothing is set but what must be.
fn config(environment: Environment) -> Config {
    let vars: BTreeMap<&str, String> = BTreeMap::from([
        ("SHELFWISE_ENV", environment.to_string()),
        ("JWT_KEYS", JwtKey::generate("k1").unwrap().to_setting()),
        ("MASTER_KEYS", MasterKey::generate("m1").unwrap().to_setting()),
    ]);
    Config::from_vars(&|name| vars.get(name).cloned()).unwrap()
}

/// What the code does by a variable, as the table has it.
fn default(variable: &str, config: &Config) -> String {
    match variable {
        "DB_POOL_MAX" => config.database.pool_max.to_string(),
        "LOG_LEVEL" => config.log.level.clone(),
        "RATE_HEADROOM" => config.limits.headroom.to_string(),
        "CACHE_TTL_SECONDS" => config.cache.ttl.as_secs().to_string(),
        "HEALTH_INTERVAL_SECONDS" => config.health.interval.as_secs().to_string(),
        "DRAIN_DELAY_MS" => config.health.drain_delay.as_millis().to_string(),
        other => panic!("{other} is in the table, and no test knows what the code does by it"),
    }
}

/// The number of a text, or both ends of its range.
fn range(text: &str) -> RangeInclusive<u32> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.trim().parse().unwrap()..=last.trim().parse().unwrap()
}

#[test]
fn the_code_does_what_the_table_says() {
    for preset in presets() {
        let Some(variable) = &preset.variable else { continue };
        for (environment, told) in
            [(Environment::Staging, &preset.staging), (Environment::Production, &preset.production)]
        {
            // What is said behind a semicolon is for people.
            let told = told.split(';').next().unwrap().trim_matches('`');
            assert_eq!(default(variable, &config(environment)), told, "{} in {environment}", preset.what);
        }
    }
}

#[test]
fn the_table_has_all_that_was_agreed_on() {
    let presets = presets();
    let found: BTreeSet<&str> = presets.iter().map(|preset| preset.what.as_str()).collect();
    for what in [
        "Pool size",
        "Replicas",
        "Workers",
        "Log level",
        "Rate limits",
        "Cache TTL",
        "Health interval",
        "Drain delay",
        "Alert route",
    ] {
        assert!(found.contains(what), "{what} is missing in {found:?}");
    }
    let preset = |what: &str| presets.iter().find(|preset| preset.what == what).unwrap();
    let within = |what: &str, staging: RangeInclusive<u32>, production: RangeInclusive<u32>| {
        for (told, agreed) in [(&preset(what).staging, staging), (&preset(what).production, production)] {
            let told = range(told.split(';').next().unwrap().trim_matches('`'));
            assert!(
                agreed.contains(told.start()) && agreed.contains(told.end()),
                "{what}: {told:?} is not in {agreed:?}"
            );
        }
    };
    within("Pool size", 5..=10, 20..=50);
    within("Replicas", 1..=1, 2..=4);
    within("Workers", 1..=1, 2..=3);
    within("Rate limits", 10..=10, 1..=1);
    within("Cache TTL", 60..=60, 300..=300);
    within("Health interval", 30..=30, 10..=10);
    assert_ne!(preset("Alert route").staging, preset("Alert route").production);
    // The levels are what an operator sees of our own code.
    assert!(preset("Log level").staging.contains("debug") && preset("Log level").production.starts_with("info"));
}
