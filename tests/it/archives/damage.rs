//! Archives that are not what was written, and restores that are refused: nothing is left of any.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use shelfwise::control::archives::restore::From;
use shelfwise::control::archives::service::{archive_open, archive_verify};
use shelfwise::control::archives::{Archive, ArchiveError};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::ArchiveId;

use super::{Store, exported, fill_in, refused, restore, traces};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::fresh_slug;

/// What is done to the bytes of an object.
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

/// A world in a database of its own: what a refused restore leaves would show in its catalogue.
async fn alone(store: &Store) -> (World, tokio_postgres::Client) {
    let (world, name) = World::start_alone(std::sync::Arc::new(SystemClock), &store.settings()).await;
    (world, psql_of(&name).await)
}

/// The archive as somebody has it who fetched it.
pub(super) async fn fetched(world: &World, archive: &Archive, folder: &Path) -> PathBuf {
    let mut opened = archive_open(&world.app.objects, &world.app.services.vault, archive).await.unwrap();
    let path = folder.join(format!("{}.zip", archive.id));
    let mut file = std::fs::File::create(&path).unwrap();
    tokio::task::spawn_blocking(move || std::io::copy(&mut opened, &mut file).unwrap()).await.unwrap();
    path
}

/// Writes a zip anew with one entry's text changed.
pub(super) fn rewritten(path: &Path, entry: &str, change: impl Fn(String) -> String) -> PathBuf {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let to = path.with_extension("changed.zip");
    let mut out = zip::ZipWriter::new(std::fs::File::create(&to).unwrap());
    for index in 0..zip.len() {
        let mut read = zip.by_index(index).unwrap();
        let name = read.name().unwrap().into_owned();
        let text = std::io::read_to_string(&mut read).unwrap();
        out.start_file(&name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(if name == entry { change(text) } else { text }.as_bytes()).unwrap();
    }
    out.finish().unwrap();
    to
}

/// Has the row of an archive vouch for a file, as somebody could who has the database: what is in it is checked all the same.
pub(super) async fn vouched(psql: &tokio_postgres::Client, archive: &Archive, path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&bytes).to_vec();
    let update = "UPDATE control.archives SET sha256 = $2 WHERE id = $1";
    assert_eq!(psql.execute(update, &[&archive.id.0, &sha256]).await.unwrap(), 1);
}

#[tokio::test]
async fn each_damage_of_the_object_is_noticed_and_nothing_is_left() {
    let store = Store::new();
    let (world, psql) = alone(&store).await;
    let app = &world.app;
    let archive = exported(app, &world.a).await;
    let path = store.files()[0].clone();
    let (whole, before) = (std::fs::read(&path).unwrap(), traces(&psql).await);
    let damages: [(&str, Damage); 6] = [
        ("a byte of the head", Box::new(|bytes| bytes[3] ^= 1)),
        ("a byte of the nonce", Box::new(|bytes| bytes[28] ^= 1)),
        (
            "a byte in the middle",
            Box::new(|bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            }),
        ),
        ("the last byte", Box::new(|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("cut off", Box::new(|bytes| bytes.truncate(bytes.len() - 100))),
        ("nothing left", Box::new(Vec::clear)),
    ];
    for (what, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let verified = archive_verify(&app.objects, &app.services.vault, &archive).await;
        assert!(matches!(verified, Err(ArchiveError::Damaged(_))), "{what}: {verified:?}");
        let error = restore(app, From::Archive(archive.id), &fresh_slug("r")).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged(_)), "{what}: {error:?}");
        assert_eq!(traces(&psql).await, before, "{what}");
    }
    std::fs::remove_file(&path).unwrap();
    let error = refused(app, From::Archive(archive.id), "gone-shop").await;
    assert!(error.starts_with("the object store has no object"), "{error}");
    std::fs::write(&path, whole).unwrap();
    archive_verify(&app.objects, &app.services.vault, &archive).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_fetched_file_restores_and_one_that_was_changed_does_not() {
    let store = Store::new();
    let (world, psql) = alone(&store).await;
    let (app, folder) = (&world.app, tempfile::tempdir().unwrap());
    let archive = exported(app, &world.a).await;
    let path = fetched(&world, &archive, folder.path()).await;
    restore(app, From::File(path.clone()), "by-file").await.unwrap();

    let before = traces(&psql).await;
    let changed = rewritten(&path, "tables/users.ndjson", |text| text.replace("clerk@", "thief@"));
    let error = refused(app, From::File(changed.clone()), "changed").await;
    assert_eq!(error, "the archive is damaged: the file is not the one that was written");
    // Whoever could change the row as well is stopped by the hashes within.
    vouched(&psql, &archive, &changed).await;
    let error = refused(app, From::File(changed), "changed").await;
    assert_eq!(error, "the archive is damaged: tables/users.ndjson: not what the manifest says");
    let plain =
        rewritten(&path, "tables/roles.ndjson", |text| text.lines().skip(1).map(|l| format!("{l}\n")).collect());
    vouched(&psql, &archive, &plain).await;
    let error = refused(app, From::File(plain), "changed").await;
    assert_eq!(error, "the archive is damaged: tables/roles.ndjson: not what the manifest says");
    let junk = folder.path().join("junk.zip");
    std::fs::write(&junk, b"PK but no zip").unwrap();
    assert!(refused(app, From::File(junk), "changed").await.starts_with("the archive is damaged: "));
    let missing = folder.path().join("missing.zip");
    assert!(refused(app, From::File(missing), "changed").await.contains("No such file"));
    assert_eq!(traces(&psql).await, before);
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_a_reason() {
    let store = Store::new();
    let (world, psql) = alone(&store).await;
    let app = &world.app;
    fill_in(&world, &psql).await;
    let archive = exported(app, &world.a).await;
    let before = traces(&psql).await;
    let from = || From::Archive(archive.id);
    let taken = world.b.slug.as_str();
    assert_eq!(refused(app, from(), taken).await, format!("The slug `{taken}` is taken."));
    let own = world.a.slug.as_str();
    assert_eq!(refused(app, from(), own).await, format!("The slug `{own}` is taken."), "it is living");
    assert!(refused(app, from(), "admin").await.contains("reserved"));
    let nobody = ArchiveId(SystemClock.new_id());
    assert_eq!(refused(app, From::Archive(nobody), "some-shop").await, format!("There is no archive `{nobody}`."));

    let set = async |what: &str| {
        let update = format!("UPDATE control.archives SET {what} WHERE id = $1");
        psql.execute(&update, &[&archive.id.0]).await.unwrap();
    };
    set("status = 'running', finished_at = NULL").await;
    assert_eq!(refused(app, from(), "some-shop").await, "The archive is running; it cannot be read.");
    set("status = 'completed', finished_at = now(), purpose = 'audit'").await;
    let error = refused(app, from(), "some-shop").await;
    assert_eq!(error, "The archive holds a trail alone; no tenant can be made of it.");
    set("purpose = 'export'").await;
    psql.execute("UPDATE control.tenants SET plan = 'free'", &[]).await.unwrap();
    psql.execute("DELETE FROM control.plans WHERE code = 'business'", &[]).await.unwrap();
    assert_eq!(refused(app, from(), "some-shop").await, "There is no plan `business`, which the tenant had.");
    assert_eq!(traces(&psql).await, before);
    world.end().await;
}

#[tokio::test]
async fn a_deleted_tenant_makes_room_for_its_own_archive_alone() {
    let store = Store::new();
    let (world, psql) = alone(&store).await;
    let app = &world.app;
    let (of_a, of_b) = (exported(app, &world.a).await, exported(app, &world.b).await);
    let delete = "UPDATE control.tenants SET status = 'deleted', keys = '[]' WHERE id = $1";
    psql.execute(delete, &[&world.a.id.0]).await.unwrap();
    let slug = world.a.slug.as_str();
    assert_eq!(refused(app, From::Archive(of_b.id), slug).await, format!("The slug `{slug}` is taken."));
    let tenant = restore(app, From::Archive(of_a.id), slug).await.unwrap();
    assert_ne!(tenant.id, world.a.id);
    let query = "SELECT slug FROM control.tenants WHERE id = $1";
    let tombstone: String = psql.query_one(query, &[&world.a.id.0]).await.unwrap().get(0);
    let id = world.a.id.to_string();
    assert_eq!(tombstone, format!("{slug}~{}", id.strip_prefix("tenant_").unwrap()));
    // The host name leads to the new one.
    let known = app.services.registry.resolve(&world.a.slug).await.unwrap();
    assert!(matches!(known, shelfwise::control::tenants::Lookup::Active(found) if found.id == tenant.id));
    world.end().await;
}
