//! All integration tests, in one binary: it links once, and shares one PostgreSQL cluster.

mod cli;
mod control;
mod db;
mod graphql;
use graphql::shelf as graphql_helpers;
mod harness;
mod http;
mod isolation;
mod migrations;
