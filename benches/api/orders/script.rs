//! What the server asks of PostgreSQL to place a draft, as a script of pgbench.

use super::CLIENTS;
use super::drafts::{DRAFTS, SHOPS, book_id_text, books_text, id_text, shop_text};
use crate::data::Bench;

/// Ends a trip of the server's.
const TRIP: &str = "--\n";

/// The columns of an order, as the server reads them.
const ORDER: &str = "orders.id, orders.number, orders.customer_id, orders.customer_sealed, orders.status, orders.currency, orders.total_minor, orders.cancel_reason, orders.version, orders.created_by, orders.created_at, orders.updated_at, orders.placed_at, orders.paid_at, orders.fulfilled_at, orders.delivered_at, orders.canceled_at, orders.refunded_at";

/// The script: each statement a trip of its own, as is pgbench's way, or in the trips that the server makes.
pub fn text(bench: &Bench, has_key: bool, is_pipelined: bool) -> String {
    let list = |rest: &str| {
        let schemas = bench.shops().take(SHOPS as usize).map(|(shop, _)| format!("'{}{rest}'", shop.schema));
        schemas.collect::<Vec<_>>().join(",")
    };
    let [one, two] = books_text(":draft");
    let numbers = format!(
        "\\set n :n + 1
\\set draft :first + :client_id * :each + :n
\\set shop 1 + {}
\\set one {one}
\\set two {two}
",
        shop_text(":draft")
    );
    let opening = format!(
        "BEGIN;
SELECT set_config('search_path', (ARRAY[{}])[:shop], true), set_config('role', (ARRAY[{}])[:shop], true);
{}{TRIP}SELECT tenant_id FROM tenant_stamp;
{}",
        list(", pg_temp"),
        list(""),
        if has_key { "SAVEPOINT undo;\n" } else { "" },
        if has_key { claim() } else { String::new() }
    );
    let keep = if has_key { keep() } else { String::new() };
    let script = format!("{opening}{}{keep}{}", work(), ending());
    if is_pipelined {
        let trips = script.replace(TRIP, "\\endpipeline\n\\startpipeline\n");
        return format!("{numbers}\\startpipeline\n{trips}\\endpipeline\n");
    }
    format!("{numbers}{}", script.replace(TRIP, ""))
}

/// What the script is run with: the number of the first draft, and what the server writes down of each.
pub fn options(first: i64) -> Vec<String> {
    let each = DRAFTS / CLIENTS as i64;
    let trail = |status: &str, version: i32| {
        format!(
            r#"{{"number":12345,"customerId":"customer_00000000000000000000000000","status":"{status}","totalMinor":4180,"currency":"EUR","cancelReason":null,"version":{version}}}"#
        )
    };
    let variables = [
        ("n", "-1".to_owned()),
        ("first", first.to_string()),
        ("each", each.to_string()),
        ("before", trail("draft", 1)),
        ("after", trail("placed", 2)),
        ("data", r#"{"number":12345,"totalMinor":4180,"currency":"EUR"}"#.to_owned()),
        (
            "titles",
            r#"{"Ordered: A Book of Some Length Number 1","Ordered: A Book of Some Length Number 2"}"#.to_owned(),
        ),
        ("user", "user_00000000000000000000000000".to_owned()),
        ("entity", "order_00000000000000000000000000".to_owned()),
    ];
    let mut options: Vec<String> = ["-c", &CLIENTS.to_string(), "-t", &each.to_string()].map(str::to_owned).to_vec();
    options.extend(variables.into_iter().flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]));
    options
}

/// What asks for the key.
fn claim() -> String {
    "SELECT pg_try_advisory_xact_lock(hashint8extended(:draft::bigint, 0));
SELECT idempotency_keys.fingerprint, idempotency_keys.outcomes FROM idempotency_keys WHERE idempotency_keys.key = sha256(int8send(:draft::bigint)) AND idempotency_keys.expires_at > now() LIMIT 1;
"
    .to_owned()
}

/// What locks, freezes, reserves and places.
fn work() -> String {
    let id = id_text(":draft");
    let books = format!("ARRAY[{}, {}]", book_id_text(":one"), book_id_text(":two"));
    format!(
        "SELECT {ORDER} FROM orders WHERE orders.id = {id} FOR UPDATE;
SELECT order_lines.order_id, order_lines.book_id, order_lines.quantity, order_lines.title, order_lines.unit_price_minor, books.id, books.title, books.price_minor, books.stock, books.archived_at FROM order_lines INNER JOIN books ON order_lines.book_id = books.id WHERE order_lines.order_id = {id} ORDER BY books.id FOR UPDATE;
{TRIP}UPDATE order_lines SET title = frozen.title, unit_price_minor = frozen.price FROM unnest({books}, :titles::text[], '{{2090,2090}}'::bigint[]) AS frozen (id, title, price) WHERE order_lines.book_id = frozen.id AND order_lines.order_id = {id} RETURNING order_lines.book_id;
UPDATE books SET stock = stock + moved.quantity * -1, reserved = reserved + moved.quantity * 1, sold = sold + moved.quantity * 0, version = version + 1, updated_at = now() FROM unnest({books}, '{{1,1}}'::int[]) AS moved (id, quantity) WHERE books.id = moved.id RETURNING books.id;
UPDATE orders SET status = 'placed', total_minor = 4180, cancel_reason = NULL, version = orders.version + 1, updated_at = now(), placed_at = now(), paid_at = NULL, fulfilled_at = NULL, delivered_at = NULL, canceled_at = NULL, refunded_at = NULL WHERE orders.id = {id} RETURNING {ORDER};
{TRIP}"
    )
}

/// What keeps the answer under its key.
fn keep() -> String {
    let outcome = format!("jsonb_build_object('', jsonb_build_object('done', {}))", id_text(":draft"));
    format!(
        "INSERT INTO idempotency_keys (key, fingerprint, outcomes, created_at, expires_at) VALUES (sha256(int8send(:draft::bigint)), sha256(int8send(:draft::bigint)), {outcome}, now(), now() + interval '1 day') ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, outcomes = excluded.outcomes, created_at = excluded.created_at, expires_at = excluded.expires_at RETURNING key;\n"
    )
}

/// What writes it down and ends the transaction.
fn ending() -> String {
    format!(
        "WITH head AS (UPDATE tenant_head SET audit_sequence = audit_sequence + 1, audit_hash = sha256(audit_hash || int8send(audit_sequence + 1) || sha256(int8send(:draft::bigint))), event_position = event_position + 1 RETURNING audit_sequence, audit_hash, event_position, anchored_sequence), entry AS (INSERT INTO audit_log (sequence, at, actor, via, action, entity, before, after, sealed, request_id, address, hash) SELECT audit_sequence, now(), :user, 'operator', 'order.place', :entity, :before::json, :after::json, NULL, '01m8713ee9ea8bsyttnbv7vya8', '127.0.0.1', audit_hash FROM head), event AS (INSERT INTO events (position, id, kind, version, entity, data, at) SELECT event_position - 1 + new.ordinality, new.id, new.kind, new.version, new.entity, new.data, now() FROM head, unnest(ARRAY[gen_random_uuid()], '{{order.placed}}'::text[], '{{1}}'::smallint[], ARRAY[:entity::text], ARRAY[:data::jsonb]) WITH ORDINALITY AS new (id, kind, version, entity, data, ordinality)) SELECT audit_sequence = anchored_sequence + 1 FROM head;
{TRIP}COMMIT;
"
    )
}
