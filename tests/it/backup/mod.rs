//! A cluster is copied, goes on, is lost, and comes back as it was at a moment, by the scripts of `deploy/backup`.

mod timelines;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use tempfile::TempDir;

use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::cluster::connect;
use crate::harness::command::shelfwise;
use crate::harness::world::fingerprint_by;
use crate::runbooks::text::Page;

/// The login that copies. It may replicate, and has no right in any database.
const BACKUP_LOGIN: &str = "CREATE ROLE shelfwise_backup LOGIN REPLICATION";

/// How long a segment may take to be kept, and a cluster to replay what was kept.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is beside the copies and none of them.
const NO_COPIES: [&str; 2] = ["lost+found", "set-aside-2025"];

/// Where everything is, readable for the user that PostgreSQL runs as.
struct Site {
    folder: TempDir,
}

/// A cluster that keeps its log.
struct Archived {
    cluster: Cluster,
    urls: DatabaseUrls,
}

impl Site {
    /// A folder with the scripts and an empty folder of backups.
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("shelfwise-backup").tempdir_in("/var/tmp").unwrap();
        let (backups, scripts) = (folder.path().join("backups"), folder.path().join("scripts"));
        // What a disk of its own has, and what somebody has put aside, are no copies.
        let [found, aside] = NO_COPIES.map(|name| backups.join("base").join(name));
        for path in [folder.path(), &backups, &backups.join("base"), &backups.join("wal"), &scripts, &found, &aside] {
            fs::create_dir_all(path).unwrap();
            // The server's user writes there, and it is not ours where we are root.
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/backup");
        for script in ["archive-wal", "base-backup", "check", "common.sh", "drill", "restore"] {
            fs::copy(deploy.join(script), scripts.join(script)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a cluster that keeps its log as the runbook has it.
    async fn cluster(&self) -> Archived {
        let cluster = self.start("cluster").await;
        let urls = prepare(&cluster, "shelfwise").await.unwrap();
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let psql = connect(&cluster.superuser_url("shelfwise")).await;
        psql.batch_execute(&format!("{BACKUP_LOGIN} PASSWORD '{}'", cluster.password())).await.unwrap();
        Archived { cluster, urls }
    }

    /// Starts PostgreSQL in a folder, and has it keep its log.
    async fn start(&self, folder: &str) -> Cluster {
        let keep = format!("{} {} %p %f", self.path("scripts/archive-wal").display(), self.path("backups").display());
        let settings = [("archive_mode", "on"), ("archive_timeout", "60"), ("archive_command", keep.as_str())];
        Cluster::start(&self.path(folder), Durability::None, &settings).await.unwrap()
    }

    /// Restores into a folder, and answers how the script ended, and what it said.
    fn restore(&self, folder: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(self.path("scripts/restore"));
        command.arg(self.path("backups")).arg(self.path(folder).join("data")).args(arguments);
        if is_root() {
            let (uid, gid) = self.server_user();
            command.args(["--owner", &format!("{uid}:{gid}")]);
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
    }

    /// Runs a script as whoever runs the tests.
    fn run(&self, cluster: &Cluster, script: &str, arguments: &[&str]) -> Output {
        self.command(cluster, script, arguments).output().unwrap()
    }

    fn command(&self, cluster: &Cluster, script: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("scripts").join(script));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", cluster.port().to_string())
            .env("PGUSER", "shelfwise_backup")
            .env("PGPASSWORD", cluster.password());
        command
    }

    /// The first line of what a script says that has done its work.
    fn done(&self, cluster: &Cluster, script: &str, arguments: &[&str]) -> String {
        let output = self.run(cluster, script, arguments);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    /// The owner of the segments, by number: the user that PostgreSQL runs as.
    fn server_user(&self) -> (u32, u32) {
        let wal = self.path("backups/wal");
        let data = fs::metadata(wal.read_dir().unwrap().next().unwrap().unwrap().path()).unwrap();
        (data.uid(), data.gid())
    }
}

impl Archived {
    async fn psql(&self) -> tokio_postgres::Client {
        connect(&self.cluster.superuser_url("shelfwise")).await
    }

    /// Ends the running segment, and waits until it is kept.
    async fn archive(&self) {
        let psql = self.psql().await;
        let segment: String = psql.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]).await.unwrap().get(0);
        let kept = async {
            let query = "SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver";
            while !psql.query_one(query, &[&segment]).await.unwrap().get::<_, bool>(0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIMEOUT, kept).await.expect("the segment is kept");
    }

    /// The moment, on the server's clock, as the script wants it.
    async fn moment(&self) -> String {
        let query = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";
        self.psql().await.query_one(query, &[]).await.unwrap().get(0)
    }

    /// Loses the cluster and all its files, which are in this folder.
    fn lose(self, folder: &Path) {
        let pid = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-s", "KILL", pid]).status().unwrap().success());
        drop(self.cluster);
        Cluster::remove(folder).unwrap();
    }
}

/// Whether the tests run as root, who may give files away.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Starts the restored cluster, and waits until it takes connections that write.
async fn start_restored(site: &Site) -> Cluster {
    let cluster = site.start("restored").await;
    let psql = connect(&cluster.superuser_url("shelfwise")).await;
    let recovered = async {
        while psql.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, recovered).await.expect("the log is replayed");
    cluster
}

/// Adds a book to both shops.
async fn write(world: &World, title: &str) {
    book(&world.owner(), json!({ "title": format!("{} {title}", world.a.slug) })).await;
    book(&world.other_owner(), json!({ "title": format!("{} {title}", world.b.slug) })).await;
}

#[tokio::test]
async fn a_lost_cluster_comes_back_as_it_was_at_a_moment_and_with_nothing_later() {
    let site = Site::new();
    let archived = site.cluster().await;
    let world = World::start_over(&archived.urls, &[]).await;
    let backups = site.path("backups");
    write(&world, "before the copy").await;
    let copy = site.done(&archived.cluster, "base-backup", &[backups.to_str().unwrap()]);
    write(&world, "after the copy").await;
    let psql = archived.psql().await;
    let before = (fingerprint_by(&psql, &world.a).await, fingerprint_by(&psql, &world.b).await);
    let moment = archived.moment().await;
    write(&world, "too late").await;
    archived.archive().await;
    assert_eq!(site.done(&archived.cluster, "check", &[backups.to_str().unwrap()]), copy);
    let (a, b) = (std::sync::Arc::clone(&world.a), std::sync::Arc::clone(&world.b));
    world.end().await;
    let urls = archived.urls.clone();
    let port = archived.cluster.port();
    archived.lose(&site.path("cluster"));

    let too_early = site.restore("restored", &["--until", "2026-01-01 00:00:00"]);
    assert_eq!((too_early.0, too_early.1.contains("no copy was finished before")), (Some(1), true), "{too_early:?}");
    let local = site.restore("restored", &["--until", "2026-01-01T00:00:00+02"]);
    assert_eq!(local.0, Some(2), "a moment that may be misunderstood is refused");
    assert!(!site.path("restored").exists(), "what was refused has made nothing");
    let restored = site.restore("restored", &["--until", &moment]);
    assert_eq!(restored.0, Some(0), "{restored:?}");
    let twice = site.restore("restored", &["--until", &moment]);
    assert_eq!((twice.0, twice.1.contains("is not empty")), (Some(1), true), "{twice:?}");

    asks_for_segments_as_postgresql_wants_it(&site);
    let cluster = start_restored(&site).await;
    let psql = connect(&cluster.superuser_url("shelfwise")).await;
    let page = Page::read("backup-and-restore");
    for query in page.blocks.iter().filter(|block| block.language == "sql") {
        psql.batch_execute(&query.text).await.unwrap_or_else(|error| panic!("{}: {error}", query.text));
    }
    assert_eq!((fingerprint_by(&psql, &a).await, fingerprint_by(&psql, &b).await), before);
    for shop in [&a, &b] {
        let titles = format!(r#"SELECT title FROM "{}".books ORDER BY title"#, shop.schema);
        let titles: Vec<String> = psql.query(&titles, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(titles, ["after the copy", "before the copy"].map(|title| format!("{} {title}", shop.slug)));
    }
    let urls = moved(&urls, port, cluster.port());
    works(&urls, &[a.slug.as_str(), b.slug.as_str()]);
}

/// The restored cluster's command for a segment ends with 1 where there is none, which is the end of the log, and above 125, which
/// stops, where the share with all of them is gone.
fn asks_for_segments_as_postgresql_wants_it(site: &Site) {
    let settings = fs::read_to_string(site.path("restored/data/postgresql.auto.conf")).unwrap();
    let line = settings.lines().rfind(|line| line.starts_with("restore_command = '")).unwrap();
    let command = line.strip_prefix("restore_command = '").unwrap().strip_suffix('\'').unwrap();
    let into = site.path("segment");
    let ask = |name: &str| {
        let command = command.replace("%f", name).replace("%p", into.to_str().unwrap());
        Command::new("/bin/sh").args(["-c", &command]).status().unwrap().code()
    };
    let wal = site.path("backups/wal");
    let names = fs::read_dir(&wal).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept = names.into_iter().find(|name| name.len() == 24).unwrap();
    assert_eq!((ask(&kept), ask("00000001000000000000FFFF")), (Some(0), Some(1)));
    fs::rename(&wal, site.path("unmounted")).unwrap();
    assert_eq!(ask(&kept), Some(200));
    fs::rename(site.path("unmounted"), &wal).unwrap();
    fs::remove_file(into).unwrap();
}

/// The same logins at another port.
fn moved(urls: &DatabaseUrls, from: u16, to: u16) -> DatabaseUrls {
    let moved =
        |url: &secrecy::SecretString| url.expose_secret().replace(&format!(":{from}/"), &format!(":{to}/")).into();
    DatabaseUrls { runtime: moved(&urls.runtime), owner: urls.owner.as_ref().map(moved), listen: moved(&urls.listen) }
}

/// What the runbook has verified after a restore: the wall, both trails, and that a new shop can be made.
fn works(urls: &DatabaseUrls, slugs: &[&str]) {
    let key = JwtKey::generate("test-1").unwrap().to_setting();
    let run = |arguments: &[&str]| {
        let output = shelfwise(urls, &key, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["migrate"]);
    run(&["tenant", "verify-isolation"]);
    run(&["tenant", "list"]);
    for slug in slugs {
        run(&["tenant", "verify-audit", slug]);
    }
    let owner = ["--name", "After", "--plan", "business", "--owner-email", "owner@shop.example"];
    run(&[&["tenant", "provision", "after-the-restore"][..], &owner].concat());
}

/// Every command of the page is one that a test here runs, or that all other pages have.
#[test]
fn the_page_says_what_is_run_here() {
    let known = [
        "deploy/backup/check /backups",
        "deploy/backup/base-backup /backups",
        "deploy/backup/restore /backups /var/lib/postgresql/15/main --until '2026-11-28 14:05:00' --owner postgres",
        "deploy/backup/restore /backups /var/lib/postgresql/15/main --until '2026-11-28 14:20:00' --timeline 1 --owner postgres",
        "deploy/backup/drill /backups",
        "docker compose exec postgres install -d -o postgres -g postgres /backups/base /backups/wal",
        "docker compose exec -T --user postgres postgres /opt/shelfwise/backup/base-backup /backups",
        "docker compose stop api worker",
        "docker compose start api worker",
        "shelfwise migrate",
        "shelfwise tenant verify-isolation",
        "shelfwise tenant list",
        "shelfwise tenant verify-audit SLUG",
    ];
    let page = Page::read("backup-and-restore");
    let commands: Vec<&str> =
        page.blocks.iter().filter(|block| block.language == "bash").flat_map(|block| block.text.lines()).collect();
    let unknown: Vec<_> = commands.iter().filter(|command| !known.contains(command)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // The settings are those that clusters here have.
    let settings = page.blocks.iter().find(|block| block.language == "ini").unwrap();
    for line in ["archive_mode = on", "archive_timeout = 60", "archive-wal /backups"] {
        assert!(settings.text.contains(line), "{line}");
    }
}

#[tokio::test]
async fn a_drill_restores_the_newest_backup_beside_everything_else_and_leaves_nothing() {
    let site = Site::new();
    let archived = site.cluster().await;
    let world = World::start_over(&archived.urls, &[]).await;
    let backups = site.path("backups");
    let backups = backups.to_str().unwrap();
    let missing = site.run(&archived.cluster, "check", &[backups]);
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(1), 0), "no copy is no backup");
    site.done(&archived.cluster, "base-backup", &[backups]);
    write(&world, "after the copy").await;
    archived.archive().await;

    let scratch = site.path("scratch");
    fs::create_dir(&scratch).unwrap();
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).unwrap();
    // The copy belongs to whoever made it; PostgreSQL's user is who restores here.
    let (uid, gid) = site.server_user();
    if is_root() {
        let owner = format!("{uid}:{gid}");
        assert!(Command::new("chown").args(["-R", &owner, backups]).status().unwrap().success());
        let refused = site.run(&archived.cluster, "drill", &[backups]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("does not run as root"));
    }
    let mut drill = site.command(&archived.cluster, "drill", &[backups, scratch.to_str().unwrap()]);
    if is_root() {
        drill.uid(uid).gid(gid);
    }
    let output = drill.output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.starts_with("shops: 2\nlast entry in the operators' trail: ") && text.contains("\nseconds: "),
        "{text}"
    );
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    // The cluster has noticed nothing of it.
    world.owner().data("{ books { totalCount } }", json!({})).await;
    world.end().await;
}

#[tokio::test]
async fn old_copies_go_with_the_segments_that_only_they_needed_and_the_newest_stays() {
    let site = Site::new();
    let archived = site.cluster().await;
    let backups = site.path("backups");
    let folder = backups.to_str().unwrap();
    let first = site.done(&archived.cluster, "base-backup", &[folder]);
    archived.archive().await;
    let of_last_year = backups.join("base/20250101T000000.000000");
    fs::rename(&first, &of_last_year).unwrap();
    let segments = || {
        let names = fs::read_dir(backups.join("wal")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.len() == 24);
        names.sort();
        names
    };
    let oldest = segments()[0].clone();
    // What was broken off, too.
    fs::create_dir(backups.join("base/4711.partial")).unwrap();

    let second = site.done(&archived.cluster, "base-backup", &[folder]);
    archived.archive().await;

    let mut copies: Vec<PathBuf> =
        fs::read_dir(backups.join("base")).unwrap().map(|entry| entry.unwrap().path()).collect();
    copies.sort();
    let [found, aside] = NO_COPIES.map(|name| backups.join("base").join(name));
    assert_eq!(copies, [PathBuf::from(&second), found, aside]);
    assert_eq!(site.done(&archived.cluster, "check", &[folder]), second);
    assert!(segments()[0] > oldest, "{:?} begins with {oldest}", segments());

    // What is kept under a name stays what it is.
    let (name, path) = (segments()[0].clone(), site.path("other"));
    fs::write(&path, "of another cluster").unwrap();
    let refused = site.run(&archived.cluster, "archive-wal", &[folder, path.to_str().unwrap(), &name]);
    assert_eq!(refused.status.code(), Some(1));
    let kept = backups.join("wal").join(&name);
    let again = site.run(&archived.cluster, "archive-wal", &[folder, kept.to_str().unwrap(), &name]);
    assert_eq!(again.status.code(), Some(0), "the same again is no failure");
    assert_eq!(fs::metadata(kept).unwrap().len(), 16 << 20);
}

#[tokio::test]
async fn a_copy_is_checked_by_the_programs_of_its_own_version() {
    let site = Site::new();
    let archived = site.cluster().await;
    let query = "SELECT (current_setting('server_version_num')::int / 10000)::text, setting
        FROM pg_config WHERE name = 'BINDIR'";
    let row = archived.psql().await.query_one(query, &[]).await.unwrap();
    let (version, own): (String, PathBuf) = (row.get(0), row.get::<_, String>(1).into());
    let versions = site.path("postgresql");
    let later = versions.join("99/bin");
    for folder in [&later, &versions.join(&version)] {
        fs::create_dir_all(folder).unwrap();
    }
    symlink(&own, versions.join(&version).join("bin")).unwrap();
    // A later version's copy servers of earlier ones, and cannot read what these wrote.
    symlink(own.join("pg_basebackup"), later.join("pg_basebackup")).unwrap();
    for program in ["pg_verifybackup", "pg_archivecleanup"] {
        fs::write(later.join(program), "#!/bin/sh\necho \"$0 cannot read this\" >&2\nexit 1\n").unwrap();
        fs::set_permissions(later.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let common = site.path("scripts/common.sh");
    let text = fs::read_to_string(&common).unwrap().replace("/usr/lib/postgresql", versions.to_str().unwrap());
    fs::write(common, text).unwrap();

    let backups = site.path("backups");
    let copy = site.done(&archived.cluster, "base-backup", &[backups.to_str().unwrap()]);

    assert_eq!(fs::read_to_string(Path::new(&copy).join("PG_VERSION")).unwrap().trim(), version);
    // Whoever names programs gets these.
    let named =
        site.command(&archived.cluster, "base-backup", &[backups.to_str().unwrap()]).env("PG_BIN", &later).output();
    let named = String::from_utf8(named.unwrap().stderr).unwrap();
    assert!(named.contains("99/bin/pg_verifybackup cannot read this"), "{named}");
}
