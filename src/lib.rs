//! ShelfWise: one GraphQL server for many bookshops, a PostgreSQL schema for each.
//!
//! # Two planes
//!
//! In the *control plane* ([`control`]) tenants are rows: operators provision, suspend and migrate them, through
//! `/admin/graphql` or the command line. In the *tenant plane* ([`tenant`]) the tenant is the connection: a shop's users
//! work in its schema, through `/graphql`. One compiled GraphQL schema serves all tenants, so its cost does not grow with
//! their number. The first folder's name answers the most important question about a statement: on which connection
//! does it run?
//!
//! # From a request to rows
//!
//! ```text
//! http::graphql      media types, body, deadline          ─ http::admission: token, host, X-Tenant → TenantCtx, Actor
//!   graphql::schema  roots, limits                        ─ graphql::context: Request → Shop → read() / write()
//!     tenant::…::graphql   ids and scalars; decides nothing
//!       tenant::…::service permission, rules              ─ Failure: refused / forbidden / database
//!         tenant::…::repo  one statement each
//!           db::TenantRead, db::TenantTx                  ─ search path and role of this tenant, for this transaction
//! ```
//!
//! An operation has one connection at most, taken when the first statement needs it. Its reads share a READ ONLY
//! transaction whose opening travels with the first statement; dataloaders batch by key, and their sibling statements
//! share a round trip, so a query costs as many round trips as it has dependent levels of data. A mutation's field has
//! the connection to itself: awaited opening, statements, awaited COMMIT; its payload is then read in a fresh READ ONLY
//! transaction on the same connection.
//!
//! # Invariants, written as what is deliberately absent
//!
//! - Nothing outside [`db`] names a connection, a pool or the search path, but for `cli::dev`, which makes a cluster. There
//!   are three doors: [`db::TenantDb`] needs a
//!   `TenantCtx`, [`db::ControlDb`] has no search path at all, [`db::OwnerDb`] is for schema changes alone.
//! - No function takes a schema name and a connection, but for the owner's migrations. `SchemaName` is made from an id
//!   and is the only value that is ever spliced into SQL.
//! - No session state: a path or role is set by `SET LOCAL` within a transaction, and never skipped because it seems to be
//!   right already. The login's own path is empty, so a statement that forgot its tenant fails.
//! - No write travels with its opening, and no connection is handed on dirty.
//! - No `repo` knows an `Actor`; no GraphQL type derives a diesel trait; no domain reads another's tables.
//! - No table of one plane can be joined with one of the other, and no foreign key crosses schemas. The one bridge is
//!   `control.job_enqueue`, a function that reads the tenant off the current role.
//! - No type, domain or extension lives in a tenant's schema: connections serve many tenants, and an OID is one schema's.
//! - No error of the database is `Display`ed to a client: resolvers answer `ApiError`, which is not `Display`.
//! - No clock and no randomness but through `kernel::clock::Clock`.
//!
//! # What the wall promises
//!
//! Each schema belongs to a NOLOGIN role of its own, entered for each transaction. PostgreSQL itself denies a statement
//! that names another tenant's schema or the registry. That stops our own bugs and any injected single statement of plain
//! SQL; it does not stop SQL that switches the role itself, which is why all SQL here is static.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod db;
pub mod failure;
pub mod graphql;
pub mod http;
pub mod kernel;
pub mod outbound;
pub mod telemetry;
pub mod tenant;
