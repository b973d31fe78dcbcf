//! Everything that a rule, a test of rules or a panel asks for is told by a server or a worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::app::App;
use shelfwise::http::router::machine_router;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::{handlers, work};
use tokio::sync::oneshot;

use super::files::{all, below, document, items, string};
use super::promql::{Selector, selectors};
use crate::harness::World;

/// What Prometheus adds to everything, and what histograms have.
const LABELS: &[&str] = &["job", "instance", "environment", "le"];

/// What Prometheus tells of itself.
const OF_PROMETHEUS: &[&str] = &["up"];

/// What processes tell: each family's kind, and the labels of its samples, if it has any yet.
#[derive(Default)]
struct Told {
    kinds: BTreeMap<String, String>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Told {
    fn read(&mut self, scrape: &str) {
        for line in scrape.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                self.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let sample = line.rsplit_once(' ').unwrap().0;
                for Selector { name, labels } in selectors(sample) {
                    self.labels.entry(name).or_default().extend(labels);
                }
            }
        }
    }

    /// Why nobody tells what is asked for, if nobody does.
    fn problem(&self, asked: &Selector) -> Option<String> {
        let Selector { name, labels } = asked;
        let is_of = |ending: &str, kind: &str| {
            let base = name.strip_suffix(ending);
            base.and_then(|base| self.kinds.get(base)).is_some_and(|found| found == kind)
        };
        let is_told = self.kinds.get(name).is_some_and(|kind| kind != "histogram")
            || ["_bucket", "_sum", "_count"].into_iter().any(|ending| is_of(ending, "histogram"));
        if !is_told && !OF_PROMETHEUS.contains(&name.as_str()) {
            return Some(format!("nobody tells {name}"));
        }
        let known = self.labels.get(name)?;
        let odd = labels.iter().find(|label| !LABELS.contains(&label.as_str()) && !known.contains(*label))?;
        Some(format!("{name} has no label {odd}"))
    }
}

/// Every expression with the place where it stands: what is recorded, who is alerted, series of tests, panels.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in below("deploy/prometheus/rules", ".yml") {
        found.extend(all(&document(&file), "expr").into_iter().map(|it| (file.clone(), string(it).to_owned())));
    }
    for file in below("deploy/prometheus/tests", ".yml") {
        found.extend(all(&document(&file), "series").into_iter().map(|it| (file.clone(), string(it).to_owned())));
    }
    for file in below("deploy/grafana/dashboards", ".json") {
        for (expression, is_logs) in panels(&super::files::json(&file)) {
            if !is_logs {
                found.push((file.clone(), expression));
            }
        }
    }
    found
}

/// Every expression of a dashboard, and whether it is about logs.
fn panels(dashboard: &Value) -> Vec<(String, bool)> {
    let about = |it: &Value| it["datasource"]["uid"] == "loki";
    let targets = items(&dashboard["panels"]).iter().flat_map(|panel| items(&panel["targets"]));
    let marks = items(&dashboard["annotations"]["list"]).iter();
    let mut found: Vec<_> = targets.chain(marks).map(|it| (string(&it["expr"]).to_owned(), about(it))).collect();
    for variable in items(&dashboard["templating"]["list"]) {
        let query = string(&variable["query"]).strip_prefix("label_values(").unwrap();
        found.push((query.rsplit_once(',').unwrap().0.to_owned(), about(variable)));
    }
    found
}

async fn scrape_of_a_worker(app: Arc<App>) -> String {
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(work(Arc::clone(&app), handlers(&app), async {
        let _ = stopped.await;
    }));
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(machine_router(app), request).await.unwrap();
    let text = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    stop.send(()).unwrap();
    working.await.unwrap().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

#[tokio::test]
async fn what_rules_and_panels_ask_for_is_told_by_a_server_or_a_worker() {
    let (world, _) = World::start_alone(Arc::new(SystemClock), &[]).await;
    world.owner().data("{ books { totalCount } }", json!({})).await;
    assert_eq!(world.owner().gql("{ nope }", json!({})).await.code(), "BAD_REQUEST");
    let url = format!("{}/metrics", world.base_url);
    let mut told = Told::default();
    told.read(&world.http.get(url).send().await.unwrap().text().await.unwrap());
    let worker = App::new(world.app.config.clone(), Arc::new(SystemClock)).unwrap();
    told.read(&scrape_of_a_worker(Arc::new(worker)).await);
    world.end().await;

    let mut recorded = BTreeSet::new();
    for file in below("deploy/prometheus/rules", ".yml") {
        recorded.extend(all(&document(&file), "record").into_iter().map(|it| string(it).to_owned()));
    }
    let (mut problems, mut asked) = (BTreeSet::new(), 0);
    for (file, expression) in expressions() {
        for selector in selectors(&expression).into_iter().filter(|it| !recorded.contains(&it.name)) {
            asked += 1;
            problems.extend(told.problem(&selector).map(|problem| format!("{file}: {problem}")));
        }
    }
    assert!(asked > 150, "{asked} are few: the files are not read");
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_dashboards_are_the_six_and_read_what_is_provisioned() {
    let sources = document("deploy/grafana/provisioning/datasources/shelfwise.yml");
    let sources: BTreeSet<&str> = items(&sources["datasources"]).iter().map(|it| string(&it["uid"])).collect();
    let mut names = BTreeSet::new();
    for file in below("deploy/grafana/dashboards", ".json") {
        let dashboard = super::files::json(&file);
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".json").to_owned();
        assert_eq!(dashboard["uid"], format!("shelfwise-{name}"), "{file}");
        for uid in all(&dashboard, "datasource").into_iter().filter_map(|it| it["uid"].as_str()) {
            assert!(sources.contains(uid), "{file}: {uid}");
        }
        let mut titles = BTreeSet::new();
        for panel in items(&dashboard["panels"]) {
            let (kind, title) = (string(&panel["type"]), string(&panel["title"]));
            assert!(titles.insert((kind.to_owned(), title.to_owned())), "{file}: {title} is there twice");
        }
        assert!(titles.len() > 8, "{file}");
        names.insert(name);
    }
    let expected = ["database", "fleet", "requests", "tenants", "webhooks", "workers"];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
