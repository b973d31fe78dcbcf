//! A private PostgreSQL cluster: found on this machine, started for a developer or a test run, gone when its owner is.
//!
//! PostgreSQL refuses to run as root, so root starts it as another user. A small shell stands between: when our end of
//! its standard input closes, be it by an orderly stop or by SIGKILL, it stops the server and ends.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// The superuser of the cluster.
const SUPERUSER: &str = "postgres";

/// How long a server may take to answer its first connection; recovery after a crash is part of it.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two looks at a starting server.
const START_POLL: Duration = Duration::from_millis(20);

/// How folders begin that hold data files away from their cluster's.
const ELSEWHERE_PREFIX: &str = "shelfwise-";

/// Runs the server, waits for the end of standard input, on which nothing is ever written, and stops it.
const WATCHDOG: &str = r#""$@" & server=$!; read -r _; kill -INT $server 2>/dev/null; wait $server"#;

/// The same, and removes the data files, whose folder is `$0`.
const WATCHDOG_REMOVING: &str =
    r#""$@" & server=$!; read -r _; kill -INT $server 2>/dev/null; wait $server; /bin/rm -rf "$0"/*"#;

/// Where server binaries are, beside the folders of `PATH`.
const USUAL_PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
];

/// A running cluster.
pub struct Cluster {
    port: u16,
    password: String,
    watchdog: Child,
}

/// How durable the cluster has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As a server's: a developer keeps data in it.
    Full,
    /// None: it lives as long as a test run.
    None,
}

impl Cluster {
    /// Starts the cluster in a folder, making it first where there is none, on a free port of the loopback address
    /// unless the settings name one.
    ///
    /// # Errors
    /// No server binaries were found, or the server does not start: with the end of its log.
    pub async fn start(folder: &Path, durability: Durability, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let bin = find_binaries()?;
        let user = ServerUser::find()?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = fs::canonicalize(folder)?;
        let data = data_folder(&folder, &user)?;
        if !data.join("PG_VERSION").exists() {
            initialise(&bin, &user, &data)?;
        }
        let password =
            fs::read_to_string(data.join("superuser.password")).context("the cluster's password is missing")?;

        // Whoever starts a cluster again where others know it names the port that it had.
        let port = match settings.iter().find(|(name, _)| *name == "port") {
            Some((_, port)) => port.parse()?,
            None => TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port(),
        };
        let log_path = data.with_extension("log");
        let log = fs::File::create(&log_path)?;
        user.own(&log_path)?;
        let mut command = user.command("/bin/sh");
        let watchdog = if durability == Durability::None { WATCHDOG_REMOVING } else { WATCHDOG };
        command.args(["-c", watchdog]).arg(&data).arg(bin.join("postgres")).arg("-D").arg(&data);
        let port_text = port.to_string();
        let mut all = vec![
            ("port", port_text.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_locks_per_transaction", "256"),
            ("jit", "off"),
        ];
        if durability == Durability::None {
            all.extend([("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")]);
        }
        all.extend_from_slice(settings);
        for (name, value) in all {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // A group of its own: Ctrl-C reaches us alone, and we stop the server after our own connections are done.
        command.process_group(0).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let watchdog = command.spawn().context("cannot start PostgreSQL")?;
        let mut cluster = Self { port, password, watchdog };
        cluster.wait_until_ready(&log_path).await?;
        Ok(cluster)
    }

    /// Removes the folder of a cluster that has ended, wherever its data files are.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(folder: &Path) -> std::io::Result<()> {
        if let Ok(data) = fs::canonicalize(folder.join("data"))
            && let Some(elsewhere) = data.parent().filter(|parent| *parent != folder)
            && elsewhere.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ELSEWHERE_PREFIX))
        {
            fs::remove_dir_all(elsewhere)?;
        }
        fs::remove_dir_all(folder)
    }

    /// The URL of a database of this cluster for a login. All logins of the cluster share one password.
    #[must_use]
    pub fn url(&self, login: &str, database: &str) -> String {
        format!("postgres://{login}:{}@127.0.0.1:{}/{database}?sslmode=disable", self.password, self.port)
    }

    /// The URL of a database for the superuser.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url(SUPERUSER, database)
    }

    /// The password that all logins share.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The port on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn wait_until_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let target = crate::db::tls::Target::from_url(&self.superuser_url("postgres"))?;
        let ready = async {
            while crate::db::connection::connect(&target).await.is_err() {
                if self.watchdog.try_wait()?.is_some() || log_says_fatal_lock(log) {
                    bail!("PostgreSQL did not start: {}", tail(log));
                }
                tokio::time::sleep(START_POLL).await;
            }
            Ok(())
        };
        match tokio::time::timeout(START_TIMEOUT, ready).await {
            Ok(result) => result,
            Err(_) => bail!("PostgreSQL did not answer within {START_TIMEOUT:?}: {}", tail(log)),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closing the pipe is the request to stop; waiting keeps the folder from being reused too early.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// The user that the server runs as: ourselves, unless we are root.
struct ServerUser {
    other: Option<(u32, u32)>,
}

impl ServerUser {
    fn find() -> anyhow::Result<Self> {
        let own_uid = fs::metadata("/proc/self").map(|m| m.uid()).or_else(|_| current_uid())?;
        if own_uid != 0 {
            return Ok(Self { other: None });
        }
        let passwd = fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            passwd
                .lines()
                .map(|line| line.split(':').collect::<Vec<_>>())
                .find(|fields| fields[0] == name)
                .and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
        };
        let other = find("postgres").or_else(|| find("nobody")).context("root needs a user `postgres` or `nobody`")?;
        Ok(Self { other: Some(other) })
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // The server reads its messages' language from here; ours are recognised in English.
        command.env("LC_ALL", "C").current_dir("/");
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn own(&self, path: &Path) -> anyhow::Result<()> {
        if let Some((uid, gid)) = self.other {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give away {}", path.display()))?;
        }
        Ok(())
    }

    /// Whether the user may walk down to a folder: root's own folders are often closed to others.
    fn can_reach(&self, folder: &Path) -> bool {
        self.other.is_none()
            || folder.ancestors().all(|step| fs::metadata(step).is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
    }
}

/// Where there is no `/proc`, `id` tells.
fn current_uid() -> std::io::Result<u32> {
    let output = Command::new("id").arg("-u").output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(std::io::Error::other)
}

/// The folder of the data files: `data` within the cluster's, or, where the server's user cannot walk there, a folder
/// under `/var/tmp` that `data` links to.
fn data_folder(folder: &Path, user: &ServerUser) -> anyhow::Result<PathBuf> {
    let data = folder.join("data");
    if let Ok(target) = fs::canonicalize(&data) {
        return Ok(target);
    }
    if user.can_reach(folder) {
        fs::create_dir(&data)?;
        user.own(&data)?;
        // The password and the log stand beside the data files.
        return Ok(data);
    }
    let mut suffix = [0_u8; 8];
    getrandom::fill(&mut suffix).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let elsewhere = PathBuf::from(format!("/var/tmp/{ELSEWHERE_PREFIX}{:016x}", u64::from_ne_bytes(suffix)));
    fs::create_dir(&elsewhere)?;
    let target = elsewhere.join("data");
    fs::create_dir(&target)?;
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o711))?;
    user.own(&target)?;
    // A dangling link is what a cleaned /var/tmp leaves behind.
    let _ = fs::remove_file(&data);
    std::os::unix::fs::symlink(&target, &data)?;
    Ok(target)
}

fn initialise(bin: &Path, user: &ServerUser, data: &Path) -> anyhow::Result<()> {
    let mut secret = [0_u8; 16];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let password: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let password_path = data.with_extension("password");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&password_path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(password.as_bytes())?;
    user.own(&password_path)?;
    let output = user
        .command(bin.join("initdb"))
        .args([
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            "--no-sync",
            "--username",
            SUPERUSER,
            "--pwfile",
        ])
        .arg(&password_path)
        .arg("-D")
        .arg(data)
        .output()
        .context("cannot run initdb")?;
    ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&password_path, data.join("superuser.password"))?;
    Ok(())
}

/// The newest folder that has the server's binaries.
fn find_binaries() -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "finding programs is not configuration")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = USUAL_PLACES.iter().flat_map(|pattern| expand(pattern));
    let has_server = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    std::env::split_paths(&path)
        .chain(usual)
        .find(has_server)
        .context("no PostgreSQL server found: run script/bootstrap, or set DATABASE_URL and DATABASE_OWNER_URL")
}

/// The folders that a pattern with one `*` in its inner part names, the highest version first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.parse().ok()?;
            Some((version, PathBuf::from(format!("{parent}/{name}{after}"))))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn log_says_fatal_lock(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains("lock file \"postmaster.pid\" already exists"))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
