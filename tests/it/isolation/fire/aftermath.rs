//! When the fire is out: nothing is kept, everything is right, and what was acknowledged is stored where it belongs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shelfwise::kernel::actor::Role;
use shelfwise::kernel::ids::{AuthorId, BookId};
use tokio_postgres::Client;
use uuid::Uuid;

use super::operation::Operation;
use super::shelf::BOOKS;
use super::siege::BACKENDS;
use super::{Fire, POOL_MAX, client};
use crate::harness::GqlResponse;
use crate::harness::cluster::psql_of;

/// How long what clients have left behind may go on: the deadline of an operation, and some.
const QUIET_TIMEOUT: Duration = Duration::from_secs(15);

/// The most connections of the server: the tenants' pool, the control plane's of four, and the listener.
const BACKENDS_MAX: usize = POOL_MAX + 4 + 1;

/// All of it.
pub async fn check(fire: &Fire<'_>) {
    let psql = psql_of(&fire.database).await;
    quiet(fire, &psql).await;
    answers(fire).await;
    quiet(fire, &psql).await;
    assert_eq!(gauge(&metrics(fire).await, "shelfwise_isolation_violations"), 0);
    psql.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
    for side in 0..2 {
        rows(fire, &psql, side).await;
        walls(fire, &psql, side).await;
    }
    jobs(&psql).await;
    psql.batch_execute("COMMIT").await.unwrap();
}

/// Waits until the server has nothing under way: no connection lent, no transaction open, no dead backend counted.
async fn quiet(fire: &Fire<'_>, psql: &Client) {
    let victim = fire.victim.load(Ordering::Relaxed);
    let settled = async {
        loop {
            let query = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'shelfwise'
                       AND (pid = $1 OR pid <> ALL($2) AND state IS DISTINCT FROM 'idle')";
            let busy: i64 = psql.query_one(query, &[&victim, &fire.harness_backends]).await.unwrap().get(0);
            let text = metrics(fire).await;
            let lent = gauge(&text, r#"shelfwise_pool_connections{state="in_use"}"#);
            if busy == 0 && lent == 0 && gauge(&text, "shelfwise_pool_permits_free") == POOL_MAX as u64 {
                break;
            }
        }
    };
    if tokio::time::timeout(QUIET_TIMEOUT, settled).await.is_err() {
        let query = "SELECT string_agg(concat_ws(' ', pid, state, query), E'\\n') FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'shelfwise'";
        let activity: Option<String> = psql.query_one(query, &[]).await.unwrap().get(0);
        panic!("the server has kept something:\n{}\n{}", activity.unwrap_or_default(), metrics(fire).await);
    }
    let backends = psql.query(BACKENDS, &[&fire.harness_backends]).await.unwrap().len();
    assert!(backends <= BACKENDS_MAX, "{backends} connections: some are lost");
}

/// The metrics as text.
async fn metrics(fire: &Fire<'_>) -> String {
    let url = format!("{}/metrics", fire.world.base_url);
    fire.world.http.get(url).send().await.unwrap().text().await.unwrap()
}

/// The value of a metric that is a whole number.
fn gauge(metrics: &str, name: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
}

/// Asks for all books of both shops; nothing explains an error any more.
async fn answers(fire: &Fire<'_>) {
    for side in 0..2 {
        let owner = fire.world.user(fire.tenant(side), Role::Owner);
        let books = (0..BOOKS).map(|index| Operation::book(&fire.shelf, index));
        for (number, operation) in books.chain([Operation::list()]).enumerate() {
            let id = format!("{}.after.{number}", fire.tenant(side).slug);
            let request =
                owner.request(&operation.document, operation.variables.clone()).header("x-request-id", id.as_str());
            let response = GqlResponse::read(request.send().await.unwrap()).await;
            assert_eq!(response.body.get("errors"), None, "after the fire");
            client::judge(fire, side, &operation, &id, &response);
        }
    }
}

/// Holds a shop's books and authors against its ledger.
async fn rows(fire: &Fire<'_>, psql: &Client, side: usize) {
    let schema = &fire.tenant(side).schema;
    let books = format!(r#"SELECT id, title, version FROM "{schema}".books"#);
    let books = stored(psql, &books, |id| BookId(id).to_string()).await;
    let authors = format!(r#"SELECT id, name, version FROM "{schema}".authors"#);
    let authors = stored(psql, &authors, |id| AuthorId(id).to_string()).await;
    fire.ledger(side).audit(&books, &authors);
}

/// Rows as the ledger knows them: the id in the API, the text, the version.
async fn stored(psql: &Client, query: &str, id: fn(Uuid) -> String) -> Vec<(String, String, i64)> {
    let rows = psql.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (id(row.get(0)), row.get(1), i64::from(row.get::<_, i32>(2)))).collect()
}

/// Looks for the neighbour's slug in every table of a shop.
async fn walls(fire: &Fire<'_>, psql: &Client, side: usize) {
    let (shop, neighbour) = (fire.tenant(side), fire.tenant(1 - side));
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = $1";
    let tables = psql.query(tables, &[&shop.schema.as_str()]).await.unwrap();
    assert!(tables.len() > 5, "{} has lost its tables", shop.slug);
    for table in tables {
        let table: String = table.get(0);
        let query = format!(r#"SELECT count(*) FROM "{}"."{table}" t WHERE strpos(t::text, $1) > 0"#, shop.schema);
        let foreign: i64 = psql.query_one(&query, &[&neighbour.slug.as_str()]).await.unwrap().get(0);
        assert_eq!(foreign, 0, "{table} of {} names {}", shop.slug, neighbour.slug);
    }
}

/// A job belongs to the shop that it names: a request's id, which a job remembers, holds the slug.
async fn jobs(psql: &Client) {
    let query = "SELECT count(*) FROM control.jobs JOIN control.tenants ON tenants.id IS DISTINCT FROM jobs.tenant_id
         WHERE strpos(concat(jobs.payload, jobs.meta, jobs.unique_key), tenants.slug) > 0";
    let misplaced: i64 = psql.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(misplaced, 0, "jobs of one shop name another");
}
