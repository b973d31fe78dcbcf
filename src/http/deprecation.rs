//! What becomes of operations that use parts of the API which go away.
//!
//! Up to a part's day they are answered, and the answer tells: by headers for programs between client and server, which are
//! `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a `Link` to the list of all such parts, and by `extensions.deprecations` for
//! the client itself. From its day on they are refused as a whole before anything runs, as the executor will do once the schema
//! has the part no more; but for tenants who were given more time. `?asOf=` and `X-As-Of` name a later day to be judged by.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Request as GraphqlRequest, Response as GraphqlResponse, ServerError, Value};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use chrono::NaiveDate;
use prometheus::IntCounterVec;

use super::answer::has_data;
use crate::app::App;
use crate::graphql::deprecation::visible::Gone;
use crate::graphql::guard::Guarded;
use crate::graphql::{ApiError, ErrorCode, Shop};
use crate::kernel::deprecation::{Extensions, Part, start_of};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::deprecations::counter::Counter;
use crate::tenant::deprecations::model::{CLIENT_LEN_MAX, OPERATION_LEN_MAX, UsageKey, credential_name};

/// Since when something is deprecated that was used (RFC 9745).
pub(super) const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// When the first of what was used is gone (RFC 8594).
pub(super) const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// The day by whose schema a request is to be judged.
pub(super) const X_AS_OF: HeaderName = HeaderName::from_static("x-as-of");

/// The same in the query string.
const AS_OF: &str = "asOf";

/// What programs call themselves, in the header that GraphQL's clients have for it.
pub(super) const CLIENT_NAME: HeaderName = HeaderName::from_static("graphql-client-name");

/// The same in Apollo's.
pub(super) const APOLLO_CLIENT_NAME: HeaderName = HeaderName::from_static("apollographql-client-name");

/// Where all that goes away is listed.
pub const PATH: &str = "/deprecations";

/// Where a reader learns more.
const LINK: HeaderValue = HeaderValue::from_static(r#"</deprecations>; rel="deprecation"; type="text/markdown""#);

/// What has changed in the API, release by release.
const CHANGELOG: &str = include_str!("../../CHANGELOG.api.md");

/// The day by whose schema a request is judged: today, or a later one that it names.
///
/// # Errors
/// `BAD_REQUEST` for what is no day or is over, and where header and query string differ.
pub(super) fn day(headers: &HeaderMap, uri: &Uri, today: NaiveDate) -> Result<NaiveDate, ApiError> {
    let query = uri.query().filter(|query| query.contains(AS_OF)).unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == AS_OF);
    let mut named = in_query.map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
    named.extend(headers.get_all(&X_AS_OF).iter().map(|value| value.to_str().unwrap_or_default().to_owned()));
    let Some(text) = named.pop() else { return Ok(today) };
    if named.iter().any(|other| *other != text) {
        return Err(ApiError::bad_request("`asOf` and `X-As-Of` name different days."));
    }
    let day: Option<NaiveDate> = text.parse().ok().filter(|day: &NaiveDate| day.to_string() == text);
    let day = day.ok_or_else(|| ApiError::bad_request("`asOf` is a day such as 2027-07-01."))?;
    if day < today {
        return Err(ApiError::bad_request("`asOf` is today or later: what is gone does not come back."));
    }
    Ok(day)
}

/// What a program calls itself: by the header for it, or else by the product of its `User-Agent`; empty where it does not say.
pub(super) fn client_name(headers: &HeaderMap) -> String {
    let named = [CLIENT_NAME, APOLLO_CLIENT_NAME].iter().find_map(|name| headers.get(name)?.to_str().ok());
    let agent = || headers.get(header::USER_AGENT)?.to_str().ok()?.split(['/', ' ']).next();
    let name = named.or_else(agent).unwrap_or_default();
    // A header's text is ASCII, so a letter is a byte.
    let name: String = name.chars().filter(|c| !c.is_control()).take(CLIENT_LEN_MAX).collect();
    name.trim().to_owned()
}

/// The parts that an operation uses and that go away.
pub(super) struct Uses {
    /// Each with the first day on which it is gone for this tenant.
    parts: Vec<(Arc<Part>, NaiveDate)>,
    /// The day by which the operation is judged.
    day: NaiveDate,
    user: Option<User>,
}

/// Whose use is counted, and where.
struct User {
    counter: Counter,
    uses: IntCounterVec,
    tenant: Arc<TenantCtx>,
    /// The operation's name; empty where it has none.
    operation: String,
    credential: String,
    client: String,
}

impl Uses {
    /// What an operation uses, judged by a day. Its introspection leaves out what is gone then.
    pub(super) fn of(
        app: &App,
        (guarded, operation): (&Guarded, &mut GraphqlRequest),
        shop: Option<&Shop>,
        headers: &HeaderMap,
        day: NaiveDate,
    ) -> Self {
        let (deprecations, none) = (&app.services.deprecations, Extensions::default());
        let extensions = shop.map_or(&none, |shop| &shop.tenant().extensions);
        let gone = deprecations.parts().iter().filter(|part| part.removal_on(extensions) <= day);
        let gone: BTreeSet<String> = gone.map(|part| part.coordinate.clone()).collect();
        if !gone.is_empty() {
            operation.data.insert(Gone(gone));
        }
        let used = deprecations.used(guarded, operation.operation_name.as_deref(), &operation.variables);
        if used.is_empty() {
            return Self { parts: Vec::new(), day, user: None };
        }
        let user = shop.and_then(|shop| {
            let credential = credential_name(shop.actor().principal()?);
            let name = || guarded.document.operations.iter().next()?.0.map(ToString::to_string);
            let mut operation = operation.operation_name.clone().or_else(name).unwrap_or_default();
            // Names are ASCII.
            operation.truncate(OPERATION_LEN_MAX);
            let (counter, tenant) = (app.services.usage.clone(), shop.shared_tenant());
            let uses = app.metrics.deprecated_uses.clone();
            Some(User { counter, uses, tenant, operation, credential, client: client_name(headers) })
        });
        let dated = used.into_iter().map(|part| {
            let removal_on = part.removal_on(extensions);
            (part, removal_on)
        });
        Self { parts: dated.collect(), day, user }
    }

    /// The answer to an operation that uses what is gone: an error for each part.
    pub(super) fn refusal(&self) -> Option<GraphqlResponse> {
        let gone = self.parts.iter().filter(|(_, removal_on)| *removal_on <= self.day);
        let errors: Vec<ServerError> = gone.map(|(part, removal_on)| removed(part, *removal_on)).collect();
        (!errors.is_empty()).then(|| GraphqlResponse::from_errors(errors))
    }

    /// Tells of them in the operation's answer, and counts their use if it was executed.
    pub(super) fn tell(&self, response: &mut GraphqlResponse) {
        let since = self.parts.iter().map(|(part, _)| part.reason.deprecated_on).min();
        let (Some(since), Some(until)) = (since, self.parts.iter().map(|(_, day)| *day).min()) else { return };
        let parts = self.parts.iter().map(|(part, removal_on)| {
            async_graphql::value!({
                "part": part.coordinate,
                "instead": part.reason.instead,
                "deprecatedOn": part.reason.deprecated_on.to_string(),
                "removalOn": removal_on.to_string(),
            })
        });
        response.extensions.insert("deprecations".to_owned(), Value::List(parts.collect()));
        let since = format!("@{}", start_of(since).timestamp());
        let until = start_of(until).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        for (name, value) in [(DEPRECATION, since), (SUNSET, until)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.http_headers.insert(name, value);
            }
        }
        response.http_headers.insert(header::LINK, LINK);
        if has_data(response) {
            self.count();
        }
    }

    /// Counts the use of each.
    fn count(&self) {
        let Some(User { counter, uses, tenant, operation, credential, client }) = &self.user else { return };
        for (part, _) in &self.parts {
            uses.with_label_values(&[part.coordinate.as_str()]).inc();
        }
        let key = |(part, _): &(Arc<Part>, NaiveDate)| UsageKey {
            part: part.coordinate.clone(),
            operation: operation.clone(),
            credential: credential.clone(),
            client: client.clone(),
        };
        counter.count(tenant, self.parts.iter().map(key));
    }
}

/// The error for a part that is gone.
fn removed(part: &Part, removal_on: NaiveDate) -> ServerError {
    let Part { coordinate, reason } = part;
    let message = format!("`{coordinate}` is gone since {removal_on}. Use `{}`.", reason.instead);
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", ErrorCode::FieldRemoved.as_str());
    extensions.set("part", coordinate.as_str());
    extensions.set("instead", reason.instead.as_str());
    extensions.set("removalOn", removal_on.to_string());
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    error
}

/// `/deprecations`: all that goes away, and what has changed.
pub async fn page(State(app): State<Arc<App>>) -> Response {
    let parts = app.services.deprecations.parts();
    let mut text = "# What goes away\n\n".to_owned();
    if parts.is_empty() {
        text.push_str("Nothing.\n");
    } else {
        text.push_str("| Part | Use instead | Deprecated | Gone from, UTC |\n| --- | --- | --- | --- |\n");
    }
    for Part { coordinate, reason } in parts.iter().map(AsRef::as_ref) {
        let (instead, since, until) = (&reason.instead, reason.deprecated_on, reason.removal_on);
        // A text is written whole.
        let _ = writeln!(text, "| `{coordinate}` | `{instead}` | {since} | {until} |");
    }
    text.push('\n');
    text.push_str(CHANGELOG);
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_once_and_is_not_over() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
        let check = |query: &str, header: Option<&str>, expected: Result<&str, ()>| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|text| (X_AS_OF, HeaderValue::from_str(text).unwrap())));
            let uri: Uri = format!("/graphql{query}").parse().unwrap();
            let found = day(&headers, &uri, today).map(|day| day.to_string()).map_err(|error| {
                assert_eq!(error.code, ErrorCode::BadRequest);
            });
            assert_eq!(found, expected.map(str::to_owned), "{query} {header:?}");
        };
        check("", None, Ok("2026-11-28"));
        check("?query=asOf", None, Ok("2026-11-28"));
        check("?asOf=2027-07-01", None, Ok("2027-07-01"));
        check("?query=x&asOf=2026-11-28", None, Ok("2026-11-28"));
        check("", Some("2027-07-01"), Ok("2027-07-01"));
        check("?asOf=2027-07-01", Some("2027-07-01"), Ok("2027-07-01"));
        check("?asOf=2027-07-01", Some("2027-07-02"), Err(()));
        check("?asOf=2027-07-01&asOf=2027-07-02", None, Err(()));
        for text in ["2026-11-27", "2027-7-1", "tomorrow", "2027-02-30", "", "2027-07-01T00:00:00Z"] {
            check(&format!("?asOf={text}"), None, Err(()));
        }
    }

    #[test]
    fn a_client_is_called_what_it_says() {
        let check = |headers: &[(HeaderName, &str)], expected: &str| {
            let headers = headers.iter().map(|(name, text)| (name.clone(), HeaderValue::from_str(text).unwrap()));
            assert_eq!(client_name(&headers.collect()), expected);
        };
        check(&[], "");
        check(&[(header::USER_AGENT, "Till/2.1 (linux)")], "Till");
        check(&[(header::USER_AGENT, "curl/8"), (APOLLO_CLIENT_NAME, "web")], "web");
        check(&[(APOLLO_CLIENT_NAME, "web"), (CLIENT_NAME, " Till of Ann ")], "Till of Ann");
        check(&[(CLIENT_NAME, &"x".repeat(100))], &"x".repeat(64));
    }
}
