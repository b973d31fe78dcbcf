//! The server as a process of its own, whose every log line is read.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

/// How long the server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Log lines that are kept of those that are wrong; a flood of them tells no more than the first.
const WRONG_MAX: usize = 20;

/// What the server may say of a statement that it could not run: each is the database's doing and none a defect.
const UNAVAILABLE: &[&str] = &[
    "the database is unreachable: ",
    "no database connection was free in time",
    "the statement was cancelled: ",
    "the transaction was given up for another: ",
];

/// A running `shelfwise serve`. It is killed when it is dropped.
pub struct Server {
    child: Child,
    pub base_url: String,
    log: Option<JoinHandle<Log>>,
    /// Where it finds no `.env`.
    _home: tempfile::TempDir,
}

/// What the log said.
#[derive(Debug, Default)]
pub struct Log {
    /// Lines of either shop's requests.
    pub lines: [u64; 2],
    /// Lines that name both shops, errors without an excuse, and what is no log line at all, such as a panic's.
    pub wrong: Vec<String>,
}

impl Server {
    /// Starts the server and waits until it listens.
    pub async fn start(settings: &[(&str, String)], slugs: [String; 2]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg("serve")
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (*name, value.as_str())))
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (tell, told) = oneshot::channel();
        let log = std::thread::spawn(move || Log::read(stderr, &slugs, tell));
        let mut server = Self { child, base_url: String::new(), log: Some(log), _home: home };
        let address = tokio::time::timeout(START_TIMEOUT, told).await.expect("the server listens in time");
        server.base_url = format!("http://{}", address.expect("the server says where it listens"));
        server
    }

    /// Asks the server to stop, and answers what it has logged.
    pub fn stop(mut self) -> Log {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the server ended with {status}");
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    /// Reads to the end, and tells the address that the server listens on.
    fn read(stderr: ChildStderr, slugs: &[String; 2], tell: oneshot::Sender<String>) -> Self {
        let mut log = Self::default();
        let mut tell = Some(tell);
        for line in BufReader::new(stderr).lines() {
            let line = line.unwrap();
            let entry = serde_json::from_str(&line).unwrap_or(Value::Null);
            if let Some(address) = entry["http.address"].as_str()
                && let Some(tell) = tell.take()
            {
                let _ = tell.send(address.to_owned());
            }
            if !log.is_right(&line, &entry, slugs) && log.wrong.len() < WRONG_MAX {
                // Shown at once as well: a test that fails for it will not get to the end.
                eprintln!("wrong in the log: {line}");
                log.wrong.push(line);
            }
        }
        log
    }

    /// Whether a line names one shop at most and, if it tells an error, has an excuse.
    fn is_right(&mut self, line: &str, entry: &Value, slugs: &[String; 2]) -> bool {
        for (lines, slug) in self.lines.iter_mut().zip(slugs) {
            *lines += u64::from(entry["span"]["tenant.slug"] == slug.as_str());
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
