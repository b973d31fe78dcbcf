//! Rows about what stands beside the database.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Verdict;
use super::facts::Facts;
use crate::cli::healthcheck;
use crate::config::Config;
use crate::config::objects::ObjectsConfig;
use crate::kernel::ids::base32_encode;
use crate::mail::Mailer;
use crate::objects::{ObjectError, Objects, Piece};
use crate::redis::Redis;

/// How long one service may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is written into the object store and removed again.
const SAMPLE: &[u8] = b"written by shelfwise doctor";

/// The Redis that replicas share.
pub(super) async fn redis(config: &Config) -> Verdict {
    let Some(url) = &config.redis.url else {
        return Verdict::warn(
            format!(
                "REDIS_URL is not set: {} servers each grant their share and keep their own",
                config.limits.replicas
            ),
            "set REDIS_URL where there is more than one server",
        );
    };
    let memory = async { Redis::new(url, config.redis.answer_timeout)?.memory().await };
    let memory = match memory.await {
        Ok(memory) => memory,
        Err(error) => return Verdict::fail(format!("{error:#}"), "see that Redis runs and that REDIS_URL leads to it"),
    };
    let hint = "give it `maxmemory`, and `maxmemory-policy volatile-lru`";
    match (memory.bytes_max, memory.policy.as_deref()) {
        (Some(0), _) => Verdict::warn("it answers, and has no `maxmemory`: it takes what the machine has", hint),
        (Some(bytes), Some(policy @ ("volatile-lru" | "volatile-lfu" | "volatile-ttl"))) => {
            Verdict::pass(format!("it answers, and has {} MiB with {policy}", bytes >> 20))
        }
        (Some(_), Some(policy)) => {
            Verdict::warn(format!("it answers, and its policy is {policy}: limits may be forgotten or refused"), hint)
        }
        _ => Verdict::unknown("it answers, and does not tell what becomes of a full memory", hint),
    }
}

/// Where archives are kept.
pub(super) async fn object_store(facts: &Facts<'_>) -> Verdict {
    let objects = Objects::new(facts.config.objects.clone());
    let name = format!("doctor/{}", base32_encode(facts.clock.new_id()));
    match tokio::time::timeout(TIMEOUT, round_trip(&objects, &name)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            return Verdict::fail(error.to_string(), "see that OBJECT_STORE_URL leads to a place that may be written");
        }
        Err(_) => return Verdict::fail("it does not answer in time", "see that OBJECT_STORE_URL leads to it"),
    }
    match &facts.config.objects {
        ObjectsConfig::Folder { is_made: true, .. } => Verdict::warn(
            "OBJECT_STORE_URL is not set: archives lie in a folder of this machine alone",
            "set OBJECT_STORE_URL to a bucket, or to a folder that all machines share and that is backed up",
        ),
        ObjectsConfig::Folder { path, .. } => {
            Verdict::pass(format!("an object was written to {}, read and removed", path.display()))
        }
        ObjectsConfig::Bucket { .. } => Verdict::pass("an object was written, read and removed"),
    }
}

/// Writes an object, reads it and removes it.
async fn round_trip(objects: &Objects, name: &str) -> Result<(), ObjectError> {
    let (send, pieces) = mpsc::channel(2);
    // There is room for both.
    let _ = send.try_send(Piece::Bytes(Bytes::from_static(SAMPLE)));
    let _ = send.try_send(Piece::End);
    let len = objects.put(name, pieces).await?;
    let read = objects.get(name, 0..len).await;
    objects.delete(name).await?;
    if read?.as_ref() == SAMPLE {
        Ok(())
    } else {
        Err(ObjectError::Failed("it answers what was not written".to_owned()))
    }
}

/// Who takes mail, and who is told.
pub(super) async fn mail(config: &Config) -> Verdict {
    let mailer = match Mailer::from_config(&config.mail) {
        Ok(Some(mailer)) => mailer,
        Ok(None) => return Verdict::warn("SMTP_URL is not set: mails wait", "set SMTP_URL, MAIL_FROM and APP_URL"),
        Err(error) => return Verdict::fail(format!("{error:#}"), "mend SMTP_URL"),
    };
    if let Err(error) = mailer.check().await {
        return Verdict::fail(error.to_string(), "see that SMTP_URL leads to a server that knows its login");
    }
    if config.provisioning.operations_email.is_none() {
        return Verdict::warn(
            "the server knows us, and OPERATIONS_EMAIL is not set: what operators should know is only logged",
            "set OPERATIONS_EMAIL",
        );
    }
    Verdict::pass("the server knows us")
}

/// The process that has this configuration.
pub(super) async fn metrics(config: &Config) -> Verdict {
    let hint =
        "run this beside a server, with its HOST and PORT; `shelfwise healthcheck --json` tells why one is not ready";
    match healthcheck::ask(config, "/metrics", None).await {
        Ok(answer) if answer.status != 200 => Verdict::fail(format!("/metrics answers {}", answer.status), hint),
        Ok(answer) if answer.body.lines().any(|line| line == "shelfwise_ready 1") => {
            Verdict::pass(format!("port {} tells {} samples", config.http.port, samples(&answer.body)))
        }
        Ok(_) => Verdict::fail("the process is not ready", hint),
        Err(error) => Verdict::fail(format!("{error:#} on port {}", config.http.port), hint),
    }
}

fn samples(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

/// Who hands alerts on.
pub(super) async fn alerts(config: &Config) -> Verdict {
    let Some(base) = &config.health.alertmanager else {
        return Verdict::unknown(
            "ALERTMANAGER_URL is not set",
            "set ALERTMANAGER_URL to where Prometheus sends alerts",
        );
    };
    let hint = "see that Alertmanager runs and that ALERTMANAGER_URL leads to it";
    // The client takes the process's provider of TLS; another may have set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ask =
        async { reqwest::Client::builder().timeout(TIMEOUT).build()?.get(format!("{base}/-/ready")).send().await };
    match ask.await {
        Ok(answer) if answer.status().is_success() => Verdict::pass("Alertmanager is ready"),
        Ok(answer) => Verdict::fail(format!("Alertmanager answers {}", answer.status().as_u16()), hint),
        // The URL may hold a password.
        Err(error) => Verdict::fail(format!("Alertmanager does not answer: {}", error.without_url()), hint),
    }
}
