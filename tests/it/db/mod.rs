//! The doors to PostgreSQL.

mod pool;
mod tls;
mod unsafe_ways;
mod vacuum;
