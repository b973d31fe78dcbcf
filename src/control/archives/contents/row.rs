//! A row in an archive: a line of JSON. Its values are the very text that the database wrote, so that numbers of any length and
//! JSON that was stored as text come back as they were.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::kernel::ids::TenantId;
use crate::kernel::seal::{Key, NONCE_LEN, Place};

/// What is opened for people to read, beside the columns that have it sealed.
const OPENED: &str = "_opened";

/// A value that an archive has sealed is an object with this one member.
const SEALED: &str = "_sealed";

/// Columns by name, in the order of their bytes, each with the text of its value.
type Columns<'a> = BTreeMap<&'a str, &'a RawValue>;

/// What seals and opens within an archive.
#[derive(Clone, Copy)]
pub struct Locker<'a> {
    /// The archive's key.
    pub key: &'a Key,
    /// Whose archive it is.
    pub tenant: TenantId,
}

/// A hash over a table's rows, and how many there were.
#[derive(Clone, Default)]
pub struct Tally {
    hasher: Sha256,
    /// Rows so far.
    pub rows: u64,
}

/// Why a row is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It is no object of columns.
    #[error("a row is not a JSON object")]
    Malformed,
    /// What is sealed in it is not what was sealed there.
    #[error("what a row has sealed is not what was sealed there")]
    Sealed,
}

impl Tally {
    /// Counts a row in.
    pub fn add(&mut self, row: &str) {
        self.hasher.update(row);
        self.hasher.update(b"\n");
        self.rows += 1;
    }

    /// The hash, in hexadecimal.
    #[must_use]
    pub fn hash(self) -> String {
        hex(&self.hasher.finalize())
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The row as an archive has it: `secrets` sealed, and what was opened for people beside it.
///
/// # Errors
/// The row is no object.
pub fn publish(
    row: &str,
    secrets: &[&'static str],
    opened: Option<&Value>,
    locker: Locker<'_>,
    mut nonce: impl FnMut() -> [u8; NONCE_LEN],
) -> Result<String, RowError> {
    let mut columns = parse(row)?;
    let id = id(&columns)?;
    let mut sealed = Vec::new();
    for column in secrets {
        let Some(value) = columns.get(column).filter(|value| value.get() != "null") else { continue };
        let place = Place { row: id, column };
        let bytes = locker.key.seal(nonce(), locker.tenant, place, value.get().as_bytes());
        let bytes = bytes.map_err(|_| RowError::Malformed)?;
        sealed.push((*column, raw(&serde_json::json!({ SEALED: BASE64.encode(bytes) }))?));
    }
    columns.extend(sealed.iter().map(|(column, value)| (*column, &**value)));
    let opened = opened.map(raw).transpose()?;
    if let Some(opened) = &opened {
        columns.insert(OPENED, opened);
    }
    serde_json::to_string(&columns).map_err(|_| RowError::Malformed)
}

/// The row as the database had it, out of an archive.
///
/// # Errors
/// The row is no object, or what is sealed in it does not open.
pub fn restore(row: &str, secrets: &[&'static str], locker: Locker<'_>) -> Result<String, RowError> {
    let mut columns = parse(row)?;
    columns.remove(OPENED);
    let id = id(&columns)?;
    let mut opened = Vec::new();
    for column in secrets {
        let Some(value) = columns.get(column).filter(|value| value.get() != "null") else { continue };
        let sealed: BTreeMap<String, String> = serde_json::from_str(value.get()).map_err(|_| RowError::Sealed)?;
        let sealed = sealed.get(SEALED).and_then(|text| BASE64.decode(text).ok()).ok_or(RowError::Sealed)?;
        let plain = locker.key.open(locker.tenant, Place { row: id, column }, &sealed);
        let plain = plain.ok().and_then(|plain| String::from_utf8(plain).ok()).ok_or(RowError::Sealed)?;
        opened.push((*column, RawValue::from_string(plain).map_err(|_| RowError::Sealed)?));
    }
    columns.extend(opened.iter().map(|(column, value)| (*column, &**value)));
    serde_json::to_string(&columns).map_err(|_| RowError::Malformed)
}

/// The row with one more column.
///
/// # Errors
/// The row is no object.
pub fn with_column(row: &str, column: &str, value: &Value) -> Result<String, RowError> {
    let (mut columns, value) = (parse(row)?, raw(value)?);
    columns.insert(column, &value);
    serde_json::to_string(&columns).map_err(|_| RowError::Malformed)
}

fn parse(row: &str) -> Result<Columns<'_>, RowError> {
    serde_json::from_str(row).map_err(|_| RowError::Malformed)
}

/// The row's id; tables whose rows have none have no secrets.
fn id(columns: &Columns<'_>) -> Result<Uuid, RowError> {
    let Some(id) = columns.get("id") else { return Ok(Uuid::nil()) };
    serde_json::from_str(id.get()).map_err(|_| RowError::Malformed)
}

fn raw(value: &Value) -> Result<Box<RawValue>, RowError> {
    to_raw_value(value).map_err(|_| RowError::Malformed)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000009";

    fn key(byte: u8) -> Key {
        Key::new(Uuid::from_u128(1), Zeroizing::new([byte; 32]))
    }

    fn locker(key: &Key) -> Locker<'_> {
        Locker { key, tenant: TenantId(Uuid::from_u128(2)) }
    }

    #[test]
    fn a_row_comes_back_in_its_very_text() {
        let row = format!(
            r#"{{"after":{{ "b" : 1.50, "a":1e400,"a":2}},"at":"0044-03-15T00:00:00+00:00 BC","hash":"\\x00ff","id":"{ID}","n":9223372036854775807,"none":null,"secret":"pw\"\u0001é","t":"a\nb 😀"}}"#
        );
        let key = key(7);
        let opened = serde_json::json!({ "name": "Ann" });
        let published = publish(&row, &["secret", "none"], Some(&opened), locker(&key), || [1; NONCE_LEN]).unwrap();
        assert!(
            published.contains(r#""_opened":{"name":"Ann"}"#) && published.contains(r#""none":null"#),
            "{published}"
        );
        assert!(published.contains(r#"{ "b" : 1.50, "a":1e400,"a":2}"#) && !published.contains("pw"), "{published}");
        assert_eq!(restore(&published, &["secret", "none"], locker(&key)).unwrap(), row);

        assert_eq!(restore(&published, &["secret"], locker(&self::key(8))), Err(RowError::Sealed), "another archive's");
        let moved = published.replace(ID, "00000000-0000-0000-0000-00000000000a");
        assert_eq!(restore(&moved, &["secret"], locker(&key)), Err(RowError::Sealed), "another row's");
        assert_eq!(restore(&row, &["secret"], locker(&key)), Err(RowError::Sealed), "put there in plain");
        for junk in ["", "[]", "1", "{\"a\":}", "{} {}"] {
            assert_eq!(restore(junk, &[], locker(&key)), Err(RowError::Malformed), "{junk}");
        }
    }

    #[test]
    fn a_row_that_has_nothing_to_hide_is_left_as_it_is() {
        let row = r#"{"body":"x","id":"00000000-0000-0000-0000-000000000009"}"#;
        assert_eq!(publish(row, &[], None, locker(&key(1)), || [0; NONCE_LEN]).unwrap(), row);
        let with = with_column(row, "tenant_id", &Value::from(1)).unwrap();
        assert_eq!(with, r#"{"body":"x","id":"00000000-0000-0000-0000-000000000009","tenant_id":1}"#);
    }

    #[test]
    fn a_tally_counts_rows_and_not_lines() {
        let tally = |rows: &[&str]| {
            let mut tally = Tally::default();
            rows.iter().for_each(|row| tally.add(row));
            (tally.rows, tally.hash())
        };
        assert_eq!(tally(&[]).1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_ne!(tally(&["ab"]), tally(&["a", "b"]));
        assert_eq!(tally(&["{}"]).0, 1);
    }
}
