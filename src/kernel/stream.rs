//! A long file sealed in pieces, so that nobody need hold it whole: the STREAM construction (Hoang, Reyhanitabar, Rogaway and
//! Vizár, 2015) over AES-256-GCM.
//!
//! A head of 8 bytes that tell the form, the key's id in 16 and a random part of the nonces in 7; then pieces of [`PIECE_LEN`]
//! bytes, each with its tag in 16. The last piece is shorter or as long, and is sealed as the last. A piece that is changed,
//! moved, left out or another file's does not open, and a file that was cut off has no last piece.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::Payload;
use aes_gcm::aead::stream::{NewStream as _, StreamBE32, StreamPrimitive as _};
use uuid::Uuid;

use super::seal::{Key, NONCE_LEN, SealError};

/// What such a file begins with.
const FORM: &[u8; 8] = b"SWSEAL\0\x01";

/// Bytes of the random part of the nonces; the rest counts.
const PREFIX_LEN: usize = 7;

/// Bytes before the first piece.
pub const HEAD_LEN: usize = FORM.len() + 16 + PREFIX_LEN;

/// Bytes of a piece before it is sealed.
pub const PIECE_LEN: usize = 1 << 20;

/// Bytes that a sealed piece has more.
pub const TAG_LEN: usize = 16;

/// Seals a file from its beginning to its end.
pub struct Sealer {
    stream: StreamBE32<Aes256Gcm>,
    head: [u8; HEAD_LEN],
    position: u32,
}

/// Opens the pieces of a file in any order.
pub struct Opener {
    stream: StreamBE32<Aes256Gcm>,
    head: [u8; HEAD_LEN],
}

impl Sealer {
    /// A sealer of one file. A key seals one file, or a few.
    #[must_use]
    pub fn new(key: &Key, nonce: [u8; NONCE_LEN]) -> Self {
        let mut head = [0; HEAD_LEN];
        head[..FORM.len()].copy_from_slice(FORM);
        head[FORM.len()..FORM.len() + 16].copy_from_slice(key.id.as_bytes());
        head[FORM.len() + 16..].copy_from_slice(&nonce[..PREFIX_LEN]);
        Self { stream: stream(key, &head), head, position: 0 }
    }

    /// What the file begins with.
    #[must_use]
    pub fn head(&self) -> [u8; HEAD_LEN] {
        self.head
    }

    /// Seals the next piece, which is [`PIECE_LEN`] long if it is not the last.
    ///
    /// # Errors
    /// The file is longer than 4 PiB.
    pub fn piece(&mut self, plain: &[u8], is_last: bool) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: plain, aad: &self.head };
        let sealed = self.stream.encrypt(self.position, is_last, payload).map_err(|_| SealError::TooLong)?;
        self.position = self.position.checked_add(1).ok_or(SealError::TooLong)?;
        Ok(sealed)
    }
}

impl Opener {
    /// An opener of the file that begins so.
    ///
    /// # Errors
    /// It is no such file, or another key's.
    pub fn new(key: &Key, head: &[u8]) -> Result<Self, SealError> {
        let head: [u8; HEAD_LEN] = head.try_into().map_err(|_| SealError::NotAuthentic)?;
        let id = Uuid::from_slice(&head[FORM.len()..FORM.len() + 16]).map_err(|_| SealError::NotAuthentic)?;
        if !head.starts_with(FORM) || id != key.id {
            return Err(SealError::NotAuthentic);
        }
        Ok(Self { stream: stream(key, &head), head })
    }

    /// Opens a piece by its place in the file.
    ///
    /// # Errors
    /// It is not what was sealed at this place.
    pub fn piece(&self, position: u32, is_last: bool, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: sealed, aad: &self.head };
        self.stream.decrypt(position, is_last, payload).map_err(|_| SealError::NotAuthentic)
    }
}

/// How many pieces a sealed file of so many bytes has, and how many bytes it had; `None` where no file is so long.
#[must_use]
pub fn measure(sealed_len: u64) -> Option<(u32, u64)> {
    let body = sealed_len.checked_sub(HEAD_LEN as u64)?;
    let pieces = body.div_ceil((PIECE_LEN + TAG_LEN) as u64);
    let plain = body.checked_sub(pieces.checked_mul(TAG_LEN as u64)?)?;
    // Even an empty file has a last piece; one of several has something in it. Else the end was cut off.
    let is_whole = pieces == 1 || plain > pieces.checked_sub(1)? * PIECE_LEN as u64;
    is_whole.then_some((u32::try_from(pieces).ok()?, plain))
}

fn stream(key: &Key, head: &[u8; HEAD_LEN]) -> StreamBE32<Aes256Gcm> {
    StreamBE32::from_aead(key.cipher(), head[HEAD_LEN - PREFIX_LEN..].into())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(id: u128, byte: u8) -> Key {
        Key::new(Uuid::from_u128(id), Zeroizing::new([byte; 32]))
    }

    fn sealed() -> (Sealer, Vec<Vec<u8>>) {
        let mut sealer = Sealer::new(&key(1, 1), [9; NONCE_LEN]);
        let pieces = [(vec![1; PIECE_LEN], false), (vec![2; PIECE_LEN], false), (vec![3; 5], true)];
        let pieces = pieces.iter().map(|(plain, is_last)| sealer.piece(plain, *is_last).unwrap()).collect();
        (sealer, pieces)
    }

    #[test]
    fn a_piece_opens_at_its_place_and_nowhere_else() {
        let (sealer, pieces) = sealed();
        let opener = Opener::new(&key(1, 1), &sealer.head()).unwrap();
        assert_eq!(opener.piece(1, false, &pieces[1]).unwrap(), vec![2; PIECE_LEN]);
        assert_eq!(opener.piece(2, true, &pieces[2]).unwrap(), vec![3; 5]);
        let wrong = Err(SealError::NotAuthentic);
        assert_eq!(opener.piece(0, false, &pieces[1]), wrong, "moved");
        assert_eq!(opener.piece(1, true, &pieces[1]), wrong, "cut off behind it");
        assert_eq!(opener.piece(2, false, &pieces[2]), wrong, "not the last any more");
        let mut changed = pieces[2].clone();
        changed[0] ^= 1;
        assert_eq!(opener.piece(2, true, &changed), wrong);
        let other = Opener::new(&key(1, 2), &sealer.head()).unwrap();
        assert_eq!(other.piece(2, true, &pieces[2]), wrong, "another key of the same id");
        let again = Sealer::new(&key(1, 1), [8; NONCE_LEN]);
        assert_eq!(Opener::new(&key(1, 1), &again.head()).unwrap().piece(2, true, &pieces[2]), wrong, "another file's");
        assert!(Opener::new(&key(2, 1), &sealer.head()).is_err());
        assert!(Opener::new(&key(1, 1), &sealer.head()[1..]).is_err());
    }

    #[test]
    fn a_file_is_measured_by_its_length() {
        let len = |plain: usize| {
            let pieces = plain.div_ceil(PIECE_LEN).max(1);
            (HEAD_LEN + plain + pieces * TAG_LEN) as u64
        };
        for plain in [0, 1, PIECE_LEN - 1, PIECE_LEN, PIECE_LEN + 1, 3 * PIECE_LEN] {
            let pieces = plain.div_ceil(PIECE_LEN).max(1);
            assert_eq!(measure(len(plain)), Some((pieces as u32, plain as u64)), "{plain}");
        }
        for no_file in [0, HEAD_LEN as u64, (HEAD_LEN + TAG_LEN - 1) as u64] {
            assert_eq!(measure(no_file), None, "{no_file}");
        }
        let pieces = 2 * (PIECE_LEN + TAG_LEN);
        for left in 1..=TAG_LEN {
            assert_eq!(measure((HEAD_LEN + pieces + left) as u64), None, "cut off {left} bytes into its last piece");
        }
        assert_eq!(measure((HEAD_LEN + pieces + TAG_LEN + 1) as u64), Some((3, 2 * PIECE_LEN as u64 + 1)));
    }
}
