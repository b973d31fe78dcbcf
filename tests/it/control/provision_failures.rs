//! Each step of provisioning is made to fail, in a database of its own: nothing is left, and the same request succeeds
//! afterwards.

use shelfwise::app::owner;
use shelfwise::control::provisioning::steps::StepName;
use shelfwise::control::provisioning::{Desk, warm};
use shelfwise::control::spares::refill;
use shelfwise::control::tenants::Registry;
use shelfwise::db::listen::Liveness;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{ControlDb, TenantDb};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::SchemaName;

use crate::harness::world::{fresh_slug, master_key, new_tenant, operator, vault};
use crate::jobs::queue::Queue;

/// Two traps: one for rows, one for statements that make things.
const TRAPS: &str = "
CREATE FUNCTION control.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;
CREATE FUNCTION control.event_trap() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;
CREATE FUNCTION control.trap_in_shops() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP
        IF made.object_identity ~ current_setting('trap.place') THEN
            EXECUTE format('CREATE TRIGGER trap BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION control.trap()',
                made.object_identity);
        END IF;
    END LOOP;
END $$;";

/// A step, the statements that make exactly it fail, and those that mend it.
type Failing = (&'static str, String, &'static str);

fn rows(table: &str, condition: &str) -> String {
    format!("CREATE TRIGGER trap BEFORE INSERT ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION control.trap()")
}

fn statements(tag: &str) -> String {
    format!(
        "CREATE EVENT TRIGGER trap ON ddl_command_start WHEN TAG IN ('{tag}') EXECUTE FUNCTION control.event_trap()"
    )
}

/// Makes the first row of a table of each new shop fail.
fn in_shops(table: &str) -> String {
    format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET trap.place = {}', current_database()); END $$;
         CREATE EVENT TRIGGER trap ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION control.trap_in_shops()",
        format_args!("''[.]{table}$''")
    )
}

/// What fails for every sign-up.
fn always() -> Vec<Failing> {
    let job = |kind: &str| rows("control.jobs", &format!("WHEN (NEW.kind = '{kind}')"));
    vec![
        ("the registry", rows("control.tenants", ""), "DROP TRIGGER trap ON control.tenants"),
        ("the invitation", job("mail.invitation"), "DROP TRIGGER trap ON control.jobs"),
        ("the welcome", job("mail.welcome"), "DROP TRIGGER trap ON control.jobs"),
        ("the trail", rows("control.admin_audit", ""), "DROP TRIGGER trap ON control.admin_audit"),
        ("the notification", rows("control.notices", ""), "DROP TRIGGER trap ON control.notices"),
        (
            "the commit",
            "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON control.jobs DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION control.trap()"
                .to_owned(),
            "DROP TRIGGER trap ON control.jobs",
        ),
    ]
}

/// What fails for a sign-up that makes its schema.
fn building() -> Vec<Failing> {
    let event = "DROP EVENT TRIGGER trap";
    vec![
        ("the schema", statements("CREATE SCHEMA"), event),
        ("the tables", statements("CREATE INDEX"), event),
        ("the grants", statements("ALTER DEFAULT PRIVILEGES"), event),
        ("the stamp", in_shops("tenant_stamp"), event),
        ("the head", in_shops("tenant_head"), event),
        ("the categories", in_shops("categories"), event),
        ("the owner", in_shops("users"), event),
        ("the owner's role", in_shops("user_roles"), event),
    ]
}

/// What a sign-up leaves behind: rows, schemas, and members of the runtime login that have no schema anywhere in the
/// cluster's only database of the name.
const STATE: &str = "SELECT concat_ws(' ', (SELECT count(*) FROM control.tenants), (SELECT count(*) FROM control.jobs),
    (SELECT count(*) FROM control.notices), (SELECT count(*) FROM control.admin_audit),
    (SELECT count(*) FROM control.spare_schemas), (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%'))";

async fn each_fails_and_leaves_nothing(queue: &Queue, failing: Vec<Failing>, stock: Option<u16>, spare: bool) {
    let (owner, vault, operator) = (owner(&queue.urls).unwrap(), vault(&[master_key()]), operator());
    let desk = Desk { owner: &owner, vault: &vault, clock: &SystemClock, operator: &operator, stock };
    for (step, set, clear) in failing {
        let before = queue.ask(STATE).await;
        queue.sql(&set).await;
        // What is set for a database is so for connections that are made later.
        let fresh = shelfwise::app::owner(&queue.urls).unwrap();
        let (desk_then, new) = (Desk { owner: &fresh, ..desk }, new_tenant(&fresh_slug("f")));
        assert!(desk_then.tenant_provision(&new).await.is_err(), "{step} did not fail");
        assert_eq!(queue.ask(STATE).await, before, "{step} left something behind");
        queue.sql(clear).await;
        let made = desk.tenant_provision(&new).await.unwrap_or_else(|error| panic!("after {step}: {error:?}"));
        let is_spare = !made.steps.iter().any(|step| step.name == StepName::Schema);
        assert_eq!(is_spare, spare, "{step}");
        let schema = SchemaName::from(made.tenant.id);
        let role = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{schema}'");
        assert_eq!(queue.ask(&role).await, "1");
    }
}

#[tokio::test]
async fn a_failure_at_any_step_of_building_leaves_no_trace() {
    let queue = Queue::new().await;
    queue.sql(TRAPS).await;
    let failing = always().into_iter().chain(building()).collect();
    each_fails_and_leaves_nothing(&queue, failing, None, false).await;
}

#[tokio::test]
async fn a_failure_at_any_step_from_the_stock_leaves_the_spare_where_it_was() {
    let queue = Queue::new().await;
    queue.sql(TRAPS).await;
    let mut failing = always();
    failing.push((
        "the spare",
        "CREATE TRIGGER trap BEFORE DELETE ON control.spare_schemas FOR EACH ROW EXECUTE FUNCTION control.trap()"
            .to_owned(),
        "DROP TRIGGER trap ON control.spare_schemas",
    ));
    refill(&owner(&queue.urls).unwrap(), &SystemClock, u16::try_from(failing.len()).unwrap()).await.unwrap();
    each_fails_and_leaves_nothing(&queue, failing, Some(0), true).await;
}

#[tokio::test]
async fn a_request_for_more_spares_that_fails_takes_the_sign_up_back() {
    let queue = Queue::new().await;
    queue.sql(TRAPS).await;
    refill(&owner(&queue.urls).unwrap(), &SystemClock, 1).await.unwrap();
    let job = rows("control.jobs", "WHEN (NEW.kind = 'spares.refill')");
    let failing = vec![("the request for more", job, "DROP TRIGGER trap ON control.jobs")];
    each_fails_and_leaves_nothing(&queue, failing, Some(2), true).await;
}

/// Once it is committed, a tenant is there whatever comes of looking at it.
#[tokio::test]
async fn caches_that_cannot_be_warmed_take_nothing_back() {
    let queue = Queue::new().await;
    let (owner, vault, operator) = (owner(&queue.urls).unwrap(), vault(&[master_key()]), operator());
    let desk = Desk { owner: &owner, vault: &vault, clock: &SystemClock, operator: &operator, stock: None };
    let mut made = desk.tenant_provision(&new_tenant(&fresh_slug("f"))).await.unwrap();
    let wait = std::time::Duration::from_secs(1);
    let nobody = Target::from_url("postgres://nobody@127.0.0.1:1/nothing").unwrap();
    let registry = Registry::new(ControlDb::new(Pool::control(nobody.clone(), wait)), Liveness::default());
    warm(&registry, &TenantDb::new(Pool::new(nobody, 1, wait, 1)), &mut made).await;
    assert_eq!(made.steps.last().unwrap().name, StepName::Caches);
    assert_eq!(queue.ask("SELECT status FROM control.tenants").await, "active");
}
