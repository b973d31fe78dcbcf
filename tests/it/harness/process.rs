//! The program as a process of its own, whose log is read to the end.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::logs;

/// How long a process may take to listen, on a machine that has much else to do.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running process of the program, and what its log is read into. It is killed when it is dropped.
pub struct Process<L> {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Option<JoinHandle<L>>,
    /// Where it finds no `.env`.
    _home: tempfile::TempDir,
}

impl<L: Default + Send + 'static> Process<L> {
    /// Starts a command of the program and waits until it listens. Its log must be JSON at `info` or more: `read` is given each
    /// line and what it says, which is null where it is no JSON, as of a panic or half a line of a process that was killed.
    pub async fn start(
        command: &str,
        settings: &[(&str, String)],
        read: impl Fn(&mut L, String, &Value) + Send + 'static,
    ) -> Self {
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
        let (tell, told) = oneshot::channel::<SocketAddr>();
        let log = std::thread::spawn(move || {
            let (mut log, mut tell) = (L::default(), Some(tell));
            for line in BufReader::new(stderr).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
                logs::keep(&line);
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = entry["http.address"].as_str()
                    && let Some(tell) = tell.take()
                {
                    let _ = tell.send(address.parse().unwrap());
                }
                read(&mut log, line, &entry);
            }
            log
        });
        let told = tokio::time::timeout(START_TIMEOUT, told).await.expect("the process listens in time");
        let address = told.expect("the process says where it listens");
        Self { child, address, log: Some(log), _home: home }
    }

    /// What a request to a path of it begins with.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal such as `TERM`, and waits for nothing.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end, and answers how it ended and its log.
    pub async fn ended(mut self) -> (ExitStatus, L) {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            (status, self.log.take().unwrap().join().unwrap())
        });
        ended.await.unwrap()
    }

    /// Asks it to stop, which it must do well, and answers its log.
    pub async fn stop(self) -> L {
        self.signal("TERM");
        let (status, log) = self.ended().await;
        assert!(status.success(), "the process ended with {status}");
        log
    }
}

/// Reads nothing of a log.
pub fn nothing((): &mut (), _: String, _: &Value) {}

/// Reads all that a log says.
pub fn all(log: &mut Vec<Value>, line: String, entry: &Value) {
    log.push(if entry.is_object() { entry.clone() } else { line.into() });
}

/// Reads what a log has of warnings and worse, and what is no line of a log at all.
pub fn warnings(log: &mut Vec<Value>, line: String, entry: &Value) {
    if !matches!(entry["level"].as_str(), Some("INFO" | "DEBUG" | "TRACE")) {
        all(log, line, entry);
    }
}

impl<L> Drop for Process<L> {
    fn drop(&mut self) {
        // Gone already where it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
