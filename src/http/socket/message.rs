//! The messages of `graphql-transport-ws`, and why a socket is closed.

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::extract::ws::{CloseFrame, Message};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::parameters::{JSON_VALUES_MAX, Parameters, values_of};

/// The subprotocol: <https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md>.
pub(in crate::http) const PROTOCOL: &str = "graphql-transport-ws";

/// The most characters of an operation's id.
const ID_LEN_MAX: usize = 128;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    /// Who it is.
    ConnectionInit { payload: Option<Map<String, Value>> },
    /// Whether the server is there.
    Ping { payload: Option<Map<String, Value>> },
    /// That it is there.
    Pong {},
    /// An operation.
    Subscribe { id: String, payload: Parameters },
    /// That it has heard enough of an operation.
    Complete { id: String },
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Says<'a> {
    /// That the client is let in.
    ConnectionAck,
    /// That it is there, with what the client sent.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    /// An answer.
    Next { id: &'a str, payload: &'a GraphqlResponse },
    /// Why an operation was not executed.
    Error { id: &'a str, payload: &'a [ServerError] },
    /// That nothing more is said of an operation.
    Complete { id: &'a str },
}

impl Says<'_> {
    /// The message as a frame.
    pub(super) fn frame(&self) -> Message {
        // Answers are values of JSON, which have a text.
        Message::text(serde_json::to_string(self).unwrap_or_default())
    }
}

/// Why a socket is closed. A client of this protocol comes back after the first five, and after [`Close::Forbidden`] with another
/// credential; the others are its mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Close {
    /// The server stops.
    GoingAway,
    /// There is no room for another socket.
    Full,
    /// It cannot be told just now who the client is.
    Unsure,
    /// The client does not read what it is told.
    Slow,
    /// The client said nothing in time after it connected.
    InitTimeout,
    /// The credential is wrong, ended or not enough.
    Forbidden(&'static str),
    /// A message is none of the protocol.
    BadRequest(&'static str),
    /// An operation was sent before the credential.
    Unauthorized,
    /// Another protocol is spoken.
    WrongProtocol,
    /// Two operations have one id.
    Duplicate(String),
    /// Who it is was said twice.
    TooManyInits,
    /// A message is too long.
    TooLong,
    /// The other side has closed, or is gone.
    Gone,
}

impl Close {
    /// The code, as the protocol and RFC 6455 have it; 0 where nobody is told.
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Gone => 0,
            Self::GoingAway => 1001,
            Self::TooLong => 1009,
            Self::Full | Self::Unsure | Self::Slow => 1013,
            Self::BadRequest(_) => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden(_) => 4403,
            Self::WrongProtocol => 4406,
            Self::InitTimeout => 4408,
            Self::Duplicate(_) => 4409,
            Self::TooManyInits => 4429,
        }
    }

    /// What the code leaves open, for metrics: 1013 has three causes.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unsure => "unsure",
            Self::Slow => "slow",
            _ => "",
        }
    }

    /// The frame that tells it.
    pub(super) fn frame(&self) -> Message {
        let reason = match self {
            Self::Gone => String::new(),
            Self::GoingAway => "The server is restarted".to_owned(),
            Self::TooLong => "The message is too long".to_owned(),
            Self::Full => "There is no room for another socket".to_owned(),
            Self::Unsure => "The credential cannot be looked up just now".to_owned(),
            Self::Slow => "The client reads too slowly".to_owned(),
            Self::BadRequest(reason) | Self::Forbidden(reason) => (*reason).to_owned(),
            Self::Unauthorized => "Unauthorized".to_owned(),
            Self::WrongProtocol => "Subprotocol not acceptable".to_owned(),
            Self::InitTimeout => "Connection initialisation timeout".to_owned(),
            Self::Duplicate(id) => format!("Subscriber for {id} already exists"),
            Self::TooManyInits => "Too many initialisation requests".to_owned(),
        };
        // A frame of control has 125 bytes, of which the code takes two.
        let end = (0..=reason.len().min(123)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        Message::Close(Some(CloseFrame { code: self.code(), reason: reason[..end].into() }))
    }
}

/// Reads a message.
///
/// # Errors
/// It is none of the protocol.
pub(super) fn read(text: &str) -> Result<Said, Close> {
    if values_of(text.as_bytes()) > JSON_VALUES_MAX {
        return Err(Close::BadRequest("The message has too many values"));
    }
    let said: Said = serde_json::from_str(text).map_err(|_| Close::BadRequest("Invalid message"))?;
    match &said {
        Said::Subscribe { id, .. } | Said::Complete { id } if id.is_empty() || id.len() > ID_LEN_MAX => {
            Err(Close::BadRequest("An id has 1 to 128 bytes"))
        }
        _ => Ok(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_protocol_are_read_and_nothing_else_is() {
        let is_read = |text: &str| read(text).is_ok();
        assert!(is_read(r#"{"type":"connection_init"}"#));
        assert!(is_read(r#"{"type":"connection_init","payload":{"Authorization":"Bearer x"}}"#));
        assert!(is_read(r#"{"type":"ping"}"#) && is_read(r#"{"type":"pong","payload":{"a":1}}"#));
        assert!(is_read(r#"{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}"#));
        assert!(is_read(r#"{"id":"1","type":"complete"}"#));
        for wrong in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":"start"}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#,
            r#"{"id":"1","type":"subscribe"}"#,
            r#"{"id":"","type":"complete"}"#,
            r#"{"id":1,"type":"complete"}"#,
        ] {
            assert!(!is_read(wrong), "{wrong}");
        }
        assert!(!is_read(&format!(r#"{{"id":"{}","type":"complete"}}"#, "x".repeat(129))));
        assert!(!is_read(&format!(r#"{{"type":"ping","payload":{{"a":[{}1]}}}}"#, "1,".repeat(JSON_VALUES_MAX))));
    }

    #[test]
    fn a_reason_fits_its_frame() {
        let Message::Close(Some(frame)) = Close::Duplicate("é".repeat(64)).frame() else { panic!() };
        assert_eq!(frame.code, 4409);
        assert!(frame.reason.len() <= 123 && frame.reason.starts_with("Subscriber for é"));
    }
}
