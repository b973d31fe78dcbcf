//! Writes an archive: what is handed in becomes a zip, and the zip a sealed stream. Nothing of it is held but the piece that is
//! being made, so an archive may be of any size.

use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::error::ArchiveError;
use crate::kernel::stream::{PIECE_LEN, Sealer};
use crate::objects::Piece;

/// What is handed in.
#[derive(Debug)]
pub enum Part {
    /// The next entry begins.
    Entry(String),
    /// Bytes of the entry.
    Bytes(Vec<u8>),
    /// There is no more.
    End,
}

/// The zip that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Vec<u8>,
}

/// Packs until the end, on a thread that may block.
///
/// # Errors
/// Whoever hands in has gone away, or whoever takes.
pub fn pack(
    mut parts: mpsc::Receiver<Part>,
    pieces: mpsc::Sender<Piece>,
    sealer: Sealer,
) -> Result<Packed, ArchiveError> {
    let broken = |error: &dyn std::fmt::Display| ArchiveError::File(format!("the archive was not finished: {error}"));
    let mut zip = ZipWriter::new_stream(Sink::new(pieces, sealer).map_err(|error| broken(&error))?);
    // Each may be longer than 4 GiB, which must be told before it is known.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
    loop {
        let done = match parts.blocking_recv() {
            Some(Part::Entry(name)) => zip.start_file(name, options).map_err(io::Error::from),
            Some(Part::Bytes(bytes)) => zip.write_all(&bytes),
            Some(Part::End) => break,
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        done.map_err(|error| broken(&error))?;
    }
    let sink = zip.finish().map_err(|error| broken(&error))?.into_inner();
    sink.end().map_err(|error| broken(&error))
}

/// Seals what is written and sends it on.
struct Sink {
    pieces: mpsc::Sender<Piece>,
    sealer: Sealer,
    /// What is not sealed yet: less than a piece, or one whole that may be the last.
    piece: Vec<u8>,
    hasher: Sha256,
    len: u64,
}

impl Sink {
    fn new(pieces: mpsc::Sender<Piece>, sealer: Sealer) -> io::Result<Self> {
        let sink = Self { pieces, sealer, piece: Vec::with_capacity(PIECE_LEN), hasher: Sha256::new(), len: 0 };
        sink.send(Piece::Bytes(Bytes::copy_from_slice(&sink.sealer.head())))?;
        Ok(sink)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let sealed = self.sealer.piece(&self.piece, is_last).map_err(io::Error::other)?;
        self.piece.clear();
        self.send(Piece::Bytes(sealed.into()))
    }

    fn end(mut self) -> Result<Packed, io::Error> {
        self.seal(true)?;
        self.send(Piece::End)?;
        Ok(Packed { bytes: self.len, sha256: self.hasher.finalize().to_vec() })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_LEN {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PIECE_LEN - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        self.hasher.update(&bytes[..taken]);
        self.len += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
