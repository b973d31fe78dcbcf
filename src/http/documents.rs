//! Documents that have passed the guard, parsed and remembered by their text: parsing costs more than executing a small one.

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;

use crate::graphql::{ApiError, guard};

/// Bytes of parsed documents that are remembered in all.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Bytes of a parsed document for each byte of its text, at most: a field of one letter becomes two hundred bytes.
const BYTES_PARSED: usize = 100;

/// A longer document is read each time; clients of shops do not send such twice.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024;

/// The cache. A document is code of a client's and holds no data, so all tenants share it.
pub struct Documents(Cache<Arc<str>, Arc<ExecutableDocument>>);

impl Default for Documents {
    fn default() -> Self {
        let weigher =
            |text: &Arc<str>, _: &Arc<ExecutableDocument>| u32::try_from(text.len() * BYTES_PARSED).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weigher).build())
    }
}

impl Documents {
    /// Lets a request's document pass the guard and gives the request what was parsed. `None`: it cannot be parsed, which is
    /// for the executor to explain.
    ///
    /// # Errors
    /// The bound that the document breaks.
    pub fn admit(&self, request: &mut Request) -> Result<Option<Arc<ExecutableDocument>>, ApiError> {
        let text = request.query.as_str();
        let known = if text.len() <= DOCUMENT_BYTES_MAX { self.0.get(text) } else { None };
        let document = match known {
            Some(document) => document,
            None => {
                let Some(document) = guard::parse(text)? else { return Ok(None) };
                let document = Arc::new(document);
                if text.len() <= DOCUMENT_BYTES_MAX {
                    self.0.insert(text.into(), Arc::clone(&document));
                }
                document
            }
        };
        request.set_parsed_query((*document).clone());
        Ok(Some(document))
    }
}
