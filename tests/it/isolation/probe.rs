//! The prober finds nothing where the wall stands, and every hole that is made in it.

use shelfwise::app::{App, owner};
use shelfwise::control::isolation::verify;
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::probe::ATTEMPTS_COUNT;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::cluster::{own_database, psql_of};
use crate::harness::world::{config_over, shop};

#[tokio::test]
async fn every_hole_is_found_and_nothing_is_changed_by_looking() {
    let (name, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let app = App::new(config_over(&urls, &[]), std::sync::Arc::new(SystemClock)).unwrap();
    let (a, b) = (shop(&app, "a").await, shop(&app, "b").await);
    let found = async || {
        let report = verify(&app.control, &app.services.tenants).await.unwrap();
        assert_eq!((report.tenants, report.attempts), (2, 2 * ATTEMPTS_COUNT));
        report.breaches.into_iter().map(|(slug, breach)| (slug, breach.attempt)).collect::<Vec<_>>()
    };
    assert_eq!(found().await, []);

    let psql = psql_of(&name).await;
    for (open, close, expected) in holes(&name, &a, &b) {
        psql.batch_execute(&open).await.unwrap();
        let mut breaches = found().await;
        breaches.sort();
        let mut expected = expected;
        expected.sort();
        assert_eq!(breaches, expected, "{open}");
        psql.batch_execute(&close).await.unwrap();
        assert_eq!(found().await, [], "{close}");
    }
    let counts = format!(
        r#"SELECT (SELECT count(*) FROM "{}".users), (SELECT count(*) FROM control.jobs WHERE kind = 'probe')"#,
        b.schema
    );
    let row = psql.query_one(&counts, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (5, 0), "looking changed something");
}

/// A hole in the wall: the statements that make it, those that mend it, and who finds what.
type Hole = (String, String, Vec<(String, &'static str)>);

/// Every hole that the prober must find.
fn holes(database: &str, a: &TenantCtx, b: &TenantCtx) -> Vec<Hole> {
    let (from, to) = (&a.schema, &b.schema);
    let by_a = |attempt| (a.slug.to_string(), attempt);
    let by_both = |attempt| vec![by_a(attempt), (b.slug.to_string(), attempt)];
    vec![
        (
            format!(r#"GRANT USAGE ON SCHEMA "{to}" TO "{from}"; GRANT SELECT ON "{to}".books TO "{from}""#),
            format!(r#"REVOKE ALL ON SCHEMA "{to}" FROM "{from}"; REVOKE ALL ON "{to}".books FROM "{from}""#),
            vec![by_a("read another tenant's books")],
        ),
        (
            format!(r#"GRANT "{to}" TO "{from}""#),
            format!(r#"REVOKE "{to}" FROM "{from}""#),
            [
                "read another tenant's books",
                "read another tenant's users",
                "change another tenant's books",
                "remove another tenant's books",
            ]
            .map(by_a)
            .to_vec(),
        ),
        (
            "GRANT EXECUTE ON FUNCTION pg_catalog.set_config TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config FROM PUBLIC".to_owned(),
            [by_both("switch the role within a statement"), by_both("switch the role by a view")].concat(),
        ),
        (
            "GRANT EXECUTE ON FUNCTION pg_catalog.query_to_xml TO PUBLIC".to_owned(),
            "REVOKE EXECUTE ON FUNCTION pg_catalog.query_to_xml FROM PUBLIC".to_owned(),
            by_both("run a statement within a statement"),
        ),
        (
            "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC".to_owned(),
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC".to_owned(),
            by_both("run a block of code"),
        ),
        (
            "GRANT SELECT ON control.tenants TO PUBLIC".to_owned(),
            "REVOKE ALL ON control.tenants FROM PUBLIC".to_owned(),
            by_both("read the registry"),
        ),
        (
            "GRANT INSERT ON control.jobs TO PUBLIC".to_owned(),
            "REVOKE ALL ON control.jobs FROM PUBLIC".to_owned(),
            by_both("forge a job"),
        ),
        (
            format!(r#"GRANT UPDATE, DELETE ON "{from}".audit_log TO "{from}""#),
            format!(r#"REVOKE UPDATE, DELETE ON "{from}".audit_log FROM "{from}""#),
            ["change one's own trail", "remove one's own trail"].map(by_a).to_vec(),
        ),
        (
            "GRANT SELECT ON control.audit_anchors TO PUBLIC".to_owned(),
            "REVOKE ALL ON control.audit_anchors FROM PUBLIC".to_owned(),
            by_both("read the anchors of trails"),
        ),
        (
            format!("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC"),
            format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"),
            by_both("make a temporary table"),
        ),
    ]
}
