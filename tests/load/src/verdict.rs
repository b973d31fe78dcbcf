//! How long answers took, and whether that is what it may be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use serde_json::json;

use crate::mix::OPERATIONS;

/// What everything is held against.
const FLOOR: &str = "floor";

/// How much longer than in the baseline an operation's p99 may take, in parts of the floor's: a machine is not as quiet as one
/// would like.
const TOLERANCE: f64 = 1.5;

/// An operation that was answered less often tells nothing about its hundredth.
const SAMPLES_MIN: usize = 200;

/// What must come of a load.
pub struct Terms {
    /// The longest p99 of any operation.
    p99_max: Duration,
    /// Failures in a thousand at most.
    failures_max: f64,
    /// The file of ratios that an earlier run had; none where this one is held against nothing.
    baseline: Option<PathBuf>,
    /// Whether this run's ratios are the baseline from now on.
    is_accepted: bool,
}

/// All answers, by the name of the operation.
pub struct Recorder(Mutex<BTreeMap<&'static str, Answers>>);

/// Answers to an operation.
#[derive(Default)]
struct Answers {
    took: Vec<Duration>,
    failed: usize,
}

impl Terms {
    /// Reads `LOAD_P99_MS` (500), `LOAD_FAILURES_PER_MILLE` (1), `LOAD_BASELINE` (a file, or nothing) and `LOAD_ACCEPT` (1 to write
    /// it).
    pub fn from_environment() -> Result<Self, String> {
        let number = |name: &str, default: f64| match env::var(name) {
            Ok(text) => text.parse::<f64>().map_err(|_| format!("{name} must be a number")),
            Err(_) => Ok(default),
        };
        Ok(Self {
            p99_max: Duration::from_secs_f64(number("LOAD_P99_MS", 500.0)?.max(0.0) / 1e3),
            failures_max: number("LOAD_FAILURES_PER_MILLE", 1.0)?,
            baseline: env::var_os("LOAD_BASELINE").filter(|path| !path.is_empty()).map(PathBuf::from),
            is_accepted: env::var("LOAD_ACCEPT").is_ok_and(|value| value == "1"),
        })
    }

    /// The ratios that this run is held against; none where it is held against nothing, or is the baseline itself.
    fn ratios(&self) -> Result<Option<BTreeMap<String, f64>>, String> {
        let Some(path) = self.baseline.as_deref().filter(|_| !self.is_accepted) else { return Ok(None) };
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Keeps the ratios of this run, if they are to be the baseline.
    fn accept(&self, ratios: &BTreeMap<&str, f64>) -> Result<(), String> {
        let Some(path) = self.baseline.as_deref().filter(|_| self.is_accepted) else { return Ok(()) };
        fs::write(path, format!("{:#}\n", json!(ratios))).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Recorder {
    /// A recorder without an answer.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Keeps an answer.
    pub fn record(&self, name: &'static str, took: Duration, is_answered: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = all.entry(name).or_default();
        if is_answered {
            answers.took.push(took);
        } else {
            answers.failed += 1;
        }
    }

    /// Prints a table of all operations, and fails where one is not as it must be.
    pub fn judge(&self, terms: &Terms) -> ExitCode {
        let wrong = self.compare(terms).unwrap_or_else(|problem| vec![problem]);
        for line in &wrong {
            println!("MISSED {line}");
        }
        if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// What is not as it must be, a line each, when the table is printed.
    fn compare(&self, terms: &Terms) -> Result<Vec<String>, String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for answers in all.values_mut() {
            answers.took.sort_unstable();
        }
        let baseline = terms.ratios()?;
        let floor = all.get(FLOOR).and_then(Answers::p99).ok_or("the floor was never answered")?;
        let (mut ratios, mut wrong) = (BTreeMap::new(), Vec::new());
        println!(
            "\n{:<16}{:>9}{:>8}{:>11}{:>11}{:>10}{:>10}",
            "operation", "answered", "failed", "p50 ms", "p99 ms", "of floor", "baseline"
        );
        for name in OPERATIONS {
            let Some(answers) = all.get(name) else {
                wrong.push(format!("{name}: was never asked for"));
                continue;
            };
            let (p50, p99) = (answers.quantile(50).unwrap_or_default(), answers.p99().unwrap_or_default());
            let ratio = p99.as_secs_f64() / floor.as_secs_f64();
            let before = baseline.as_ref().and_then(|ratios| ratios.get(name)).copied();
            let shown = before.map_or_else(|| "-".to_owned(), |before| format!("{before:.2}"));
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "{name:<16}{:>9}{:>8}{:>11.2}{:>11.2}{ratio:>10.2}{shown:>10}",
                answers.took.len(),
                answers.failed,
                ms(p50),
                ms(p99)
            );
            wrong.extend(answers.wrong(name, p99, terms));
            if terms.baseline.is_none() || name == FLOOR {
                continue;
            }
            if answers.took.len() < SAMPLES_MIN {
                wrong.push(format!("{name}: {} answers, its p99 needs {SAMPLES_MIN}", answers.took.len()));
            }
            ratios.insert(name, (ratio * 100.0).round() / 100.0);
            match before {
                Some(before) if ratio > before * TOLERANCE => {
                    wrong.push(format!("{name}: p99 is {ratio:.2} of the floor's, {before:.2} before"));
                }
                None if !terms.is_accepted => wrong.push(format!("{name}: is not in the baseline")),
                _ => (),
            }
        }
        if wrong.is_empty() {
            terms.accept(&ratios)?;
        }
        Ok(wrong)
    }
}

impl Answers {
    /// How long so many of a hundred took at most; to be sorted before.
    fn quantile(&self, of_hundred: usize) -> Option<Duration> {
        let last = self.took.len().checked_sub(1)?;
        self.took.get(last * of_hundred / 100).copied()
    }

    fn p99(&self) -> Option<Duration> {
        self.quantile(99)
    }

    /// What is not as it must be, whatever was before.
    fn wrong(&self, name: &str, p99: Duration, terms: &Terms) -> Vec<String> {
        let mut wrong = Vec::new();
        let count = self.took.len() + self.failed;
        let per_mille = self.failed as f64 * 1e3 / count as f64;
        if per_mille > terms.failures_max {
            wrong.push(format!("{name}: {} of {count} failed", self.failed));
        }
        if p99 > terms.p99_max {
            wrong.push(format!("{name}: p99 is {p99:.0?}, {:.0?} at most", terms.p99_max));
        }
        wrong
    }
}
