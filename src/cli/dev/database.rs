//! Makes a cluster's database ready: the database, its logins, their passwords.

use anyhow::Context as _;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use super::cluster::Cluster;
use crate::config::database::DatabaseUrls;
use crate::db::connection::connect;
use crate::db::tls::Target;

/// The same file that a production installation starts with.
const LOGINS: &str = include_str!("../../../deploy/postgres/logins.sql");

/// The runtime login of [`LOGINS`].
pub const RUNTIME_LOGIN: &str = "shelfwise";

/// The owner's login of [`LOGINS`].
pub const OWNER_LOGIN: &str = "shelfwise_owner";

/// Makes the database where it is missing, with its logins, and answers how to reach it.
///
/// # Errors
/// The cluster refused a statement.
pub async fn prepare(cluster: &Cluster, database: &str) -> anyhow::Result<DatabaseUrls> {
    let mut server = superuser(cluster, "postgres").await?;
    // There is no CREATE DATABASE IF NOT EXISTS, and asking first would not be safer than trying.
    match server.batch_execute(&format!(r#"CREATE DATABASE "{database}""#)).await {
        Err(error) if !error.to_string().contains("already exists") => {
            return Err(error).context("cannot create the database");
        }
        _ => {}
    }
    let mut pg = superuser(cluster, database).await?;
    let password = cluster.password();
    pg.batch_execute(LOGINS).await.context("cannot create the logins")?;
    pg.batch_execute(&format!(
        "ALTER ROLE {RUNTIME_LOGIN} PASSWORD '{password}'; ALTER ROLE {OWNER_LOGIN} PASSWORD '{password}'"
    ))
    .await
    .context("cannot set the logins' passwords")?;
    let runtime: secrecy::SecretString = cluster.url(RUNTIME_LOGIN, database).into();
    Ok(DatabaseUrls { listen: runtime.clone(), runtime, owner: Some(cluster.url(OWNER_LOGIN, database).into()) })
}

async fn superuser(cluster: &Cluster, database: &str) -> anyhow::Result<AsyncPgConnection> {
    Ok(connect(&Target::from_url(&cluster.superuser_url(database))?).await?)
}
