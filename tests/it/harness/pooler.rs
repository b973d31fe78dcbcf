//! A real PgBouncer between the server and PostgreSQL, in transaction mode, with the settings of `deploy/pgbouncer`.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use shelfwise::config::database::DatabaseUrls;

use super::cluster::shared_cluster;

/// What an installation begins with.
const SETTINGS: &str = include_str!("../../../deploy/pgbouncer/pgbouncer.ini");

/// Backends of the PgBouncer that all tests share: more than any server of theirs has connections.
const SHARED_BACKENDS: u32 = 20;

/// How long PgBouncer may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The first version that knows of statements which stay prepared in transaction mode.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

/// Ends PgBouncer with this process, by whatever death, and removes its folder, which is `$0`.
const WATCHDOG: &str = r#""$@" & pooler=$!; read -r _; kill -INT $pooler 2>/dev/null; wait $pooler; /bin/rm -rf "$0""#;

/// A PgBouncer over the cluster that the tests share.
pub struct PgBouncer {
    port: u16,
    keeps_statements: bool,
    watchdog: Child,
}

impl PgBouncer {
    /// Starts one with so many backends for each database, and other lines of its settings, and waits until it listens.
    pub fn start(backends: u32, lines: &str) -> Self {
        let program = program();
        let keeps_statements = version(&program) >= KEEPS_STATEMENTS;
        // Free until somebody else takes it, in which case PgBouncer does not start and the test says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder(
            port,
            backends,
            &if keeps_statements { format!("max_prepared_statements = 500\n{lines}") } else { lines.to_owned() },
        );
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG]).arg(&folder).arg(&program).arg("--quiet");
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            // It refuses to be root.
            command.args(["-u", "nobody"]);
        }
        command.arg(folder.join("pgbouncer.ini")).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchdog = command.spawn().unwrap();
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(watchdog.try_wait().unwrap().is_none() && Instant::now() < deadline, "no PgBouncer: {}", log());
            std::thread::yield_now();
        }
        Self { port, keeps_statements, watchdog }
    }

    /// The settings of a server that has it between itself and a database of the shared cluster.
    pub fn settings(&self, urls: &DatabaseUrls) -> Vec<(&'static str, String)> {
        let direct = urls.runtime.expose_secret();
        let (from, to) = (format!(":{}/", shared_cluster().port()), format!(":{}/", self.port));
        assert!(direct.contains(&from), "a database of another cluster");
        vec![
            ("DATABASE_URL", direct.replace(&from, &to)),
            ("DATABASE_LISTEN_URL", direct.to_owned()),
            ("DB_STATEMENT_CACHE", if self.keeps_statements { "on" } else { "off" }.to_owned()),
        ]
    }

    /// Where it listens on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether statements stay prepared through it.
    pub fn keeps_statements(&self) -> bool {
        self.keeps_statements
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// What is between every server of the tests and its database where `TEST_POOLER` is `pgbouncer`, for databases of the shared
/// cluster; nothing else.
pub fn between(urls: &DatabaseUrls) -> Vec<(&'static str, String)> {
    static SHARED: OnceLock<PgBouncer> = OnceLock::new();
    let is_shared = || urls.runtime.expose_secret().contains(&format!(":{}/", shared_cluster().port()));
    if !is_wanted() || !is_shared() {
        return Vec::new();
    }
    SHARED.get_or_init(|| PgBouncer::start(SHARED_BACKENDS, "")).settings(urls)
}

/// Whether this run has a pooler between.
fn is_wanted() -> bool {
    match std::env::var("TEST_POOLER").as_deref() {
        Ok("pgbouncer") => true,
        Ok("") | Err(_) => false,
        Ok(other) => panic!("TEST_POOLER is pgbouncer or nothing, not {other}"),
    }
}

/// Writes the settings and the passwords where the user that PgBouncer becomes can read them.
fn folder(port: u16, backends: u32, lines: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix("shelfwise-pgbouncer").tempdir_in("/var/tmp").unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.display();
    let write = |name: &str, text: &str| {
        let mut file = fs::File::create(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
    };
    let users = ["shelfwise", "pgbouncer"].map(|user| format!("\"{user}\" \"{}\"\n", shared_cluster().password()));
    write("userlist.txt", &users.concat());
    let database = format!("* = host=127.0.0.1 port={}", shared_cluster().port());
    let settings = SETTINGS.replace("shelfwise = host=postgres port=5432", &database);
    assert!(settings.contains(&database), "the file has another database");
    // Its last section, in which the last word counts. A section that is begun again would forget what it had.
    let settings = format!(
        "{settings}
listen_addr = 127.0.0.1
listen_port = {port}
auth_file = {path}/userlist.txt
unix_socket_dir =
logfile = {path}/log
default_pool_size = {backends}
{lines}"
    );
    write("pgbouncer.ini", &settings);
    folder
}

/// The program: Debian puts it where only root looks.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(usual).map(|folder| folder.join("pgbouncer"));
    places.find(|program| program.is_file()).expect("PgBouncer is installed: script/bootstrap test")
}

/// The version, as far as it matters.
fn version(program: &Path) -> (u32, u32) {
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = text.split_whitespace().nth(1).unwrap_or_else(|| panic!("{text}"));
    let mut parts = number.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}
