//! Processes under measurement, and what the kernel says of them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::data::Bench;

/// Ticks a second of the kernel's processor times; 100 on every Linux of today.
const TICKS: u64 = 100;

/// A server in a process of its own. It ends with the value.
pub struct Process {
    child: Child,
    pub pid: u32,
    pub port: u16,
}

impl Process {
    /// `shelfwise serve` as in production, built with optimisations.
    pub fn server(bench: &Bench) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
        command.arg("serve").env_clear().envs(bench.environment()).env("PORT", port.to_string());
        Self::start(command, port)
    }

    /// The same, keeping answers, in a Redis as well if one is said.
    pub fn keeping(bench: &Bench, redis_port: Option<u16>) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
        command.arg("serve").env_clear().envs(bench.environment());
        command.env("PORT", port.to_string()).env("CACHE_TTL_SECONDS", "60");
        if let Some(redis) = redis_port {
            command.env("REDIS_URL", format!("redis://127.0.0.1:{redis}"));
        }
        Self::start(command, port)
    }

    /// The same without the wall and without credentials, if it was built.
    pub fn without_wall(bench: &Bench) -> Option<Self> {
        let port = free_port();
        let mut command = Command::new(std::env::var("SHELFWISE_WITHOUT_WALL").ok()?);
        command.arg("serve").env_clear().envs(bench.environment()).env("PORT", port.to_string());
        Some(Self::start(command, port))
    }

    /// A Redis without a file to its name.
    pub fn redis(port: u16) -> Self {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        Self::start(command, port)
    }

    /// An axum handler that answers a constant.
    pub fn bare() -> Self {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("bare").env("PORT", port.to_string());
        Self::start(command, port)
    }

    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "the server does not start");
            std::thread::yield_now();
        }
        Self { pid: child.id(), child, port }
    }

    /// Memory that the process has in RAM, its program among it.
    pub fn resident_bytes(&self) -> u64 {
        memory(self.pid, "VmRSS:").unwrap()
    }

    /// Memory of its own that the process has in RAM.
    pub fn own_bytes(&self) -> u64 {
        memory(self.pid, "RssAnon:").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Serves `{"data":{"__typename":"Query"}}` to everybody.
pub fn serve_bare() {
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let answer = || async { axum::Json(serde_json::json!({ "data": { "__typename": "Query" } })) };
        let router = axum::Router::new().route("/graphql", axum::routing::any(answer));
        axum::serve(tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap(), router).await.unwrap();
    });
}

/// Processor time of a process, in user and kernel mode.
pub fn cpu_of(pid: u32) -> Duration {
    fields(pid).map_or(Duration::ZERO, |fields| ticks(&fields[11..13]))
}

/// Processor time of a process and all its children, those that have ended included.
pub fn cpu_of_tree(pid: u32) -> Duration {
    let own = fields(pid).map_or(Duration::ZERO, |fields| ticks(&fields[11..15]));
    own + children(pid).map(|(_, fields)| ticks(&fields[11..13])).sum::<Duration>()
}

/// Memory of its own that the largest child of a process has in RAM: of PostgreSQL's, a backend.
pub fn largest_child_bytes(pid: u32) -> u64 {
    children(pid).filter_map(|(child, _)| memory(child, "RssAnon:")).max().unwrap_or_default()
}

/// The children of a process, with their fields.
fn children(pid: u32) -> impl Iterator<Item = (u32, Vec<String>)> {
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(move |entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        let fields = fields(child)?;
        (fields[1].parse::<u32>().ok()? == pid).then_some((child, fields))
    })
}

/// A line of `/proc/PID/status` that tells of memory, in bytes.
fn memory(pid: u32, line: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = status.lines().find_map(|found| found.strip_prefix(line))?;
    Some(kilobytes.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// The fields of `/proc/PID/stat` behind the name, which may hold spaces: the first is the state.
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String]) -> Duration {
    let ticks: u64 = fields.iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}
