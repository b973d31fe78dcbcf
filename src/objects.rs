//! The object store: where archives are kept. It gets sealed bytes alone, and knows nothing of what they are.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, parse_url_opts};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use crate::config::objects::ObjectsConfig;

/// Bytes of a part of an upload. A store of Amazon's takes ten thousand parts: objects up to 80 GB.
const PART_LEN: usize = 8 << 20;

/// Parts that are on their way at once.
const PARTS_UNDER_WAY_MAX: usize = 2;

/// Why the store did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectError {
    /// It has no such object.
    #[error("the object store has no object `{0}`")]
    Missing(String),
    /// It cannot be reached, denies it, or failed.
    #[error("the object store failed: {0}")]
    Failed(String),
    /// What was to be written ended before its end.
    #[error("what was to be stored was not finished")]
    Unfinished,
}

/// The store of a configuration. It is first spoken to when it is first needed.
#[derive(Clone)]
pub struct Objects {
    config: ObjectsConfig,
    opened: Arc<OnceLock<Place>>,
}

/// What is sent to be stored: bytes, and at last that these were all. A sender that is gone without it has failed.
#[derive(Debug)]
pub enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// There are no more.
    End,
}

#[derive(Clone)]
struct Place {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    /// The store of a configuration.
    #[must_use]
    pub fn new(config: ObjectsConfig) -> Self {
        Self { config, opened: Arc::default() }
    }

    /// Stores what is sent under a name, and answers its length. The object is there when all of it is, and not before.
    ///
    /// # Errors
    /// The store failed, or the sender went away; there is no object then.
    pub async fn put(&self, name: &str, mut pieces: mpsc::Receiver<Piece>) -> Result<u64, ObjectError> {
        let (store, path) = self.place(name)?;
        let upload = store.put_multipart(&path).await.map_err(|error| failed(name, error))?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, PART_LEN);
        let mut len = 0;
        let result = loop {
            match pieces.recv().await {
                Some(Piece::Bytes(bytes)) => {
                    len += bytes.len() as u64;
                    if let Err(error) = write.wait_for_capacity(PARTS_UNDER_WAY_MAX).await {
                        break Err(failed(name, error));
                    }
                    write.put(bytes);
                }
                Some(Piece::End) => break Ok(()),
                None => break Err(ObjectError::Unfinished),
            }
        };
        match result {
            Ok(()) => write.finish().await.map(|_| len).map_err(|error| failed(name, error)),
            Err(error) => {
                // What cannot be taken back is left to the store's own rules for uploads that were broken off.
                let _ = write.abort().await;
                Err(error)
            }
        }
    }

    /// How long an object is.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn len(&self, name: &str) -> Result<u64, ObjectError> {
        let (store, path) = self.place(name)?;
        store.head(&path).await.map(|meta| meta.size).map_err(|error| failed(name, error))
    }

    /// Some bytes of an object.
    ///
    /// # Errors
    /// There is none, it is shorter, or the store failed.
    pub async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (store, path) = self.place(name)?;
        store.get_range(&path, range).await.map_err(|error| failed(name, error))
    }

    /// Removes an object. One that is not there is removed.
    ///
    /// # Errors
    /// The store failed.
    pub async fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let (store, path) = self.place(name)?;
        self.unfinished_delete(name);
        match store.delete(&path).await.map_err(|error| failed(name, error)) {
            Ok(()) | Err(ObjectError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what an upload into a folder has left whose process died: the store's files of that kind are called by the
    /// object's name, `#` and a number. A bucket has rules of its own for such.
    fn unfinished_delete(&self, name: &str) {
        let ObjectsConfig::Folder { path, .. } = &self.config else { return };
        let object = path.join(name);
        let (Some(folder), Some(name)) = (object.parent(), object.file_name().and_then(|name| name.to_str())) else {
            return;
        };
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let number = file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('#'));
            if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn place(&self, name: &str) -> Result<(Arc<dyn ObjectStore>, Path), ObjectError> {
        let place = match self.opened.get() {
            Some(place) => place,
            None => {
                let place = open(&self.config)?;
                self.opened.get_or_init(|| place)
            }
        };
        let path = name.split('/').fold(place.prefix.clone(), |path, part| path.join(part));
        Ok((Arc::clone(&place.store), path))
    }
}

fn open(config: &ObjectsConfig) -> Result<Place, ObjectError> {
    let unusable = |error: &dyn std::fmt::Display| ObjectError::Failed(error.to_string());
    match config {
        ObjectsConfig::Folder { path, is_made } => {
            if *is_made {
                std::fs::create_dir_all(path).map_err(|error| unusable(&format!("{}: {error}", path.display())))?;
            }
            let store = LocalFileSystem::new_with_prefix(path).map_err(|error| unusable(&error))?;
            Ok(Place { store: Arc::new(store.with_fsync(true)), prefix: Path::default() })
        }
        ObjectsConfig::Bucket { url, options } => {
            // The store's client takes the process's provider of TLS; another may have set the same one.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let options = options.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.expose_secret()));
            let (store, prefix) = parse_url_opts(url, options).map_err(|error| unusable(&error))?;
            Ok(Place { store: store.into(), prefix })
        }
    }
}

fn failed(name: &str, error: object_store::Error) -> ObjectError {
    match error {
        object_store::Error::NotFound { .. } => ObjectError::Missing(name.to_owned()),
        error => ObjectError::Failed(error.to_string()),
    }
}
