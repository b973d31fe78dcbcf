//! `shelfwise tenant export`, `restore`, `archives` and `verify-archive`.

use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use serde_json::Value;
use shelfwise::config::auth::JwtKey;
use shelfwise::control::tenants::service::tenant_by_slug;

use super::{Store, fill};
use crate::harness::cluster::{psql, shared_urls};
use crate::harness::world::{fresh_slug, master_key, world_with};

/// Runs the binary over a store.
fn run(store: &Store, arguments: &[&str]) -> (Output, String, String) {
    let urls = shared_urls();
    let output = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(arguments)
        .env_clear()
        .current_dir(store.folder.path())
        .env("DATABASE_URL", urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret())
        .env("OBJECT_STORE_URL", &store.url)
        .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
        .env("MASTER_KEYS", master_key().to_setting())
        .output()
        .unwrap();
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
