//! A mutation under one key, asked for until it is told what has become of it.

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Chaos;
use super::fleet::SERVERS;
use crate::harness::chance::{Random, dropped_after};

/// Codes of answers that decide nothing: trying again under the same key tells.
const TROUBLE: &[&str] = &["SERVICE_UNAVAILABLE", "TIMEOUT", "IDEMPOTENCY_IN_PROGRESS"];

/// How long a request may be left without any answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client asks for one thing before that is a failure of the servers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before asking again.
const PAUSE: Duration = Duration::from_millis(40);

/// Polls after which a request has certainly been answered; it is dropped before.
const POLLS_MAX: u64 = 8;

/// A request, for one shop.
pub struct Call<'a> {
    pub chaos: &'a Chaos,
    pub side: usize,
    pub token: &'a str,
    pub document: String,
    pub variables: Value,
    /// The key, where it travels in the header.
    pub header: Option<String>,
}

/// What a mutation of an order answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The order's id.
    pub id: Option<String>,
    /// The codes of a refusal.
    pub codes: Vec<String>,
}

impl Call<'_> {
    /// Asks until the answer is definite. Sometimes the question is sent twice at once, is broken off in the middle, or
    /// comes again when it was answered.
    pub async fn settle(&self, random: &mut Random) -> Outcome {
        let is_twice = random.below(8) == 0;
        let answer = if is_twice {
            let mut other = Random::new(random.below(u64::MAX), 0);
            self.chaos.count("sent twice");
            let (one, two) = join(self.answer(random), self.answer(&mut other)).await;
            assert_eq!(Outcome::of(&one), Outcome::of(&two), "{} under one key", self.document);
            one
        } else {
            self.answer(random).await
        };
        let outcome = Outcome::of(&answer);
        if random.below(8) == 0 {
            let again = self.answer(random).await;
            assert_eq!(outcome, Outcome::of(&again), "{} again", self.document);
            assert_eq!(again["extensions"]["idempotency"]["replayed"], json!(["r"]), "{again}");
            self.chaos.count("repeated");
        }
        outcome
    }

    /// Asks until the answer is definite.
    pub async fn answer(&self, random: &mut Random) -> Value {
        let since = Instant::now();
        let mut last = Value::Null;
        while since.elapsed() < PATIENCE {
            let polls = if random.below(12) == 0 { random.below(POLLS_MAX) as u32 } else { u32::MAX };
            match dropped_after(polls, self.send(random.index(SERVERS))).await {
                None => self.chaos.count("dropped"),
                Some(None) => self.chaos.count("no answer"),
                Some(Some(body)) => {
                    let errors = body["errors"].as_array().map_or(&[] as &[Value], Vec::as_slice);
                    let codes = errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or_default());
                    let codes: Vec<&str> = codes.collect();
                    if codes.is_empty() {
                        return body;
                    }
                    assert!(codes.iter().all(|code| TROUBLE.contains(code)), "{} {}", self.document, body);
                    self.chaos.count(codes[0]);
                    last = body;
                }
            }
            self.chaos.count("asked again");
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{} {} was not answered within {PATIENCE:?}: {last}", self.document, self.variables);
    }

    /// Sends it once; the answer is nothing where none came.
    async fn send(&self, server: usize) -> Option<Value> {
        let url = format!("{}/graphql", self.chaos.fleet.base_url(server));
        let mut request = self.chaos.site.http.post(url).bearer_auth(self.token).timeout(ANSWER_TIMEOUT);
        if let Some(key) = &self.header {
            request = request.header("idempotency-key", key.as_str());
        }
        let body = json!({ "query": self.document, "variables": self.variables });
        let response = request.header("accept", "application/graphql-response+json").json(&body).send().await.ok()?;
        let text = response.text().await.ok()?;
        let neighbour = self.chaos.site.shops[1 - self.side].slug.as_str();
        assert!(!text.contains(neighbour), "{text}");
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }
}

impl Outcome {
    fn of(answer: &Value) -> Self {
        let payload = &answer["data"]["r"];
        let codes = payload["userErrors"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let codes: Vec<String> = codes.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect();
        let id = payload["order"]["id"].as_str().map(str::to_owned);
        assert_eq!(id.is_some(), codes.is_empty(), "{answer}");
        Self { id, codes }
    }
}
