//! `shelfwise tenant export`, `restore`, `archives` and `verify-archive`.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use shelfwise::config::auth::JwtKey;
use shelfwise::control::tenants::service::tenant_by_slug;

use super::{Store, fill};
use crate::harness::cluster::{psql, shared_urls};
use crate::harness::world::{fresh_slug, master_key, world_with};

/// The binary over a store.
fn command(store: &Store, arguments: &[&str]) -> Command {
    let urls = shared_urls();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    command
        .args(arguments)
        .env_clear()
        .current_dir(store.folder.path())
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
        .env("OBJECT_STORE_URL", &store.url)
        .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
        .env("MASTER_KEYS", master_key().to_setting());
    command
}

/// Runs the binary over a store.
fn run(store: &Store, arguments: &[&str]) -> (Output, String, String) {
    let output = command(store, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

#[tokio::test]
async fn a_tenant_is_exported_listed_verified_and_restored_at_the_command_line() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        fill(world).await;
        let (slug, folder) = (world.a.slug.as_str(), tempfile::tempdir().unwrap());
        let out = folder.path().join("shop.zip");
        let (output, stdout, stderr) =
            run(&store, &["tenant", "export", slug, "--out", out.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{stderr}");
        let archive: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&archive["tenant"], &archive["status"]), (&slug.into(), &"completed".into()));
        assert_eq!(archive["bytes"], std::fs::metadata(&out).unwrap().len());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
        }
        let id = archive["id"].as_str().unwrap();
        let (_, stdout, _) = run(&store, &["tenant", "archives", slug]);
        assert!(stdout.starts_with(id) && stdout.lines().count() == 1, "{stdout}");
        let (output, ..) = run(&store, &["tenant", "verify-archive", id]);
        assert!(output.status.success());

        for (from, name) in [(id, None), (out.to_str().unwrap(), Some("By the file"))] {
            let slug = fresh_slug("r");
            let mut arguments = vec!["tenant", "restore", from, "--as", &slug, "--json"];
            arguments.extend(name.iter().flat_map(|name| ["--name", name]));
            let (output, stdout, stderr) = run(&store, &arguments);
            assert!(output.status.success(), "{stderr}");
            let tenant: Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!((&tenant["slug"], &tenant["status"]), (&slug.as_str().into(), &"active".into()));
            assert_eq!(tenant["name"], name.unwrap_or(&world.a.name));
            assert!(tenant_by_slug(&world.app.control, &slug).await.unwrap().is_some());
            let (output, stdout, _) = run(&store, &["tenant", "verify-audit", &slug]);
            assert!(output.status.success(), "{stdout}");
        }
        let trail = "SELECT count(*) FROM control.admin_audit WHERE details ->> 'archive' = $1";
        assert_eq!(
            psql().await.query_one(trail, &[&id]).await.unwrap().get::<_, i64>(0),
            4,
            "one export that was written to a file, two restores"
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_that_cannot_be_done_says_why_and_leaves_nothing() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let refused = |arguments: &[&str], why: &str| {
            let (output, stdout, stderr) = run(&store, arguments);
            assert!(!output.status.success() && stdout.is_empty(), "{stdout}");
            assert!(stderr.contains(why), "{stderr}");
        };
        refused(&["tenant", "export", "nobody"], "There is no tenant `nobody`.");
        refused(&["tenant", "restore", "/nowhere.zip", "--as", "some-shop"], "/nowhere.zip: No such file");
        refused(&["tenant", "verify-archive", "archive_01h455vb4pex5vsknk084sn02q"], "there is no archive");
        refused(&["tenant", "archives", "nobody"], "there is no tenant `nobody`");
        std::fs::write(store.folder.path().join("archives"), "in the way").unwrap();
        refused(&["tenant", "export", world.a.slug.as_str()], "the object store failed");
        let status = "SELECT status, error FROM control.archives WHERE tenant_id = $1";
        let row = psql().await.query_one(status, &[&world.a.id.0]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "failed");
        assert!(row.get::<_, &str>(1).starts_with("the object store failed"));
    })
    .await;
}

/// The most memory that a process takes up to its end, in megabytes. It is looked at every few milliseconds.
async fn peak_of(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut looks) = (0, tokio::time::interval(Duration::from_millis(5)));
    loop {
        looks.tick().await;
        let read = std::fs::read_to_string(&status).unwrap_or_default();
        let line = read.lines().find(|line| line.starts_with("VmHWM"));
        let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0) / 1024);
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success());
            return peak;
        }
    }
}

#[tokio::test]
async fn a_large_shop_is_archived_in_little_memory() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        let export = || command(&store, &["tenant", "export", world.a.slug.as_str()]);
        let small = peak_of(export()).await;
        // 100 MB of hexadecimal digits, a kilobyte a row.
        let fill = format!(
            r#"INSERT INTO "{}".trusted_documents (hash, body, created_at)
               SELECT encode(sha256(n::text::bytea), 'hex'),
                      (SELECT string_agg(encode(sha256((n * 100 + k)::text::bytea), 'hex'), '')
                       FROM generate_series(1, 16) k),
                      now() FROM generate_series(1, 100000) n"#,
            world.a.schema
        );
        psql().await.batch_execute(&fill).await.unwrap();
        let large = peak_of(export()).await;
        let bytes: u64 = store.files().iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
        println!("archives of {} MB: peak {small} MB of a small shop, {large} MB of the same when large", bytes >> 20);
        assert!(bytes > 48 << 20, "{bytes}");
        assert!(0 < small && large < small + 40, "peak {small} MB of a small shop, {large} MB of a large one");
    })
    .await;
}
