//! `shelfwise dev`: from nothing to a running installation, and to nothing again.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use shelfwise::cli::dev::cluster::Cluster;

/// A running `dev`, with what it printed.
struct Dev {
    child: Child,
    printed: Vec<String>,
    output: Lines<BufReader<ChildStdout>>,
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    let path = std::env::var_os("PATH").unwrap();
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("SHELFWISE_HOME", home)
        .env("PORT", "0")
        .env("SPARE_SCHEMAS", "0")
        .current_dir(home);
    command
}

impl Dev {
    /// Starts it and waits for the last line of its greeting.
    fn start(home: &Path) -> Self {
        let mut child = command(home, &["dev"]).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut dev = Self { child, printed: Vec::new(), output };
        dev.read_up_to("Ctrl-C stops everything");
        dev
    }

    /// Reads what it prints up to a line with a text, and answers the line after it.
    fn read_up_to(&mut self, text: &str) -> String {
        while let Some(line) = self.output.next() {
            self.printed.push(line.unwrap());
            if self.printed.last().unwrap().contains(text) {
                return self.output.next().unwrap().unwrap();
            }
        }
        panic!("dev ended: {:?}\n{}", self.child.wait(), self.printed.join("\n"));
    }

    fn line_after(&self, text: &str) -> &str {
        let index = self
            .printed
            .iter()
            .position(|line| line.contains(text))
            .unwrap_or_else(|| panic!("{text}: {:?}", self.printed));
        self.printed[index + 1].trim()
    }

    fn base_url(&self) -> &str {
        self.printed.iter().find_map(|line| line.strip_prefix("ShelfWise is running at ")).unwrap()
    }

    /// Sends a signal to it alone, as Ctrl-C would to the group in the foreground.
    fn stop(mut self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

fn server_of(home: &Path) -> String {
    std::fs::read_to_string(home.join("postgres/data/postmaster.pid")).unwrap().lines().next().unwrap().to_owned()
}

fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// Waits until a process is gone; it has been told to go.
fn wait_until_gone(pid: &str) {
    let started = std::time::Instant::now();
    while is_running(pid) {
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "PostgreSQL is still running");
        std::thread::yield_now();
    }
}

async fn gql(url: &str, token: &str, query: &str) -> Value {
    let request = crate::harness::world::http_client().post(url).bearer_auth(token).json(&json!({ "query": query }));
    request.send().await.unwrap().json().await.unwrap()
}

/// Invites somebody, and joins by the link that is printed, as nothing is mailed.
async fn a_printed_invitation_lets_in(dev: &mut Dev, base: &str, acme: &str) {
    let roles = gql(&format!("{base}/graphql"), acme, "{ roles { id name } }").await;
    let clerk = roles["data"]["roles"].as_array().unwrap().iter().find(|role| role["name"] == "Clerk").unwrap();
    let invite = format!(
        "mutation {{ userInvite(input: {{ email: \"ann@acme.example\", name: \"Ann\", roleIds: [{}] }}) {{ userErrors {{ code }} }} }}",
        clerk["id"]
    );
    assert_eq!(gql(&format!("{base}/graphql"), acme, &invite).await["data"]["userInvite"]["userErrors"], json!([]));
    let link = dev.read_up_to("Mail to ann@acme.example");
    let token = link.rsplit_once("#tenant=acme&invitation=").unwrap().1;
    let accept = format!(
        "mutation {{ invitationAccept(input: {{ token: \"{token}\", password: \"correct horse battery\" }}) {{
            session {{ user {{ email }} }} userErrors {{ code }} }} }}"
    );
    let accepted =
        crate::harness::world::http_client().post(format!("{base}/graphql")).json(&json!({ "query": accept }));
    let accepted: Value = accepted.send().await.unwrap().json().await.unwrap();
    assert_eq!(accepted["data"]["invitationAccept"]["session"]["user"]["email"], "ann@acme.example", "{accepted}");
}

/// What the first round of the patrol has counted.
async fn the_patrol_goes_round(base: &str) {
    let counted = async {
        loop {
            let scrape = crate::metrics::scrape_of(base).await;
            if scrape.value("shelfwise_isolation_probes_total{outcome=\"denied\"}") > 0.0 {
                return scrape;
            }
            tokio::task::yield_now().await;
        }
    };
    let scrape =
        tokio::time::timeout(std::time::Duration::from_secs(60), counted).await.expect("the patrol goes round");
    scrape.assert(&[("shelfwise_isolation_probes_total{outcome=\"breach\"}", 0.0)]);
}

#[tokio::test]
async fn it_starts_from_nothing_keeps_its_data_and_stops_all_it_started() {
    let home = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(home.path());
    let (base, admin, acme) =
        (dev.base_url().to_owned(), dev.line_after("Admin token").to_owned(), dev.line_after("shop `acme`").to_owned());
    let (admin, acme) = (admin.as_str(), acme.as_str());
    let tenants = gql(&format!("{base}/admin/graphql"), admin, "{ tenants { nodes { slug } } }").await;
    assert_eq!(tenants["data"]["tenants"]["nodes"], json!([{ "slug": "acme" }, { "slug": "borealis" }]));
    let books = gql(&format!("{base}/graphql"), acme, "{ books(first: 1) { totalCount nodes { title } } }").await;
    assert_eq!(books["data"]["books"]["totalCount"], 24, "{books}");
    assert!(books["data"]["books"]["nodes"][0]["title"].as_str().unwrap().starts_with("acme "));
    let made = gql(
        &format!("{base}/graphql"),
        acme,
        "mutation { authorCreate(input: { name: \"Kept\" }) { author { name } } }",
    )
    .await;
    assert_eq!(made["data"]["authorCreate"]["author"]["name"], "Kept");

    a_printed_invitation_lets_in(&mut dev, &base, acme).await;
    let mails = std::fs::read_dir(home.path().join("mail")).unwrap().map(|entry| entry.unwrap().path());
    let mails: Vec<String> = mails.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(mails.iter().any(|mail| mail.contains("To: ann@acme.example")), "the mail lies in the folder");
    the_patrol_goes_round(&base).await;

    // Other commands find the running installation.
    let token = command(home.path(), &["token", "tenant", "borealis"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let books = gql(&format!("{base}/graphql"), token.trim(), "{ books(first: 1) { nodes { title } } }").await;
    assert!(books["data"]["books"]["nodes"][0]["title"].as_str().unwrap().starts_with("borealis "), "{books}");
    let list = command(home.path(), &["tenant", "list"]).output().unwrap();
    assert_eq!(String::from_utf8(list.stdout).unwrap().lines().count(), 2);

    let keys = command(home.path(), &["keys", "status", "--json"]).output().unwrap();
    let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
    assert_eq!(keys, json!({ "master": "dev-1", "state": "first", "keys": 4 }), "two for each shop");

    // A second one over the same home is refused and does no harm.
    let second = command(home.path(), &["dev"]).output().unwrap();
    assert!(!second.status.success());

    let server = server_of(home.path());
    dev.stop("-INT");
    assert!(!is_running(&server), "Ctrl-C waits for PostgreSQL");

    let dev = Dev::start(home.path());
    let acme = dev.line_after("shop `acme`").to_owned();
    let kept = gql(
        &format!("{}/graphql", dev.base_url()),
        &acme,
        "{ authors(filter: { nameContains: \"kept\" }) { totalCount } books { totalCount } }",
    )
    .await;
    assert_eq!(
        (&kept["data"]["authors"]["totalCount"], &kept["data"]["books"]["totalCount"]),
        (&json!(1), &json!(24)),
        "{kept}"
    );

    // Even a death without a word takes PostgreSQL along.
    let server = server_of(home.path());
    dev.stop("-KILL");
    wait_until_gone(&server);
    Cluster::remove(&home.path().join("postgres")).unwrap();
}
