//! All integration tests but the chaos, in one binary: it links once, and shares one PostgreSQL cluster.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test awaits its tasks and reads its own environment")]

mod archives;
mod audit;
mod backup;
mod cache;
mod citus;
mod cli;
mod control;
mod db;
mod deploy;
mod deprecations;
mod doctor;
mod graphql;
use graphql::shelf as graphql_helpers;
mod harness;
mod hostile;
mod http;
mod identity;
mod isolation;
mod jobs;
mod limits;
mod load;
mod mail;
mod metrics;
mod migrations;
mod news;
mod offboarding;
mod orders;
mod outbound;
mod pgbouncer;
mod realtime;
mod redis;
mod runbooks;
mod settings;
mod telemetry;
mod webhooks;
