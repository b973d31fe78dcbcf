//! From what was sent to a document: its text, or the hash of a text that is known, past the guard, parsed and remembered.
//!
//! Parsing costs more than executing a small document, so parsed ones are kept by their text. Texts that clients want to
//! name by hash from now on (automatic persisted queries) are kept for each shop, once the guard has let them pass.
//! Trusted documents are the shop's own table, asked every few seconds at most.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Request;
use futures_util::future::FutureExt as _;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use crate::config::http::TrustedDocuments;
use crate::db::TenantSession;
use crate::graphql::guard::{self, Excess, Guarded, Unfit};
use crate::graphql::{ApiError, ErrorCode};
use crate::kernel::ids::TenantId;
use crate::tenant::documents::service::{document_by_hash, document_hash};

/// Bytes of parsed documents that are remembered in all.
const PARSED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of a parsed document for each byte of its text, at most: a field of one letter becomes two hundred bytes.
const BYTES_PARSED: usize = 100;

/// A longer document is read each time; clients of shops do not send such twice.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024;

/// A longer document takes more than a moment to read.
const INLINE_BYTES_MAX: usize = 4 * 1024;

/// Bytes of texts that clients have asked to be remembered, in all.
const PERSISTED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long it is remembered whether a document is trusted.
const TRUSTED_TTL: Duration = Duration::from_secs(5);

/// How many answers to that question are remembered.
const TRUSTED_MAX: u64 = 20_000;

/// A document as a client sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its text.
    pub text: Option<String>,
    /// The SHA-256 of its text in hexadecimal.
    pub hash: Option<String>,
}

/// The shop that a document is sent to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The shop.
    pub tenant: TenantId,
    /// The connection by which its table of trusted documents may be asked.
    pub table: Option<&'a TenantSession>,
}

/// The memory of documents.
pub struct Documents {
    /// A document is code of a client's and holds no data, so all tenants share what was parsed.
    parsed: Cache<Arc<str>, Arc<Guarded>>,
    persisted: Cache<(TenantId, String), Arc<str>>,
    trusted: Cache<(TenantId, String), Option<Arc<str>>>,
    mode: TrustedDocuments,
    /// The turn of those whose document is long.
    aside: Arc<Semaphore>,
}

impl Documents {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(mode: TrustedDocuments) -> Self {
        let weigh = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            parsed: Cache::builder()
                .max_capacity(PARSED_BYTES_MAX)
                .weigher(move |text: &Arc<str>, _| weigh(text.len() * BYTES_PARSED))
                .build(),
            persisted: Cache::builder()
                .max_capacity(PERSISTED_BYTES_MAX)
                .weigher(move |_, text: &Arc<str>| weigh(text.len() + 100))
                .build(),
            trusted: Cache::builder().max_capacity(TRUSTED_MAX).time_to_live(TRUSTED_TTL).build(),
            mode,
            aside: Arc::new(Semaphore::new(1)),
        }
    }

    /// The text of what was sent.
    ///
    /// # Errors
    /// `PERSISTED_QUERY_NOT_FOUND` for a hash that nobody knows, `DOCUMENT_NOT_TRUSTED` where only trusted ones are
    /// served and this is none, `BAD_REQUEST` where there is neither text nor hash or they do not fit.
    pub async fn text(&self, sent: Sent, place: Option<Place<'_>>) -> Result<String, ApiError> {
        let Sent { text, hash } = sent;
        if let (Some(text), Some(hash)) = (&text, &hash)
            && document_hash(text) != *hash
        {
            return Err(ApiError::bad_request("The hash is not the query's SHA-256."));
        }
        let text = match (text, &hash, place) {
            (Some(text), ..) => text,
            (None, None, _) => return Err(ApiError::bad_request("`query` is missing.")),
            (None, Some(_), None) => return Err(not_found()),
            (None, Some(hash), Some(place)) => match self.persisted.get(&(place.tenant, hash.clone())) {
                Some(text) => text.as_ref().to_owned(),
                None => {
                    // What the shop trusts need not be sent even once.
                    let text = self.trusted(hash.clone(), place).boxed().await?.ok_or_else(not_found)?;
                    return Ok(text.as_ref().to_owned());
                }
            },
        };
        if self.mode != TrustedDocuments::Off {
            self.check_trust(&text, place).boxed().await?;
        }
        Ok(text)
    }

    /// Lets a request's document pass the guard and gives the request what was parsed.
    ///
    /// # Errors
    /// The bound that the document breaks, or where its text is wrong.
    pub async fn admit(&self, request: &mut Request) -> Result<Arc<Guarded>, Unfit> {
        let text = request.query.as_str();
        let known = if text.len() <= DOCUMENT_BYTES_MAX { self.parsed.get(text) } else { None };
        let document = match known {
            Some(document) => document,
            None if text.len() <= INLINE_BYTES_MAX => {
                let document = Arc::new(guard::parse(text)?);
                self.parsed.insert(text.into(), Arc::clone(&document));
                document
            }
            None => self.parse_aside(text.to_owned()).boxed().await?,
        };
        request.set_parsed_query(document.document.clone());
        Ok(document)
    }

    /// Reads a long document off the threads that serve everybody, one at a time: whoever sends such waits for others
    /// who do, and nobody else does.
    async fn parse_aside(&self, text: String) -> Result<Arc<Guarded>, Unfit> {
        let permit = Arc::clone(&self.aside).acquire_owned().await;
        let parsed = tokio::task::spawn_blocking(move || {
            let _held = permit;
            (guard::parse(&text), text)
        });
        // The task can only end by a panic of the parser, which is a document that cannot be read.
        let (document, text) = parsed.await.map_err(|error| {
            tracing::error!(%error, "The guard panicked");
            Unfit::Excess(Excess::Bytes)
        })?;
        let document = Arc::new(document?);
        if text.len() <= DOCUMENT_BYTES_MAX {
            self.parsed.insert(text.into(), Arc::clone(&document));
        }
        Ok(document)
    }

    /// Remembers the text of a document that has passed the guard, for one shop.
    pub fn persist(&self, tenant: TenantId, hash: String, text: &str) {
        self.persisted.insert((tenant, hash), text.into());
    }

    async fn check_trust(&self, text: &str, place: Option<Place<'_>>) -> Result<(), ApiError> {
        let hash = document_hash(text);
        let is_trusted = match place {
            Some(place) => self.trusted(hash.clone(), place).await?.is_some(),
            None => false,
        };
        match self.mode {
            _ if is_trusted => Ok(()),
            TrustedDocuments::Off => Ok(()),
            TrustedDocuments::Warn => {
                tracing::warn!(document.hash = hash, "A document is not trusted; it is served all the same");
                Ok(())
            }
            TrustedDocuments::Only => {
                let message = "This shop serves documents that it knows, and this is none of them.";
                Err(ApiError::new(ErrorCode::DocumentNotTrusted, message))
            }
        }
    }

    async fn trusted(&self, hash: String, place: Place<'_>) -> Result<Option<Arc<str>>, ApiError> {
        let key = (place.tenant, hash);
        if let Some(known) = self.trusted.get(&key) {
            return Ok(known);
        }
        let Some(session) = place.table else { return Ok(None) };
        let text = document_by_hash(&session.read().await?, &key.1).await?.map(Arc::from);
        self.trusted.insert(key, text.clone());
        Ok(text)
    }
}

/// In the words that clients of persisted queries look for.
fn not_found() -> ApiError {
    ApiError::new(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")
}
