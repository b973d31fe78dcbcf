//! The ways that were not taken, shown to leak: the day one of these fails, a rule of the doors may be relaxed.

use crate::harness::cluster::{connect, psql, shared_urls};
use crate::harness::world::{app, shop};

/// A session's `SET` outlives its user: the next borrower of the same backend reads the last one's rows.
#[tokio::test]
async fn a_session_set_leaks_to_the_next_borrower_and_set_local_does_not() {
    let app = app(&[]);
    let tenant = shop(&app, "u").await;
    let runtime = connect(secrecy::ExposeSecret::expose_secret(&shared_urls().runtime)).await;
    let place = "SELECT pg_backend_pid(), coalesce(current_schema(), 'none'), current_user::text";
    let row = |row: tokio_postgres::Row| (row.get::<_, i32>(0), row.get::<_, String>(1), row.get::<_, String>(2));

    let before = row(runtime.query_one(place, &[]).await.unwrap());
    assert_eq!((before.1.as_str(), before.2.as_str()), ("none", "shelfwise"));
    let schema = tenant.schema.as_str();
    runtime
        .batch_execute(&format!(r#"BEGIN; SET LOCAL search_path TO "{schema}"; SET LOCAL ROLE "{schema}"; COMMIT"#))
        .await
        .unwrap();
    assert_eq!(row(runtime.query_one(place, &[]).await.unwrap()), before, "SET LOCAL ends with its transaction");

    runtime.batch_execute(&format!(r#"SET search_path TO "{schema}"; SET ROLE "{schema}""#)).await.unwrap();
    let leaked = row(runtime.query_one(place, &[]).await.unwrap());
    assert_eq!(leaked, (before.0, schema.to_owned(), schema.to_owned()), "the unsafe way still leaks");
}

/// A path that falls through to `public` answers another's table without an error; ours has nothing behind it.
#[tokio::test]
async fn a_path_with_public_falls_through_and_ours_does_not() {
    let (name, _) = crate::harness::cluster::own_database().await;
    let psql = crate::harness::cluster::psql_of(&name).await;
    psql.batch_execute("CREATE TABLE public.books (title text); INSERT INTO public.books VALUES ('of nobody')")
        .await
        .unwrap();
    psql.batch_execute("BEGIN; SET LOCAL search_path TO t_missing, public").await.unwrap();
    assert!(psql.query_one("SELECT title FROM books", &[]).await.is_ok(), "the unsafe way still falls through");
    psql.batch_execute("ROLLBACK; BEGIN; SET LOCAL search_path TO t_missing, pg_temp").await.unwrap();
    assert!(psql.query_one("SELECT title FROM books", &[]).await.is_err());
}

/// A rollback to a savepoint takes a path that was set after it back.
#[tokio::test]
async fn a_savepoints_rollback_reverts_the_path() {
    let psql = psql().await;
    psql.batch_execute(
        "BEGIN; SET LOCAL search_path TO t_first; SAVEPOINT s; SET LOCAL search_path TO t_second; ROLLBACK TO s",
    )
    .await
    .unwrap();
    let path: String = psql.query_one("SHOW search_path", &[]).await.unwrap().get(0);
    assert_eq!(path, "t_first", "so a path is set once, as the first thing of its transaction");
}
