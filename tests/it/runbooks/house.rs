//! A whole installation as a runbook finds it: a server, a worker, PostgreSQL and Redis, and a shell beside them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::{env, fs};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;

use super::docker::{Docker, shims};
use super::play::Play;
use crate::harness::cluster::{own_database, psql_of, server, server_log};
use crate::harness::redis::RedisServer;
use crate::harness::world::{http_client, master_key};
use crate::jobs::queue::{PATIENCE, ask, until};

/// How long a block may take, in seconds.
const BLOCK_SECONDS: &str = "60";

/// The installation. It ends with this value.
pub struct House {
    pub database: String,
    pub urls: DatabaseUrls,
    /// A superuser's session, beside those of the blocks.
    pub psql: tokio_postgres::Client,
    pub docker: Arc<Docker>,
    pub redis: Arc<Mutex<RedisServer>>,
    pub http: reqwest::Client,
    environment: Vec<(String, String)>,
    /// Where blocks run: it has what the project's folder has of files that they name.
    pub folder: tempfile::TempDir,
    admin_token: OnceLock<String>,
}

/// How a block ended.
pub struct Ran {
    pub status: i32,
    /// Standard output, and what went to standard error behind it.
    pub text: String,
}

/// A command that runs beside the test.
pub struct Running(Child);

impl Running {
    /// Ends it at once, as a crash does.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end.
    pub async fn end(mut self) {
        tokio::task::spawn_blocking(move || self.0.wait().unwrap()).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl House {
    /// An installation without tenants; the server and the worker run.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let house = Self::closed(settings).await;
        house.up("api");
        house.up("worker");
        house
    }

    /// The same before anything of it runs.
    pub async fn closed(settings: &[(&str, &str)]) -> Self {
        let (database, urls) = own_database().await;
        migrate_control(&owner(&urls).unwrap()).await.unwrap();
        let redis = RedisServer::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut environment = environment(&database, &urls, &redis, folder.path());
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let redis = Arc::new(Mutex::new(redis));
        let docker = Docker::start(folder.path(), &environment, Arc::clone(&redis));
        environment.push(("DOCKER_PORT".to_owned(), docker.port.to_string()));
        environment.push(("PATH".to_owned(), format!("{}:{}", folder.path().join("bin").display(), path())));
        furnish(folder.path());
        Self {
            psql: psql_of(&database).await,
            database,
            urls,
            docker,
            redis,
            http: http_client(),
            environment,
            folder,
            admin_token: OnceLock::new(),
        }
    }

    /// Starts what is called so, or starts it anew.
    pub fn up(&self, service: &str) {
        self.docker.up(service, 1, &[]).unwrap();
    }

    /// Reads a page, to be played in this house.
    pub fn page(&self, name: &str) -> Play<'_> {
        Play::of(self, name)
    }

    /// Makes a shop and answers its schema.
    pub async fn shop(&self, slug: &str) -> String {
        self.sh(&format!(
            "shelfwise tenant provision {slug} --name '{slug} Books' --plan business --owner-email owner@{slug}.example"
        ))
        .await;
        self.ask(&format!("SELECT schema_name FROM control.tenants WHERE slug = '{slug}'")).await
    }

    /// Runs a script that has to succeed, and answers what it printed.
    pub async fn sh(&self, script: &str) -> String {
        let ran = self.bash(script).await;
        assert_eq!(ran.status, 0, "{script}\n{}", ran.text);
        ran.text
    }

    /// Runs a script of bash in which any command may not fail.
    pub async fn bash(&self, script: &str) -> Ran {
        let mut command = self.command("timeout");
        command.args([BLOCK_SECONDS, "bash", "-c", &format!("set -eo pipefail\n{script}")]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        ran(&output)
    }

    /// A program in the environment of the installation.
    fn command(&self, program: &str) -> Command {
        // Commands ask the server of the port that they are told.
        let port = fs::read_to_string(self.folder.path().join("port")).unwrap_or_default();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PORT", port)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }

    /// Runs SQL as a person with psql does.
    pub async fn sql(&self, statements: &str) -> Ran {
        self.bash(&format!("psql <<'END_OF_SQL'\n{statements}\nEND_OF_SQL")).await
    }

    /// Runs statements of the test's own, past all pages.
    pub async fn exec(&self, statements: &str) {
        self.psql.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Another session of a superuser.
    pub async fn another_psql(&self) -> tokio_postgres::Client {
        psql_of(&self.database).await
    }

    /// The first column of the first row that a query answers, as text.
    pub async fn ask(&self, query: &str) -> String {
        self.ask_of(&self.psql, query).await
    }

    /// The same of another session.
    pub async fn ask_of(&self, psql: &tokio_postgres::Client, query: &str) -> String {
        ask(psql, query).await
    }

    /// Waits until a query answers a text.
    pub async fn until(&self, query: &str, answer: &str) {
        until(&self.psql, query, answer).await;
    }

    /// Waits until the server's metrics have a text.
    pub async fn until_told(&self, text: &str) {
        self.until_told_by("api", text).await;
    }

    /// Waits until the metrics of a service have a text.
    pub async fn until_told_by(&self, service: &str, text: &str) {
        let wait = async { while !self.metrics(service).await.contains(text) {} };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "the {service} does not tell {text}");
    }

    /// Waits until a request of a shop's owner is answered with a status.
    pub async fn until_status(&self, slug: &str, status: u16) {
        let token = self.shop_token(slug).await;
        self.until_answered("/graphql", &token, status).await;
    }

    /// Waits until a credential is refused.
    pub async fn until_refused(&self, path: &str, token: &str) {
        self.until_answered(path, token, 401).await;
    }

    async fn until_answered(&self, path: &str, token: &str, status: u16) {
        let url = format!("{}{path}", self.docker.base_url());
        let wait = async {
            loop {
                let request = self.http.post(&url).bearer_auth(token).json(&json!({ "query": "{ __typename }" }));
                if request.send().await.unwrap().status() == status {
                    break;
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{path} does not answer {status}");
    }

    /// Waits until a shop's API answers with a text.
    pub async fn until_answered_with(&self, token: &str, query: &str, text: &str) {
        let wait = async { while !self.send("/graphql", token, query).await.to_string().contains(text) {} };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{query} is not answered with {text}");
    }

    /// Waits until a probe answers with a status.
    pub async fn until_probed(&self, path: &str, status: u16) {
        let url = format!("{}{path}", self.docker.base_url());
        let wait = async { while self.http.get(&url).send().await.unwrap().status() != status {} };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{path} does not answer {status}");
    }

    /// An administrator who has accepted the invitation: the token of the log-in.
    pub async fn admin(&self, email: &str) -> String {
        let invitation = self.sh(&format!("shelfwise admin invite {email}")).await;
        let query = format!(
            r#"mutation {{ invitationAccept(input: {{ token: "{}", password: "correct horse battery" }}) {{
                session {{ accessToken }} userErrors {{ code message }} }} }}"#,
            invitation.trim()
        );
        let request = self.http.post(format!("{}/admin/graphql", self.docker.base_url()));
        let answer: Value = request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
        let token = &answer["data"]["invitationAccept"]["session"]["accessToken"];
        token.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Writes a line into a log, as a process would.
    pub fn log(&self, service: &str, line: &str) {
        let path = self.folder.path().join("log").join(service);
        let mut log = fs::File::options().append(true).open(path).unwrap();
        writeln!(log, "{line}").unwrap();
    }

    /// Starts a command beside the test.
    pub fn start_command(&self, script: &str) -> Running {
        let mut command = self.command("bash");
        command.args(["-c", &format!("exec {script}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    /// Waits until a log has a text.
    pub async fn until_logged(&self, service: &str, text: &str) {
        let path = self.folder.path().join("log").join(service);
        let wait = async {
            while !fs::read_to_string(&path).unwrap_or_default().contains(text) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "the log does not say: {text}");
    }

    /// Adds a book to a shop, and answers its id.
    pub async fn book(&self, token: &str, title: &str, stock: i32) -> String {
        let query = format!(
            r#"mutation {{ bookCreate(input: {{ title: "{title}", stock: {stock} }}) {{
                book {{ id }} userErrors {{ code message }} }} }}"#
        );
        let data = self.data("/graphql", token, &query).await;
        data["bookCreate"]["book"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
    }

    /// Has something happen in a shop that webhooks tell of: a book of which few are left.
    pub async fn event(&self, token: &str, title: &str) {
        let book = self.book(token, title, 9).await;
        let query = format!(
            r#"mutation {{ bookUpdate(id: "{book}", version: 1, input: {{ stock: 1 }}) {{
                book {{ stock }} userErrors {{ code message }} }} }}"#
        );
        let data = self.data("/graphql", token, &query).await;
        assert_eq!(data["bookUpdate"]["book"]["stock"], 1, "{data}");
    }

    /// Switches on for all shops that such books are told of.
    pub async fn events_on(&self) {
        let set =
            "shelfwise flag set stock_low_on_update --percent 100 --owner ann@shelfwise.example --ends-on 2099-01-01";
        self.sh(set).await;
    }

    /// A token of an administrator.
    pub async fn admin_token(&self) -> String {
        if let Some(token) = self.admin_token.get() {
            return token.clone();
        }
        let token = self.sh("shelfwise token admin --hours 1").await.trim().to_owned();
        self.admin_token.get_or_init(|| token).clone()
    }

    /// A token of a shop's owner.
    pub async fn shop_token(&self, slug: &str) -> String {
        self.sh(&format!("shelfwise token tenant {slug} --hours 1")).await.trim().to_owned()
    }

    /// Sends a document, and answers all of the answer.
    pub async fn send(&self, path: &str, token: &str, query: &str) -> Value {
        let request = self.http.post(format!("{}{path}", self.docker.base_url())).bearer_auth(token);
        request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
    }

    /// Sends a document that has to succeed, and answers its data.
    pub async fn data(&self, path: &str, token: &str, query: &str) -> Value {
        let answer = self.send(path, token, query).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer}");
        answer["data"].clone()
    }

    /// What a process tells of itself.
    pub async fn metrics(&self, service: &str) -> String {
        let url = format!("http://{}/metrics", self.docker.address(service));
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }
}

fn ran(output: &Output) -> Ran {
    let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    Ran { status: output.status.code().unwrap_or(-1), text }
}

/// The folders that programs are found in, PostgreSQL's among them.
fn path() -> String {
    env::var("PATH").unwrap()
}

/// What every process of the installation and every block has.
fn environment(database: &str, urls: &DatabaseUrls, redis: &RedisServer, folder: &Path) -> Vec<(String, String)> {
    let (port, password) = server();
    let archives = folder.join("archives");
    let pairs = [
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("REDIS_URL", redis.url()),
        ("OBJECT_STORE_URL", format!("file://{}", archives.display())),
        ("SPARE_SCHEMAS", "0".to_owned()),
        ("DB_POOL_MAX", "4".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("USER", "nightshift".to_owned()),
        ("HOME", folder.display().to_string()),
        ("POSTGRES_LOG", server_log().display().to_string()),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", port.to_string()),
        ("PGUSER", "postgres".to_owned()),
        ("PGPASSWORD", password),
        ("PGDATABASE", database.to_owned()),
        ("PGOPTIONS", "-c client_min_messages=warning".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Puts into the folder what blocks name: programs, and files of the project.
fn furnish(folder: &Path) {
    let root = super::text::root();
    fs::create_dir(folder.join("archives")).unwrap();
    let link = |from: PathBuf, to: &str| std::os::unix::fs::symlink(from, folder.join(to)).unwrap();
    for name in ["deploy", "script", "docker-compose.yml"] {
        link(root.join(name), name);
    }
    // Commands write these anew.
    let copied = ["schema.graphql", "schema.admin.graphql", "schema.released.graphql", "schema.admin.released.graphql"];
    for name in copied.into_iter().chain(["CHANGELOG.api.md"]) {
        fs::copy(root.join(name), folder.join(name)).unwrap();
    }
    shims(folder);
}
