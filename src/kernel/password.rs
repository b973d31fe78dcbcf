//! Passwords as people type them. Length is what makes one strong; rules about its characters do not
//! (NIST SP 800-63B-4, section 3.1.1.2).

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::email::Email;

/// The fewest characters of a new password.
pub const LEN_MIN: usize = 12;

/// The most characters of a password: more is no stronger, and hashing it costs time.
pub const LEN_MAX: usize = 128;

/// A password in one spelling (NFKC), so that keyboards that compose letters differently agree.
#[derive(Clone)]
pub struct Password(SecretString);

/// Why a password will not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {LEN_MIN} to {LEN_MAX} characters")]
    Length,
    /// Few different characters.
    #[error("a password is not one character over and over")]
    Monotonous,
    /// The address itself, or with little around it.
    #[error("a password is not the e-mail address")]
    LikeEmail,
}

impl Password {
    /// A password that somebody shows to get in. Every text is one; a long one is cut, and so is wrong.
    #[must_use]
    pub fn shown(text: &str) -> Self {
        Self(text.nfkc().take(LEN_MAX + 1).collect::<String>().into())
    }

    /// A password that somebody chooses for an account.
    ///
    /// # Errors
    /// Why it will not do.
    pub fn chosen(text: &str, email: &Email) -> Result<Self, PasswordError> {
        let password = Self::shown(text);
        let letters = password.0.expose_secret().to_lowercase();
        if !(LEN_MIN..=LEN_MAX).contains(&letters.chars().count()) {
            return Err(PasswordError::Length);
        }
        let first = letters.chars().next();
        if letters.chars().all(|letter| Some(letter) == first) {
            return Err(PasswordError::Monotonous);
        }
        if letters.contains(&email.key()) {
            return Err(PasswordError::LikeEmail);
        }
        Ok(password)
    }

    /// The bytes that are hashed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_enough_is_good_enough() {
        let email: Email = "ann@acme.example".parse().unwrap();
        let check = |text: &str, error: Option<PasswordError>| {
            assert_eq!(Password::chosen(text, &email).err(), error, "{text}");
        };
        check("correct horse", None);
        check("ein Paßwort mit ü", None);
        check("short", Some(PasswordError::Length));
        check(&"ab".repeat(65), Some(PasswordError::Length));
        check("aaaaaaaaaaaaaaaa", Some(PasswordError::Monotonous));
        check("Ann@acme.example1", Some(PasswordError::LikeEmail));
    }

    #[test]
    fn one_password_has_one_spelling() {
        assert_eq!(Password::shown("cafe\u{301}").as_bytes(), Password::shown("caf\u{e9}").as_bytes());
        assert_eq!(format!("{:?}", Password::shown("hunter2")), "Password(…)");
        assert_ne!(
            Password::shown(&"a".repeat(LEN_MAX + 9)).as_bytes(),
            Password::shown(&"a".repeat(LEN_MAX)).as_bytes()
        );
    }
}
