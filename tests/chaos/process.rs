//! A server or a worker as a process of its own, whose log is read for what must not be in it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

/// How long a process may take to listen, on a machine that has much else to do.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Log lines that are kept of those that are wrong.
const WRONG_MAX: usize = 20;

/// A running process of the program. It is killed when it is dropped.
pub struct Process {
    child: Child,
    pub base_url: String,
    log: Option<JoinHandle<Vec<String>>>,
    /// Where it finds no `.env`.
    _home: tempfile::TempDir,
}

impl Process {
    /// Starts a command of the program and waits until it listens.
    pub async fn start(command: &str, settings: &[(&'static str, String)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
            .arg(command)
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
        let log = std::thread::spawn(move || read(stderr, tell));
        let mut process = Self { child, base_url: String::new(), log: Some(log), _home: home };
        let address = tokio::time::timeout(START_TIMEOUT, told).await.expect("the process listens in time");
        process.base_url = format!("http://{}", address.expect("the process says where it listens"));
        process
    }

    /// Kills the process on the spot, and answers what was wrong in its log.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Asks the process to stop, and answers what was wrong in its log.
    pub fn stop(mut self) -> Vec<String> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the process ended with {status}");
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already where it was killed or stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a log to the end, tells the address that the process listens on, and answers what is wrong.
fn read(stderr: ChildStderr, tell: oneshot::Sender<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tell = Some(tell);
    for line in BufReader::new(stderr).lines() {
        // A process that is killed may leave half a line.
        let Ok(line) = line else { break };
        let entry = serde_json::from_str(&line).unwrap_or(Value::Null);
        if let Some(address) = entry["http.address"].as_str()
            && let Some(tell) = tell.take()
        {
            let _ = tell.send(address.to_owned());
        }
        if is_wrong(&line, &entry) && wrong.len() < WRONG_MAX {
            eprintln!("wrong in the log: {line}");
            wrong.push(line);
        }
    }
    wrong
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
