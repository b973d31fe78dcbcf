//! Clients that wait for the whole answer, or go away at a stage that chance chooses.

use serde_json::json;
use shelfwise::kernel::actor::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Fire;
use super::operation::{Expected, Operation};
use crate::harness::GqlResponse;
use crate::harness::chance::{Random, dropped_after};

/// Codes of answers that an outage explains.
const TROUBLE: &[&str] = &["SERVICE_UNAVAILABLE", "TIMEOUT"];

/// Polls after which a request has certainly been answered; it is dropped before.
const POLLS_MAX: u64 = 8;

/// About as many bytes as an answer has: a connection is cut anywhere in the request or in these.
const ANSWER_BYTES: usize = 1_500;

/// Operations before a token is made anew: a long run outlives one.
const TURNS_PER_TOKEN: u64 = 100;

/// One client of one shop, with so many operations one after the other.
pub async fn run(fire: &Fire<'_>, number: usize, turns: u64) {
    let side = number % 2;
    let (shop, neighbour) = (fire.tenant(side), fire.tenant(1 - side).slug.as_str());
    let mut random = Random::new(fire.seed, number as u64);
    let mut client = fire.world.user(shop, Role::Owner);
    for turn in 1..=turns {
        if turn % TURNS_PER_TOKEN == 0 {
            client = fire.world.user(shop, Role::Owner);
        }
        let mark = format!("{number}.{turn}");
        let operation = Operation::draw(&fire.shelf, &fire.ledger(side), neighbour, &mut random, &mark);
        // The id carries the sender's slug into the headers, the errors and the log lines of the answer.
        let id = format!("{}.{mark}", shop.slug);
        let mut request =
            client.request(&operation.document, operation.variables.clone()).header("x-request-id", id.as_str());
        if let Some((name, value)) = &operation.header {
            request = request.header(*name, value.as_str());
        }
        if let Some(response) = send(fire, side, &operation, request, &mut random).await {
            judge(fire, side, &operation, &id, &response);
        }
        fire.ended.send_modify(|ended| *ended += 1);
    }
}

/// Sends a request, and answers the whole answer if the client has stayed for it.
async fn send(
    fire: &Fire<'_>,
    side: usize,
    operation: &Operation,
    request: reqwest::RequestBuilder,
    random: &mut Random,
) -> Option<GqlResponse> {
    let whole = async |request: reqwest::RequestBuilder| GqlResponse::read(request.send().await.unwrap()).await;
    match random.below(10) {
        0 | 1 => {
            let polls = random.below(POLLS_MAX) as u32;
            if polls > 0 {
                fire.ledger(side).launch(operation);
            }
            let response = dropped_after(polls, whole(request)).await;
            if response.is_none() {
                fire.count("dropped");
            }
            response
        }
        2 => {
            let bytes = wire(&request.build().unwrap());
            let at = random.index(bytes.len() + ANSWER_BYTES);
            if at >= bytes.len() {
                fire.ledger(side).launch(operation);
            }
            let answer = cut(fire, &bytes, at).await;
            fire.assert_own(side, &String::from_utf8_lossy(&answer));
            fire.count("cut");
            None
        }
        _ => {
            fire.ledger(side).launch(operation);
            Some(whole(request).await)
        }
    }
}

/// The bytes of a request, as a client without a pool sends them.
fn wire(request: &reqwest::Request) -> Vec<u8> {
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap();
    let (method, path, length) = (request.method(), request.url().path(), body.len());
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    head += &format!("content-length: {length}\r\n");
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    head += "\r\n";
    [head.as_bytes(), body].concat()
}

/// Sends that many bytes, reads what is left of the number, and hangs up.
async fn cut(fire: &Fire<'_>, request: &[u8], at: usize) -> Vec<u8> {
    let address = fire.world.base_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request[..at.min(request.len())]).await.unwrap();
    let mut answer = Vec::new();
    let rest = at.saturating_sub(request.len()) as u64;
    stream.take(rest).read_to_end(&mut answer).await.unwrap();
    answer
}

/// Checks an answer: nothing of the neighbour's in it, and either right or excused.
pub fn judge(fire: &Fire<'_>, side: usize, operation: &Operation, id: &str, response: &GqlResponse) {
    fire.assert_own(side, &format!("{:?} {}", response.headers, response.body));
    assert_eq!(response.headers["x-request-id"].to_str().unwrap(), id, "another request's answer");
    let Some(errors) = response.body["errors"].as_array() else {
        fire.ledger(side).settle(operation, &response.body["data"]);
        fire.count("answered");
        return;
    };
    for error in errors {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        let is_due = matches!(operation.expected, Expected::Invalid(due) if due == code);
        assert!(is_due || TROUBLE.contains(&code), "{operation:?}: {}", response.body);
        assert_eq!(error["extensions"]["requestId"], json!(id), "another request's error");
    }
    fire.count(response.code());
}
