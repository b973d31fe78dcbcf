//! The doors to PostgreSQL.

mod fair;
mod pool;
mod tls;
mod unsafe_ways;
mod vacuum;
