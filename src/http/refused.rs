//! What becomes of an operation that is not executed.

use async_graphql::Response as GraphqlResponse;
use axum::http::HeaderMap;

use super::answer;
use super::limits::Toll;
use crate::app::App;
use crate::graphql::cost::Cost;
use crate::graphql::{ApiError, ErrorCode, Shop};
use crate::telemetry::operations::Outcome;

/// Why an operation was not executed, which decides the status for those who asked for plain JSON.
pub(super) enum Refused {
    /// The request was not good for any operation.
    Request(ApiError),
    /// The document was not.
    Document(ApiError),
    /// The shop has used up its rates, and this is the answer.
    Limited(Box<GraphqlResponse>),
    /// The document could not be parsed.
    Syntax(async_graphql::parser::Error),
    /// Any of these for which the shop has paid, and the fields that tell what is left.
    Paid(Box<Self>, HeaderMap),
}

impl Refused {
    /// The answer that it is, not yet completed.
    pub(super) fn into_response(self) -> GraphqlResponse {
        match self {
            Self::Request(error) | Self::Document(error) => answer::turned_away(error),
            Self::Limited(response) => *response,
            Self::Syntax(error) => GraphqlResponse::from_errors(vec![error.into()]),
            Self::Paid(refused, fields) => {
                let mut response = refused.into_response();
                response.http_headers.extend(fields);
                response
            }
        }
    }

    /// The same once the shop has paid for it, now if it has not before: what does not pass is a request too.
    pub(super) async fn charged(self, app: &App, shop: Option<&Shop>, paid: Option<Toll>) -> Self {
        if matches!(self, Self::Limited(_)) {
            return self;
        }
        let toll = match paid {
            Some(toll) => Ok(toll),
            None => Toll::pay(app, shop, Cost::LEAST).await,
        };
        match toll {
            Ok(toll) => Self::Paid(Box::new(self), toll.spend().await),
            Err(limited) => Self::Limited(limited),
        }
    }

    /// What it counts as.
    pub(super) fn outcome(&self) -> Outcome {
        self.code().map_or(Outcome::Refused, answer::outcome_of)
    }

    /// Its code, where it is not the library's.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Request(error) | Self::Document(error) => Some(error.code),
            Self::Limited(response) => answer::code(response),
            Self::Syntax(_) => None,
            Self::Paid(refused, _) => refused.code(),
        }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}
