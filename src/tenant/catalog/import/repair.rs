//! Cells as exports have them, made right where that is certain.

use crate::kernel::isbn::{Isbn13, IsbnError};
use crate::kernel::text::{fold, tidy};

/// The characters of Windows-1252 in the range where Latin-1 has control characters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a cell. What is not UTF-8 is taken for Windows-1252, in which older shop software writes.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .map(|&byte| match byte {
                0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
                byte => char::from(byte),
            })
            .collect(),
    }
}

/// The tidied text of a cell; `None` where it is empty or says so in words.
#[must_use]
pub fn filled(cell: &str) -> Option<String> {
    let text = tidy(cell);
    let is_empty = matches!(text.to_ascii_lowercase().as_str(), "" | "null" | "nan" | "n/a" | "-");
    (!is_empty).then_some(text)
}

/// The ISBN of a record.
///
/// The short one comes first: a spreadsheet takes its zeros, which can be put back, while it rounds the long one to a
/// number such as `9.78043902348e+12`, of which nothing can be known. Where the short one is wrong the long one may do.
///
/// # Errors
/// A cell that is no ISBN, with no other that is one.
pub fn isbn(short: Option<&str>, long: Option<&str>) -> Result<Option<Isbn13>, IsbnError> {
    let cell = |cell: Option<&str>| {
        cell.map(without_fraction).filter(|text| !is_rounded(text) && !is_zero(text)).map(str::to_owned)
    };
    let long = cell(long).map(|text| text.parse::<Isbn13>());
    match (cell(short).map(|text| Isbn13::from_unpadded(&text)), long) {
        (Some(Ok(isbn)), _) | (Some(Err(_)) | None, Some(Ok(isbn))) => Ok(Some(isbn)),
        (Some(Err(error)), _) | (None, Some(Err(error))) => Err(error),
        (None, None) => Ok(None),
    }
}

/// `439023483.0` is a number that a spreadsheet wrote out.
fn without_fraction(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => whole,
        _ => text,
    }
}

/// `9.78043902348e+12` has lost its last digits.
fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    is_number(whole) && is_number(fraction) && is_number(exponent.trim_start_matches('+'))
}

/// What an empty cell turns into when it is read as a number.
fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

/// A whole number, also one that a spreadsheet wrote as `1997.0`.
#[must_use]
pub fn whole_number(text: &str) -> Option<i32> {
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    whole.parse().ok()
}

/// The authors that a cell names, each with its folded form.
///
/// They are parted by semicolons if the cell has any, else by commas. A suffix such as `Jr.` belongs
/// to the name before it, and a name that comes twice counts once.
#[must_use]
pub fn authors(cell: &str) -> Vec<(String, String)> {
    let separator = if cell.contains(';') { ';' } else { ',' };
    let mut names: Vec<String> = Vec::new();
    for part in cell.split(separator).filter_map(filled) {
        let is_suffix = matches!(fold(&part).as_str(), "jr" | "sr" | "ii" | "iii" | "iv" | "phd" | "md");
        match names.last_mut() {
            Some(name) if is_suffix => *name = format!("{name}, {part}"),
            _ => names.push(part),
        }
    }
    let mut authors: Vec<(String, String)> = Vec::with_capacity(names.len());
    for name in names {
        let key = fold(&name);
        if !key.is_empty() && !authors.iter().any(|(_, known)| *known == key) {
            authors.push((name, key));
        }
    }
    authors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read() {
        assert_eq!(decode("Brontë".as_bytes()), "Brontë");
        assert_eq!(decode(b"Bront\xeb \x96 \x80"), "Brontë – €");
    }

    #[test]
    fn empty_cells_are_known() {
        for cell in ["", "  ", "NaN", "NULL", "n/a", "-"] {
            assert_eq!(filled(cell), None, "{cell:?}");
        }
        assert_eq!(filled(" Emma  "), Some("Emma".to_owned()));
    }

    #[test]
    fn the_short_isbn_is_repaired_and_the_rounded_one_ignored() {
        let check = |short, long, expected: Result<Option<&str>, IsbnError>| {
            let found = isbn(short, long);
            assert_eq!(found.as_ref().map(|isbn| isbn.as_ref().map(Isbn13::as_str)).map_err(|e| *e), expected);
        };
        check(Some("439023483"), Some("9.78043902348e+12"), Ok(Some("9780439023481")));
        check(None, Some("9.78043902348e+12"), Ok(None));
        check(None, Some("978-0-439-02348-1"), Ok(Some("9780439023481")));
        check(None, None, Ok(None));
        check(Some("439023484"), None, Err(IsbnError::CheckDigit));
        check(Some("n0t an isbn"), None, Err(IsbnError::Malformed));
        check(Some("97803O640E157"), None, Err(IsbnError::Malformed));
        check(Some("none"), None, Err(IsbnError::Length));
        check(Some("439023483.0"), None, Ok(Some("9780439023481")));
        check(None, Some("9780439023481.0"), Ok(Some("9780439023481")));
        check(Some("439023484"), Some("9780439023481"), Ok(Some("9780439023481")));
        check(Some("0"), Some("0.0"), Ok(None));
        check(Some("12"), None, Err(IsbnError::Length));
    }

    #[test]
    fn numbers_of_spreadsheets_are_whole() {
        let check = |text: &str, number: Option<i32>| assert_eq!(whole_number(text), number, "{text}");
        check("1997.0", Some(1997));
        check("-750.0", Some(-750));
        check("12", Some(12));
        check("1997.5", None);
        check("1997.", None);
        check("MCMXCVII", None);
        check("99999999999", None);
    }

    #[test]
    fn authors_are_parted_and_counted_once() {
        let names = |cell: &str| authors(cell).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("J.K. Rowling, Mary GrandPré"), ["J.K. Rowling", "Mary GrandPré"]);
        assert_eq!(names("Matthew    Ward, Albert Camus,, matthew ward"), ["Matthew Ward", "Albert Camus"]);
        assert_eq!(names("King, Martin Luther; Austen, Jane"), ["King, Martin Luther", "Austen, Jane"]);
        assert_eq!(names("Martin Luther King, Jr., Clayborne Carson"), ["Martin Luther King, Jr.", "Clayborne Carson"]);
        assert!(names(" , ").is_empty());
    }
}
