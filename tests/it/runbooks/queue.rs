//! Work that is done later: jobs and webhooks.

use tokio::net::TcpListener;

use super::house::House;

/// The id of the newest job that a condition holds for, as commands print it.
async fn job(house: &House, condition: &str) -> String {
    let query = format!("SELECT id::text FROM control.jobs WHERE {condition} ORDER BY created_at DESC LIMIT 1");
    let id: uuid::Uuid = house.ask(&query).await.parse().unwrap_or_else(|_| panic!("no job: {condition}"));
    shelfwise::kernel::ids::JobId(id).to_string()
}

#[tokio::test]
async fn queue_backlog() {
    let house = House::closed(&[]).await;
    house.up("api");
    house.events_on().await;
    house.shop("acme").await;
    let mut page = house.page("queue-backlog");
    page.set("SLUG", "acme").set("KIND", "mail.invitation");

    // Nobody works yet, and claims are held up.
    page.says("jobs stats", &["mail.invitation", "available", "the oldest that may be claimed has waited for"]).await;
    page.says("GROUP BY 1, 2, 3, 4", &["acme", "mail.invitation"]).await;
    page.says("jobs stats --tenant", &["mail.invitation"]).await;
    let holder = house.another_psql().await;
    let hold = "BEGIN; SELECT pg_advisory_xact_lock(1) /* control.jobs */";
    holder.batch_execute(hold).await.unwrap();
    page.says("docker compose ps worker", &["worker 0 running"]).await;
    assert_eq!(house.docker.count("worker"), 1, "the last line of the block starts one");
    page.says("pg_locks", &["control.jobs"]).await;
    page.set("PID", house.ask_of(&holder, "SELECT pg_backend_pid()").await);
    page.says("pg_terminate_backend(PID)", &[" t"]).await;
    assert!(holder.batch_execute("SELECT 1").await.is_err());
    page.says("VACUUM control.jobs", &["n_dead_tup", "VACUUM"]).await;

    // Too much, or not for this worker: it has nobody who takes mail.
    page.run("--scale worker=3").await;
    assert_eq!(house.docker.count("worker"), 3);
    page.set("ID", job(&house, "kind = 'mail.invitation'").await);
    page.says("jobs list --tenant", &["\"kind\":\"mail.invitation\"", "\"state\":\"available\"", "cancelled"]).await;
    page.says("docker compose ps worker", &["worker 3 running"]).await;

    // Two jobs that cannot succeed, for their payload names no endpoint; one of them has no attempt left.
    let acme = "SELECT id FROM control.tenants WHERE slug = 'acme'";
    let add = format!(
        "INSERT INTO control.jobs (id, tenant_id, kind, payload, attempt, unique_key)
         SELECT gen_random_uuid(), ({acme}), 'webhook.deliver', '{{}}', n, n FROM unnest(ARRAY[0, 999]) n"
    );
    house.exec(&add).await;
    house.until("SELECT count(*) FROM control.jobs WHERE state = 'discarded'", "1").await;
    house.until("SELECT count(*) FROM control.jobs WHERE state = 'retryable'", "1").await;
    page.set("KIND", "webhook.deliver").set("ID", job(&house, "state = 'discarded'").await);
    page.says("--state discarded", &["discarded", "the payload is not as it should be", "\"errors\":[{"]).await;
    page.says("jobs replay ID", &["available"]).await;
    house.until("SELECT count(*) FROM control.jobs WHERE state = 'retryable'", "2").await;
    for marker in ["jobs replay --kind", "jobs discard --kind"] {
        let last = "UPDATE control.jobs SET attempt = 999, scheduled_at = now(), state = 'available'
            WHERE id = (SELECT id FROM control.jobs WHERE state = 'retryable' ORDER BY id LIMIT 1)";
        house.exec(last).await;
        house.until("SELECT count(*) FROM control.jobs WHERE state = 'discarded'", "1").await;
        page.says(marker, &["1 jobs"]).await;
    }

    // One that hangs at an endpoint which never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    hanging_delivery(&house, &silent).await;
    let running = "kind = 'webhook.deliver' AND state = 'running'";
    house.until(&format!("SELECT count(*) FROM control.jobs WHERE {running}"), "1").await;
    page.set("ID", job(&house, running).await);
    page.says("--state running", &["running", "webhook.deliver"]).await;
    page.says("jobs stats", &["cancelled"]).await;
    page.end();
}

/// Has something happen in a shop that has an endpoint which takes connections and answers nothing.
async fn hanging_delivery(house: &House, silent: &TcpListener) {
    let url = format!("http://{}/hook", silent.local_addr().unwrap());
    let token = house.shop_token("acme").await;
    let create =
        format!(r#"mutation {{ webhookEndpointCreate(input: {{ url: "{url}" }}) {{ userErrors {{ code }} }} }}"#);
    house.data("/graphql", &token, &create).await;
    house.event(&token, "Emma").await;
}

/// The first number of what psql printed.
pub fn first_number(text: &str) -> String {
    let word = text.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty());
    word.unwrap_or_else(|| panic!("no number in {text}")).to_owned()
}
