//! What stays as it is however many tenants there are: a dump of one of them, and how a server starts.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use shelfwise::cli::dev::cluster::Cluster;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::MasterKey;
use shelfwise::config::database::DatabaseUrls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::report::report;

/// Servers that are started over each database, in turn; their medians are compared.
const STARTS: usize = 7;

/// A server that has started: how long until it was ready, and its memory then, in MB.
type Start = (f64, f64);

/// Dumps one tenant and answers how long it took; nothing where there is no `pg_dump` that suits.
pub fn dump(cluster: &Cluster, (database, schema): (&str, &str), major: &str, folder: &Path) -> Option<Duration> {
    let installed = format!("/usr/lib/postgresql/{major}/bin/pg_dump");
    let program = if Path::new(&installed).exists() { installed.as_str() } else { "pg_dump" };
    let started = Instant::now();
    let status = Command::new(program)
        .args(["-n", schema, "-f", folder.join("dump.sql").to_str().unwrap()])
        .args(["-d", &cluster.superuser_url(database)])
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success()).then(|| started.elapsed())
}

/// Starts servers over a database with one tenant and over one with many, in turn, and prints both.
pub async fn starts(one: &DatabaseUrls, many: &DatabaseUrls, tenants: usize, folder: &Path) {
    let (jwt, master) = (JwtKey::generate("bench-1").unwrap(), MasterKey::generate("bench-1").unwrap());
    let keys = (jwt.to_setting(), master.to_setting());
    let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        of_one.push(start(one, &keys, folder).await);
        of_many.push(start(many, &keys, folder).await);
    }
    let ((one_ms, one_mb), (many_ms, many_mb)) = (medians(of_one), medians(of_many));
    println!(
        "  a server over 1 tenant is ready in {one_ms:.0} ms with {one_mb:.1} MB; over {tenants} in {many_ms:.0} ms with \
         {many_mb:.1} MB: {:.2} times as long, {:.2} times as much",
        many_ms / one_ms,
        many_mb / one_mb
    );
    report(format_args!("a server over {tenants} tenants, of one over 1: ready after"), many_ms / one_ms, "times", ..);
    report(format_args!("a server over {tenants} tenants, of one over 1: memory"), many_mb / one_mb, "times", ..);
}

async fn start(urls: &DatabaseUrls, (jwt, master): &(String, String), folder: &Path) -> Start {
    // Free until somebody else takes it, which on this machine nobody does.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Instant::now();
    let mut server = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .arg("serve")
        .env_clear()
        .current_dir(folder)
        .env("PORT", port.to_string())
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
        .env("JWT_KEYS", jwt)
        .env("MASTER_KEYS", master)
        .env("LOG_LEVEL", "error")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !is_ready(port).await {
        assert!(server.try_wait().unwrap().is_none(), "the server has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let start = (started.elapsed().as_secs_f64() * 1e3, rss_mb(&server));
    server.kill().unwrap();
    server.wait().unwrap();
    start
}

async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn rss_mb(server: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn medians(starts: Vec<Start>) -> Start {
    let (mut times, mut sizes): (Vec<f64>, Vec<f64>) = starts.into_iter().unzip();
    times.sort_by(f64::total_cmp);
    sizes.sort_by(f64::total_cmp);
    (times[times.len() / 2], sizes[sizes.len() / 2])
}
