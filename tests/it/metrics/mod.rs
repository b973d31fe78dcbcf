//! Metrics: what is counted is read as Prometheus reads it, from a running process.

mod backends;
mod laws;
mod operations;
mod pool;
mod process;
mod requests;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::harness::World;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// All that a process told at one time.
#[derive(Debug)]
pub struct Scrape {
    pub families: BTreeMap<String, Family>,
    values: BTreeMap<String, f64>,
}

/// A family.
#[derive(Debug)]
pub struct Family {
    pub help: String,
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// What a server tells.
pub async fn scrape(world: &World) -> Scrape {
    scrape_of(&world.base_url).await
}

/// What the process at an address tells.
pub async fn scrape_of(base_url: &str) -> Scrape {
    let response = crate::harness::world::http_client().get(format!("{base_url}/metrics")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    Scrape::read(&response.text().await.unwrap())
}

/// What a server tells when something is so.
pub async fn scrape_when(world: &World, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
    let mut last = None;
    let told = async {
        loop {
            let scrape = scrape(world).await;
            if is_so(&scrape) {
                return scrape;
            }
            last = Some(scrape);
        }
    };
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(scrape) => scrape,
        Err(_) => panic!("{:#?}", last.map(|scrape| scrape.values)),
    }
}

impl Scrape {
    /// Reads a text as strictly as its format is written down: HELP, TYPE and the samples of a family follow each other, and each
    /// family and each series is there once.
    pub fn read(text: &str) -> Self {
        let (mut families, mut values) = (BTreeMap::<String, Family>::new(), BTreeMap::new());
        let mut lines = text.lines().peekable();
        assert!(text.ends_with('\n'), "the last line has an end");
        while let Some(line) = lines.next() {
            let (name, help) =
                line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {line}")).split_once(' ').unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap().to_owned();
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
                let twin = values.insert(series.to_owned(), value);
                assert!(twin.is_none(), "{series} is there twice");
                samples.push(Sample::read(series, value));
            }
            let family = Family { help: help.to_owned(), kind, samples };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
        }
        Self { families, values }
    }

    /// The value of a series, as it is written; nothing where there is none.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }

    /// The value of a series that there is.
    #[track_caller]
    pub fn value(&self, series: &str) -> f64 {
        self.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.values))
    }

    /// Checks series with their values.
    #[track_caller]
    pub fn assert(&self, expected: &[(&str, f64)]) {
        let found: Vec<_> = expected.iter().map(|(series, _)| (*series, self.value(series))).collect();
        assert_eq!(found, expected);
    }

    /// The sum of all samples of a name.
    pub fn sum(&self, name: &str) -> f64 {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }

    /// The names of all families.
    pub fn names(&self) -> BTreeSet<String> {
        self.families.keys().cloned().collect()
    }
}

impl Sample {
    /// Reads a series such as `name{label="value",other="value"}`. No value of ours has a quote or a backslash.
    fn read(series: &str, value: f64) -> Self {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let pairs = labels.split_terminator(',').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned())
        });
        Self { name: name.to_owned(), labels: pairs.collect(), value }
    }
}
