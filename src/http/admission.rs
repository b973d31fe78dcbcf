//! Who sends a request, and for which tenant.
//!
//! A verified token decides. A host name or `X-Tenant` may say the same tenant, never another; without a token they
//! choose a tenant and grant nothing.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, Uri, header};

use crate::app::App;
use crate::auth::Claims;
use crate::control::tenants::Lookup;
use crate::graphql::{ApiError, ErrorCode, Shop};
use crate::kernel::actor::Actor;
use crate::kernel::tenant::{TenantCtx, TenantSlug};

/// The header that names a tenant by its slug.
pub const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// The shop that a request of the tenant plane is for, and who acts in it; nothing for a stranger without a shop.
///
/// # Errors
/// `UNAUTHENTICATED` for a bad credential or a tenant that is gone, `TENANT_MISMATCH` where two sources disagree,
/// `TENANT_SUSPENDED` for those who have shown that they belong there.
pub async fn tenant(app: &App, headers: &HeaderMap, uri: &Uri) -> Result<Option<Shop>, ApiError> {
    let claims = bearer(headers)?.map(|token| verify(app, token)).transpose()?;
    let named = named_slugs(headers, uri, &app.config.http.tenant_host_suffixes);
    match claims {
        None => stranger(app, &named).await,
        Some(Claims::Admin { .. }) => Err(ApiError::unauthenticated()),
        Some(Claims::Tenant { slug, tenant, user, role }) => {
            if named.iter().any(|name| *name != slug.as_str()) {
                return Err(mismatch());
            }
            match app.registry.resolve(&slug).await? {
                Lookup::Active(context) if context.id == tenant => {
                    Ok(Some(shop(app, context, Actor::User { id: user, role })))
                }
                Lookup::Closed(context) if context.id == tenant => {
                    Err(ApiError::new(ErrorCode::TenantSuspended, "This shop is suspended."))
                }
                _ => Err(ApiError::unauthenticated()),
            }
        }
    }
}

/// The administrator that a request of the control plane is from; nobody for a stranger.
///
/// # Errors
/// `UNAUTHENTICATED` for a bad credential, a tenant's among them.
pub fn admin(app: &App, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match bearer(headers)?.map(|token| verify(app, token)).transpose()? {
        None => Ok(None),
        Some(Claims::Admin { subject }) => Ok(Some(subject)),
        Some(Claims::Tenant { .. }) => Err(ApiError::unauthenticated()),
    }
}

/// Refuses a token that is not valid, whoever's it is.
///
/// # Errors
/// `UNAUTHENTICATED`.
pub fn verified(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    bearer(headers)?.map(|token| verify(app, token)).transpose().map(drop)
}

/// A request without a token: a shop that it names is chosen, and nothing may be done in it.
async fn stranger(app: &App, named: &[String]) -> Result<Option<Shop>, ApiError> {
    let Some(first) = named.first() else { return Ok(None) };
    if named.iter().any(|name| name != first) {
        return Err(mismatch());
    }
    let Ok(slug) = first.parse::<TenantSlug>() else { return Ok(None) };
    match app.registry.resolve(&slug).await? {
        Lookup::Active(context) => Ok(Some(shop(app, context, Actor::Anonymous))),
        // A stranger is not told whether a shop is closed or has never been.
        Lookup::Closed(_) | Lookup::Unknown => Ok(None),
    }
}

fn shop(app: &App, context: Arc<TenantCtx>, actor: Actor) -> Shop {
    let session = Arc::new(app.tenants.session(Arc::clone(&context)));
    Shop::new(context, actor, session)
}

fn mismatch() -> ApiError {
    ApiError::new(ErrorCode::TenantMismatch, "The token, the host name and X-Tenant name different tenants.")
}

fn verify(app: &App, token: &str) -> Result<Claims, ApiError> {
    app.tokens.verify(token, app.clock.now()).map_err(|_| ApiError::unauthenticated())
}

/// The bearer token, if the request shows one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| ApiError::unauthenticated())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(ApiError::unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(ApiError::unauthenticated()) }
}

/// The tenants that the host name and the header name, as text.
fn named_slugs(headers: &HeaderMap, uri: &Uri, suffixes: &[String]) -> Vec<String> {
    let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok());
    let from_host = host.and_then(|host| slug_of_host(host, suffixes));
    let from_header = headers.get(&X_TENANT).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    from_host.into_iter().chain(from_header).collect()
}

/// The label before a known suffix: `acme` of `acme.localhost:8000`.
fn slug_of_host(host: &str, suffixes: &[String]) -> Option<String> {
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let name = name.to_ascii_lowercase();
    suffixes.iter().find_map(|suffix| {
        let label = name.strip_suffix(suffix.as_str())?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then(|| label.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_before_a_known_suffix_is_a_slug() {
        let suffixes = ["localhost".to_owned(), "shops.example".to_owned()];
        let check =
            |host: &str, slug: Option<&str>| assert_eq!(slug_of_host(host, &suffixes).as_deref(), slug, "{host}");
        check("acme.localhost:8000", Some("acme"));
        check("ACME.localhost", Some("acme"));
        check("acme.shops.example", Some("acme"));
        check("localhost:8000", None);
        check("a.b.localhost", None);
        check("acme.evil.example", None);
        check("127.0.0.1:8000", None);
        check("[::1]:8000", None);
        check("notlocalhost", None);
    }
}
