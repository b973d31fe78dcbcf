//! What operators have decided travels in the archive, and tells nobody.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::control::archives::restore::From;
use shelfwise::control::archives::service::archive_verify;
use shelfwise::kernel::clock::SystemClock;

use super::damage::{fetched, rewritten, vouched};
use super::{Store, exported, refused, restore, traces};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::fresh_slug;

/// The manifest as releases wrote it that knew nothing of what operators decide.
fn of_before(manifest: String) -> String {
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert!(manifest.as_object_mut().unwrap().remove("terms").is_some());
    manifest.to_string()
}

#[tokio::test]
async fn what_operators_decided_is_sealed_in_the_archive_and_archives_without_it_are_restored() {
    let store = Store::new();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    let rule = "INSERT INTO control.tenant_settings
        VALUES ($1, 'mail.reply_to', '\"desk@customers.example\"', 'cli:somebody', now())";
    psql.execute(rule, &[&world.a.id.0]).await.unwrap();
    let archive = exported(app, &world.a).await;
    archive_verify(&app.objects, &app.services.vault, &archive).await.unwrap();
    assert_eq!(archive.manifest.as_ref().unwrap()["terms"]["rows"], 1);
    let folder = tempfile::tempdir().unwrap();
    let file = fetched(&world, &archive, folder.path()).await;
    let entry = {
        let mut zip = zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap();
        std::io::read_to_string(zip.by_name("terms.json").unwrap()).unwrap()
    };
    assert!(entry.starts_with("{\"terms\":{\"_sealed\":\"") && !entry.contains("customers.example"), "{entry}");
    let count = "SELECT count(*) FROM control.tenant_settings WHERE tenant_id = $1 AND updated_by = 'cli:somebody'";
    let rules = async |tenant: uuid::Uuid| psql.query_one(count, &[&tenant]).await.unwrap().get::<_, i64>(0);
    let whole = restore(app, From::File(file.clone()), &fresh_slug("r")).await.unwrap();
    assert_eq!(rules(whole.id.0).await, 1);

    // Another's terms are none of this archive, though the manifest names them.
    let before = traces(&psql).await;
    let other = fetched(&world, &exported(app, &world.b).await, folder.path()).await;
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&other).unwrap()).unwrap();
    let foreign = std::io::read_to_string(zip.by_name("terms.json").unwrap()).unwrap();
    let swapped = rewritten(&file, "terms.json", |_| foreign.clone());
    vouched(&psql, &archive, &swapped).await;
    let error = refused(app, From::File(swapped.clone()), "swapped").await;
    assert_eq!(error, "the archive is damaged: terms.json: not what the manifest says");
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&foreign);
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let named = rewritten(&swapped, "manifest.json", |manifest| {
        let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["terms"]["entrySha256"] = json!(sha256);
        manifest.to_string()
    });
    vouched(&psql, &archive, &named).await;
    let error = refused(app, From::File(named), "named").await;
    assert_eq!(error, "the archive is damaged: terms.json: what a row has sealed is not what was sealed there");
    assert_eq!(traces(&psql).await, before);

    let old = rewritten(&file, "manifest.json", of_before);
    vouched(&psql, &archive, &old).await;
    let tenant = restore(app, From::File(old), &fresh_slug("r")).await.unwrap();
    assert_eq!(rules(tenant.id.0).await, 0);
    world.end().await;
}
