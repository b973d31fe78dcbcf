//! Profiles: who gets one, and what it is.

use std::io::Read as _;
use std::sync::Arc;

use pprof::protos::{Message as _, Profile};
use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::config::auth::JwtKey;
use shelfwise::kernel::clock::SystemClock;

use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::process::{Process, nothing};
use crate::harness::world::{admin_claims, master_key};

/// Where profiles are.
const PATHS: [&str; 2] = ["/admin/profile/cpu?seconds=1", "/admin/profile/heap"];

/// Status, headers and body of an answer.
async fn get(http: &reqwest::Client, url: &str, token: Option<&str>) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let request = http.get(url);
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

/// Who has taken which profile for how long, by the operators' trail.
async fn taken(psql: &tokio_postgres::Client) -> Vec<(String, String, i64)> {
    let query = "SELECT operator, target, (details->>'seconds')::bigint FROM control.admin_audit
                 WHERE action = 'profile.take' ORDER BY id";
    psql.query(query, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

#[tokio::test]
async fn nobody_gets_a_profile_where_it_is_off_and_none_but_operators_where_it_is_on() {
    let (off, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let psql = psql_of(&database).await;
    let operator = off.token(&admin_claims());
    for path in PATHS {
        let url = format!("{}{path}", off.base_url);
        for token in [None, Some(operator.as_str()), Some(off.owner_token().as_str())] {
            let (status, _, body) = get(&off.http, &url, token).await;
            assert_eq!((status, body.as_slice()), (404, &b"profiling is off: set PROFILING=on\n"[..]), "{path}");
        }
    }
    let (on, database) = World::start_alone(Arc::new(SystemClock), &[("PROFILING", "on")]).await;
    let psql_on = psql_of(&database).await;
    let operator = on.token(&admin_claims());
    for path in PATHS {
        let url = format!("{}{path}", on.base_url);
        for token in [None, Some("nonsense"), Some(on.owner_token().as_str())] {
            let (status, headers, _) = get(&on.http, &url, token).await;
            assert_eq!((status, headers["www-authenticate"].to_str().unwrap()), (401, "Bearer"), "{path}");
        }
    }
    for query in ["seconds=0", "seconds=31", "seconds=x", "minutes=1", "seconds=1&seconds=1"] {
        let url = format!("{}/admin/profile/cpu?{query}", on.base_url);
        assert_eq!(get(&on.http, &url, Some(&operator)).await.0, 400, "{query}");
    }
    let posted = on.http.post(format!("{}/admin/profile/cpu", on.base_url)).bearer_auth(&operator);
    assert_eq!(posted.send().await.unwrap().status().as_u16(), 405);
    assert_eq!((taken(&psql).await, taken(&psql_on).await), (Vec::new(), Vec::new()), "nothing was taken");
    off.end().await;
    on.end().await;
}

/// A server as a process of its own, over a world's database, that takes the world's tokens: to be profiled is to be interrupted.
async fn profiled(world: &World, key: &str, settings: &[(&'static str, &str)]) -> Process<()> {
    let urls = world.app.config.database.urls.as_ref().unwrap();
    let mut all =
        vec![("DATABASE_URL", urls.runtime.expose_secret().to_owned()), ("MASTER_KEYS", master_key().to_setting())];
    let own = [("JWT_KEYS", key), ("PORT", "0"), ("LOG_FORMAT", "json"), ("PROFILING", "on")];
    all.extend(own.iter().chain(settings).map(|(name, value)| (*name, (*value).to_owned())));
    Process::start("serve", &all, nothing).await
}

/// Names that a process's symbols give to the addresses of its profile, and how far behind the beginning of its function each is.
fn names(process: &Process<()>, profile: &Profile) -> Vec<(String, u64)> {
    let program = env!("CARGO_BIN_EXE_shelfwise");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.pid())).unwrap();
    let base = maps.lines().find(|line| line.ends_with(program)).unwrap().split_once('-').unwrap().0;
    let base = u64::from_str_radix(base, 16).unwrap();
    let main = &profile.mapping[0];
    assert_eq!(profile.string_table[usize::try_from(main.filename).unwrap()], program);
    let loader = addr2line::Loader::new(program).unwrap();
    let ours = profile.location.iter().filter(|location| location.mapping_id == main.id);
    let names = ours.filter_map(|location| {
        assert!((main.memory_start..main.memory_limit).contains(&location.address));
        let address = location.address - base;
        loader.find_symbol_info(address).map(|found| (found.name().to_owned(), address - found.address()))
    });
    names.collect()
}

/// A gzipped profile, read.
fn opened(profile: &[u8]) -> Profile {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(profile).read_to_end(&mut bytes).unwrap();
    Profile::parse_from_bytes(&bytes).unwrap()
}

#[tokio::test]
async fn a_profile_of_a_running_server_decodes_names_functions_and_is_taken_alone() {
    let key = JwtKey::generate("profiled").unwrap().to_setting();
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[("JWT_KEYS", &key)]).await;
    let (psql, token) = (psql_of(&database).await, world.token(&admin_claims()));
    let server = profiled(&world, &key, &[]).await;
    let url = |path: &str| server.url(&format!("/admin/profile/{path}"));
    assert_eq!(taken(&psql).await, Vec::new());

    let profile = tokio::spawn({
        let (http, url, token) = (world.http.clone(), url("cpu?seconds=3"), token.clone());
        async move { get(&http, &url, Some(&token)).await }
    });
    while taken(&psql).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&world.http, &url("cpu?seconds=1"), Some(&token)).await.0, 409, "one at a time");
    assert_eq!(get(&world.http, &url("heap"), Some(&token)).await.0, 409);
    // Something to be seen at.
    while !profile.is_finished() {
        let body = json!({ "query": "{ tenants(first: 1) { nodes { slug } } }" });
        let request = world.http.post(server.url("/admin/graphql")).bearer_auth(&token).json(&body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    }
    let (status, headers, profile) = profile.await.unwrap();
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/octet-stream"));
    assert_eq!(headers["content-disposition"], "attachment; filename=\"cpu.pb.gz\"");
    assert_eq!(headers["cache-control"], "no-store");
    let profile = opened(&profile);
    assert_eq!((profile.sample_type.len(), profile.period), (2, 1_000_000_000 / 99));
    assert!(profile.duration_nanos >= 3_000_000_000, "{}", profile.duration_nanos);
    let samples: i64 = profile.sample.iter().map(|sample| sample.value[0]).sum();
    assert!((1..=3 * 99 * 64).contains(&samples), "{samples}");
    let names = names(&server, &profile);
    assert!(names.iter().any(|(name, _)| name.contains("shelfwise")), "{names:?}");
    assert!(
        !names.iter().any(|(name, _)| name == "perf_signal_handler"),
        "the interruption is not what was interrupted"
    );
    // Places within are those of one sample out of many, and would name whatever is inlined there.
    let within: Vec<_> = names.iter().filter(|(_, behind)| *behind != 0).collect();
    assert!(within.is_empty(), "{within:?}");
    // Nobody's data: neither a shop nor a credential.
    assert!(!profile.string_table.iter().any(|text| text.contains(world.a.slug.as_str()) || text.contains(&token)));

    // The next may be taken.
    assert_eq!(get(&world.http, &url("cpu?seconds=1"), Some(&token)).await.0, 200);
    let entry = |seconds| ("cli:test".to_owned(), "cpu".to_owned(), seconds);
    assert_eq!(taken(&psql).await, [entry(3), entry(1)]);
    world.end().await;
}

#[cfg(not(feature = "heap-profiling"))]
#[tokio::test]
async fn the_usual_build_says_that_it_takes_no_notes_of_memory() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[("PROFILING", "on")]).await;
    let token = world.token(&admin_claims());
    let (status, _, body) = get(&world.http, &format!("{}/admin/profile/heap", world.base_url), Some(&token)).await;
    assert_eq!(status, 501);
    assert!(String::from_utf8(body).unwrap().contains("--features heap-profiling"));
    assert_eq!(taken(&psql_of(&database).await).await, Vec::new());
    world.end().await;
}

#[cfg(feature = "heap-profiling")]
#[tokio::test]
async fn a_heap_profile_of_a_running_server_decodes_and_names_functions() {
    let key = JwtKey::generate("profiled").unwrap().to_setting();
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[("JWT_KEYS", &key)]).await;
    let (psql, token) = (psql_of(&database).await, world.token(&admin_claims()));
    let plain = profiled(&world, &key, &[]).await;
    let url = |server: &Process<()>| server.url("/admin/profile/heap");
    let (status, _, body) = get(&world.http, &url(&plain), Some(&token)).await;
    assert_eq!(status, 501);
    assert!(String::from_utf8(body).unwrap().contains("_RJEM_MALLOC_CONF"));
    assert_eq!(taken(&psql).await, Vec::new());

    let noting = profiled(&world, &key, &[("_RJEM_MALLOC_CONF", "prof:true,lg_prof_sample:12")]).await;
    let (status, headers, profile) = get(&world.http, &url(&noting), Some(&token)).await;
    assert_eq!(
        (status, headers["content-disposition"].to_str().unwrap()),
        (200, "attachment; filename=\"heap.pb.gz\"")
    );
    let profile = opened(&profile);
    assert!(!profile.sample.is_empty());
    let names = names(&noting, &profile);
    assert!(names.iter().any(|(name, _)| name.contains("shelfwise")), "{names:?}");
    assert_eq!(taken(&psql).await, [("cli:test".to_owned(), "heap".to_owned(), 0)]);
    world.end().await;
}
