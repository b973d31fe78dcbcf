//! Who sends a request, and for which tenant.
//!
//! A credential decides. A host name or `X-Tenant` may say the same tenant, never another; without a credential they
//! choose a tenant and grant nothing. Where two sources disagree is found out from their texts, before anything is
//! looked up.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, Uri, header};
use futures_util::future::FutureExt as _;

use crate::app::App;
use crate::auth::external::{Issuer, claimed_issuer};
use crate::auth::tokens::{AdminClaims, ISSUER};
use crate::auth::{Claims, InvalidToken};
use crate::control::audit::Operator;
use crate::control::tenants::Lookup;
use crate::graphql::{ApiError, ErrorCode, Origin, Shop};
use crate::kernel::actor::Actor;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::{TenantCtx, TenantSlug};
use crate::telemetry::frames;
use crate::tenant::identity::principals::Shown;

/// The header that names a tenant by its slug.
pub const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// A credential that names its tenant, as far as it can be judged without asking the tenant.
struct Claim {
    slug: TenantSlug,
    /// A token is for one tenant; a later one with the same slug is another.
    tenant: Option<TenantId>,
    shown: Shown,
}

/// What a request of the tenant plane says of its shop.
pub struct Admitted {
    /// The shop that the host or a header names, be there one or not.
    pub named: Option<String>,
    /// The shop, and who acts in it; nothing for a stranger without a shop.
    pub shop: Option<Shop>,
}

/// The shop that a request of the tenant plane is for, and who acts in it.
///
/// # Errors
/// `UNAUTHENTICATED` for a bad credential or a tenant that is gone, `TENANT_MISMATCH` where two sources disagree,
/// `TENANT_SUSPENDED` for those who have shown that they belong there.
pub async fn tenant(app: &App, headers: &HeaderMap, uri: &Uri, origin: &Origin) -> Result<Admitted, ApiError> {
    let named = named_slugs(headers, uri, &app.config.http.tenant_host_suffixes);
    let shop = match bearer(headers)? {
        None => stranger(app, &named).await?,
        Some(token) => Some(bearers_shop(app, token, &named, origin).await?),
    };
    if let Some(shop) = &shop {
        frames::note_tenant(shop.tenant().slug.as_str());
        if let Actor::User(principal) = shop.actor() {
            frames::note_user(&principal.user);
        }
    }
    Ok(Admitted { named: named.into_iter().next(), shop })
}

/// The shop that a credential lets in.
async fn bearers_shop(app: &App, token: &str, named: &[String], origin: &Origin) -> Result<Shop, ApiError> {
    let result = match own_claim(app, token) {
        Ok(claim) if named.iter().any(|name| *name != claim.slug.as_str()) => return Err(mismatch()),
        Ok(Claim { slug, tenant, shown }) => {
            let lookup = app.services.registry.resolve(&slug).await?;
            enter(app, origin, lookup, tenant, async |_| Ok(Some(shown))).await
        }
        // Boxed, as is every other way that few requests take: what is not taken should not be carried along.
        Err(InvalidToken) => external(app, origin, token, named).boxed().await,
    };
    if result.as_ref().is_err_and(|error| error.code == ErrorCode::Unauthenticated) {
        let _ = app.services.strangers.admit(origin.address);
    }
    result
}

/// The administrator that a request of the control plane is from; nobody for a stranger.
///
/// # Errors
/// `UNAUTHENTICATED` for a bad credential, a tenant's among them.
pub async fn admin(app: &App, headers: &HeaderMap, origin: &Origin) -> Result<Option<Operator>, ApiError> {
    let Some(token) = bearer(headers)? else { return Ok(None) };
    let claims = app.services.tokens.verify(token, app.services.clock.now());
    let Ok(Claims::Admin(claims)) = claims else { return Err(ApiError::unauthenticated()) };
    let account = match &claims {
        AdminClaims::Operator { .. } => None,
        AdminClaims::Account { admin, session } if app.admins.stands(*admin, *session).await? => {
            Some((*admin, *session))
        }
        AdminClaims::Account { .. } => return Err(ApiError::unauthenticated()),
    };
    let name = match claims {
        AdminClaims::Operator { name } => name,
        AdminClaims::Account { admin, .. } => admin.to_string(),
    };
    // What an operator calls themselves is theirs to say, and may be anything.
    match account {
        Some((admin, _)) => frames::note_user(&admin),
        None => frames::note_user(&"operator"),
    }
    let (request_id, address) = (Some(origin.request_id.to_string()), Some(origin.address.to_string()));
    Ok(Some(Operator { name, account, request_id, address }))
}

/// Whether a large body may be read: only for a credential that looks right, whoever's it is.
///
/// # Errors
/// `UNAUTHENTICATED`.
pub fn plausible(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let token = bearer(headers)?.ok_or_else(ApiError::unauthenticated)?;
    let is_plausible = token.parse::<Credential>().is_ok()
        || app.services.tokens.verify(token, app.services.clock.now()).is_ok()
        || claimed_issuer(token).is_some_and(|issuer| issuer != ISSUER);
    if is_plausible { Ok(()) } else { Err(ApiError::unauthenticated()) }
}

/// What a token of ours or an API key claims.
fn own_claim(app: &App, token: &str) -> Result<Claim, InvalidToken> {
    if let Ok(credential) = token.parse::<Credential>() {
        let shown = Shown::from(&credential);
        let Realm::Tenant(slug) = credential.realm else { return Err(InvalidToken) };
        return Ok(Claim { slug, tenant: None, shown });
    }
    match app.services.tokens.verify(token, app.services.clock.now())? {
        Claims::Tenant { slug, tenant, user, session, role } => {
            let shown = match session {
                Some(session) => Shown::Session(user, session),
                None => Shown::Operator(user, role),
            };
            Ok(Claim { slug, tenant: Some(tenant), shown })
        }
        Claims::Admin(_) => Err(InvalidToken),
    }
}

/// A token that is not ours may be one of the shop's own identity provider. It names no shop, so the request must.
async fn external(app: &App, origin: &Origin, token: &str, named: &[String]) -> Result<Shop, ApiError> {
    let issuer = claimed_issuer(token).filter(|issuer| issuer != ISSUER).ok_or_else(ApiError::unauthenticated)?;
    let first = named.first().ok_or_else(ApiError::unauthenticated)?;
    if named.iter().any(|name| name != first) {
        return Err(mismatch());
    }
    let slug = first.parse::<TenantSlug>().map_err(|_| ApiError::unauthenticated())?;
    let lookup = app.services.registry.resolve(&slug).await?;
    enter(app, origin, lookup, None, async |tenant| {
        let provider = app.principals.provider(tenant).await?.filter(|provider| provider.issuer == issuer);
        let Some(provider) = provider else { return Ok(None) };
        let trusted = Issuer { name: &provider.issuer, jwks_url: &provider.jwks_url, audience: &provider.audience };
        let identity = app.external.verify(&trusted, token, app.services.clock.now()).await;
        Ok(identity.ok().map(|found| Shown::External { issuer, subject: found.subject, email_key: found.email_key }))
    })
    .await
}

/// Lets a credential in, if the tenant knows it.
async fn enter(
    app: &App,
    origin: &Origin,
    lookup: Lookup,
    expected: Option<TenantId>,
    shown: impl AsyncFnOnce(&Arc<TenantCtx>) -> Result<Option<Shown>, ApiError>,
) -> Result<Shop, ApiError> {
    let (tenant, is_closed) = match lookup {
        Lookup::Active(tenant) => (tenant, false),
        Lookup::Closed(tenant) => (tenant, true),
        Lookup::Unknown => return Err(ApiError::unauthenticated()),
    };
    if expected.is_some_and(|expected| expected != tenant.id) {
        return Err(ApiError::unauthenticated());
    }
    let shown = shown(&tenant).await?.ok_or_else(ApiError::unauthenticated)?;
    let session = Arc::new(app.services.tenants.session(Arc::clone(&tenant)));
    let principal = match app.principals.recall(tenant.id, &shown).await {
        Some(known) => Ok(known),
        // Whoever shows one wrong credential after the other is not looked up any more.
        None if app.services.strangers.is_spent(origin.address) => Ok(None),
        None => app.principals.resolve(tenant.id, &session, shown).boxed().await,
    };
    let refused = match principal {
        Ok(Some(principal)) if !is_closed => {
            let strangers = Arc::clone(&app.services.strangers);
            return Ok(Shop::new(tenant, Actor::User(principal), session, strangers));
        }
        Ok(Some(_)) => ApiError::new(ErrorCode::TenantSuspended, "This shop is suspended."),
        Ok(None) => ApiError::unauthenticated(),
        Err(error) => error.into(),
    };
    session.finish().await;
    Err(refused)
}

/// A request without a token: a shop that it names is chosen, and nothing may be done in it.
async fn stranger(app: &App, named: &[String]) -> Result<Option<Shop>, ApiError> {
    let Some(first) = named.first() else { return Ok(None) };
    if named.iter().any(|name| name != first) {
        return Err(mismatch());
    }
    let Ok(slug) = first.parse::<TenantSlug>() else { return Ok(None) };
    match app.services.registry.resolve(&slug).await? {
        Lookup::Active(context) => {
            let actor = if cfg!(without_wall) { Actor::System } else { Actor::Anonymous };
            let session = Arc::new(app.services.tenants.session(Arc::clone(&context)));
            Ok(Some(Shop::new(context, actor, session, Arc::clone(&app.services.strangers))))
        }
        // A stranger is not told whether a shop is closed or has never been.
        Lookup::Closed(_) | Lookup::Unknown => Ok(None),
    }
}

fn mismatch() -> ApiError {
    ApiError::new(ErrorCode::TenantMismatch, "The token, the host name and X-Tenant name different tenants.")
}

/// The bearer token, if the request shows one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::unauthenticated());
    }
    let text = value.to_str().map_err(|_| ApiError::unauthenticated())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(ApiError::unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(ApiError::unauthenticated()) }
}

/// The tenants that the host name and the header name, as text.
fn named_slugs(headers: &HeaderMap, uri: &Uri, suffixes: &[String]) -> Vec<String> {
    let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok());
    let from_host = host.and_then(|host| slug_of_host(host, suffixes));
    let from_header =
        headers.get_all(&X_TENANT).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
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
