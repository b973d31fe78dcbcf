//! `shelfwise tenant documents`: trusts the operations of a shop's frontend, by the file that the frontend's build wrote.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::note;
use super::output::print_line;
use super::tenant::{context, databases};
use crate::config::Config;
use crate::db::TenantTx;
use crate::graphql::guard::{self, Unfit};
use crate::kernel::clock::SystemClock;
use crate::tenant::documents::service::{document_hash, documents_trust};

/// Documents of one file; one statement inserts them all.
const DOCUMENTS_MAX: usize = 10_000;

/// What is wrong with documents is told of the first few: a tool that hashes otherwise gets every one wrong.
const PROBLEMS_MAX: usize = 10;

/// What tools write.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a list of documents nor an object of documents by their hash")]
enum Manifest {
    /// Apollo's.
    Operations { operations: Vec<Operation> },
    /// Relay's and GraphQL Code Generator's.
    ByHash(BTreeMap<String, String>),
    /// Texts and nothing else.
    Texts(Vec<String>),
}

/// One entry of Apollo's manifest. What else it has is passed over.
#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

/// A document of the file.
struct Document {
    /// What the file calls it: its hash, or its place.
    name: String,
    /// The hash that clients of the file will send.
    hash: Option<String>,
    body: String,
}

/// Trusts what a file holds, all of it or none, and prints how many documents were new.
pub async fn run(config: &Config, slug: &str, file: &Path, replace: bool, json: bool) -> anyhow::Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let bodies = read(&text).with_context(|| format!("{} is not trusted", file.display()))?;
    let (control, tenants) = databases(config)?;
    let context = context(&control, slug).await?;
    let details = serde_json::json!({ "documents": bodies.len(), "replace": replace });
    note(&control, ("tenant.documents", slug), details).await?;
    let session = tenants.session(context);
    let work = async |tx: &mut TenantTx| documents_trust(tx, &SystemClock, &bodies, replace).await;
    let new = session.write(work).await?;
    session.finish().await;
    if json {
        print_line(format_args!("{}", serde_json::json!({ "documents": bodies.len(), "new": new })))?;
    } else {
        print_line(format_args!("{} documents, {new} new", bodies.len()))?;
    }
    Ok(())
}

/// The texts of a file in which nothing is wrong.
fn read(text: &[u8]) -> anyhow::Result<Vec<String>> {
    let documents = Vec::from(serde_json::from_slice::<Manifest>(text)?);
    // In place of all that is trusted it would shut the shop.
    ensure!(!documents.is_empty(), "it holds no documents");
    ensure!(documents.len() <= DOCUMENTS_MAX, "it holds more than {DOCUMENTS_MAX} documents");
    let problems: Vec<String> = documents.iter().filter_map(Document::problem).collect();
    if !problems.is_empty() {
        let more = problems.len().saturating_sub(PROBLEMS_MAX);
        let mut told = problems.into_iter().take(PROBLEMS_MAX).collect::<Vec<_>>().join("\n");
        if more > 0 {
            told.push_str(&format!("\nand {more} more"));
        }
        anyhow::bail!(told);
    }
    Ok(documents.into_iter().map(|document| document.body).collect())
}

impl From<Manifest> for Vec<Document> {
    fn from(manifest: Manifest) -> Self {
        let of_hash = |(hash, body): (String, String)| Document { name: format!("`{hash}`"), hash: Some(hash), body };
        match manifest {
            Manifest::Operations { operations } => {
                operations.into_iter().map(|Operation { id, body }| of_hash((id, body))).collect()
            }
            Manifest::ByHash(bodies) => bodies.into_iter().map(of_hash).collect(),
            Manifest::Texts(bodies) => {
                let of_place = |(index, body)| Document { name: format!("document {}", index + 1), hash: None, body };
                bodies.into_iter().enumerate().map(of_place).collect()
            }
        }
    }
}

impl Document {
    /// Why it cannot be trusted: it would never be found, or never be served.
    fn problem(&self) -> Option<String> {
        let name = &self.name;
        if self.hash.as_ref().is_some_and(|hash| !hash.eq_ignore_ascii_case(&document_hash(&self.body))) {
            return Some(format!("{name} is not the SHA-256 of its document"));
        }
        match guard::parse(&self.body) {
            Ok(_) => None,
            Err(Unfit::Syntax(_)) => Some(format!("{name} cannot be parsed")),
            Err(Unfit::Excess(excess)) => Some(format!("{name} is refused: {excess}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &str = "query Books { books { totalCount } }";

    #[test]
    fn files_of_any_tool_are_read() {
        let hash = document_hash(BODY);
        for file in [
            json!([BODY]),
            json!({ &hash: BODY }),
            json!({ hash.to_uppercase(): BODY }),
            json!({ "format": "apollo-persisted-query-manifest", "version": 1,
                "operations": [{ "id": &hash, "name": "Books", "type": "query", "body": BODY }] }),
        ] {
            assert_eq!(read(file.to_string().as_bytes()).unwrap(), [BODY], "{file}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        let check = |file: &str, expected: &str| {
            let told = read(file.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        };
        let hash = document_hash(BODY);
        check("[", "EOF while parsing a list at line 1");
        check("{\"x\": 1}", "neither a list of documents nor an object of documents by their hash");
        check("[]", "it holds no documents");
        check("{}", "it holds no documents");
        check(&json!({ &hash: "{ books }" }).to_string(), &format!("`{hash}` is not the SHA-256 of its document"));
        check(&json!({ "d41d": BODY }).to_string(), "`d41d` is not the SHA-256 of its document");
        check(&json!([BODY, "{ books"]).to_string(), "document 2 cannot be parsed");
        check(&json!([BODY, "type Book { id: ID }"]).to_string(), "document 2 cannot be parsed");
        check(
            &json!(["{ ...A } fragment A on Query { ...A }"]).to_string(),
            "document 1 is refused: a fragment contains itself",
        );
        let many = vec!["{"; 12];
        check(&json!(many).to_string(), "document 1 cannot be parsed\ndocument 2 cannot be parsed");
        assert!(read(json!(many).to_string().as_bytes()).unwrap_err().to_string().ends_with("\nand 2 more"));
        check(&json!(vec![BODY; DOCUMENTS_MAX + 1]).to_string(), "it holds more than 10000 documents");
    }
}
