//! A Redis that comes and goes, and callers who never wait for it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use shelfwise::redis::{Away, Redis};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::redis::RedisServer;

/// How long an answer is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);

/// How soon a Redis that is back is found to be.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// What several calls may take beyond what they are given, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(2);

fn redis_at(url: &str) -> Redis {
    Redis::new(&SecretString::from(url.to_owned()), ANSWER_TIMEOUT).unwrap()
}

async fn set(redis: &Redis, value: &str) -> Result<(), Away> {
    redis.ask(async |line| ::redis::cmd("SET").arg("a").arg(value).query_async(line).await).await
}

async fn get(redis: &Redis) -> Result<Option<String>, Away> {
    redis.ask(async |line| ::redis::cmd("GET").arg("a").query_async(line).await).await
}

/// Asks until it answers.
async fn found(redis: &Redis) -> Option<String> {
    let asked = async {
        loop {
            match get(redis).await {
                Ok(answer) => return answer,
                Err(Away) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(FOUND_WITHIN, asked).await.expect("Redis is found to be back")
}

#[tokio::test]
async fn a_redis_that_was_killed_is_gone_for_a_moment_and_found_when_it_is_back() {
    let mut server = RedisServer::start().await;
    let redis = redis_at(&server.url());
    set(&redis, "kept").await.unwrap();
    assert_eq!(get(&redis).await, Ok(Some("kept".to_owned())));

    server.kill();
    assert_eq!(get(&redis).await, Err(Away));
    assert!(!redis.is_up());

    server.restart().await;
    assert_eq!(found(&redis).await, None, "what it knew went with it");
    assert!(redis.is_up());
}

#[tokio::test]
async fn nobody_waits_for_a_redis_that_says_nothing() {
    let server = RedisServer::start().await;
    let redis = redis_at(&server.url());
    set(&redis, "kept").await.unwrap();

    server.freeze();
    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(get(&redis).await, Err(Away));
    }
    // One waited, and those who came within its rest did not ask.
    assert!(started.elapsed() < ANSWER_TIMEOUT * 4 + SLACK, "{:?}", started.elapsed());
    server.thaw();
    assert_eq!(found(&redis).await, Some("kept".to_owned()));
}

#[tokio::test]
async fn an_error_that_it_answers_concerns_nobody_else() {
    let server = RedisServer::start().await;
    let redis = redis_at(&server.url());
    set(&redis, "kept").await.unwrap();
    let full = async |line: &mut _| {
        ::redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1", "maxmemory-policy", "noeviction"]).query_async(line).await
    };
    redis.ask::<()>(full).await.unwrap();
    for _ in 0..100 {
        assert_eq!(set(&redis, "more").await, Err(Away), "it is full");
        assert!(redis.is_up());
        assert_eq!(get(&redis).await, Ok(Some("kept".to_owned())));
    }
}

/// An address that leads to one Redis and later to another, as a name does after a failover. What is connected stays so.
async fn leads_to(target: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let address = target.lock().unwrap().trim_start_matches("redis://").to_owned();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_master_that_has_become_a_replica_is_left_for_the_new_one() {
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    let target = Arc::new(Mutex::new(old.url()));
    let redis = redis_at(&leads_to(Arc::clone(&target)).await);
    set(&redis, "old").await.unwrap();

    *target.lock().unwrap() = new.url();
    let port = new.url().rsplit(':').next().unwrap().to_owned();
    let demote = async |line: &mut _| ::redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).query_async(line).await;
    redis_at(&old.url()).ask::<()>(demote).await.unwrap();

    assert_eq!(set(&redis, "new").await, Err(Away), "the connection leads to the old one");
    let kept = async { while set(&redis, "new").await.is_err() {} };
    tokio::time::timeout(FOUND_WITHIN, kept).await.expect("the new one is found");
    assert_eq!(get(&redis_at(&new.url())).await, Ok(Some("new".to_owned())));
}

#[tokio::test]
async fn a_redis_that_was_never_there_is_away() {
    let mut server = RedisServer::start().await;
    let redis = redis_at(&server.url());
    server.kill();
    assert_eq!(get(&redis).await, Err(Away));
    assert!(redis.listen().await.is_err());
}

#[tokio::test]
async fn an_error_is_no_answer() {
    let server = RedisServer::start().await;
    let redis = redis_at(&server.url());
    let asked = redis.ask(async |line| ::redis::cmd("GET").query_async::<String>(line).await).await;
    assert_eq!(asked, Err(Away));
}

#[test]
fn no_url_is_shown() {
    let url = SecretString::from("redis://user:hunter2@".to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(async { Redis::new(&url, ANSWER_TIMEOUT).err().map(|error| format!("{error:#}")) });
    assert_eq!(error.as_deref(), Some("REDIS_URL: it is malformed"));
}
