//! The buckets themselves: what is put back, and where; what Redis is told that has forgotten, or was never asked.

use std::time::{Duration, Instant};

use shelfwise::kernel::ids::{ApiKeyId, TenantId};
use shelfwise::kernel::limits::{LimitKind, Limits};
use shelfwise::limits::{Account, Admission, Caller, Denied, Limiter, Price, Standing};
use shelfwise::redis::Redis;

use super::StandingClock;
use crate::harness::redis::RedisServer;
use crate::harness::world::REDIS_TIMEOUT;

/// How soon a Redis that is back is found to be.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// A shop that has a hundred points a minute, and enough of all else.
fn shop() -> Caller {
    let limits = Limits {
        points_per_minute: 100,
        requests_per_minute: 60_000,
        mutations_per_minute: 60_000,
        concurrent_operations: 100,
        books: 1,
        webhook_endpoints: 1,
        jobs: 1,
        page_size: 100,
        weight: 1,
    };
    Caller { tenant: TenantId(uuid::Uuid::from_u128(1)), limits, account: Account::Shop }
}

/// A replica, whose clock stands.
fn replica(redis: Option<&Redis>, replicas: u32) -> Limiter {
    Limiter::new(StandingClock::new(), redis.cloned(), replicas)
}

fn redis(server: &RedisServer) -> Redis {
    Redis::new(&server.url().into(), REDIS_TIMEOUT).unwrap()
}

async fn take(limiter: &Limiter, caller: Caller, points: u64) -> Result<Admission, Denied> {
    limiter.admit(caller, Price { points, mutations: 0 }).await
}

async fn granted(limiter: &Limiter, points: u64) -> Admission {
    match take(limiter, shop(), points).await {
        Ok(admission) => admission,
        Err(denied) => panic!("{denied:?}"),
    }
}

/// Why so many points are not there, as which limit it is, whether the key's, and how long until they are.
async fn refused(limiter: &Limiter, caller: Caller, points: u64) -> (LimitKind, bool, Duration) {
    match take(limiter, caller, points).await {
        Ok(_) => panic!("{points} points were let in"),
        Err(denied) => (denied.kind, denied.of_key, denied.retry_in.unwrap()),
    }
}

/// The points that a replica which has granted nothing finds.
async fn left(redis: &Redis) -> u64 {
    u64::from(replica(Some(redis), 1).standings(&shop()).await[0].left)
}

/// Waits until a replica's Redis answers again.
async fn is_back(limiter: &Limiter, redis: &Redis) {
    let found = async {
        while !redis.is_up() {
            limiter.standings(&shop()).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(FOUND_WITHIN, found).await.expect("Redis is found to be back");
}

async fn forget_all(redis: &Redis) {
    redis.ask(async |line| redis::cmd("FLUSHALL").query_async::<()>(line).await).await.unwrap();
}

/// Points that have flowed back in Redis since a moment, and one that is on its way.
fn flowed(since: Instant) -> u64 {
    since.elapsed().as_secs() * 100 / 60 + 2
}

#[tokio::test]
async fn what_takes_more_than_a_replicas_share_pays_what_it_needed() {
    let replica = replica(None, 4);
    // Four times 80 of a hundred are more than the share holds, and so are four times the 60 that it needed.
    granted(&replica, 80).await.settle(60).await;
    assert_eq!(
        refused(&replica, shop(), 1).await,
        (LimitKind::PointsPerMinute, false, Duration::from_millis(2_400)),
        "nothing is left of the share"
    );
}

#[tokio::test]
async fn what_takes_all_of_a_replicas_share_and_needs_little_is_not_free() {
    let replica = replica(None, 4);
    granted(&replica, 80).await.settle(10).await;
    // 40 parts of a hundred are used: there are 15 points, and 80 once all have flowed back.
    assert_eq!(refused(&replica, shop(), 80).await, (LimitKind::PointsPerMinute, false, Duration::from_secs(24)));
    granted(&replica, 15).await;
    refused(&replica, shop(), 1).await;
}

#[tokio::test]
async fn a_keys_part_of_a_share_is_put_back_by_what_was_taken_of_it() {
    let replica = replica(None, 2);
    let key = Caller { account: Account::Key(ApiKeyId(uuid::Uuid::from_u128(2))), ..shop() };
    // The key has 50, and 25 of them here: the forty fill it, and take 80 parts of the shop's hundred.
    let Ok(admission) = take(&replica, key, 40).await else { panic!("refused") };
    admission.settle(10).await;
    assert_eq!(refused(&replica, key, 40).await, (LimitKind::PointsPerMinute, true, Duration::from_secs(24)));
    // Of the shop's, 20 parts are used.
    granted(&replica, 40).await;
    refused(&replica, shop(), 1).await;
}

#[tokio::test]
async fn what_redis_granted_beyond_a_replicas_share_is_put_back_only_as_far_as_it_was_noted() {
    let mut server = RedisServer::start().await;
    let redis = redis(&server);
    let replica = replica(Some(&redis), 4);
    // The first takes 80 parts of the share, the second what is left of it.
    let (_first, second) = (granted(&replica, 20).await, granted(&replica, 20).await);
    second.settle(1).await;
    server.kill();
    granted(&replica, 4).await;
    assert_eq!(refused(&replica, shop(), 1).await.0, LimitKind::PointsPerMinute, "80, 4 and 16 parts");
}

#[tokio::test]
async fn redis_is_given_back_nothing_that_it_never_charged() {
    let mut server = RedisServer::start().await;
    let (near, far) = (redis(&server), redis(&server));
    let (one, two) = (replica(Some(&near), 1), replica(Some(&far), 1));
    server.kill();
    let by_itself = granted(&one, 30).await;
    server.restart().await;
    is_back(&two, &far).await;
    let started = Instant::now();
    let _by_redis = granted(&two, 60).await;
    is_back(&one, &near).await;
    by_itself.settle(1).await;
    let left = left(&far).await;
    assert!((40..=40 + flowed(started)).contains(&left), "{left} are left");
}

#[tokio::test]
async fn what_redis_has_forgotten_is_put_back_once() {
    let server = RedisServer::start().await;
    let redis = redis(&server);
    let replica = replica(Some(&redis), 1);
    let started = Instant::now();
    let (first, _second) = (granted(&replica, 60).await, granted(&replica, 20).await);
    forget_all(&redis).await;
    first.settle(1).await;
    let left = left(&redis).await;
    assert!((79..=79 + flowed(started)).contains(&left), "{left} are left of 100, of which 21 are in use");
}

#[tokio::test]
async fn what_a_replica_has_granted_counts_though_another_was_first_to_tell_redis() {
    let server = RedisServer::start().await;
    let redis = redis(&server);
    let (one, two) = (replica(Some(&redis), 1), replica(Some(&redis), 1));
    granted(&one, 40).await;
    forget_all(&redis).await;
    granted(&two, 10).await;
    granted(&one, 50).await;
    assert_eq!(refused(&one, shop(), 20).await.0, LimitKind::PointsPerMinute, "90 are in use");
}

#[tokio::test]
async fn what_a_replica_granted_by_itself_counts_when_redis_is_back_with_its_memory() {
    let server = RedisServer::start().await;
    let (near, far) = (redis(&server), redis(&server));
    let (one, two) = (replica(Some(&near), 1), replica(Some(&far), 1));
    granted(&two, 10).await;
    // Away for one of them: what it asks is answered by nobody in time.
    server.freeze();
    granted(&one, 1).await;
    granted(&one, 80).await;
    server.thaw();
    is_back(&one, &near).await;
    assert_eq!(refused(&one, shop(), 30).await.0, LimitKind::PointsPerMinute, "81 are in use");
}

#[tokio::test]
async fn a_key_has_half_of_its_shops_operations_at_a_time() {
    let replica = replica(None, 1);
    let shop = Caller { limits: Limits { concurrent_operations: 5, ..shop().limits }, ..shop() };
    let key = |id| Caller { account: Account::Key(ApiKeyId(uuid::Uuid::from_u128(id))), ..shop };
    let too_many = |of_key| (LimitKind::ConcurrentOperations, of_key, Duration::from_secs(1));
    let mut held = Vec::new();
    for _ in 0..3 {
        let Ok(admission) = take(&replica, key(1), 1).await else { panic!("refused") };
        held.push(admission);
    }
    assert_eq!(refused(&replica, key(1), 1).await, too_many(true));
    for caller in [key(2), shop] {
        let Ok(admission) = take(&replica, caller, 1).await else { panic!("refused") };
        held.push(admission);
    }
    assert_eq!(refused(&replica, shop, 1).await, too_many(false));
    assert_eq!(refused(&replica, key(2), 1).await, too_many(false));
    assert_eq!(replica.running(&shop), 5);
    // What was refused was not counted.
    held.clear();
    assert_eq!(replica.running(&shop), 0);
    for _ in 0..3 {
        let Ok(admission) = take(&replica, key(2), 1).await else { panic!("refused") };
        held.push(admission);
    }
}

#[tokio::test]
async fn what_never_fits_is_a_request_and_too_many_of_them_are_refused_as_such() {
    let replica = replica(None, 1);
    let shop = Caller { limits: Limits { requests_per_minute: 2, ..shop().limits }, ..shop() };
    for left in [99, 98] {
        let Err(denied) = take(&replica, shop, 101).await else { panic!("let in") };
        assert_eq!((denied.kind, denied.retry_in), (LimitKind::PointsPerMinute, None));
        assert_eq!(denied.standings[0].left, left);
    }
    assert_eq!(refused(&replica, shop, 101).await, (LimitKind::RequestsPerMinute, false, Duration::from_secs(30)));
}

#[tokio::test]
async fn a_rehearsal_has_room_in_all_rates_and_in_what_runs_at_a_time() {
    let caller =
        Caller { limits: Limits { points_per_minute: 100, concurrent_operations: 2, ..shop().limits }, ..shop() };
    let points = |standings: &[Standing]| standings[0].limit;
    for (headroom, limit) in [(1, 100), (10, 1_000)] {
        let limiter = Limiter::roomy(StandingClock::new(), None, 1, headroom);
        assert_eq!(points(&limiter.standings(&caller).await), limit);
        let mut admissions = Vec::new();
        for _ in 0..2 * headroom {
            admissions.push(take(&limiter, caller, u64::from(limit / (2 * headroom))).await.ok().unwrap());
        }
        // All at a time are under way; when they are through, all points are gone.
        assert_eq!(take(&limiter, caller, 1).await.err().unwrap().kind, LimitKind::ConcurrentOperations);
        let admission = admissions.remove(0).raise(Price { points: 0, mutations: 0 }).await.ok().unwrap();
        assert_eq!(points(&admission.settle(u64::MAX).await), limit, "what it is told is what it has");
        drop(admissions);
        let (kind, ..) = refused(&limiter, caller, 1).await;
        assert_eq!(kind, LimitKind::PointsPerMinute);
    }
}
