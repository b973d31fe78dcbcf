//! Archives of older releases come through the migrations.

use std::sync::Arc;

use shelfwise::control::archives::restore::From;
use shelfwise::db::migrate::{Plane, migrations, newest_version};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::TenantCtx;

use super::{Store, exported, fill_in, hashes, refused, restore};
use crate::graphql_helpers::author;
use crate::harness::World;
use crate::harness::cluster::psql_of;

/// Takes a shop back to a version, as if it had never been migrated further.
async fn taken_back(psql: &tokio_postgres::Client, shop: &TenantCtx, version: &str) {
    let schema = &shop.schema;
    let mut script = format!("BEGIN; SET LOCAL search_path TO \"{schema}\";");
    let ledger = format!(r#"SELECT version FROM "{schema}".__diesel_schema_migrations WHERE version > $1"#);
    let later: Vec<String> = psql.query(&ledger, &[&version]).await.unwrap().iter().map(|row| row.get(0)).collect();
    for migration in migrations(Plane::Tenant).iter().rev().filter(|migration| later.contains(&migration.version)) {
        script.push_str(&migration.down);
        script.push_str(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}';", migration.version));
    }
    script.push_str(&format!(
        "UPDATE control.tenants SET schema_version = '{version}' WHERE id = '{}'; COMMIT",
        shop.id.0
    ));
    psql.batch_execute(&script).await.unwrap();
}

#[tokio::test]
async fn an_archive_of_an_older_version_becomes_a_shop_of_today() {
    let store = Store::new();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    fill_in(&world, &psql).await;
    let all = migrations(Plane::Tenant);
    // From the newest back to the first one after which a shop has its trail and its people.
    for (age, migration) in all.iter().rev().enumerate().filter(|(_, migration)| *migration.version > *all[1].version) {
        taken_back(&psql, &world.a, &migration.version).await;
        let archive = exported(app, &world.a).await;
        assert_eq!(archive.schema_version.as_deref(), Some(migration.version.as_str()));
        let tenant = restore(app, From::Archive(archive.id), &format!("older-{age}")).await.unwrap();
        assert_eq!(tenant.schema_version, newest_version(Plane::Tenant));
        let shop = tenant.context().unwrap();
        let ledger = format!(r#"SELECT count(*) FROM "{}".__diesel_schema_migrations"#, shop.schema);
        assert_eq!(psql.query_one(&ledger, &[]).await.unwrap().get::<_, i64>(0), all.len() as i64);
        // It works, and what it had is there: only what the migrations changed differs.
        author(&super::owner_of(&world, &shop), "After the restore").await;
        let of_today = exported(app, &shop).await;
        let unchanged =
            |archive| hashes(archive).into_iter().filter(|(name, ..)| name == "categories").collect::<Vec<_>>();
        assert_eq!(unchanged(&archive), unchanged(&of_today));
    }
    world.end().await;
}

#[tokio::test]
async fn an_archive_of_a_newer_release_is_refused() {
    let store = Store::new();
    let (world, name) = World::start_alone(Arc::new(SystemClock), &store.settings()).await;
    let (app, psql) = (&world.app, psql_of(&name).await);
    let update = "UPDATE control.tenants SET schema_version = '29990101000001' WHERE id = $1";
    psql.execute(update, &[&world.a.id.0]).await.unwrap();
    let archive = exported(app, &world.a).await;
    let error = refused(app, From::Archive(archive.id), "newer-shop").await;
    assert_eq!(error, "The archive is of version 29990101000001, which this release does not know.");
    world.end().await;
}
