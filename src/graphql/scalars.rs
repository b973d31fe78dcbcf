//! Scalars beyond the built-in ones.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};

use chrono::NaiveDate;

use crate::kernel::ids::IdError;
use crate::kernel::money;

use super::error::{ApiError, ApiResult};
use super::prompt::Prompt;

/// An exact decimal number, written as a string such as "12.90". A number literal is taken as well.
#[derive(Debug, Clone)]
pub struct Decimal(pub String);

/// An exact decimal number, written as a string such as "12.90". A number literal is taken as well.
#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_) | Value::Number(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A day of the Gregorian calendar, as `2026-03-01` (ISO 8601).
#[derive(Debug, Clone, Copy)]
pub struct Date(pub NaiveDate);

/// A day of the Gregorian calendar, as `2026-03-01` (ISO 8601).
#[Scalar(name = "Date")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        text.parse().map(Self).map_err(|_| InputValueError::custom("a date looks like 2026-03-01"))
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An ISBN-13: thirteen digits without hyphens.
#[derive(Debug, Clone)]
pub struct Isbn13(pub String);

/// An ISBN-13: thirteen digits without hyphens.
#[Scalar(name = "Isbn13")]
impl ScalarType for Isbn13 {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An amount of money.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "Money")]
pub struct MoneyNode {
    /// The exact amount with all decimal places of the currency.
    amount: Decimal,
    /// The currency's code in ISO 4217.
    currency: &'static str,
}

/// An amount of money, answered in place.
pub type Money = Prompt<MoneyNode>;

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Prompt(MoneyNode { amount: Decimal(money.amount()), currency: money.currency().code() })
    }
}

/// Reads an id of the wanted type.
///
/// # Errors
/// `BAD_REQUEST` for an id of another type and for text that is no id.
pub fn parse_id<T: std::str::FromStr<Err = IdError>>(id: &async_graphql::ID) -> ApiResult<T> {
    id.parse().map_err(|error: IdError| ApiError::bad_request(format!("`{}`: {error}.", id.as_str())))
}
