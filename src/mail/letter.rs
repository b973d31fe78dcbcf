//! What we write: a subject, and the same in text and in HTML.
//!
//! Whatever others chose, a shop's name first of all, becomes one line without control characters before it is part of a
//! letter, and the templates of HTML escape it.

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};

/// The most characters of a text that others chose.
const LINE_LEN_MAX: usize = 200;

/// The most operations that a notice lists.
const OPERATIONS_MAX: usize = 20;

/// A letter, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which it is, as in `password_reset`.
    pub what: &'static str,
    /// Its subject.
    pub subject: String,
    /// What it says, in plain text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
    /// Where it leads, if it leads anywhere.
    pub link: Option<String>,
}

/// How many events of each kind there were.
type Counts = Vec<(String, usize)>;

/// Events, a line each.
type Lines = Vec<String>;

/// Text and HTML by two templates that are given the same.
macro_rules! rendered {
    ($text:tt, $html:tt, { $($field:ident: $type:ty),+ }) => {{
        #[derive(Template)]
        #[template(path = $text)]
        struct Text { $($field: $type),+ }
        #[derive(Template)]
        #[template(path = $html)]
        struct Html { $($field: $type),+ }
        let text = Text { $($field: $field.clone()),+ }.render()?;
        (text, Html { $($field),+ }.render()?)
    }};
}

/// Asks somebody to join a shop, by a link.
///
/// # Errors
/// A template failed.
pub fn invitation(shop: &str, link: String) -> askama::Result<Letter> {
    let (shop, to) = (line(shop), link.clone());
    let subject = format!("You are invited to {shop}");
    let (text, html) = rendered!("mail/invitation.txt", "mail/invitation.html", { shop: String, link: String });
    Ok(Letter { what: "invitation", subject, text, html, link: Some(to) })
}

/// Has somebody choose another password, by a link.
///
/// # Errors
/// A template failed.
pub fn password_reset(shop: &str, link: String) -> askama::Result<Letter> {
    let (shop, to) = (line(shop), link.clone());
    let subject = format!("Choose another password for {shop}");
    let (text, html) = rendered!("mail/password_reset.txt", "mail/password_reset.html", { shop: String, link: String });
    Ok(Letter { what: "password_reset", subject, text, html, link: Some(to) })
}

/// Says that a webhook gets no events any more.
///
/// # Errors
/// A template failed.
pub fn webhook_suspended(shop: &str, endpoint: &str, host: &str, reason: &str) -> askama::Result<Letter> {
    let (shop, endpoint, host, reason) = (line(shop), line(endpoint), line(host), line(reason));
    let subject = format!("{shop}: the webhook to {host} is suspended");
    let (text, html) = rendered!("mail/webhook_suspended.txt", "mail/webhook_suspended.html", {
        shop: String, endpoint: String, host: String, reason: String
    });
    Ok(Letter { what: "webhook_suspended", subject, text, html, link: None })
}

/// Says that a part of the API that the shop uses goes away.
///
/// # Errors
/// A template failed.
pub fn deprecation_notice(
    shop: &str,
    field: &str,
    replacement: &str,
    removal_on: NaiveDate,
    operations: &[String],
) -> askama::Result<Letter> {
    let (shop, field, replacement) = (line(shop), line(field), line(replacement));
    let removal_on = removal_on.format("%-d %B %Y").to_string();
    let subject = format!("{shop}: `{field}` goes away on {removal_on}");
    let more = operations.len().saturating_sub(OPERATIONS_MAX);
    let operations: Vec<String> = operations.iter().take(OPERATIONS_MAX).map(|name| line(name)).collect();
    let (text, html) = rendered!("mail/deprecation_notice.txt", "mail/deprecation_notice.html", {
        shop: String, field: String, replacement: String, removal_on: String, operations: Vec<String>, more: usize
    });
    Ok(Letter { what: "deprecation_notice", subject, text, html, link: None })
}

/// Says where the shop's export can be fetched.
///
/// # Errors
/// A template failed.
pub fn export_ready(shop: &str, link: String, expires_at: DateTime<Utc>) -> askama::Result<Letter> {
    let (shop, to) = (line(shop), link.clone());
    let subject = format!("{shop}: your export is ready");
    let expires_at = expires_at.format("%-d %B %Y, %H:%M UTC").to_string();
    let (text, html) = rendered!("mail/export_ready.txt", "mail/export_ready.html", {
        shop: String, link: String, expires_at: String
    });
    Ok(Letter { what: "export_ready", subject, text, html, link: Some(to) })
}

/// Says to the first owner that the shop is ready, and where it is.
///
/// # Errors
/// A template failed.
pub fn welcome(shop: &str, plan: &str, link: String) -> askama::Result<Letter> {
    let (shop, plan, to) = (line(shop), line(plan), link.clone());
    let subject = format!("{shop} is ready");
    let (text, html) = rendered!("mail/welcome.txt", "mail/welcome.html", {
        shop: String, plan: String, link: String
    });
    Ok(Letter { what: "welcome", subject, text, html, link: Some(to) })
}

/// Tells the platform's operators what has happened: how often each kind of event, and some of the events, a line each.
///
/// # Errors
/// A template failed.
pub fn operations_digest(counts: &[(String, usize)], lines: &[String], more: usize) -> askama::Result<Letter> {
    let shop = "the platform's operators".to_owned();
    let kinds: Vec<String> = counts.iter().map(|(kind, count)| format!("{} ({count})", line(kind))).collect();
    let subject = line(&format!("ShelfWise: {}", kinds.join(", ")));
    let counts: Counts = counts.iter().map(|(kind, count)| (line(kind), *count)).collect();
    let lines: Lines = lines.iter().map(|text| line(text)).collect();
    let (text, html) = rendered!("mail/operations.txt", "mail/operations.html", {
        shop: String, counts: Counts, lines: Lines, more: usize
    });
    Ok(Letter { what: "operations", subject, text, html, link: None })
}

/// A text as one line, and no longer than a line may be.
fn line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LINE_LEN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_is_one_short_line() {
        assert_eq!(line("Acme\r\nBcc: eve@evil.example\u{85}\u{2028}\0x"), "Acme Bcc: eve@evil.example x");
        assert_eq!(line(" Büch \t er "), "Büch er");
        assert_eq!(line(&"ü".repeat(300)), format!("{}…", "ü".repeat(200)));
    }

    #[test]
    fn letters_say_the_same_in_text_and_html() {
        let day = NaiveDate::from_ymd_opt(2027, 4, 1).unwrap();
        let operations: Vec<String> = (1..=22).map(|n| format!("Till{n}")).collect();
        let letters = [
            invitation("Corvid Books", "https://app.example/#tenant=corvid&invitation=sw_1".to_owned()),
            password_reset("Corvid Books", "https://app.example/#tenant=corvid&password_reset=sw_1".to_owned()),
            webhook_suspended("Corvid Books", "hook_1", "till.example", "20 deliveries in a row failed"),
            deprecation_notice("Corvid Books", "Book.priceCents", "Book.price", day, &operations),
            export_ready(
                "Corvid Books",
                "https://files.example/1?x=1&y=2".to_owned(),
                day.and_hms_opt(9, 5, 0).unwrap().and_utc(),
            ),
            welcome("Corvid Books", "free", "https://app.example/#tenant=corvid".to_owned()),
            operations_digest(
                &[("tenant.provisioned".to_owned(), 52), ("tenant.cloned".to_owned(), 1)],
                &["tenant.provisioned: plan free, slug corvid".to_owned(), "tenant.cloned: slug <b>".to_owned()],
                51,
            ),
        ];
        for letter in letters {
            let Letter { what, subject, text, html, .. } = letter.unwrap();
            insta::assert_snapshot!(what, format!("Subject: {subject}\n\n{text}\n--\n{html}"));
            for remote in ["<img", "src=", "url(", "@import", "<script", "<link"] {
                assert!(!html.contains(remote), "{what} loads something");
            }
        }
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let letter = webhook_suspended("<b>&", "hook_1", "<i>.example", "\"><script>").unwrap();
        assert!(letter.text.contains("<b>&") && letter.text.contains("<i>.example"), "{}", letter.text);
        for raw in ["<b>", "<i>", "<script>"] {
            assert!(!letter.html.contains(raw), "{}", letter.html);
        }
        assert!(letter.html.contains("&#60;b&#62;&#38;"), "{}", letter.html);
    }
}
