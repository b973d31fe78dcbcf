//! What is logged by all tests and the processes that they start: everything of ours, as lines of JSON, in files of one folder.
//! `script/check-logs` searches them for what must not be there.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::process::Stdio;

use shelfwise::config::log::{LogConfig, LogFormat};
use shelfwise::telemetry::{frames, logs};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// How much is logged.
const LEVEL: &str = "info,shelfwise=debug";

/// The settings of a process whose lines are kept.
pub const SETTINGS: [(&str, &str); 2] = [("LOG_LEVEL", LEVEL), ("LOG_FORMAT", "json")];

/// Where lines are kept.
pub const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/logs");

/// Keeps what this process logs from now on, but for what is logged under a subscriber of a test's own.
pub fn capture() {
    let config = LogConfig { level: LEVEL.to_owned(), format: LogFormat::Json };
    let lines = logs::lines(&config, open()).unwrap();
    Registry::default().with(frames::layer().boxed()).with(lines).try_init().unwrap();
}

/// Where a process writes its lines that nobody reads meanwhile.
pub fn file() -> Stdio {
    open().into()
}

/// Keeps a line that a process has written.
pub fn keep(line: &str) {
    open().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The file of this run: lines are appended whole, so that many may write.
fn open() -> File {
    std::fs::create_dir_all(FOLDER).unwrap();
    let path = format!("{FOLDER}/it-{}.jsonl", std::process::id());
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}
