//! Parsed documents, remembered by their text: parsing costs more than executing a small one.

use std::sync::Arc;

use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;

/// Bytes of documents' texts that are remembered in all.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A longer document is parsed each time; clients of shops do not send such twice.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024;

/// The cache. A document is code of a client's and holds no data, so all tenants share it.
pub struct Documents(Cache<Arc<str>, Arc<ExecutableDocument>>);

impl Default for Documents {
    fn default() -> Self {
        let weigher = |text: &Arc<str>, _: &Arc<ExecutableDocument>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weigher).build())
    }
}

impl Documents {
    /// Gives a request its parsed document. What cannot be parsed is left to the executor, which says where it is wrong.
    pub fn parse(&self, request: &mut Request) {
        if request.query.len() > DOCUMENT_BYTES_MAX {
            return;
        }
        if let Some(document) = self.0.get(request.query.as_str()) {
            request.set_parsed_query((*document).clone());
        } else if let Ok(document) = request.parsed_query() {
            let document = Arc::new(document.clone());
            self.0.insert(request.query.as_str().into(), document);
        }
    }
}
