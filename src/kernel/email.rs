//! E-mail addresses, checked as far as sense goes: only a delivered mail proves one.

use std::fmt;
use std::str::FromStr;

/// Characters of an address at most (RFC 5321, section 4.5.3.1).
const LEN_MAX: usize = 254;

/// An address as it was typed, white space around it removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an e-mail address")]
pub struct EmailError;

impl Email {
    /// The address as typed: what mail is sent to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in lower case: what a login finds it by.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError)?;
        let is_plain = |part: &str| !part.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c));
        let labels_are_filled = domain.split('.').all(|label| !label.is_empty());
        if local.is_empty() || local.contains('@') || !is_plain(text) || !labels_are_filled || text.len() > LEN_MAX {
            return Err(EmailError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
        for text in ["owner@acme.example", " Ann.O'Neill+shop@books.example ", "root@localhost", "ü@bücher.example"] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
        for text in ["", "owner", "@acme.example", "owner@", "a@b@c", "a b@c.d", "a@b..c", "a@b.c, d@e.f", "<a@b.c>"] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
        assert_eq!("Ann@Acme.Example".parse::<Email>().unwrap().key(), "ann@acme.example");
    }
}
