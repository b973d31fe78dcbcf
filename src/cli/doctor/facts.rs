//! What several rows are judged by: both logins' connections, and what the server says of itself.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;

use crate::app::urls;
use crate::config::Config;
use crate::db::inspection::{Inspection, Server};
use crate::db::tls::Target;
use crate::kernel::clock::Clock;

/// A login's connection and what it sees.
pub(super) struct Side {
    /// The connection.
    pub db: Inspection,
    /// Whether the server is on this machine.
    pub is_local: bool,
    /// Whether its certificate is checked.
    pub is_verified: bool,
    /// The server, as this login sees it.
    pub server: Server,
}

/// What is known of an installation.
pub(super) struct Facts<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// Ids.
    pub clock: &'a dyn Clock,
    /// What the runtime login sees, or why it sees nothing.
    pub runtime: Result<Side, String>,
    /// The same of the owner's; nothing where it is not told here.
    pub owner: Option<Result<Side, String>>,
    /// Settings of the server.
    pub settings: BTreeMap<String, String>,
    /// How far the server's clock is ahead of ours.
    pub ahead: TimeDelta,
}

impl<'a> Facts<'a> {
    /// Connects and looks.
    pub async fn gather(config: &'a Config, clock: &'a dyn Clock) -> Self {
        let before = clock.now();
        let runtime = match urls(config) {
            // Past a pooler: what is asked is of PostgreSQL itself, in statements that stay prepared.
            Ok(urls) => side(urls.listen.expose_secret()).await,
            Err(error) => Err(format!("{error:#}")),
        };
        // The question was answered at some time in between.
        let middle = before + (clock.now() - before) / 2;
        let ahead = runtime.as_ref().map_or(TimeDelta::zero(), |side| side.server.now - middle);
        let settings = match &runtime {
            Ok(side) => side.db.settings().await.unwrap_or_default(),
            Err(_) => BTreeMap::new(),
        };
        let owner = match urls(config).ok().and_then(|urls| urls.owner.as_ref()) {
            Some(url) => Some(side(url.expose_secret()).await),
            None => None,
        };
        Self { config, clock, runtime, owner, settings, ahead }
    }

    /// A number among the server's settings.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.settings.get(name)?.parse().ok()
    }
}

async fn side(url: &str) -> Result<Side, String> {
    let target = Target::from_url(url).map_err(|error| format!("{error:#}"))?;
    let look = async {
        let db = Inspection::connect(&target).await?;
        let server = db.server().await?;
        Ok(Side { db, server, is_local: target.is_local(), is_verified: target.is_verified })
    };
    look.await.map_err(|error: crate::db::DbError| error.to_string())
}
