//! The mail of a letter, as RFC 5322 has it.

use std::time::SystemTime;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

use super::{Mail, MailError};

/// Says that no person wrote this, so that nothing that answers by itself answers (RFC 3834).
const AUTO_SUBMITTED: (&str, &str) = ("Auto-Submitted", "auto-generated");

/// The mail of a letter: text and HTML, all of it ASCII.
///
/// # Errors
/// The address is none that mail can be sent to.
pub(super) fn message(mail: &Mail<'_>, from: &Mailbox) -> Result<Message, MailError> {
    let refused = |what: &str| MailError::Refused(what.to_owned());
    let to = mail.to.parse().map_err(|_| refused("the recipient's address is none that mail can be sent to"))?;
    let letter = mail.letter;
    // By the mail's own id: nobody who wrote a part of the letter knows it, so none can end its part early.
    let parts = MultiPart::alternative()
        .boundary(format!("shelfwise-{}", mail.id))
        .singlepart(SinglePart::plain(letter.text.clone()))
        .singlepart(SinglePart::html(letter.html.clone()));
    let builder = Message::builder().from(from.clone()).to(Mailbox::new(None, to));
    // What is no address is no reason not to write.
    let builder = match mail.reply_to.and_then(|address| address.parse().ok()) {
        Some(address) => builder.reply_to(Mailbox::new(None, address)),
        None => builder,
    };
    builder
        .subject(letter.subject.clone())
        .date(SystemTime::from(mail.at))
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(AUTO_SUBMITTED.0), AUTO_SUBMITTED.1.to_owned()))
        .multipart(parts)
        .map_err(|_| refused("the mail cannot be written"))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::kernel::tenant::TenantSlug;
    use crate::mail::letter::{Letter, invitation};

    /// The headers of a mail, one a line.
    fn headers(mail: &Mail<'_>) -> Vec<String> {
        let from = "ShelfWise <mail@shelfwise.example>".parse().unwrap();
        let text = String::from_utf8(message(mail, &from).unwrap().formatted()).unwrap();
        assert!(text.is_ascii());
        let head = text.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
        head.split("\r\n").map(str::to_owned).collect()
    }

    fn mail<'a>(letter: &'a Letter, to: &'a str) -> Mail<'a> {
        static SHOP: LazyLock<TenantSlug> = LazyLock::new(|| "corvid".parse().unwrap());
        let at = chrono::DateTime::UNIX_EPOCH;
        Mail { id: "1.2".to_owned(), shop: Some(&SHOP), to, reply_to: None, letter, at }
    }

    #[test]
    fn a_mail_says_what_it_is_and_which() {
        let letter = invitation("Corvid Books", "https://app.example/".to_owned()).unwrap();
        assert_eq!(
            headers(&mail(&letter, "ann@corvid.example")),
            [
                "From: ShelfWise <mail@shelfwise.example>",
                "To: ann@corvid.example",
                "Subject: You are invited to Corvid Books",
                "Date: Thu, 01 Jan 1970 00:00:00 +0000",
                "Message-ID: <1.2@shelfwise.example>",
                "Auto-Submitted: auto-generated",
                "MIME-Version: 1.0",
                "Content-Type: multipart/alternative; boundary=\"shelfwise-1.2\"",
            ]
        );
    }

    #[test]
    fn nothing_that_is_written_becomes_a_header() {
        let injected = "Acme\r\nBcc: eve@evil.example\r\n\r\n<h1>Pay here</h1>";
        // By the letter, which makes one line of it, and past it.
        let letter = invitation(injected, "https://app.example/".to_owned()).unwrap();
        let raw = Letter { subject: injected.to_owned(), ..letter.clone() };
        for letter in [&letter, &raw] {
            let headers = headers(&mail(letter, "ann@corvid.example"));
            assert_eq!(headers.len(), 8, "{headers:?}");
            assert!(!headers.iter().any(|header| header.starts_with("Bcc")), "{headers:?}");
        }
        let answers = |reply_to| Mail { reply_to: Some(reply_to), ..mail(&letter, "ann@corvid.example") };
        assert_eq!(headers(&answers("shop@corvid.example"))[2], "Reply-To: shop@corvid.example");
        for reply_to in ["shop@corvid.example\r\nBcc: eve@evil.example", "a@b.example, eve@evil.example"] {
            let headers = headers(&answers(reply_to));
            assert_eq!(headers.len(), 8, "{headers:?}");
        }
        let from = "mail@shelfwise.example".parse().unwrap();
        for to in ["ann@corvid.example\r\nBcc: eve@evil.example", "ann@corvid.example>, <eve@evil.example", "ann"] {
            assert!(matches!(message(&mail(&letter, to), &from), Err(MailError::Refused(_))), "{to}");
        }
    }
}
