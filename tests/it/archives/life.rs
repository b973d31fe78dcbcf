//! How long archives live, what is left of them, and what a store that fails does to one.

use std::sync::Arc;

use chrono::TimeDelta;
use shelfwise::app::App;
use shelfwise::config::crypto::MasterKey;
use shelfwise::control::archives::restore::From;
use shelfwise::control::archives::service::{
    archive_make, archive_open, archive_request, archive_sweep, archive_verify,
};
use shelfwise::control::archives::{Archive, ArchiveError, ArchiveStatus, Purpose};
use shelfwise::control::tenants::keys::{rewrap_all, wrapped};
use shelfwise::control::tenants::service::tenant_by_id;
use shelfwise::db::ControlTx;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::tenant::TenantCtx;

use super::{Store, asked, exported, fill, hashes, refused, row};
use crate::harness::World;
use crate::harness::clock::TestClock;
use crate::harness::cluster::psql_of;
use crate::harness::world::{operator, vault, world_with};

/// An archive for a purpose that nobody can ask for by a command.
async fn made_for(app: &App, shop: &TenantCtx, purpose: Purpose) -> Archive {
    let tenant = tenant_by_id(&app.control, shop.id).await.unwrap().unwrap();
    let clock = &*app.services.clock;
    let request = async |tx: &mut ControlTx| archive_request(tx, clock, &operator(), &tenant, purpose).await;
    let id = app.control.write(request).await.unwrap();
    archive_make(app.archive_desk(), &app.config.retention, id).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_archive_that_is_over_loses_its_key_and_its_object() {
    let store = Store::new();
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    let export = exported(app, &world.a).await;
    let audit = made_for(app, &world.a, Purpose::Audit).await;
    let kept_for = |archive: &Archive| (archive.expires_at.unwrap() - clock.now()).num_days();
    assert!((89..=90).contains(&kept_for(&export)) && (2555..=2557).contains(&kept_for(&audit)));
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    assert_eq!(store.files().len(), 2, "nothing is over yet");

    // A worker's clock alone destroys no key.
    clock.advance(TimeDelta::days(91));
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    assert_eq!((row(app, export.id).await.status(), store.files().len()), (ArchiveStatus::Completed, 2));
    psql.execute("UPDATE control.archives SET expires_at = now() WHERE purpose = 'export'", &[]).await.unwrap();
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    let expired = row(app, export.id).await;
    assert_eq!((expired.status(), expired.key_wrapped, expired.object_key), (ArchiveStatus::Expired, None, None));
    assert_eq!(store.files().len(), 1, "the audit archive stays");
    let error = refused(app, From::Archive(export.id), "too-late").await;
    assert_eq!(error, "The archive has expired; its key is destroyed.");
    archive_verify(&app.objects, &app.services.vault, &audit).await.unwrap();
    let trail = "SELECT operator, details ->> 'archive' FROM control.admin_audit WHERE action = 'archive.expire'";
    let entry = psql.query_one(trail, &[]).await.unwrap();
    assert_eq!((entry.get::<_, &str>(0), entry.get::<_, String>(1)), ("platform", export.id.to_string()));
    clock.advance(TimeDelta::days(7 * 366));
    psql.execute("UPDATE control.archives SET expires_at = now()", &[]).await.unwrap();
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    assert!(store.files().is_empty());
    world.end().await;
}

#[tokio::test]
async fn an_audit_archive_holds_the_trail_alone_and_opens_nothing_of_it() {
    let store = Store::new();
    world_with(&store.settings(), async |world| {
        fill(world).await;
        let archive = made_for(&world.app, &world.a, Purpose::Audit).await;
        let tables: Vec<_> = hashes(&archive).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(tables, ["audit_log"]);
        let opened = archive_open(&world.app.objects, &world.app.services.vault, &archive).await.unwrap();
        let (names, text) = tokio::task::spawn_blocking(move || {
            let mut zip = zip::ZipArchive::new(opened).unwrap();
            let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
            (names, std::io::read_to_string(zip.by_name("tables/audit_log.ndjson").unwrap()).unwrap())
        })
        .await
        .unwrap();
        assert!(!names.contains(&"keys.json".to_owned()), "{names:?}");
        assert!(text.contains("\"sealed\":\"\\\\x01") && !text.contains("_opened") && !text.contains("ann@"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_fails_leaves_no_archive_and_no_object() {
    let store = Store::new();
    let missing = format!("{}/not-mounted", store.url);
    world_with(&[("OBJECT_STORE_URL", &missing)], async |world| {
        let app = &world.app;
        let id = asked(app, &world.a).await;
        let make = || archive_make(app.archive_desk(), &app.config.retention, id);
        let error = make().await.unwrap_err();
        assert!(matches!(error, ArchiveError::Object(_)), "{error:?}");
        assert!(row(app, id).await.object_key.is_some() && !row(app, id).await.is_completed());
        // A file in the place of the folder: the store cannot write either.
        std::fs::create_dir(store.folder.path().join("not-mounted")).unwrap();
        std::fs::write(store.folder.path().join("not-mounted/archives"), "in the way").unwrap();
        let error = make().await.unwrap_err();
        assert!(matches!(error, ArchiveError::Object(_)), "{error:?}");
        std::fs::remove_file(store.folder.path().join("not-mounted/archives")).unwrap();
        let archive = make().await.unwrap().unwrap();
        archive_verify(&app.objects, &app.services.vault, &archive).await.unwrap();
        assert_eq!(store.files().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_archive_that_nobody_makes_is_given_up_and_another_may_be_asked_for() {
    let store = Store::new();
    let clock = Arc::new(TestClock::default());
    let (world, name) = World::start_alone(clock.clone(), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    let id = asked(app, &world.a).await;
    clock.advance(TimeDelta::hours(3));
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    assert_eq!(row(app, id).await.status(), ArchiveStatus::Pending, "its job will make it");
    psql.execute("UPDATE control.jobs SET state = 'discarded', finalized_at = now()", &[]).await.unwrap();
    archive_sweep(&app.control, &app.objects, &*clock).await.unwrap();
    assert_eq!(row(app, id).await.status(), ArchiveStatus::Failed);
    assert_ne!(exported(app, &world.a).await.id, id);
    world.end().await;
}

#[tokio::test]
async fn a_new_master_key_wraps_archives_keys_too() {
    let store = Store::new();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
    let (app, _) = (&world.app, name);
    let archive = exported(app, &world.a).await;
    let old = crate::harness::world::master_key();
    let new = MasterKey::generate("test-2").unwrap();
    let both = vault(&[new.clone(), old]);
    let before = wrapped(&app.control).await.unwrap();
    assert_eq!(
        before.by_master.into_iter().collect::<Vec<_>>(),
        [("test-1".to_owned(), 5)],
        "two shops' and one archive's"
    );
    let outcome = rewrap_all(&app.control, &both, &SystemClock, &operator()).await.unwrap();
    assert_eq!((outcome.rewrapped, outcome.failed), (5, vec![]));
    let archive = row(app, archive.id).await;
    archive_verify(&app.objects, &vault(&[new]), &archive).await.unwrap();
    assert!(archive_verify(&app.objects, &app.services.vault, &archive).await.is_err());
    world.end().await;
}
