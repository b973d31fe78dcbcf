//! The stock of spare schemas, in databases of the tests' own.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use shelfwise::app::{App, owner};
use shelfwise::control::provisioning::steps::StepName;
use shelfwise::control::provisioning::{Desk, Provisioned, tenant_provision};
use shelfwise::control::spares::{BATCH_MAX, REFILL, refill, spare_take, spares_make};
use shelfwise::control::tenants::Lookup;
use shelfwise::db::{DbError, OwnerDb, OwnerTx};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::handlers;
use tokio::sync::Barrier;

use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::{config_over, fresh_slug, master_key, new_tenant, operator, people, vault};
use crate::jobs::queue::{Queue, Worker};

/// How many spares there are.
const COUNT: &str = "SELECT count(*) FROM control.spare_schemas";

/// Signs a shop up from the stock.
async fn sign_up(owner: &OwnerDb, wanted: u16) -> Provisioned {
    let (vault, operator) = (vault(&[master_key()]), operator());
    let desk = Desk { owner, vault: &vault, clock: &SystemClock, operator: &operator, stock: Some(wanted) };
    desk.tenant_provision(&new_tenant(&fresh_slug("s"))).await.unwrap()
}

fn names(provisioned: &Provisioned) -> Vec<StepName> {
    provisioned.steps.iter().map(|step| step.name).collect()
}

/// What a sign-up from the stock consists of.
const FROM_STOCK: [StepName; 6] =
    [StepName::Spare, StepName::Registry, StepName::Owner, StepName::Mails, StepName::Notification, StepName::Commit];

/// What a sign-up does that finds the stock empty.
const BUILT: [StepName; 8] = [
    StepName::Spare,
    StepName::Registry,
    StepName::Schema,
    StepName::DefaultData,
    StepName::Owner,
    StepName::Mails,
    StepName::Notification,
    StepName::Commit,
];

#[tokio::test]
async fn the_stock_is_filled_up_in_batches_with_one_grant_each() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    assert_eq!(refill(&owner, &SystemClock, 12).await.unwrap(), 12);
    assert_eq!(queue.ask(COUNT).await, "12");
    let members = "SELECT count(DISTINCT m.xmin::text) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
        JOIN pg_namespace n ON n.nspname = r.rolname WHERE m.member = 'shelfwise'::regrole AND r.rolname ~ '^t_'";
    assert_eq!(queue.ask(members).await, "2", "{BATCH_MAX} at most in a transaction");
    assert_eq!(refill(&owner, &SystemClock, 12).await.unwrap(), 0, "a full stock is left as it is");
    assert_eq!(refill(&owner, &SystemClock, 0).await.unwrap(), 0);
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^t_'";
    assert_eq!(queue.ask(made).await, "12");
}

#[tokio::test]
async fn a_spare_is_what_a_new_tenants_schema_is_without_the_owner() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    refill(&owner, &SystemClock, 1).await.unwrap();
    let built =
        tenant_provision(&owner, &vault(&[master_key()]), &SystemClock, &operator(), &new_tenant("built")).await;
    let built = built.unwrap();
    let taken = sign_up(&owner, 0).await;
    assert_eq!(names(&taken), FROM_STOCK);
    let contents = async |tenant: &shelfwise::control::tenants::Tenant| {
        let schema = shelfwise::kernel::tenant::SchemaName::from(tenant.id);
        let query = format!(
            r#"SELECT (SELECT string_agg(name, ',' ORDER BY name) FROM "{schema}".categories) || '|' ||
                (SELECT string_agg(key, ',' ORDER BY key) FROM "{schema}".roles) || '|' ||
                (SELECT string_agg(email || status, ',') FROM "{schema}".users) || '|' ||
                (SELECT string_agg(key, ',') FROM "{schema}".user_roles JOIN "{schema}".roles ON id = role_id) || '|' ||
                (SELECT count(*) FROM "{schema}".tenant_head WHERE tenant_id = '{id}') || '|' ||
                (SELECT count(*) FROM "{schema}".tenant_stamp WHERE tenant_id = '{id}') || '|' ||
                (SELECT string_agg(version, ',' ORDER BY version) FROM "{schema}".__diesel_schema_migrations) || '|' ||
                (SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace) || '|' ||
                (SELECT rolcanlogin FROM pg_roles WHERE rolname = '{schema}') || '|' ||
                pg_has_role('shelfwise', '{schema}', 'MEMBER')"#,
            id = tenant.id.0
        );
        queue.ask(&query).await
    };
    assert_eq!(contents(&taken.tenant).await, contents(&built).await);
    assert_eq!(queue.ask(COUNT).await, "0");
    assert_eq!(taken.tenant.schema_version, built.schema_version);
}

#[tokio::test]
async fn two_that_sign_up_at_once_take_different_spares() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    refill(&owner, &SystemClock, 4).await.unwrap();
    let both = Arc::new(Barrier::new(2));
    let take = |both: Arc<Barrier>| {
        let owner = owner.clone();
        async move {
            let work = async |tx: &mut OwnerTx| {
                let stock = spare_take(tx).await?;
                // Neither commits before both have taken.
                both.wait().await;
                Ok::<_, DbError>(stock.taken)
            };
            owner.write(work).await.unwrap()
        }
    };
    let (one, two) = tokio::join!(take(Arc::clone(&both)), take(Arc::clone(&both)));
    assert!(one.is_some() && two.is_some() && one != two, "{one:?} {two:?}");
    let ids: BTreeSet<_> = futures_util::future::join_all((0..4).map(|_| sign_up(&owner, 0)))
        .await
        .iter()
        .map(|provisioned| provisioned.tenant.id.0)
        .collect();
    assert_eq!(ids.len(), 4, "two were taken, two were left, and two were built");
    assert_eq!(queue.ask(COUNT).await, "0");
}

#[tokio::test]
async fn an_empty_stock_and_one_that_is_behind_fall_back_to_building() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    assert_eq!(names(&sign_up(&owner, 0).await), BUILT, "empty");
    refill(&owner, &SystemClock, 2).await.unwrap();
    queue.sql("UPDATE control.spare_schemas SET schema_version = '20261124000001'").await;
    assert_eq!(names(&sign_up(&owner, 0).await), BUILT, "behind");
    assert_eq!(queue.ask(COUNT).await, "2", "what is behind waits for the fleet's migration");
    queue.sql("UPDATE control.spare_schemas SET schema_version = '29991231000000'").await;
    assert_eq!(names(&sign_up(&owner, 0).await), BUILT, "of a younger release");
}

#[tokio::test]
async fn what_does_not_become_a_tenant_goes_back_into_the_stock() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    refill(&owner, &SystemClock, 2).await.unwrap();
    let first = sign_up(&owner, 0).await.tenant;
    let (vault, operator) = (vault(&[master_key()]), operator());
    let desk = Desk { owner: &owner, vault: &vault, clock: &SystemClock, operator: &operator, stock: Some(0) };
    assert!(desk.tenant_provision(&new_tenant(&first.slug)).await.is_err());
    assert_eq!(queue.ask(COUNT).await, "1");
    let dropped = async |tx: &mut OwnerTx| {
        spare_take(tx).await?;
        Err::<(), _>(DbError::Other("given up".to_owned()))
    };
    assert!(owner.write(dropped).await.is_err());
    assert_eq!(queue.ask(COUNT).await, "1");
    assert_eq!(names(&sign_up(&owner, 0).await), FROM_STOCK);
}

#[tokio::test]
async fn a_sign_up_that_leaves_little_asks_for_more_once() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    refill(&owner, &SystemClock, 4).await.unwrap();
    let asked = format!("SELECT count(*) FROM control.jobs WHERE kind = '{REFILL}' AND tenant_id IS NULL");
    for (left, jobs) in [(3, "0"), (2, "0"), (1, "1"), (0, "1")] {
        sign_up(&owner, 4).await;
        assert_eq!(queue.ask(COUNT).await, left.to_string());
        assert_eq!(queue.ask(&asked).await, jobs, "{left} are left");
    }
}

#[tokio::test]
async fn two_that_fill_up_at_once_make_no_more_than_is_wanted() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    let (one, two) = tokio::join!(refill(&owner, &SystemClock, 6), refill(&owner, &SystemClock, 6));
    assert_eq!(one.unwrap() + two.unwrap(), 6);
    assert_eq!(queue.ask(COUNT).await, "6");
}

#[tokio::test]
async fn a_batch_that_fails_leaves_no_schema_and_no_role() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    let trap =
        "CREATE FUNCTION control.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;
        CREATE TRIGGER trap BEFORE INSERT ON control.spare_schemas FOR EACH ROW EXECUTE FUNCTION control.trap()";
    let roles = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^t_'";
    queue.sql(trap).await;
    assert!(refill(&owner, &SystemClock, 3).await.is_err());
    assert_eq!(queue.ask(roles).await, "0");
    queue.sql("DROP TRIGGER trap ON control.spare_schemas").await;
    assert_eq!(refill(&owner, &SystemClock, 3).await.unwrap(), 3);
    assert_eq!(queue.ask(roles).await, "3");
}

#[tokio::test]
async fn a_worker_keeps_the_stock_and_a_shop_of_it_works_like_any_other() {
    let queue = Queue::new().await;
    let (runtime, owner_url) = (&queue.urls.runtime, queue.urls.owner.as_ref().unwrap());
    let world = World::start(&[
        ("DATABASE_URL", runtime.expose_secret()),
        ("DATABASE_OWNER_URL", owner_url.expose_secret()),
        ("SPARE_SCHEMAS", "3"),
    ])
    .await;
    queue.sql("DELETE FROM control.jobs").await;
    queue.add(REFILL, None).await;
    let worker = Worker::start(queue.runner(handlers(&world.app)));
    queue.until(COUNT, "3").await;

    let slug = fresh_slug("w");
    let query = "mutation($slug: String!) {
        tenantProvision(input: { slug: $slug, name: \"Shop\", plan: \"free\", ownerEmail: \"ann@shop.example\" }) {
            tenant { schemaName } steps { name milliseconds } userErrors { code } } }";
    let payload = world.admin().data(query, serde_json::json!({ "slug": slug })).await["tenantProvision"].clone();
    let steps: Vec<&str> = payload["steps"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(steps, ["SPARE", "REGISTRY", "OWNER", "MAILS", "NOTIFICATION", "COMMIT", "CACHES"]);
    let Lookup::Active(context) = world.app.services.registry.resolve(&slug.parse().unwrap()).await.unwrap() else {
        panic!("the new shop is not there")
    };
    assert_eq!(payload["tenant"]["schemaName"], context.schema.as_str());
    people(&world.app, &context).await;
    let shop = world.user(&context, Role::Owner);
    let book = crate::graphql_helpers::book(&shop, serde_json::json!({ "title": slug })).await;
    let seen = shop.data("query($id: ID!) { book(id: $id) { title } }", serde_json::json!({ "id": book })).await;
    assert_eq!(seen["book"]["title"], slug.as_str());
    // Two are left of three: not yet too few.
    queue.until("SELECT count(*) FROM control.jobs WHERE kind = 'spares.refill' AND state <> 'completed'", "0").await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn the_job_is_for_workers_that_know_the_owners_login() {
    let queue = Queue::new().await;
    let with = App::new(config_over(&queue.urls, &[("SPARE_SCHEMAS", "1")]), Arc::new(SystemClock)).unwrap();
    assert!(handlers(&Arc::new(with)).get(REFILL).is_some());
    let mut urls = queue.urls.clone();
    urls.owner = None;
    let mut config = config_over(&queue.urls, &[("SPARE_SCHEMAS", "1")]);
    config.database.urls = Some(urls);
    let without = App::new(config, Arc::new(SystemClock)).unwrap();
    assert!(handlers(&Arc::new(without)).get(REFILL).is_none());
}

#[tokio::test]
async fn nobody_but_the_owner_moves_spares() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    owner.write::<_, DbError>(async |tx: &mut OwnerTx| spares_make(tx, &SystemClock, 1).await).await.unwrap();
    let psql = psql_of(&queue.database().await).await;
    psql.batch_execute("SET ROLE shelfwise").await.unwrap();
    for statement in ["DELETE FROM control.spare_schemas", "UPDATE control.spare_schemas SET schema_version = ''"] {
        let error = psql.batch_execute(statement).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
    }
}

#[tokio::test]
async fn people_with_psql_are_told_a_schemas_name_as_the_server_has_it() {
    let queue = Queue::new().await;
    let owner = owner(&queue.urls).unwrap();
    refill(&owner, &SystemClock, 3).await.unwrap();
    sign_up(&owner, 0).await;
    let nobodys = "SELECT count(*) FROM (
        SELECT nspname::text FROM pg_namespace WHERE nspname ~ '^t_[0-9a-z]{26}$'
        EXCEPT SELECT schema_name FROM control.tenants
        EXCEPT SELECT control.schema_name(id) FROM control.spare_schemas) AS nobodys";
    assert_eq!(queue.ask(nobodys).await, "0");
    let last = "SELECT control.schema_name('ffffffff-ffff-ffff-ffff-ffffffffffff')";
    assert_eq!(queue.ask(last).await, format!("t_7{}", "z".repeat(25)));
}
