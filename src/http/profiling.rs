//! `/admin/profile/…`: where a running process spends its time, and who holds its memory.
//!
//! For operators alone, where `PROFILING` is on; one profile at a time in a process, for half a minute at most, and each is an entry of
//! the operators' trail. A profile has addresses of the program and nothing of anybody's data. Both are gzipped protocol buffers as
//! `pprof` reads them, who finds names by the symbols of the same build.
//!
//! For the processor the process is interrupted 99 times in each second that it computes, and notes where it was. For the memory
//! the allocator has to take notes as it goes along, which ours does not: the feature `heap-profiling` swaps it.

mod samples;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pprof::ProfilerGuard;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use super::admission;
use super::client_address::client_address;
use super::observe::RequestId;
use crate::app::App;
use crate::config::profiling::Profiling;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::db::{ControlTx, DbError};
use crate::graphql::{ApiError, ErrorCode, Origin};

/// The profile that is being taken: signals and the allocator's notes are the whole process's.
static TURN: Semaphore = Semaphore::const_new(1);

/// How often in a second of computing the process is interrupted. No even number, so that nothing periodic is met each time.
const FREQUENCY: i32 = 99;

/// How long a profile is taken where nothing is said, in seconds.
const SECONDS: u64 = 10;

/// How long a profile is taken at most, in seconds.
const SECONDS_MAX: u64 = 30;

/// Within these libraries no stack is walked: they may be interrupted where it cannot be.
const BLIND_SPOTS: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// Why there is no profile.
type NoProfile = (StatusCode, String);

/// `/admin/profile/cpu?seconds=10`: where the process computes.
pub async fn cpu(State(app): State<Arc<App>>, parts: Parts) -> Response {
    match cpu_profile(&app, &parts).await {
        Ok(profile) => answer(profile, "cpu.pb.gz"),
        Err(refused) => refuse(refused),
    }
}

/// `/admin/profile/heap`: who holds the memory that the process has allocated.
pub async fn heap(State(app): State<Arc<App>>, parts: Parts) -> Response {
    match heap_profile(&app, &parts).await {
        Ok(profile) => answer(profile, "heap.pb.gz"),
        Err(refused) => refuse(refused),
    }
}

async fn cpu_profile(app: &App, parts: &Parts) -> Result<Vec<u8>, NoProfile> {
    let operator = operator(app, parts).await?;
    let seconds = seconds(parts.uri.query().unwrap_or_default())?;
    let turn = turn()?;
    note(app, &operator, "cpu", seconds).await?;
    let build = || pprof::ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&BLIND_SPOTS).build();
    // To begin and to end take a while, and are work for a thread that serves nobody.
    let (profiler, turn) = spawn_blocking(move || (build(), turn)).await.map_err(|error| failed(&error))?;
    let mut taking = Taking(Some((profiler.map_err(|error| failed(&error))?, turn)));
    // Whoever goes away ends it.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let Some((profiler, turn)) = taking.0.take() else { return Err(failed(&"it has ended")) };
    let written = spawn_blocking(move || {
        let written = encode(&profiler).and_then(|profile| compress(&profile));
        drop(profiler);
        drop(turn);
        written
    });
    written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&*error))
}

/// A profile that is being taken, and the turn to take it, which ends after it.
struct Taking(Option<(ProfilerGuard<'static>, SemaphorePermit<'static>)>);

impl Drop for Taking {
    fn drop(&mut self) {
        if let Some((profiler, turn)) = self.0.take()
            && Handle::try_current().is_ok()
        {
            spawn_blocking(move || {
                drop(profiler);
                drop(turn);
            });
        }
    }
}

async fn heap_profile(app: &App, parts: &Parts) -> Result<Vec<u8>, NoProfile> {
    let operator = operator(app, parts).await?;
    let turn = turn()?;
    let notes = heap::notes().await?;
    note(app, &operator, "heap", 0).await?;
    let written = spawn_blocking(move || {
        let _turn = turn;
        heap::dump(notes)
    });
    written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&*error))
}

/// The operator who asks, where profiles may be taken at all.
async fn operator(app: &App, parts: &Parts) -> Result<Operator, NoProfile> {
    if app.config.profiling == Profiling::Off {
        return Err((StatusCode::NOT_FOUND, "profiling is off: set PROFILING=on".to_owned()));
    }
    let address = client_address(&parts.extensions, &parts.headers, &app.config.http.trusted_proxies);
    let request_id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
    let origin = Origin { address, request_id: request_id.shared() };
    let operator = admission::admin(app, &parts.headers, &origin)
        .await
        .and_then(|operator| operator.ok_or_else(ApiError::unauthenticated));
    operator.map_err(|error| match error.code {
        ErrorCode::Unauthenticated => (StatusCode::UNAUTHORIZED, "show an operator's token".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "it cannot be found out who asks".to_owned()),
    })
}

/// How long a profile is to be taken, by a query string.
fn seconds(query: &str) -> Result<u64, NoProfile> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let seconds = match (pairs.next(), pairs.next()) {
        (None, _) => Some(SECONDS),
        (Some((name, value)), None) if name == "seconds" => value.parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
    let wrong = || (StatusCode::BAD_REQUEST, format!("use ?seconds=N, where N is from 1 to {SECONDS_MAX}"));
    seconds.ok_or_else(wrong)
}

fn turn() -> Result<SemaphorePermit<'static>, NoProfile> {
    let busy = |_| (StatusCode::CONFLICT, "another profile is being taken".to_owned());
    TURN.try_acquire().map_err(busy)
}

/// Notes in the operators' trail who takes a profile, before anything is done.
async fn note(app: &App, operator: &Operator, what: &str, seconds: u64) -> Result<(), NoProfile> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let details = json!({ "host": host.trim(), "seconds": seconds });
    let act = ("profile.take", what);
    let noting = async |tx: &mut ControlTx| record(tx, &*app.services.clock, operator, act, details).await;
    app.control.write::<_, DbError>(noting).await.map_err(|error| failed(&error))
}

/// What was noted, as `pprof` reads it.
fn encode(profiler: &ProfilerGuard<'_>) -> anyhow::Result<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    samples::encode(&profiler.report().build_unresolved()?, &maps, &std::env::current_exe()?)
}

fn compress(profile: &[u8]) -> anyhow::Result<Vec<u8>> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(profile)?;
    Ok(gzip.finish()?)
}

fn answer(profile: Vec<u8>, name: &str) -> Response {
    let mut response = profile.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(
        HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
            .ok()
            .map(|name| (header::CONTENT_DISPOSITION, name)),
    );
    response
}

fn refuse((status, why): NoProfile) -> Response {
    let mut response = (status, format!("{why}\n")).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn failed(error: &dyn std::fmt::Display) -> NoProfile {
    tracing::error!(%error, "A profile cannot be taken");
    (StatusCode::SERVICE_UNAVAILABLE, "the profile cannot be taken; the log says why".to_owned())
}

/// By jemalloc, which notes one of very many allocations.
#[cfg(feature = "heap-profiling")]
mod heap {
    use std::sync::Arc;

    use axum::http::StatusCode;
    use jemalloc_pprof::{JemallocProfCtl, PROF_CTL};
    use tokio::sync::OwnedMutexGuard;

    use super::NoProfile;

    /// The allocator's notes.
    pub(super) type Notes = OwnedMutexGuard<JemallocProfCtl>;

    /// The notes, if the process was started so that there are any.
    pub(super) async fn notes() -> Result<Notes, NoProfile> {
        let missing = || {
            let why = "the process takes no notes: start it with _RJEM_MALLOC_CONF=prof:true,lg_prof_sample:19";
            (StatusCode::NOT_IMPLEMENTED, why.to_owned())
        };
        let notes = Arc::clone(PROF_CTL.as_ref().ok_or_else(missing)?).lock_owned().await;
        if notes.activated() { Ok(notes) } else { Err(missing()) }
    }

    /// What is allocated and was not given back.
    pub(super) fn dump(mut notes: Notes) -> anyhow::Result<Vec<u8>> {
        notes.dump_pprof()
    }
}

/// Our allocator tells nothing.
#[cfg(not(feature = "heap-profiling"))]
mod heap {
    use axum::http::StatusCode;

    use super::NoProfile;

    /// There are no notes.
    pub(super) enum Notes {}

    pub(super) async fn notes() -> Result<Notes, NoProfile> {
        let why = "this build takes no notes of memory: build it with `--features heap-profiling`";
        Err((StatusCode::NOT_IMPLEMENTED, why.to_owned()))
    }

    pub(super) fn dump(notes: Notes) -> anyhow::Result<Vec<u8>> {
        match notes {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_a_minute_at_most() {
        let check = |query: &str, expected: Option<u64>| assert_eq!(seconds(query).ok(), expected, "{query}");
        check("", Some(10));
        check("seconds=1", Some(1));
        check("seconds=30", Some(30));
        for query in ["seconds=0", "seconds=61", "seconds=-1", "seconds=", "seconds=1&seconds=2", "second=1", "x"] {
            check(query, None);
        }
    }
}
