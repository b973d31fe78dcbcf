//! The manifests: what one names is there in another, and the program takes what it is told.

use std::collections::{BTreeSet, HashMap};

use clap::Parser as _;
use serde_json::Value;
use shelfwise::cli::Cli;
use shelfwise::config::{Environment, VARIABLES};

use super::files::{all, configuration, document, documents, entries, items, string, strings, text};

/// The folder.
const BASE: &str = "deploy/kubernetes/base";

/// Both environments, with the least and the most servers and workers that each has.
const ENVIRONMENTS: &[(Environment, [(u64, u64); 2])] =
    &[(Environment::Staging, [(1, 1), (1, 1)]), (Environment::Production, [(2, 4), (2, 3)])];

/// Every object that the base makes.
fn objects() -> Vec<Value> {
    let kustomization = document(&format!("{BASE}/kustomization.yaml"));
    strings(&kustomization["resources"]).iter().flat_map(|file| documents(&format!("{BASE}/{file}"))).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The pods that an object makes.
fn pod(object: &Value) -> &Value {
    &object["spec"]["template"]
}

/// The containers of pods, those that come first among them.
fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = &pod(object)["spec"];
    items(&spec["initContainers"]).iter().chain(items(&spec["containers"]))
}

/// What runs the program.
fn workloads(objects: &[Value]) -> Vec<&Value> {
    let found: Vec<&Value> = of_kind(objects, "Deployment").into_iter().chain(of_kind(objects, "Job")).collect();
    assert_eq!(found.len(), 3);
    found
}

/// Whether pods have all labels of a selector, of which there is at least one.
fn selects(selector: &Value, object: &Value) -> bool {
    let labels = &pod(object)["metadata"]["labels"];
    assert!(entries(selector).count() > 0);
    entries(selector).all(|(name, value)| labels[name] == *value)
}

/// The settings of a file of variables.
fn settings(file: &str) -> HashMap<String, String> {
    let lines = text(file);
    let lines = lines.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn selectors_mean_pods_that_are_made() {
    let objects = objects();
    let deployments = of_kind(&objects, "Deployment");
    for deployment in &deployments {
        assert!(selects(&deployment["spec"]["selector"]["matchLabels"], deployment), "{}", deployment["metadata"]);
        let spread = &pod(deployment)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
        assert!(selects(spread, deployment));
    }
    for (kind, selector) in [("Service", "/spec/selector"), ("PodDisruptionBudget", "/spec/selector/matchLabels")] {
        let found = of_kind(&objects, kind);
        assert_eq!(found.len(), 2, "{kind}");
        for object in found {
            let meant = deployments.iter().filter(|it| selects(object.pointer(selector).unwrap(), it));
            let names: Vec<&Value> = meant.map(|it| &it["metadata"]["name"]).collect();
            assert_eq!(names, [&object["metadata"]["name"]], "{kind}");
        }
    }
    for policy in of_kind(&objects, "NetworkPolicy") {
        let selector = &policy["spec"]["podSelector"]["matchLabels"];
        assert!(workloads(&objects).into_iter().any(|it| selects(selector, it)), "{}", policy["metadata"]);
    }
    for scaler in of_kind(&objects, "HorizontalPodAutoscaler") {
        let target = &scaler["spec"]["scaleTargetRef"]["name"];
        assert!(deployments.iter().any(|it| it["metadata"]["name"] == *target), "{target}");
    }
    // A number beside an autoscaler would undo what that has decided with each deploy.
    assert!(deployments.iter().all(|it| it["spec"]["replicas"].is_null()));
}

#[test]
fn pods_may_do_no_more_than_they_must_and_have_the_time_to_end() {
    let objects = objects();
    let drain = shelfwise::http::serve::Limits::default().drain_timeout.as_secs();
    for workload in workloads(&objects) {
        let (name, spec) = (&workload["metadata"]["name"], &pod(workload)["spec"]);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert!(spec["terminationGracePeriodSeconds"].as_u64().unwrap() >= drain + 15, "{name}");
        let accounts = of_kind(&objects, "ServiceAccount");
        assert!(accounts.iter().any(|it| it["metadata"]["name"] == spec["serviceAccountName"]), "{name}");
        for container in containers(workload) {
            let context = &container["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"], "{name}");
            let resources = &container["resources"];
            for wanted in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                assert!(resources.pointer(wanted).is_some(), "{name}: {wanted}");
            }
            let arguments = strings(&container["args"]).into_iter();
            Cli::try_parse_from(std::iter::once("shelfwise").chain(arguments)).unwrap();
        }
    }
}

#[tokio::test]
async fn probes_ask_what_the_router_answers_at_ports_that_are_named() {
    let objects = objects();
    let app = crate::harness::world::app(&[]);
    for deployment in of_kind(&objects, "Deployment") {
        let is_server = deployment["metadata"]["name"] == "shelfwise-api";
        let container = containers(deployment).next().unwrap();
        let ports: BTreeSet<&str> = items(&container["ports"]).iter().map(|it| string(&it["name"])).collect();
        for (probe, expected) in [("startup", "startup"), ("liveness", "live"), ("readiness", "ready")] {
            let get = &container[format!("{probe}Probe")]["httpGet"];
            assert_eq!(get["path"], format!("/health/{expected}"));
            assert!(ports.contains(string(&get["port"])), "{}", get["port"]);
            let router = match is_server {
                true => shelfwise::http::router::router(app.clone()),
                false => shelfwise::http::router::machine_router(app.clone()),
            };
            let request = axum::http::Request::get(string(&get["path"])).body(axum::body::Body::empty()).unwrap();
            let status = tower::ServiceExt::oneshot(router, request).await.unwrap().status();
            assert_ne!(status, 404, "{} of {}", get["path"], deployment["metadata"]["name"]);
        }
        for service in of_kind(&objects, "Service").into_iter().flat_map(|it| items(&it["spec"]["ports"])) {
            assert!(ports.contains(string(&service["targetPort"])), "{}", service["targetPort"]);
        }
    }
    let monitor = document("deploy/kubernetes/monitoring/monitors.yaml");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!((&endpoint["port"], &endpoint["path"]), (&"http".into(), &"/metrics".into()));
}

#[test]
fn the_program_takes_the_settings_of_both_environments() {
    for (environment, [servers, workers]) in ENVIRONMENTS {
        let folder = format!("deploy/kubernetes/{environment}");
        let mut all = settings(&format!("{BASE}/settings.env"));
        all.extend(settings(&format!("{folder}/settings.env")));
        for name in all.keys() {
            assert!(VARIABLES.contains(&name.as_str()), "{folder}: nobody reads {name}");
            let is_secret = ["KEY", "PASSWORD", "DATABASE_URL", "SMTP"].iter().any(|word| name.contains(word));
            assert!(!is_secret, "{folder}: {name} is no setting that one commits");
        }
        let config = configuration(&all);
        assert_eq!(config.environment, *environment);
        assert_eq!(u64::from(config.limits.replicas), servers.1, "{folder}: REPLICAS is the most servers there are");

        let kustomization = document(&format!("{folder}/kustomization.yaml"));
        assert_eq!(kustomization["namespace"], format!("shelfwise-{environment}"));
        let objects = objects();
        let mut scalers = of_kind(&objects, "HorizontalPodAutoscaler");
        scalers.sort_by_key(|it| string(&it["metadata"]["name"]));
        for (scaler, (least, most)) in scalers.into_iter().zip([servers, workers]) {
            let of = |field: &str| patched(&kustomization, field).or(scaler["spec"][field].as_u64()).unwrap();
            assert_eq!((of("minReplicas"), of("maxReplicas")), (*least, *most), "{}", scaler["metadata"]);
        }
    }
}

/// What the table of presets says in a row: of staging, and of production.
fn preset(row: &str) -> [String; 2] {
    let table = text("deploy/PRESETS.md");
    let line = table.lines().find(|line| line.starts_with(&format!("| {row} |"))).unwrap();
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    [cells[2].to_owned(), cells[3].to_owned()]
}

#[test]
fn the_table_of_presets_says_what_is_deployed() {
    let number = |(least, most): (u64, u64)| if least == most { least.to_string() } else { format!("{least}-{most}") };
    for (row, of) in [("Replicas", 0), ("Workers", 1)] {
        let deployed: Vec<String> = ENVIRONMENTS.iter().map(|(_, counts)| number(counts[of])).collect();
        assert_eq!(preset(row).as_slice(), deployed, "{row}");
    }
    // What the environment presets is not said again, or it would be said in two ways one day.
    for (environment, _) in ENVIRONMENTS {
        let mut set = settings(&format!("{BASE}/settings.env"));
        set.extend(settings(&format!("deploy/kubernetes/{environment}/settings.env")));
        for name in ["DB_POOL_MAX", "LOG_LEVEL", "RATE_HEADROOM", "CACHE_TTL_SECONDS", "HEALTH_INTERVAL_SECONDS"] {
            assert!(!set.contains_key(name), "{environment} sets {name}");
        }
    }
    // Staging tells the team, and only production wakes somebody.
    let [staging, production] = preset("Alert route");
    let routes = document("deploy/prometheus/alertmanager.yml");
    assert_eq!((staging.contains("page"), production.contains("page")), (false, true));
    for route in items(&routes["route"]["routes"]) {
        let is_production = strings(&route["matchers"]).contains(&"environment=\"production\"");
        let is_paged = string(&route["receiver"]).ends_with("-pager");
        assert!(is_production || !is_paged, "{route}");
    }
    let receivers = all(&routes["route"], "receiver");
    assert!(receivers.iter().any(|receiver| **receiver == "production-pager"), "{routes}");
}

/// What an environment says of its autoscalers in the place of the base.
fn patched(kustomization: &Value, field: &str) -> Option<u64> {
    let patches = items(&kustomization["patches"]).iter();
    let line =
        patches.flat_map(|it| string(&it["patch"]).lines()).find(|line| line.contains(&format!("/spec/{field},")))?;
    line.rsplit_once("value: ").unwrap().1.trim_end_matches('}').parse().ok()
}

#[test]
fn pods_read_the_settings_and_the_two_secrets_and_nothing_else() {
    let objects = objects();
    for workload in workloads(&objects) {
        for container in containers(workload) {
            let from = items(&container["envFrom"]);
            let named = |kind: &str| -> Vec<&str> { from.iter().filter_map(|it| it[kind]["name"].as_str()).collect() };
            assert_eq!(named("configMapRef"), ["shelfwise"]);
            assert_eq!(named("secretRef"), ["shelfwise", "shelfwise-owner"]);
            for variable in items(&container["env"]) {
                assert!(VARIABLES.contains(&string(&variable["name"])), "nobody reads {}", variable["name"]);
            }
        }
    }
    // What makes the secrets is told to who installs.
    let told = text("deploy/kubernetes/README.md");
    for secret in ["create secret generic shelfwise ", "create secret generic shelfwise-owner "] {
        assert!(told.contains(secret), "{secret}");
    }
    let literals = told.split("--from-literal=").skip(1).map(|it| it.split(['=', ' ']).next().unwrap());
    for name in literals.map(|name| name.trim_matches(['"', '\''])) {
        assert!(VARIABLES.contains(&name), "nobody reads {name}");
    }
}
