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

/// How many documents that are trusted are remembered, and how many that are not. Anybody can name any number of the latter,
/// so they push out none of the former.
const TRUSTED_MAX: u64 = 20_000;

/// A document as a client sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Its text.
    pub text: Option<String>,
    /// The SHA-256 of its text in hexadecimal.
    pub hash: Option<String>,
}

/// What was sent, as far as that is known without asking anybody.
#[derive(Debug)]
pub enum Found {
    /// The text that may be executed.
    Text(String),
    /// The shop's table has to be asked: [`Documents::ask`].
    Unknown(Question),
}

/// What a shop's table of trusted documents is asked.
#[derive(Debug)]
pub struct Question {
    hash: String,
    /// The text, where it was sent or is known: then it is asked only whether it is trusted.
    text: Option<String>,
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
    trusted: Cache<(TenantId, String), Arc<str>>,
    untrusted: Cache<(TenantId, String), ()>,
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
            untrusted: Cache::builder().max_capacity(TRUSTED_MAX).time_to_live(TRUSTED_TTL).build(),
            mode,
            aside: Arc::new(Semaphore::new(1)),
        }
    }

    /// The text of what was sent, or what has to be asked for it.
    ///
    /// # Errors
    /// `PERSISTED_QUERY_NOT_FOUND` for a hash that nobody knows, `DOCUMENT_NOT_TRUSTED` where only trusted ones are
    /// served and this is none, `BAD_REQUEST` where there is neither text nor hash or they do not fit.
    pub fn find(&self, sent: Sent, place: Option<Place<'_>>) -> Result<Found, ApiError> {
        let Sent { text, hash } = sent;
        let must_ask = self.mode != TrustedDocuments::Off;
        let own = text.as_deref().filter(|_| must_ask || hash.is_some()).map(document_hash);
        if let (Some(own), Some(hash)) = (&own, &hash)
            && own != hash
        {
            return Err(ApiError::bad_request("The hash is not the query's SHA-256."));
        }
        let Some(hash) = own.or(hash) else {
            return text.map(Found::Text).ok_or_else(|| ApiError::bad_request("`query` is missing."));
        };
        let Some(place) = place else { return self.judge(Question { hash, text }, None).map(Found::Text) };
        let key = (place.tenant, hash);
        let text = text.or_else(|| self.persisted.get(&key).map(|text| text.as_ref().to_owned()));
        if !must_ask && let Some(text) = text {
            return Ok(Found::Text(text));
        }
        let known = self.trusted.get(&key);
        let is_known = known.is_some() || place.table.is_none() || self.untrusted.contains_key(&key);
        let question = Question { hash: key.1, text };
        if is_known { self.judge(question, known).map(Found::Text) } else { Ok(Found::Unknown(question)) }
    }

    /// Asks a shop's table for what is not known: a statement on a connection of the shop's.
    ///
    /// # Errors
    /// As [`Self::find`]; no connection could be borrowed.
    pub async fn ask(&self, question: Question, place: Place<'_>) -> Result<String, ApiError> {
        let Some(session) = place.table else { return self.judge(question, None) };
        let trusted = document_by_hash(&session.read().await?, &question.hash).await?.map(Arc::<str>::from);
        let key = (place.tenant, question.hash.clone());
        match &trusted {
            Some(text) => self.trusted.insert(key, Arc::clone(text)),
            None => self.untrusted.insert(key, ()),
        }
        self.judge(question, trusted)
    }

    /// The text that may be executed, once it is known what the shop trusts by its hash.
    fn judge(&self, question: Question, trusted: Option<Arc<str>>) -> Result<String, ApiError> {
        let Question { hash, text } = question;
        let Some(text) = text else {
            // What the shop trusts need not be sent even once.
            return trusted.map(|text| text.as_ref().to_owned()).ok_or_else(not_found);
        };
        match self.mode {
            _ if trusted.is_some() => Ok(text),
            TrustedDocuments::Off => Ok(text),
            TrustedDocuments::Warn => {
                tracing::warn!(document.hash = hash, "A document is not trusted; it is served all the same");
                Ok(text)
            }
            TrustedDocuments::Only => {
                let message = "This shop serves documents that it knows, and this is none of them.";
                Err(ApiError::new(ErrorCode::DocumentNotTrusted, message))
            }
        }
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
}

/// In the words that clients of persisted queries look for.
fn not_found() -> ApiError {
    ApiError::new(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")
}
