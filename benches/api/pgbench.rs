//! pgbench: PostgreSQL's own client, which does nothing but send statements.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a script with prepared statements: transactions a second.
pub async fn pgbench(folder: &Path, url: String, script: &str, options: Vec<String>) -> f64 {
    let path = folder.join("pgbench.sql");
    std::fs::write(&path, script).unwrap();
    let run = move || {
        let mut command = Command::new(binary());
        command.args(["-n", "-M", "prepared", "-j", "2"]).args(options).arg("-f").arg(path).arg(url).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
    let complain = || panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        complain();
    }
    rate.unwrap_or_else(complain).parse().unwrap()
}

/// pgbench, on the path or beside the server's binaries.
fn binary() -> PathBuf {
    let usual = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/pgbench"));
    usual.filter(|path| path.is_file()).max().unwrap_or_else(|| "pgbench".into())
}
