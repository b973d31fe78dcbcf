//! ISBN-13, and ISBN-10 converted to it (ISO 2108).

use std::fmt;
use std::str::FromStr;

/// A valid ISBN-13: thirteen digits that start with 978 or 979, the check digit verified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isbn13(String);

/// The fewest digits of an ISBN-10 that are left when its leading zeros are gone.
const DIGITS_LEFT_MIN: usize = 6;

/// Why a text is not an ISBN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IsbnError {
    /// Neither ten nor thirteen digits.
    #[error("an ISBN has 10 or 13 digits")]
    Length,
    /// A character that no ISBN has, or thirteen digits of something else than a book.
    #[error("not an ISBN")]
    Malformed,
    /// The last digit does not fit the others: at least one was mistyped.
    #[error("the check digit does not match")]
    CheckDigit,
}

impl Isbn13 {
    /// The thirteen digits, without hyphens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an ISBN-10 that lost its leading zeros, as spreadsheets do to what they take for a number.
    ///
    /// # Errors
    /// As [`Isbn13::from_str`], of the text padded with zeros to ten characters.
    pub fn from_unpadded(text: &str) -> Result<Self, IsbnError> {
        let compact = compact(text);
        // Fewer digits than these are no number that lost its zeros.
        if (DIGITS_LEFT_MIN..10).contains(&compact.len()) { format!("{compact:0>10}").parse() } else { compact.parse() }
    }
}

impl FromStr for Isbn13 {
    type Err = IsbnError;

    /// Reads an ISBN-13 or ISBN-10; hyphens and spaces are skipped.
    fn from_str(text: &str) -> Result<Self, IsbnError> {
        let compact = compact(text);
        if !compact.is_ascii() {
            return Err(IsbnError::Malformed);
        }
        match compact.len() {
            10 => from_isbn10(&compact),
            13 => from_isbn13(&compact),
            _ => Err(IsbnError::Length),
        }
    }
}

impl fmt::Display for Isbn13 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn compact(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '‐' | '–') && !c.is_whitespace()).collect()
}

fn from_isbn13(digits: &str) -> Result<Isbn13, IsbnError> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !(digits.starts_with("978") || digits.starts_with("979")) {
        return Err(IsbnError::Malformed);
    }
    if check_digit13(&digits[..12]) == digits.as_bytes()[12] {
        Ok(Isbn13(digits.to_owned()))
    } else {
        Err(IsbnError::CheckDigit)
    }
}

fn from_isbn10(digits: &str) -> Result<Isbn13, IsbnError> {
    // Nothing but zeros passes the check, and is what an empty cell turns into.
    if digits.bytes().all(|byte| byte == b'0') {
        return Err(IsbnError::Malformed);
    }
    let mut sum = 0;
    for (weight, byte) in (1..=10).rev().zip(digits.bytes()) {
        let value = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            // Ten is written as X, and only as the check digit.
            b'X' | b'x' if weight == 1 => 10,
            _ => return Err(IsbnError::Malformed),
        };
        sum += weight * value;
    }
    if sum % 11 != 0 {
        return Err(IsbnError::CheckDigit);
    }
    let stem = format!("978{}", &digits[..9]);
    let check = char::from(check_digit13(&stem));
    Ok(Isbn13(format!("{stem}{check}")))
}

/// The check digit of twelve digits, as an ASCII byte: weights 1 and 3 in turn, up to the next multiple of ten.
fn check_digit13(stem: &str) -> u8 {
    let sum: u32 = stem.bytes().zip([1, 3].into_iter().cycle()).map(|(b, weight)| u32::from(b - b'0') * weight).sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lengths_are_read() {
        let check = |text: &str, isbn13: &str| assert_eq!(text.parse::<Isbn13>().unwrap().as_str(), isbn13, "{text}");
        check("9780306406157", "9780306406157");
        check("978-0-306-40615-7", "9780306406157");
        check("0-306-40615-2", "9780306406157");
        check("074324754X", "9780743247542");
        check("074324754x", "9780743247542");
        check("979-10-90636-07-1", "9791090636071");
    }

    #[test]
    fn each_defect_has_its_error() {
        let check = |text: &str, error: IsbnError| assert_eq!(text.parse::<Isbn13>(), Err(error), "{text}");
        check("9780306406158", IsbnError::CheckDigit);
        check("0306406153", IsbnError::CheckDigit);
        check("0X06406152", IsbnError::Malformed);
        check("9771234567003", IsbnError::Malformed);
        check("978030640615X", IsbnError::Malformed);
        check("439023483", IsbnError::Length);
        check("", IsbnError::Length);
        check("９780306406157", IsbnError::Malformed);
    }

    #[test]
    fn lost_zeros_are_put_back() {
        assert_eq!(Isbn13::from_unpadded("439023483").unwrap().as_str(), "9780439023481");
        assert_eq!(Isbn13::from_unpadded("2005093"), "0002005093".parse());
        assert_eq!(Isbn13::from_unpadded(""), Err(IsbnError::Length));
        assert_eq!(Isbn13::from_unpadded("0"), Err(IsbnError::Length));
        assert_eq!(Isbn13::from_unpadded("0000000000"), Err(IsbnError::Malformed));
    }
}
