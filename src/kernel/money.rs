//! Money: an exact amount in the minor unit of an ISO 4217 currency.

use std::fmt;
use std::str::FromStr;

/// A currency of ISO 4217 that shops trade in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    exponent: u32,
}

/// Currencies and the digits after their decimal point, as ISO 4217 lists them.
const CURRENCIES: &[(&str, u32)] = &[
    ("AED", 2),
    ("ARS", 2),
    ("AUD", 2),
    ("BHD", 3),
    ("BGN", 2),
    ("BRL", 2),
    ("CAD", 2),
    ("CHF", 2),
    ("CLP", 0),
    ("CNY", 2),
    ("COP", 2),
    ("CZK", 2),
    ("DKK", 2),
    ("EGP", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HKD", 2),
    ("HUF", 2),
    ("IDR", 2),
    ("ILS", 2),
    ("INR", 2),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KES", 2),
    ("KRW", 0),
    ("KWD", 3),
    ("MAD", 2),
    ("MXN", 2),
    ("MYR", 2),
    ("NGN", 2),
    ("NOK", 2),
    ("NZD", 2),
    ("OMR", 3),
    ("PEN", 2),
    ("PHP", 2),
    ("PKR", 2),
    ("PLN", 2),
    ("QAR", 2),
    ("RON", 2),
    ("RSD", 2),
    ("SAR", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("THB", 2),
    ("TND", 3),
    ("TRY", 2),
    ("TWD", 2),
    ("UAH", 2),
    ("USD", 2),
    ("UYU", 2),
    ("VND", 0),
    ("ZAR", 2),
];

/// The largest amount, in minor units: far below the range of 64 bits, so that the sums of a report do not overflow.
pub const AMOUNT_MINOR_MAX: i64 = 999_999_999_999;

/// An amount in minor units (cents) of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why a text is not money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No currency that shops trade in has this code.
    #[error("unknown currency")]
    UnknownCurrency,
    /// Not a decimal number such as `12.90`.
    #[error("not a decimal number")]
    Malformed,
    /// More digits after the point than the currency has.
    #[error("more decimal places than the currency has")]
    TooPrecise,
    /// Below zero, or above [`AMOUNT_MINOR_MAX`].
    #[error("the amount is out of range")]
    OutOfRange,
}

impl Currency {
    /// The three letters of ISO 4217.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.code
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        CURRENCIES
            .iter()
            .find(|(code, _)| *code == text)
            .map(|&(code, exponent)| Self { code, exponent })
            .ok_or(MoneyError::UnknownCurrency)
    }
}

impl Money {
    /// Money from minor units, as they are stored.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] below zero or above [`AMOUNT_MINOR_MAX`].
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if (0..=AMOUNT_MINOR_MAX).contains(&minor) { Ok(Self { minor, currency }) } else { Err(MoneyError::OutOfRange) }
    }

    /// What amounts come to together, in minor units. One of them has a largest, their sum has none.
    #[must_use]
    pub fn of_sum(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Money from a decimal text such as `12.9` or `1200`.
    ///
    /// # Errors
    /// One of [`MoneyError`], but for the unknown currency.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (sign, digits) = amount.strip_prefix('-').map_or((1, amount), |rest| (-1, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) || digits.ends_with('.') {
            return Err(MoneyError::Malformed);
        }
        let fraction = fraction.trim_end_matches('0');
        let places = currency.exponent as usize;
        if fraction.len() > places {
            return Err(MoneyError::TooPrecise);
        }
        let minor: i64 = format!("{whole}{fraction:0<places$}").parse().map_err(|_| MoneyError::OutOfRange)?;
        Self::from_minor(sign * minor, currency)
    }

    /// The amount in minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The amount as a decimal text with all places of the currency, such as `12.90`.
    #[must_use]
    pub fn amount(self) -> String {
        let places = self.currency.exponent as usize;
        if places == 0 {
            return self.minor.to_string();
        }
        let unit = 10_i64.pow(self.currency.exponent);
        format!("{}.{:0places$}", self.minor / unit, self.minor % unit)
    }
}

impl Money {
    /// The amount as the nearest binary fraction, for clients that know no other.
    #[must_use]
    pub fn approximate(self) -> f64 {
        // Read as a decimal text is, so that it is the nearest: a division may miss it.
        self.amount().parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        let check = |amount: &str, code: &str, minor: i64, text: &str| {
            let money = Money::parse(amount, code.parse().unwrap()).unwrap();
            assert_eq!((money.minor(), money.to_string().as_str()), (minor, text), "{amount} {code}");
        };
        check("12.9", "EUR", 1290, "12.90 EUR");
        check("0.05", "USD", 5, "0.05 USD");
        check("12", "EUR", 1200, "12.00 EUR");
        check("12.500", "EUR", 1250, "12.50 EUR");
        check("1200", "JPY", 1200, "1200 JPY");
        check("1.234", "KWD", 1234, "1.234 KWD");
        check("-0", "EUR", 0, "0.00 EUR");
    }

    #[test]
    fn the_nearest_fraction_is_written_as_the_amount() {
        let check = |amount: &str, code: &str, text: &str| {
            let money = Money::parse(amount, code.parse().unwrap()).unwrap();
            assert_eq!(money.approximate().to_string(), text, "{amount} {code}");
        };
        check("12.90", "EUR", "12.9");
        check("0.07", "EUR", "0.07");
        check("1200", "JPY", "1200");
        check("9999999999.99", "EUR", "9999999999.99");
    }

    #[test]
    fn a_sum_may_be_more_than_an_amount() {
        let sum = Money::of_sum(3 * AMOUNT_MINOR_MAX, "EUR".parse().unwrap());
        assert_eq!(sum.to_string(), "29999999999.97 EUR");
    }

    #[test]
    fn each_defect_has_its_error() {
        let check = |amount: &str, code: &str, error: MoneyError| {
            assert_eq!(code.parse().and_then(|c| Money::parse(amount, c)), Err(error), "{amount} {code}");
        };
        check("1", "XXX", MoneyError::UnknownCurrency);
        check("1", "eur", MoneyError::UnknownCurrency);
        check("12.345", "EUR", MoneyError::TooPrecise);
        check("0.1", "JPY", MoneyError::TooPrecise);
        check("-1", "EUR", MoneyError::OutOfRange);
        check("99999999999999999999", "EUR", MoneyError::OutOfRange);
        for text in ["", ".", "1.", ".5", "1,5", "1e3", "--1", " 1"] {
            check(text, "EUR", MoneyError::Malformed);
        }
    }
}
