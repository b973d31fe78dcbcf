//! A cluster that keeps what it has committed, two shops in it, and what brings it down.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use shelfwise::app::{App, owner};
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::tenant::TenantCtx;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::harness::world::{AMPLE_PLANS, config_over, http_client, master_key, shop, user_claims};

/// The database's name.
const DATABASE: &str = "shelfwise";

/// How long a token is valid. One is made for each order.
const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Settings of the cluster. Processes die here and the machine does not: what was written stays without being flushed to
/// the disk, and a recovery need not begin by flushing every file.
const SETTINGS: [(&str, &str); 2] = [("max_connections", "100"), ("fsync", "off")];

/// The database and the shops.
pub struct Site {
    /// Present but while it is being started again.
    cluster: Mutex<Option<Cluster>>,
    folder: tempfile::TempDir,
    port: String,
    superuser_url: String,
    pub urls: DatabaseUrls,
    /// The settings of servers and workers.
    pub settings: Vec<(&'static str, String)>,
    pub jwt_key: String,
    pub http: reqwest::Client,
    app: Arc<App>,
    pub shops: [Arc<TenantCtx>; 2],
}

impl Site {
    /// Starts the cluster and makes the shops.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &SETTINGS).await.unwrap();
        let urls = prepare(&cluster, DATABASE).await.unwrap();
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let (psql, connection) = tokio_postgres::connect(&cluster.superuser_url(DATABASE), NoTls).await.unwrap();
        tokio::spawn(connection);
        psql.batch_execute(AMPLE_PLANS).await.unwrap();
        let jwt_key = JwtKey::generate("chaos-1").unwrap().to_setting();
        let settings = settings_of(&urls, &jwt_key);
        let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = Arc::new(App::new(config_over(&urls, &borrowed), Arc::new(SystemClock)).unwrap());
        let shops = [shop(&app, "a").await, shop(&app, "b").await];
        Self {
            port: cluster.port().to_string(),
            superuser_url: cluster.superuser_url(DATABASE),
            cluster: Mutex::new(Some(cluster)),
            folder,
            urls,
            settings,
            jwt_key,
            http: http_client(),
            app,
            shops,
        }
    }

    /// A token of a shop's owner.
    pub fn token(&self, side: usize) -> String {
        let claims = user_claims(&self.shops[side], Role::Owner);
        self.app.services.tokens.mint(&claims, SystemClock.now(), TOKEN_LIFETIME).unwrap()
    }

    /// A superuser's connection, or nothing while the database is down.
    pub async fn try_psql(&self) -> Option<Client> {
        let (client, connection) = tokio_postgres::connect(&self.superuser_url, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// A superuser's connection.
    pub async fn psql(&self) -> Client {
        self.try_psql().await.expect("PostgreSQL answers")
    }

    /// Kills a backend by SIGKILL: PostgreSQL throws all others out and recovers, as after a crash. Answers whether there
    /// was one.
    pub async fn crash(&self) -> bool {
        let Some(psql) = self.try_psql().await else { return false };
        let query = "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'shelfwise' ORDER BY state = 'active' DESC LIMIT 1";
        let Ok(Some(row)) = psql.query_opt(query, &[]).await else { return false };
        signal("-KILL", row.get::<_, i32>(0));
        true
    }

    /// Stops PostgreSQL on the spot and starts it again after a while, in the same place.
    pub async fn restart(&self, pause: Duration) {
        let mut place = self.cluster.lock().await;
        let folder = self.folder.path().join("cluster");
        let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        // SIGQUIT is what `pg_ctl stop -m immediate` sends.
        signal("-QUIT", pid.lines().next().unwrap().parse().unwrap());
        // Waits until it is gone.
        drop(place.take());
        tokio::time::sleep(pause).await;
        let settings = [&SETTINGS[..], &[("port", self.port.as_str())]].concat();
        *place = Some(Cluster::start(&folder, Durability::Full, &settings).await.unwrap());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.cluster.get_mut().take());
        // The files may be elsewhere, so that the folder does not have them all.
        let _ = Cluster::remove(&self.folder.path().join("cluster"));
    }
}

fn signal(signal: &str, pid: i32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(std::process::Stdio::null()).status().unwrap();
}

/// The settings of servers and workers, and of the app here, which makes the shops and the tokens.
fn settings_of(urls: &DatabaseUrls, jwt_key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", jwt_key.to_owned()),
        ("PAYMENT_URL", "simulator:?delay_ms=20&fail_percent=20&decline_percent=5".to_owned()),
        ("PORT", "0".to_owned()),
        ("DB_POOL_MAX", "8".to_owned()),
        ("SPARE_SCHEMAS", "0".to_owned()),
        ("REQUEST_TIMEOUT_MS", "10000".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ]
}
