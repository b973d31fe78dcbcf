//! Reads an archive: from the object store, sealed, or from a file that somebody was given. All of it blocks, on a thread that
//! may, and holds a piece at most.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use zip::ZipArchive;
use zip::result::ZipError;

use super::contents::row::hex;
use super::error::ArchiveError;
use super::manifest::{FORM, Manifest};
use crate::kernel::seal::Key;
use crate::kernel::stream::{HEAD_LEN, Opener, PIECE_LEN, TAG_LEN, measure};
use crate::objects::Objects;

/// Bytes of an entry that is read whole, at most.
const WHOLE_LEN_MAX: u64 = 64 << 20;

/// Bytes that are read at once.
const BUFFER_LEN: usize = 64 << 10;

/// What an archive is read from.
pub trait Source: Read + Seek + Send {}

impl<R: Read + Seek + Send> Source for R {}

/// A sealed object, as the zip that it was.
pub struct SealedObject {
    objects: Objects,
    name: String,
    opener: Opener,
    pieces: u32,
    len: u64,
    position: u64,
    /// The piece that was opened last.
    opened: Option<(u32, Vec<u8>)>,
    runtime: Handle,
}

impl SealedObject {
    /// The object with a name, whose pieces are opened with a key.
    ///
    /// # Errors
    /// There is no such object, it is no sealed file of this key's, or the store failed.
    pub async fn open(objects: &Objects, name: &str, key: &Key) -> Result<Self, ArchiveError> {
        let sealed_len = objects.len(name).await?;
        let too_short = || ArchiveError::Damaged("the object was cut off".to_owned());
        let (pieces, len) = measure(sealed_len).ok_or_else(too_short)?;
        let head = objects.get(name, 0..HEAD_LEN as u64).await?;
        let opener = Opener::new(key, &head)?;
        let (objects, name, runtime) = (objects.clone(), name.to_owned(), Handle::current());
        Ok(Self { objects, name, opener, pieces, len, position: 0, opened: None, runtime })
    }

    /// Bytes of the zip.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.len
    }

    /// How many pieces it is read in.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Fetches one piece of it and opens it.
    ///
    /// # Errors
    /// The store failed, or the piece is not what was sealed there.
    pub async fn piece(&self, index: u32) -> Result<Vec<u8>, ArchiveError> {
        let start = HEAD_LEN as u64 + u64::from(index) * (PIECE_LEN + TAG_LEN) as u64;
        let is_last = index + 1 == self.pieces;
        let whole = (PIECE_LEN + TAG_LEN) as u64;
        let rest = self.len - u64::from(index) * PIECE_LEN as u64 + TAG_LEN as u64;
        let sealed = self.objects.get(&self.name, start..start + if is_last { rest } else { whole }).await?;
        Ok(self.opener.piece(index, is_last, &sealed)?)
    }
}

impl Read for SealedObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.len {
            return Ok(0);
        }
        let index = u32::try_from(self.position / PIECE_LEN as u64).map_err(io::Error::other)?;
        if self.opened.as_ref().is_none_or(|(opened, _)| *opened != index) {
            let piece = self.runtime.block_on(self.piece(index)).map_err(io::Error::other)?;
            self.opened = Some((index, piece));
        }
        let Some((_, piece)) = &self.opened else { return Ok(0) };
        let within = (self.position % PIECE_LEN as u64) as usize;
        let taken = buffer.len().min(piece.len().saturating_sub(within));
        buffer[..taken].copy_from_slice(&piece[within..within + taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for SealedObject {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// An open archive.
pub struct Unpacked {
    zip: ZipArchive<Box<dyn Source>>,
}

impl Unpacked {
    /// Opens an archive.
    ///
    /// # Errors
    /// It is no zip, or not whole.
    pub fn open(source: impl Source + 'static) -> Result<Self, ArchiveError> {
        let source: Box<dyn Source> = Box::new(source);
        Ok(Self { zip: ZipArchive::new(source).map_err(|error| of_zip("the zip", error))? })
    }

    /// Opens an archive's file.
    ///
    /// # Errors
    /// As [`Unpacked::open`], or the file cannot be read.
    pub fn open_file(path: &std::path::Path) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(|error| ArchiveError::File(format!("{}: {error}", path.display())))?;
        Self::open(file)
    }

    /// What the archive says of itself.
    ///
    /// # Errors
    /// It says nothing, or is of a form that this release does not know.
    pub fn manifest(&mut self) -> Result<Manifest, ArchiveError> {
        let manifest: Manifest = serde_json::from_slice(&self.whole("manifest.json")?)
            .map_err(|error| ArchiveError::damaged("manifest.json", error))?;
        if manifest.form == FORM {
            Ok(manifest)
        } else {
            Err(ArchiveError::damaged("manifest.json", "an archive of another form"))
        }
    }

    /// A short entry.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn whole(&mut self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        let entry = self.zip.by_name(name).map_err(|error| of_zip(name, error))?;
        entry.take(WHOLE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(|error| of_io(name, error))?;
        if bytes.len() as u64 > WHOLE_LEN_MAX {
            return Err(ArchiveError::damaged(name, "longer than any such entry is"));
        }
        Ok(bytes)
    }

    /// Calls with each line of an entry, without its end, and answers the entry's SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// There is no such entry, it cannot be read, or what is called answers an error.
    pub fn lines(
        &mut self,
        name: &str,
        mut line: impl FnMut(&str) -> Result<(), ArchiveError>,
    ) -> Result<String, ArchiveError> {
        let entry = self.zip.by_name(name).map_err(|error| of_zip(name, error))?;
        let (mut reader, mut hasher) = (BufReader::with_capacity(BUFFER_LEN, entry), Sha256::new());
        let mut text = String::new();
        loop {
            text.clear();
            if reader.read_line(&mut text).map_err(|error| of_io(name, error))? == 0 {
                return Ok(hex(&hasher.finalize()));
            }
            hasher.update(&text);
            line(text.strip_suffix('\n').ok_or_else(|| ArchiveError::damaged(name, "the last line has no end"))?)?;
        }
    }
}

/// The SHA-256 and the length of all that is read.
///
/// # Errors
/// It cannot be read.
pub fn digest(source: &mut impl Read) -> Result<(Vec<u8>, u64), ArchiveError> {
    let (mut hasher, mut buffer, mut len) = (Sha256::new(), vec![0; BUFFER_LEN], 0);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().to_vec(), len)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                len += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(of_io("the object", error)),
        }
    }
}

fn of_zip(place: &str, error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(error) => of_io(place, error),
        error => ArchiveError::damaged(place, error),
    }
}

/// What went wrong underneath: a store that is away says nothing of the archive.
fn of_io(place: &str, error: io::Error) -> ArchiveError {
    match error.downcast::<ArchiveError>() {
        Ok(error) => error,
        Err(error) => ArchiveError::damaged(place, error),
    }
}
