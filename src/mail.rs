//! Mail: what is written, and the two ways out of the process.
//!
//! - [`letter`] is what we write, in text and HTML, from the templates of `templates/mail`.
//! - [`message`] makes the mail of a letter, so that nothing in it can become a header.
//! - [`smtp`] hands mails to a server; [`folder`] puts them where a developer finds them.
//!
//! A mail that is sent twice, because it was not known to be sent, has the same `Message-ID` both times. No error names
//! whom a mail was for.

pub mod folder;
pub mod letter;
mod message;
pub mod smtp;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;

use crate::config::mail::MailConfig;
use crate::kernel::tenant::TenantSlug;
use folder::Folder;
use letter::Letter;
use smtp::Smtp;

/// A letter on its way to somebody.
pub struct Mail<'a> {
    /// What tells this mail from all others, and is the same when it is sent again: letters, digits and dots.
    pub id: String,
    /// Which shop's it is; the platform's own where it is no shop's.
    pub shop: Option<&'a TenantSlug>,
    /// To which address.
    pub to: &'a str,
    /// Where answers go; to whom it is from where it is `None`.
    pub reply_to: Option<&'a str>,
    /// What it says.
    pub letter: &'a Letter,
    /// When it is sent.
    pub at: DateTime<Utc>,
}

/// Sends mail.
pub struct Mailer {
    from: Mailbox,
    way: Way,
}

/// How mail leaves the process.
enum Way {
    /// To a server.
    Smtp(Box<Smtp>),
    /// Into a folder.
    Folder(Folder),
}

/// Why a mail was not sent. The texts hold neither addresses nor what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It never will be: the recipient, or this mail to it, is refused for good.
    #[error("{0}")]
    Refused(String),
    /// It was not this time.
    #[error("{0}")]
    Later(String),
}

impl Mailer {
    /// The mailer of a configuration, where it names a server. Nothing is connected yet.
    ///
    /// # Errors
    /// The certificates of the authority cannot be read, or nobody is named whom mail is from.
    pub fn from_config(config: &MailConfig) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(smtp) = &config.smtp else { return Ok(None) };
        let from = config.from.clone().ok_or_else(|| anyhow::anyhow!("MAIL_FROM must be set beside SMTP_URL"))?;
        let smtp = Smtp::new(smtp, from.email.domain())?;
        Ok(Some(Arc::new(Self { from, way: Way::Smtp(Box::new(smtp)) })))
    }

    /// A mailer that puts mails into a folder.
    #[must_use]
    pub fn into_folder(folder: Folder, from: Mailbox) -> Arc<Self> {
        Arc::new(Self { from, way: Way::Folder(folder) })
    }

    /// Finds out whether the server takes mail of ours: up to its answer to the log-in, and no further.
    ///
    /// # Errors
    /// It cannot be reached, or does not know us.
    pub async fn check(&self) -> Result<(), MailError> {
        match &self.way {
            Way::Smtp(smtp) => smtp.check().await,
            Way::Folder(_) => Ok(()),
        }
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// It was not sent, as far as one can know.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        let message = message::message(mail, &self.from)?;
        match &self.way {
            Way::Smtp(smtp) => smtp.send(&message).await,
            Way::Folder(folder) => folder.put(mail, &message).map_err(|error| MailError::Later(error.to_string())),
        }
    }
}
