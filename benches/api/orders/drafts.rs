//! Drafts to be placed, numbered through all shops. Whose a draft is, and what it is of, follows from its number: the
//! server, PostgreSQL and pgbench each work it out for themselves.

use std::ops::Range;

use shelfwise::kernel::ids::OrderId;
use uuid::Uuid;

use super::CLIENTS;
use crate::data::Bench;

/// Shops that sell.
pub const SHOPS: i64 = 20;

/// Drafts that are placed at a time, as many by each client.
pub const DRAFTS: i64 = 300 * CLIENTS as i64;

/// Books of each shop that are ordered.
const BOOKS: i64 = 500;

/// The number of the first: smaller ones have squares too small to be as good as random.
const FIRST: i64 = 10_000;

/// The shop of a draft, counted from 0, as PostgreSQL and pgbench write it: as good as random.
pub fn shop_text(number: &str) -> String {
    format!("({number} * {number} % 1000003 % {SHOPS})")
}

/// The same.
pub fn shop(number: i64) -> usize {
    (number * number % 1_000_003 % SHOPS) as usize
}

/// The two books of a draft, likewise: their numbers.
pub fn books_text(number: &str) -> [String; 2] {
    let two = format!("(({number} + 1 + {number} / {BOOKS} % ({BOOKS} - 1)) % {BOOKS})");
    [format!("({number} % {BOOKS})"), two]
}

/// A draft's id in SQL.
pub fn id_text(number: &str) -> String {
    format!("('00000000-0000-7000-8000-' || lpad(to_hex({number}::bigint), 12, '0'))::uuid")
}

/// The same.
pub fn id(number: i64) -> OrderId {
    OrderId(Uuid::from_u128(0x7000_8000_0000_0000_0000 | number as u128))
}

/// A book's id in SQL.
pub fn book_id_text(number: &str) -> String {
    format!("('00000000-0000-7000-9000-' || lpad(to_hex({number}::bigint), 12, '0'))::uuid")
}

/// The drafts of a cluster.
pub struct Drafts<'a> {
    bench: &'a Bench,
    psql: tokio_postgres::Client,
    /// The number of the next.
    next: i64,
}

impl<'a> Drafts<'a> {
    /// Gives each shop a customer, and books of which there are enough.
    pub async fn start(bench: &'a Bench) -> Self {
        let psql = bench.psql().await;
        for (shop, _) in bench.shops().take(SHOPS as usize) {
            let fill = format!(
                r#"SET search_path TO "{}";
                INSERT INTO customers (id, email_hash, subject_key, created_at)
                VALUES ('{}', '\x00', '\x00', now());
                INSERT INTO books (id, title, title_key, authors_key, category_id, price_minor, price_currency, language,
                    published_year, stock, created_at, updated_at)
                SELECT {}, 'Ordered: ' || title, 'ordered ' || title_key, authors_key, category_id, price_minor,
                    price_currency, language, published_year, 1000000, now(), now()
                FROM (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM books) b WHERE place < {BOOKS}"#,
                shop.schema,
                Uuid::nil(),
                book_id_text("place"),
            );
            psql.batch_execute(&fill).await.unwrap();
        }
        Self { bench, psql, next: FIRST }
    }

    /// Enters drafts as `orderCreate` leaves them, and answers their numbers.
    pub async fn enter(&mut self) -> Range<i64> {
        let (first, end) = (self.next, self.next + DRAFTS);
        self.next = end;
        let [one, two] = books_text("n");
        for (index, (shop, owner)) in self.bench.shops().take(SHOPS as usize).enumerate() {
            let enter = format!(
                r#"SET search_path TO "{}";
                INSERT INTO orders (id, number, customer_id, customer_sealed, status, currency, total_minor, created_by,
                    created_at, updated_at)
                SELECT {}, n, '{}', decode(repeat('00', 200), 'hex'), 'draft', 'EUR', 4180, '{}', now(), now()
                FROM generate_series({first}::bigint, {end} - 1) n WHERE {} = {index};
                INSERT INTO order_lines (order_id, book_id, quantity, title, unit_price_minor)
                SELECT {}, books.id, 1, title, price_minor
                FROM generate_series({first}::bigint, {end} - 1) n, LATERAL (VALUES ({one}), ({two})) line (book), books
                WHERE {} = {index} AND books.id = {};
                VACUUM ANALYZE orders, order_lines, books, tenant_head"#,
                shop.schema,
                id_text("n"),
                Uuid::nil(),
                owner.0,
                shop_text("n"),
                id_text("n"),
                shop_text("n"),
                book_id_text("line.book"),
            );
            for statement in enter.split(';') {
                self.psql.batch_execute(statement).await.unwrap();
            }
        }
        self.psql.batch_execute("CHECKPOINT").await.unwrap();
        first..end
    }

    /// Whether all that were entered have been placed, and all of that was written down.
    pub async fn assert_placed(&self) {
        let mut sums = [0; 4];
        for (shop, _) in self.bench.shops().take(SHOPS as usize) {
            let count = format!(
                r#"SELECT (SELECT count(*) FROM "{0}".orders WHERE status = 'placed'),
                    (SELECT sum(reserved)::bigint FROM "{0}".books),
                    (SELECT count(*) FROM "{0}".audit_log WHERE action = 'order.place'),
                    (SELECT count(*) FROM "{0}".events WHERE kind = 'order.placed')"#,
                shop.schema
            );
            let row = self.psql.query_one(&count, &[]).await.unwrap();
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += row.get::<_, i64>(index);
            }
        }
        let placed = self.next - FIRST;
        assert_eq!(sums, [placed, 2 * placed, placed, placed]);
    }
}
