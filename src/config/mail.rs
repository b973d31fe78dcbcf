//! - `SMTP_URL` (none): the server that takes our mail.
//! - `MAIL_FROM`: whom mail is from, as in `ShelfWise <mail@shelfwise.example>`; required beside `SMTP_URL`.
//! - `APP_URL`: what links in mails begin with; required beside `SMTP_URL`, but in development, where it is this server.
//!
//! `smtps://USER:PASSWORD@HOST:465` is TLS from the first byte, `smtp://USER:PASSWORD@HOST:587?tls=required` STARTTLS, and
//! `ca=FILE` names the authority where it is none of the machine's. `smtp://` without `tls=required` is plain, for a server
//! on a developer's own machine alone. Without `SMTP_URL` nothing sends mail, and the jobs that do wait; `shelfwise dev`
//! puts mails into a folder.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use secrecy::SecretString;
use url::{Host, Url};

use super::{Environment, Reader};

/// How a connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From its first byte.
    Implicit,
    /// By STARTTLS, before anything else is said; a server that has none is refused.
    StartTls,
    /// Not at all: a server on this machine, in development.
    Plain,
}

/// What the mail server knows us by.
#[derive(Debug, Clone)]
pub struct SmtpLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// The server that takes our mail.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections are encrypted.
    pub encryption: Encryption,
    /// What it knows us by, where it asks.
    pub login: Option<SmtpLogin>,
    /// A file of the authorities that are trusted; those of the machine where it is `None`.
    pub ca: Option<PathBuf>,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Who takes it; nobody where it is `None`.
    pub smtp: Option<SmtpConfig>,
    /// Whom it is from.
    pub from: Option<Mailbox>,
    /// What links begin with, without a slash at the end.
    pub app_url: Option<String>,
}

/// Why a setting is not taken. None quotes it: it holds a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SmtpProblem {
    Malformed,
    Parameter,
    Plain,
}

impl fmt::Display for SmtpProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "use `smtps://USER:PASSWORD@HOST:PORT`, or `smtp://…?tls=required` for STARTTLS",
            Self::Parameter => "the parameters are `tls=required`, for `smtp:` alone, and `ca=FILE`",
            Self::Plain => "mail without TLS is for a server on the same machine, in development: add `?tls=required`",
        })
    }
}

impl MailConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let is_development = environment == Environment::Development;
        let setting = reader.text("SMTP_URL");
        let is_set = setting.is_some();
        let smtp = setting.and_then(|text| match smtp(&text, is_development) {
            Ok(smtp) => Some(smtp),
            Err(problem) => {
                reader.problem("SMTP_URL", &problem.to_string());
                None
            }
        });
        if is_set && reader.text("MAIL_FROM").is_none() {
            reader.problem("MAIL_FROM", "must be set beside SMTP_URL");
        }
        let app_url = reader.text("APP_URL");
        if is_set && app_url.is_none() && !is_development {
            reader.problem("APP_URL", "must be set beside SMTP_URL");
        }
        let app_url = app_url.and_then(|text| {
            let base = base(&text, is_development);
            if base.is_none() {
                let schemes = if is_development { "https or http" } else { "https" };
                reader.problem("APP_URL", &format!("must be an address by {schemes}, without a login, `?` and `#`"));
            }
            base
        });
        let from: Option<Mailbox> = reader.optional("MAIL_FROM");
        // Not every server on the way takes another, and each mail's id is made of its domain.
        if from.as_ref().is_some_and(|from| !AsRef::<str>::as_ref(&from.email).is_ascii()) {
            reader.problem("MAIL_FROM", "the address must be ASCII; write the domain as `xn--…`");
        }
        Self { smtp, from, app_url }
    }
}

/// The server that a setting names.
fn smtp(text: &str, is_development: bool) -> Result<SmtpConfig, SmtpProblem> {
    let url = Url::parse(text).map_err(|_| SmtpProblem::Malformed)?;
    let (mut is_tls_required, mut ca) = (false, None);
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("tls", "required") => is_tls_required = true,
            ("ca", file) if !file.is_empty() => ca = Some(PathBuf::from(file)),
            _ => return Err(SmtpProblem::Parameter),
        }
    }
    let (encryption, port) = match url.scheme() {
        "smtps" if is_tls_required => return Err(SmtpProblem::Parameter),
        "smtps" => (Encryption::Implicit, 465),
        "smtp" if is_tls_required => (Encryption::StartTls, 587),
        "smtp" => (Encryption::Plain, 25),
        _ => return Err(SmtpProblem::Malformed),
    };
    let has_more = !matches!(url.path(), "" | "/") || url.fragment().is_some();
    let host = url.host_str().filter(|host| !host.is_empty() && !has_more).ok_or(SmtpProblem::Malformed)?;
    // The scheme is none that the parser knows, so it leaves an address as text; its brackets are no part of it.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if encryption == Encryption::Plain && !(is_development && is_loopback) {
        return Err(SmtpProblem::Plain);
    }
    let login = match (decoded(url.username())?, url.password().map(decoded).transpose()?) {
        (user, None) if user.is_empty() => None,
        (user, Some(password)) if !user.is_empty() => Some(SmtpLogin { user, password: password.into() }),
        _ => return Err(SmtpProblem::Malformed),
    };
    Ok(SmtpConfig { host, port: url.port().unwrap_or(port), encryption, login, ca })
}

/// A part of a URL as it was meant, its `%40` an `@` again.
fn decoded(part: &str) -> Result<String, SmtpProblem> {
    let text = percent_encoding::percent_decode_str(part).decode_utf8().map_err(|_| SmtpProblem::Malformed)?;
    // Nothing that would end a line of the protocol.
    if text.chars().any(char::is_control) { Err(SmtpProblem::Malformed) } else { Ok(text.into_owned()) }
}

/// An address to which links are added.
fn base(text: &str, is_development: bool) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_safe = url.scheme() == "https" || is_development && url.scheme() == "http";
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)));
    (is_safe && is_bare).then(|| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    /// Host, port, encryption and log-in.
    type Found<'a> = (&'a str, u16, Encryption, Option<(&'a str, &'a str)>);

    #[test]
    fn a_setting_names_a_server_and_how_to_reach_it() {
        let check = |text: &str, expected: Result<Found<'_>, SmtpProblem>| {
            let config = smtp(text, true);
            let found = config.as_ref().map_err(|problem| *problem).map(|config| {
                let login = config.login.as_ref().map(|login| (login.user.as_str(), login.password.expose_secret()));
                (config.host.as_str(), config.port, config.encryption, login)
            });
            assert_eq!(found, expected, "{text}");
        };
        check("smtps://mail.example", Ok(("mail.example", 465, Encryption::Implicit, None)));
        let login = Some(("ann@shop.example", "p:w/"));
        check(
            "smtps://ann%40shop.example:p%3Aw%2F@mail.example:4650",
            Ok(("mail.example", 4650, Encryption::Implicit, login)),
        );
        check("smtp://mail.example?tls=required", Ok(("mail.example", 587, Encryption::StartTls, None)));
        check("smtp://[::1]:25?tls=required", Ok(("::1", 25, Encryption::StartTls, None)));
        check("smtp://127.0.0.1:2525", Ok(("127.0.0.1", 2525, Encryption::Plain, None)));
        check("smtp://[::1]", Ok(("::1", 25, Encryption::Plain, None)));
        check("smtp://mail.example", Err(SmtpProblem::Plain));
        check("smtp://localhost.example", Err(SmtpProblem::Plain));
        for text in
            ["smtp://mail.example?tls=never", "smtps://mail.example?tls=required", "smtps://h?x=1", "smtps://h?ca="]
        {
            check(text, Err(SmtpProblem::Parameter));
        }
        for text in
            ["", "mail.example", "https://mail.example", "smtps://", "smtps://a@h", "smtps://a:%0D@h", "smtps://h/x"]
        {
            check(text, Err(SmtpProblem::Malformed));
        }
        let shown = format!("{:?}", smtp("smtps://ann:hunter2@h", false).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(smtp("smtp://127.0.0.1", false).err(), Some(SmtpProblem::Plain));
        assert_eq!(smtp("smtps://h?ca=/a%20b.pem", false).unwrap().ca, Some(PathBuf::from("/a b.pem")));
    }

    #[test]
    fn links_begin_with_an_address_that_is_safe_to_send() {
        assert_eq!(base("https://app.example/", false).as_deref(), Some("https://app.example"));
        assert_eq!(base("https://app.example/x/", false).as_deref(), Some("https://app.example/x"));
        assert_eq!(base("http://localhost:8000", true).as_deref(), Some("http://localhost:8000"));
        for text in
            ["http://app.example", "app.example", "https://a@app.example", "https://app.example/?x", "https://a/#x"]
        {
            assert_eq!(base(text, false), None, "{text}");
        }
    }

    #[test]
    fn whoever_sends_says_from_whom_and_where_links_lead() {
        let problems = |environment, vars: &[(&'static str, &'static str)]| {
            let vars = std::collections::HashMap::<_, _>::from_iter(vars.iter().copied());
            let look_up = |name: &str| vars.get(name).map(|value| (*value).to_owned());
            let mut reader = Reader::new(&look_up);
            let config = MailConfig::read(&mut reader, environment);
            reader.finish(config).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let (smtp, from) = (("SMTP_URL", "smtps://u:hunter2@h"), ("MAIL_FROM", "Shop <mail@shop.example>"));
        assert_eq!(problems(Environment::Production, &[]), "");
        assert_eq!(problems(Environment::Development, &[smtp, from]), "");
        assert_eq!(problems(Environment::Production, &[smtp, from, ("APP_URL", "https://a.example")]), "");
        let missing = problems(Environment::Staging, &[smtp]);
        assert!(missing.contains("MAIL_FROM") && missing.contains("APP_URL"), "{missing}");
        for (name, value) in
            [("SMTP_URL", "smtp://u:hunter2@h"), ("MAIL_FROM", "nobody"), ("APP_URL", "http://a.example")]
        {
            let problem = problems(Environment::Production, &[(name, value)]);
            assert!(problem.contains(name) && !problem.contains("hunter2"), "{problem}");
        }
    }
}
