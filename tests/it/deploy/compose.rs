//! `docker-compose.yml`: what it refers to is there, and the program takes what it is told.

use std::collections::{BTreeSet, HashMap};

use clap::Parser as _;
use serde_json::Value;
use shelfwise::cli::Cli;
use shelfwise::config::{Environment, VARIABLES};

use super::files::{configuration, document, entries, items, path, string, strings};

/// What runs the program.
const OURS: &[&str] = &["api", "migrate", "worker"];

/// What comes with the profile `observability`.
const WATCHERS: &[&str] = &["alertmanager", "alloy", "grafana", "loki", "otel-collector", "prometheus", "tempo"];

/// A text with `${NAME:-default}` and `${NAME:?why}` as they are where nothing is set but what must be.
fn interpolated(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap_or_else(|| panic!("{text} has no end"));
    let value = match inside.split_once(":-") {
        Some((_, default)) => default,
        None if inside.contains(":?") => "secret",
        None => "",
    };
    format!("{before}{value}{}", interpolated(after))
}

#[test]
fn everything_that_is_referred_to_is_there() {
    let compose = document("docker-compose.yml");
    let services: BTreeSet<&str> = entries(&compose["services"]).map(|(name, _)| name).collect();
    let volumes: BTreeSet<&str> = entries(&compose["volumes"]).map(|(name, _)| name).collect();
    let mut watchers = Vec::new();
    for (name, service) in entries(&compose["services"]) {
        let on = &service["depends_on"];
        for other in entries(on).map(|(other, _)| other).chain(items(on).iter().map(string)) {
            assert!(services.contains(other), "{name} waits for {other}");
            let is_watcher = WATCHERS.contains(&other);
            assert!(!is_watcher || WATCHERS.contains(&name), "{name} waits for {other}, which need not run");
        }
        for volume in items(&service["volumes"]) {
            let volume = interpolated(string(volume));
            let source = volume.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(file) => assert!(path(file).exists(), "{name}: {source}"),
                None => assert!(source.starts_with('/') || volumes.contains(source), "{name}: {source}"),
            }
        }
        assert!(service["restart"].is_string(), "{name} does not say when it is started again");
        // What is published is for a proxy or a person on this machine.
        for port in items(&service["ports"]) {
            assert!(string(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        if strings(&service["profiles"]) == ["observability"] {
            watchers.push(name);
        }
    }
    assert_eq!(watchers, WATCHERS);
    for name in ["postgres", "redis", "mailpit"] {
        assert!(services.contains(name), "{name}");
    }
}

#[test]
fn the_program_takes_what_it_is_told() {
    let compose = document("docker-compose.yml");
    for name in OURS {
        let service = &compose["services"][name];
        let arguments = strings(&service["command"]).into_iter();
        Cli::try_parse_from(std::iter::once("shelfwise").chain(arguments)).unwrap();
        let mut variables: HashMap<String, String> = HashMap::new();
        for (variable, value) in entries(&service["environment"]) {
            assert!(VARIABLES.contains(&variable), "{name}: nobody reads {variable}");
            let value = interpolated(string(value));
            // Secrets are a test's own.
            if !["JWT_KEYS", "MASTER_KEYS"].contains(&variable) {
                variables.insert(variable.to_owned(), value);
            }
        }
        let config = configuration(&variables);
        assert_eq!(config.environment, Environment::Production);
        assert!(config.redis.url.is_some(), "Redis is there and nobody uses it");
        assert!(config.mail.smtp.is_some(), "mailpit is there and nobody uses it");
    }
}

#[test]
fn containers_of_ours_may_do_no_more_than_they_must() {
    let compose = document("docker-compose.yml");
    for name in OURS {
        let service = &compose["services"][name];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        // Docker kills what has not ended by then.
        if *name != "migrate" {
            let grace: u64 = string(&service["stop_grace_period"]).trim_end_matches('s').parse().unwrap();
            let drain = shelfwise::http::serve::Limits::default().drain_timeout.as_secs();
            assert!(grace >= drain + 10, "{name} has {grace} s to finish what may take {drain}");
            assert_eq!(strings(&service["healthcheck"]["test"]).last(), Some(&"healthcheck"), "{name}");
        }
    }
    let dockerfile = super::files::text("Dockerfile");
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.contains("\nUSER 10001:10001\n") && last.contains("\nHEALTHCHECK "), "{last}");
}

#[test]
fn prometheus_looks_for_services_that_are_there() {
    let services = document("docker-compose.yml")["services"].clone();
    let config = document("deploy/prometheus/prometheus.yml");
    let mut jobs = Vec::new();
    let mut hosts = Vec::new();
    for job in items(&config["scrape_configs"]) {
        jobs.push(string(&job["job_name"]).to_owned());
        hosts.extend(items(&job["dns_sd_configs"]).iter().flat_map(|it| strings(&it["names"])).map(str::to_owned));
        let targets = items(&job["static_configs"]).iter().flat_map(|it| strings(&it["targets"]));
        hosts.extend(targets.map(|target| target.split(':').next().unwrap().to_owned()));
    }
    for job in ["shelfwise-api", "shelfwise-worker"] {
        assert!(jobs.iter().any(|found| found == job), "{job}");
    }
    for host in hosts {
        assert!(host == "localhost" || services[&host] != Value::Null, "{host}");
    }
}

#[test]
fn the_database_has_the_backups_and_their_scripts_where_the_runbook_has_them() {
    let compose = document("docker-compose.yml");
    let volumes: Vec<String> =
        strings(&compose["services"]["postgres"]["volumes"]).into_iter().map(interpolated).collect();
    for volume in ["backups:/backups", "./deploy/backup:/opt/shelfwise/backup:ro"] {
        assert!(volumes.iter().any(|found| found == volume), "{volume}: {volumes:?}");
    }
    assert!(compose["volumes"].as_object().unwrap().contains_key("backups"));
    let page = super::files::text("runbooks/backup-and-restore.md");
    assert!(page.contains("'/opt/shelfwise/backup/archive-wal /backups \"%p\" \"%f\"'"));
}
