//! A server or worker as a process of its own, which is told to stop as an orchestrator tells it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

/// How long a process may take to listen, on a machine that has much else to do.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running process of the program. It is killed when it is dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Option<std::thread::JoinHandle<Vec<Value>>>,
    /// Where it finds no `.env`.
    _home: tempfile::TempDir,
}

impl Process {
    /// Starts a command of the program and waits until it listens. Its log must be JSON at `info` or more.
    pub async fn start(command: &str, settings: &[(&str, String)]) -> Self {
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
            let mut tell = Some(tell);
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            let entries = lines.map(|line| serde_json::from_str(&line).unwrap_or(Value::String(line)));
            let heed = entries.inspect(|entry: &Value| {
                if let Some(address) = entry["http.address"].as_str().and_then(|address| address.parse().ok())
                    && let Some(tell) = tell.take()
                {
                    let _ = tell.send(address);
                }
            });
            heed.collect()
        });
        let told = tokio::time::timeout(START_TIMEOUT, told).await.expect("the process listens in time");
        let address = told.expect("the process says where it listens");
        Self { child, address, log: Some(log), _home: home }
    }

    /// What a request to a path of it begins with.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to stop, and waits for nothing.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    }

    /// Waits for its end, and answers how it ended and what it logged that was a warning or worse, or no log line at all.
    pub async fn ended(mut self) -> (ExitStatus, Vec<Value>) {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            (status, self.log.take().unwrap().join().unwrap())
        });
        let (status, mut log) = ended.await.unwrap();
        log.retain(|entry| !matches!(entry["level"].as_str(), Some("INFO" | "DEBUG" | "TRACE")));
        (status, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already where it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
