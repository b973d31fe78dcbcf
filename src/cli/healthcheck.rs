//! `shelfwise healthcheck`: asks the process that has this configuration, be it a server or a worker, how it is.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args as Arguments;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::output::print_line;
use super::token;
use crate::auth::Tokens;
use crate::config::Config;

/// How long an answer is waited for: longer than a look takes.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long the token is valid by which details are asked for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What to ask.
#[derive(Debug, Clone, Copy, Arguments)]
pub struct Args {
    /// Ask whether it is ready, and not only whether it lives.
    #[arg(long)]
    ready: bool,
    /// Print what it found about all that it needs, as JSON.
    #[arg(long)]
    json: bool,
}

/// An answer of a process.
pub(super) struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks, and fails where the answer is not a good one.
pub async fn run(config: &Config, args: Args) -> anyhow::Result<()> {
    let probe = if args.ready { "/health/ready" } else { "/health/live" };
    let probed = ask(config, probe, None).await;
    if args.json {
        let details = match &probed {
            Ok(_) => details(config).await?,
            Err(error) => json!({ "ready": false, "phase": null, "error": error.to_string(), "checks": [] }),
        };
        print_line(format_args!("{details}"))?;
    }
    let Answer { status, body } = probed?;
    ensure!(status == 200, "{probe} answers {status}: {}", body.trim());
    Ok(())
}

/// What the process found about all that it needs. It tells operators alone, who are those that have the signing key.
async fn details(config: &Config) -> anyhow::Result<Value> {
    let token = token::admin(&Tokens::new(&config.auth)?, TOKEN_LIFETIME)?;
    let answer = ask(config, "/health", Some(&token)).await?;
    serde_json::from_str(&answer.body)
        .with_context(|| format!("/health answers {}: {}", answer.status, answer.body.trim()))
}

/// Sends a request to the process that has this configuration.
pub(super) async fn ask(config: &Config, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
    let host = if config.http.host.is_unspecified() { [127, 0, 0, 1].into() } else { config.http.host };
    let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    // The older version of HTTP has no chunks, so that the body ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{credential}\r\n");
    let ask = async {
        let mut stream = TcpStream::connect((host, config.http.port)).await.context("nobody listens")?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no answer of HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        anyhow::Ok(Answer { status: status.context("the answer has no status")?, body: body.to_owned() })
    };
    tokio::time::timeout(TIMEOUT, ask).await.context("the process does not answer in time")?
}
