//! What somebody who stays shows: kept for as long as they do, asked for again whenever they are told something.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use futures_util::future::FutureExt as _;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::admission::{self, Admitted, X_TENANT, bearer};
use super::deprecation;
use super::graphql::supervise;
use super::refused::Refused;
use super::watched::{Asker, Plane};
use crate::auth::tokens::expires_at;
use crate::graphql::{ApiError, ErrorCode, Shop};
use crate::kernel::actor::{Actor, Principal, Via};
use crate::kernel::news::{Fact, Topic};
use crate::kernel::tenant::TenantCtx;
use crate::live::{Ear, Interest};

/// The headers that say who somebody is, in which shop and by which program, by which day's schema, and whether what is kept will
/// do.
const KEPT: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::HOST,
    header::USER_AGENT,
    X_TENANT,
    deprecation::X_AS_OF,
    deprecation::CLIENT_NAME,
    deprecation::APOLLO_CLIENT_NAME,
];

/// How long after something was told of a credential it is asked for: until then an answer of before may be remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// Over how long a time those who were told the same ask.
const SPREAD: Duration = Duration::from_millis(750);

/// The pause before it is asked again what could not be told just now; each is twice as long as the one before.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The longest of these is the first, doubled so often.
const DOUBLINGS_MAX: u32 = 5;

/// The pause between two looks whether an operator may still be here, of which nothing is told.
const OPERATOR_PAUSE: Duration = Duration::from_secs(30);

/// Those of a request's headers that every look needs.
pub(super) fn kept(headers: &HeaderMap) -> HeaderMap {
    let kept = KEPT.into_iter().flat_map(|name| {
        let values: Vec<_> = headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())).collect();
        values
    });
    kept.collect()
}

/// Those that every look of a socket needs.
pub(super) fn kept_of_socket(headers: &HeaderMap) -> HeaderMap {
    let mut kept = kept(headers);
    // Browsers say this of the opening of every socket. Who means it says it in the first message.
    kept.remove(header::CACHE_CONTROL);
    kept
}

/// Adds what the first message of a socket says: browsers give a socket no headers. The names are those of the headers, in any
/// case.
///
/// # Errors
/// A value is no header's, or a header says another.
pub(super) fn join(headers: &mut HeaderMap, payload: &Map<String, Value>) -> Result<(), &'static str> {
    for name in [header::AUTHORIZATION, X_TENANT, header::CACHE_CONTROL] {
        for (_, value) in payload.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name.as_str())) {
            let value = value.as_str().filter(|value| !value.is_empty());
            let value =
                value.and_then(|value| HeaderValue::from_str(value).ok()).ok_or("Malformed credential or header")?;
            match headers.get(&name) {
                Some(known) if *known != value => return Err("Headers and payload differ"),
                Some(_) => {}
                None => drop(headers.insert(name.clone(), value)),
            }
        }
    }
    Ok(())
}

/// The shop that somebody belongs to, and who it is.
///
/// # Errors
/// As [`admission::tenant`]; a stranger is `UNAUTHENTICATED`.
pub(super) async fn tenant(asker: &Asker) -> Result<(Arc<TenantCtx>, Principal), ApiError> {
    let Asker { app, headers, uri, origin, .. } = asker;
    let Admitted { shop, .. } = admission::tenant(app, headers, uri, origin).await?;
    let shop = shop.ok_or_else(ApiError::unauthenticated)?;
    Shop::session(&shop).finish().await;
    match shop.actor() {
        Actor::User(principal) => Ok((Arc::new(shop.tenant().clone()), *principal)),
        _ => Err(ApiError::unauthenticated()),
    }
}

/// What takes away or changes what somebody may do.
pub(super) fn standing(principal: &Principal) -> Interest {
    let mut facts = vec![Fact::new(Topic::User, principal.user)];
    match principal.via {
        Via::Session(session) => facts.push(Fact::new(Topic::Session, session)),
        Via::ApiKey(key) => facts.push(Fact::new(Topic::ApiKey, key)),
        Via::IdentityProvider | Via::Operator => {}
    }
    Interest { facts, topics: vec![Topic::Role, Topic::IdentityProvider] }
}

/// The operator that somebody is.
///
/// # Errors
/// As [`admission::admin`]; a stranger is `UNAUTHENTICATED`.
pub(super) async fn operator(asker: &Asker) -> Result<(), ApiError> {
    let admitted = admission::admin(&asker.app, &asker.headers, &asker.origin).await?;
    admitted.map(|_| ()).ok_or_else(ApiError::unauthenticated)
}

/// Waits until a credential is not good any more, and answers why. Who hears what is told of a shop's credential asks a second
/// later, and again until there is an answer: a credential is not forgotten because the database was busy. It is asked for once
/// without that: what was told between its being looked up and the ear's being there was not heard.
///
/// To be polled beside the operations of the same client and never instead of them: an answer that one of them has asked for comes
/// only while it is polled.
pub(super) async fn lost(asker: Asker, ear: Option<Ear>) -> ApiError {
    let mut is_new = true;
    loop {
        match &ear {
            Some(ear) => {
                if !std::mem::take(&mut is_new) {
                    ear.hear().await;
                }
                sleep(FORGOTTEN_AFTER + ear.share_of(SPREAD)).await;
            }
            None => sleep(OPERATOR_PAUSE).await,
        }
        let mut failures = 0;
        while let Err(refused) = stands(&asker, ear.as_ref()).await {
            let passing = match refused {
                Refused::Request(error) if !is_passing(error.code) => return error,
                _ => RETRY_PAUSE * 2_u32.pow(failures),
            };
            sleep(ear.as_ref().map_or(passing, |ear| passing + ear.share_of(passing))).await;
            failures = DOUBLINGS_MAX.min(failures + 1);
        }
    }
}

/// Whether somebody may still be here. Those of a shop ask in turn.
async fn stands(asker: &Asker, ear: Option<&Ear>) -> Result<(), Refused> {
    let _turn = match ear {
        Some(ear) => ear.turn().await,
        None => None,
    };
    let app = Arc::clone(&asker.app);
    let asker = asker.clone();
    let asking = async move {
        match asker.plane {
            Plane::Tenant => tenant(&asker).await.map(|_| ()),
            Plane::Admin => operator(&asker).await,
        }
        .map_err(Refused::from)
    };
    supervise(&app, asking.boxed()).await
}

/// Whether what was refused for this may be allowed in a moment.
pub(super) fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ServiceUnavailable | ErrorCode::InternalError | ErrorCode::RateLimited | ErrorCode::Timeout
    )
}

/// How long the token is good for; nothing for a credential without an end.
pub(super) fn remaining(asker: &Asker) -> Option<Duration> {
    let until = expires_at(bearer(&asker.headers).ok()??)?;
    Some((until - asker.app.services.clock.now()).to_std().unwrap_or_default())
}

/// Waits until a credential has come to its end, if it has one.
pub(super) async fn expired(remaining: Option<Duration>) {
    match remaining {
        Some(remaining) => tokio::time::sleep(remaining).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sockets_own_headers_do_not_refuse_what_is_kept_but_its_payload_does() {
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))].into_iter().collect();
        assert_eq!(kept(&headers).get(header::CACHE_CONTROL).unwrap(), "no-cache");
        let mut headers = kept_of_socket(&headers);
        assert_eq!(headers.get(header::CACHE_CONTROL), None);
        join(&mut headers, json!({ "CACHE-control": "no-store" }).as_object().unwrap()).unwrap();
        assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
    }

    #[test]
    fn a_payload_says_what_headers_do_not_and_never_another() {
        let check = |header: Option<&str>, payload: Value, expected: Result<Option<&str>, &str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            }
            let joined = join(&mut headers, payload.as_object().unwrap());
            let found = joined.map(|()| headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap()));
            assert_eq!(found, expected, "{header:?} {payload}");
        };
        check(None, json!({ "Authorization": "Bearer a" }), Ok(Some("Bearer a")));
        check(None, json!({ "authorization": "Bearer a", "other": 1 }), Ok(Some("Bearer a")));
        check(Some("Bearer a"), json!({ "authorization": "Bearer a" }), Ok(Some("Bearer a")));
        check(Some("Bearer a"), json!({}), Ok(Some("Bearer a")));
        check(Some("Bearer a"), json!({ "authorization": "Bearer b" }), Err("Headers and payload differ"));
        check(None, json!({ "authorization": "a", "Authorization": "b" }), Err("Headers and payload differ"));
        check(None, json!({ "authorization": 1 }), Err("Malformed credential or header"));
        check(None, json!({ "authorization": "a\nb" }), Err("Malformed credential or header"));
    }
}
