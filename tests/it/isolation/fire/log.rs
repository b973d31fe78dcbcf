//! What must not be in the log of a server that two shops set on fire.

use serde_json::Value;

/// Log lines that are kept of those that are wrong; a flood of them tells no more than the first.
const WRONG_MAX: usize = 20;

/// What the server may say of a statement that it could not run: each is the database's doing and none a defect.
const UNAVAILABLE: &[&str] = &[
    "the database is unreachable: ",
    "no database connection was free in time",
    "the statement was cancelled: ",
    "the transaction was given up for another: ",
];

/// What the log said.
#[derive(Debug, Default)]
pub struct Log {
    /// Lines of either shop's requests.
    pub lines: [u64; 2],
    /// Lines that name both shops, errors without an excuse, and what is no log line at all, such as a panic's.
    pub wrong: Vec<String>,
}

impl Log {
    /// Reads a line.
    pub fn read(&mut self, line: String, entry: &Value, slugs: &[String; 2]) {
        if !self.is_right(&line, entry, slugs) && self.wrong.len() < WRONG_MAX {
            // Shown at once as well: a test that fails for it will not get to the end.
            eprintln!("wrong in the log: {line}");
            self.wrong.push(line);
        }
    }

    /// Whether a line names one shop at most and, if it tells an error, has an excuse.
    fn is_right(&mut self, line: &str, entry: &Value, slugs: &[String; 2]) -> bool {
        for (lines, slug) in self.lines.iter_mut().zip(slugs) {
            *lines += u64::from(entry["tenant.slug"] == slug.as_str());
        }
        // A request's id is made of its sender's slug, so this compares the sender with everything else in the line.
        let names_both = slugs.iter().all(|slug| line.contains(slug.as_str()));
        let is_excused = || {
            let error = entry["error"].as_str().unwrap_or_default();
            UNAVAILABLE.iter().any(|text| error.starts_with(text))
        };
        entry.is_object() && !names_both && (entry["level"] != "ERROR" || is_excused())
    }
}
