//! Statements of orders that the query builder cannot say.

use chrono::{DateTime, Utc};
use diesel::Expression;
use diesel::helper_types::AsSelect;
use diesel::pg::Pg;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::db::statement::statement;
use crate::tenant::orders::order::model::Order;

statement!(
    /// Enters a draft under the number that the shop's head counts up to.
    pub(super) OrderInsert {
        /// When it is entered.
        now: DateTime<Utc> => Timestamptz,
        /// The order.
        id: Uuid => SqlUuid,
        /// Who buys.
        customer: Uuid => SqlUuid,
        /// The customer's data, sealed.
        customer_sealed: Vec<u8> => Binary,
        /// The currency.
        currency: &'static str => Text,
        /// The sum of the lines, in minor units.
        total_minor: i64 => BigInt,
        /// Who enters it.
        created_by: Option<Uuid> => Nullable<SqlUuid>,
    } -> <AsSelect<Order, Pg> as Expression>::SqlType =
    "WITH head AS (UPDATE tenant_head SET order_number = order_number + 1 RETURNING order_number)
     INSERT INTO orders (number, status, created_at, updated_at, id, customer_id, customer_sealed, currency,
         total_minor, created_by)
     SELECT head.order_number, 'draft', {}, $1, {}, {}, {}, {}, {}, {} FROM head
     RETURNING id, number, customer_id, customer_sealed, status, currency, total_minor, cancel_reason, version,
         created_by, created_at, updated_at, placed_at, paid_at, fulfilled_at, delivered_at, canceled_at, refunded_at"
);

statement!(
    /// Enters the lines of an order.
    pub(super) LinesInsert {
        /// The order.
        order: Uuid => SqlUuid,
        /// The books.
        ids: Vec<Uuid> => Array<SqlUuid>,
        /// How many of each.
        quantities: Vec<i32> => Array<Integer>,
        /// Their titles.
        titles: Vec<String> => Array<Text>,
        /// Their prices, in minor units.
        prices: Vec<i64> => Array<BigInt>,
    } -> SqlUuid =
    "INSERT INTO order_lines (order_id, book_id, quantity, title, unit_price_minor)
     SELECT {}, new.id, new.quantity, new.title, new.price
     FROM unnest({}, {}, {}, {}) AS new (id, quantity, title, price) RETURNING book_id"
);

statement!(
    /// Moves copies of books between stock, reserved and sold.
    pub(super) StockUpdate {
        /// What a copy adds to the stock.
        stock: i32 => Integer,
        /// What a copy adds to those reserved.
        reserved: i32 => Integer,
        /// What a copy adds to those sold.
        sold: i32 => Integer,
        /// When.
        now: DateTime<Utc> => Timestamptz,
        /// The books.
        ids: Vec<Uuid> => Array<SqlUuid>,
        /// How many of each.
        quantities: Vec<i32> => Array<Integer>,
    } -> SqlUuid =
    "UPDATE books SET stock = stock + moved.quantity * {}, reserved = reserved + moved.quantity * {},
         sold = sold + moved.quantity * {}, version = version + 1, updated_at = {}
     FROM unnest({}, {}) AS moved (id, quantity) WHERE books.id = moved.id RETURNING books.id"
);

statement!(
    /// Freezes the titles and prices of an order's lines.
    pub(super) LinesFreeze {
        /// The books.
        ids: Vec<Uuid> => Array<SqlUuid>,
        /// Their titles.
        titles: Vec<String> => Array<Text>,
        /// Their prices, in minor units.
        prices: Vec<i64> => Array<BigInt>,
        /// The order.
        order: Uuid => SqlUuid,
    } -> SqlUuid =
    "UPDATE order_lines SET title = frozen.title, unit_price_minor = frozen.price
     FROM unnest({}, {}, {}) AS frozen (id, title, price)
     WHERE order_lines.book_id = frozen.id AND order_lines.order_id = {} RETURNING order_lines.book_id"
);
