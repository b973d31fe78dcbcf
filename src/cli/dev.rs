//! `shelfwise dev`: a whole installation on a developer's machine, from nothing.
//!
//! What it makes lies in `SHELFWISE_HOME`: the cluster, the keys, and `dev.env`, by which the other commands find
//! the running installation.

pub mod cluster;
pub mod database;
mod demo;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::FutureExt as _;
use secrecy::ExposeSecret as _;

use super::migrate;
use super::token;
use crate::app::{App, owner, urls};
use crate::config::auth::{DEV_KEY_PREFIX, JwtKey};
use crate::config::crypto::MasterKey;
use crate::config::{Config, Environment};
use crate::control::migrations::{MigrationSet, Options};
use crate::http::serve::{bind, serve, stop_signal};
use crate::kernel::actor::Role;
use crate::kernel::clock::SystemClock;
use crate::mail::Mailer;
use crate::mail::folder::Folder;
use crate::worker::mail::with_mail;
use crate::worker::{handlers, work};
use cluster::{Cluster, Durability};

/// The database of the development cluster.
const DATABASE: &str = "shelfwise";

/// Whom mail is from where nothing is said.
const MAIL_FROM: &str = "ShelfWise <shelfwise@localhost>";

/// How long the printed tokens are valid.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Runs the installation until Ctrl-C.
pub async fn run(mut config: Config) -> anyhow::Result<()> {
    ensure!(config.environment == Environment::Development, "`dev` is for SHELFWISE_ENV=development");
    let stop = stop_signal()?;
    fs::create_dir_all(&config.home).with_context(|| format!("cannot make {}", config.home.display()))?;
    let cluster = if config.database.urls.is_none() {
        eprintln!("Starting PostgreSQL …");
        let cluster = Cluster::start(&config.home.join("postgres"), Durability::Full, &[]).await?;
        config.database.urls = Some(database::prepare(&cluster, DATABASE).await?);
        Some(cluster)
    } else {
        None
    };
    if config.auth.jwt_keys.is_empty() {
        config.auth.jwt_keys.push(signing_key(&config.home)?);
    }
    if config.crypto.master_keys.is_empty() {
        config.crypto.master_keys.push(master_key(&config.home)?);
    }
    write_dev_env(&config)?;
    let owner = owner(urls(&config)?)?;
    let outcome = migrate::all(&config, MigrationSet::embedded(), &Options::default(), false).await?;
    for (slug, error) in &outcome.failed {
        eprintln!("The tenant `{slug}` was not migrated: {error}");
    }

    let app = Arc::new(App::new(config, Arc::new(SystemClock))?);
    demo::prepare(&app, &owner).await?;
    let listener = bind(&app).await?;
    let base = base_url(&app, listener.local_addr()?.port());
    announce(&app, &base).await?;
    let handlers = with_mail(handlers(&app), &app, &mailer(&app)?, app.config.mail.app_url.as_deref().unwrap_or(&base));
    let stop = stop.shared();
    let serving = serve(Arc::clone(&app), listener, stop.clone());
    let (served, worked) = tokio::join!(serving, work(Arc::clone(&app), handlers, stop));
    app.services.news.leave().await;
    // The server's connections end before PostgreSQL does, so that its log stays quiet.
    drop((app, owner));
    drop(cluster);
    served.and(worked)
}

/// Who sends mail: the server that is configured, or a folder.
fn mailer(app: &App) -> anyhow::Result<Arc<Mailer>> {
    if let Some(mailer) = &app.mailer {
        return Ok(Arc::clone(mailer));
    }
    let from = match &app.config.mail.from {
        Some(from) => from.clone(),
        None => MAIL_FROM.parse()?,
    };
    Ok(Mailer::into_folder(Folder::new(app.config.home.join("mail")), from))
}

/// The configuration, with the running installation's databases and keys for what is not set.
pub fn with_running(mut config: Config) -> anyhow::Result<Config> {
    let path = config.home.join("dev.env");
    let has_keys = !config.auth.jwt_keys.is_empty() && !config.crypto.master_keys.is_empty();
    let is_complete = config.database.urls.is_some() && has_keys;
    if config.environment != Environment::Development || is_complete || !path.exists() {
        return Ok(config);
    }
    let vars: std::collections::HashMap<String, String> = dotenvy::from_path_iter(&path)
        .and_then(Iterator::collect)
        .map_err(|_| anyhow::anyhow!("{} cannot be read", path.display()))?;
    let running = Config::from_vars(&|name| vars.get(name).cloned())?;
    config.database.urls = config.database.urls.or(running.database.urls);
    if config.auth.jwt_keys.is_empty() {
        config.auth = running.auth;
    }
    if config.crypto.master_keys.is_empty() {
        config.crypto = running.crypto;
    }
    Ok(config)
}

/// The key of this installation, made at the first start.
fn signing_key(home: &Path) -> anyhow::Result<JwtKey> {
    let path = home.join("jwt-key");
    if let Ok(setting) = fs::read_to_string(&path) {
        return JwtKey::from_setting(setting.trim())
            .map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()));
    }
    let key = JwtKey::generate(&format!("{DEV_KEY_PREFIX}1"))?;
    write_private(&path, &key.to_setting())?;
    Ok(key)
}

/// The key that wraps this installation's tenants' keys, made at the first start.
fn master_key(home: &Path) -> anyhow::Result<MasterKey> {
    let path = home.join("master-key");
    if let Ok(setting) = fs::read_to_string(&path) {
        return MasterKey::from_setting(setting.trim())
            .map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()));
    }
    let key = MasterKey::generate(&format!("{DEV_KEY_PREFIX}1"))?;
    write_private(&path, &key.to_setting())?;
    Ok(key)
}

fn write_dev_env(config: &Config) -> anyhow::Result<()> {
    let urls = urls(config)?;
    let keys: Vec<String> = config.auth.jwt_keys.iter().map(JwtKey::to_setting).collect();
    let master_keys: Vec<String> = config.crypto.master_keys.iter().map(MasterKey::to_setting).collect();
    let mut text = format!(
        "# Written by `shelfwise dev`; other commands read it.\nDATABASE_URL=\"{}\"\nJWT_KEYS=\"{}\"\nMASTER_KEYS=\"{}\"\n",
        urls.runtime.expose_secret(),
        keys.join(","),
        master_keys.join(",")
    );
    if let Some(owner) = &urls.owner {
        text.push_str(&format!("DATABASE_OWNER_URL=\"{}\"\n", owner.expose_secret()));
    }
    write_private(&config.home.join("dev.env"), &text)
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Where a browser on this machine finds the server.
fn base_url(app: &App, port: u16) -> String {
    let host = app.config.http.host;
    let host = if host.is_loopback() || host.is_unspecified() { "localhost".to_owned() } else { host.to_string() };
    format!("http://{host}:{port}")
}

/// Tells the developer where everything is.
async fn announce(app: &App, base: &str) -> anyhow::Result<()> {
    let admin = token::admin(&app.services.tokens, TOKEN_LIFETIME)?;
    println!("\nShelfWise is running at {base}\n");
    println!("  GraphiQL      {base}/");
    println!("  Tenant API    {base}/graphql");
    println!("  Admin API     {base}/admin/graphql\n");
    println!("  Admin token\n    {admin}\n");
    for slug in demo::SLUGS {
        let token =
            token::tenant(&app.services.tokens, &app.control, &app.services.tenants, slug, Role::Owner, TOKEN_LIFETIME)
                .await?;
        println!("  Demo shop `{slug}`, token of its owner\n    {token}");
        println!("    {base}/#tenant={slug}&token={token}\n");
    }
    println!("Ctrl-C stops everything.\n");
    std::io::stdout().flush()?;
    Ok(())
}
