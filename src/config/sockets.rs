//! - `SOCKETS_MAX` (10000): sockets and streams that this server keeps open at a time.
//! - `SOCKETS_PER_TENANT_MAX` (1000): of these, one tenant's.
//! - `SOCKET_INIT_TIMEOUT_MS` (10000): how long a client may take from opening a socket to saying who it is.
//! - `SOCKET_SLOW_TIMEOUT_MS` (10000): how long a client may take to read a message once the connection holds no more.

use std::time::Duration;

use super::Reader;

/// How many sockets there may be, and how much patience they have.
#[derive(Debug, Clone)]
pub struct SocketsConfig {
    /// Sockets and streams at a time.
    pub max: u32,
    /// Of these, one tenant's.
    pub per_tenant_max: u32,
    /// From the opening to the first message.
    pub init_timeout: Duration,
    /// For a message to be read.
    pub slow_timeout: Duration,
}

impl SocketsConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            max: reader.at_least_one("SOCKETS_MAX", 10_000),
            per_tenant_max: reader.at_least_one("SOCKETS_PER_TENANT_MAX", 1_000),
            init_timeout: reader.millis("SOCKET_INIT_TIMEOUT_MS", 10_000),
            slow_timeout: reader.millis("SOCKET_SLOW_TIMEOUT_MS", 10_000),
        }
    }
}
