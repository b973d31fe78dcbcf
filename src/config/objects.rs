//! - `OBJECT_STORE_URL`: where archives are kept. Unset: the folder `archives` in `SHELFWISE_HOME`. Else `file:///a/folder` that
//!   is there, or `s3://BUCKET/PREFIX`.
//! - `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`,
//!   `AWS_ROLE_ARN`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`: for `s3:`, as everywhere.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::Reader;

/// The variables that the object store of Amazon and its like are told by.
const OPTIONS: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// Where archives are kept.
#[derive(Debug, Clone)]
pub enum ObjectsConfig {
    /// In a folder.
    Folder {
        /// Which.
        path: PathBuf,
        /// Whether it is made where it is missing: one that somebody chose may be a volume that is not mounted.
        is_made: bool,
    },
    /// In a bucket.
    Bucket {
        /// The bucket, and what the names of all objects begin with.
        url: Url,
        /// What the store is told beside it.
        options: Vec<(&'static str, SecretString)>,
    },
}

impl ObjectsConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, home: &Path) -> Self {
        let options =
            OPTIONS.into_iter().filter_map(|name| Some((name, SecretString::from(reader.text(name)?)))).collect();
        let default = Self::Folder { path: home.join("archives"), is_made: true };
        let Some(text) = reader.text("OBJECT_STORE_URL") else { return default };
        // The text may hold a password that somebody took for a place of it, so it is not told.
        match text.parse::<Url>() {
            Ok(url) if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => return Self::Folder { path, is_made: false },
                Err(()) => {
                    reader.problem("OBJECT_STORE_URL", "the folder must be told from the root: file:///a/folder");
                }
            },
            Ok(url) if url.scheme() == "s3" && url.has_host() && url.password().is_none() => {
                return Self::Bucket { url, options };
            }
            _ => reader.problem("OBJECT_STORE_URL", "use file:///a/folder or s3://BUCKET/PREFIX"),
        }
        default
    }
}
