//! What must not be in the log of a server or a worker, though they are killed and their database is away.

use serde_json::Value;

/// Log lines that are kept of those that are wrong.
const WRONG_MAX: usize = 20;

/// Reads what is wrong in a log.
pub fn wrong(log: &mut Vec<String>, line: String, entry: &Value) {
    if is_wrong(&line, entry) && log.len() < WRONG_MAX {
        eprintln!("wrong in the log: {line}");
        log.push(line);
    }
}

/// What the log may say of a statement that it could not run: each is the database's doing and none a defect.
const UNAVAILABLE: &[&str] =
    &["the database is unreachable: ", "no database connection was free in time", "the statement was cancelled: "];

/// Whether a line tells of a defect: an error that an outage does not explain, or what is no log line at all, such as a
/// panic's.
fn is_wrong(line: &str, entry: &Value) -> bool {
    let error = entry["error"].as_str().unwrap_or_default();
    let is_excused = UNAVAILABLE.iter().any(|text| error.starts_with(text));
    // The last line of a process that was killed while it wrote.
    let is_cut = line.starts_with('{') && !line.ends_with('}');
    !is_cut && (!entry.is_object() || entry["level"] == "ERROR" && !is_excused)
}
