//! Mail to a server, by connections that are kept for the next mail.
//!
//! A connection is taken out while it is used, and kept again only once a mail's dialogue came to its end. Whatever was
//! given up in the middle, by a timeout or with its job, is closed: nobody goes on with half of another's mail.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::{Address, Message};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::MailError;
use crate::config::mail::{Encryption, SmtpConfig};

/// How long one mail may take, the way to the server included.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server may take to be reached at one of its addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are kept while nothing is sent.
const IDLE_MAX: usize = 4;

/// How long one is kept. Servers wait five minutes for the next command (RFC 5321, section 4.5.3.2.7).
const IDLE_LIFETIME: Duration = Duration::from_secs(60);

/// A server that takes our mail.
pub struct Smtp {
    host: String,
    port: u16,
    encryption: Encryption,
    tls: TlsParameters,
    login: Option<Credentials>,
    hello: ClientId,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    /// A server by its configuration, to which we are `domain`.
    ///
    /// # Errors
    /// The certificates of the authority cannot be read.
    pub fn new(config: &SmtpConfig, domain: &str) -> anyhow::Result<Self> {
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            encryption: config.encryption,
            tls: tls(config)?,
            login: config
                .login
                .as_ref()
                .map(|login| Credentials::new(login.user.clone(), login.password.expose_secret().to_owned())),
            hello: ClientId::Domain(domain.to_owned()),
            idle: Mutex::default(),
        })
    }

    /// Reaches the server by a connection of its own, and says goodbye.
    pub(super) async fn check(&self) -> Result<(), MailError> {
        let check = async {
            let mut connection = self
                .connect()
                .await
                .map_err(|error| MailError::Later(why("the mail server cannot be reached", &error)))?;
            // How it takes the goodbye is its own affair.
            let _ = connection.quit().await;
            Ok(())
        };
        let in_time = tokio::time::timeout(CONNECT_TIMEOUT, check).await;
        in_time.unwrap_or_else(|_| Err(MailError::Later("the mail server takes too long".to_owned())))
    }

    /// Hands a mail over.
    pub(super) async fn send(&self, message: &Message) -> Result<(), MailError> {
        let in_time = tokio::time::timeout(SEND_TIMEOUT, self.deliver(message)).await;
        in_time.unwrap_or_else(|_| Err(MailError::Later("the mail server takes too long".to_owned())))
    }

    async fn deliver(&self, message: &Message) -> Result<(), MailError> {
        let mut connection = self.connection().await?;
        let told = tell(&mut connection, message).await;
        // A refusal is an answer like any other. Whether the connection is good for more is the server's to say.
        let is_in_step = match &told {
            Ok(()) => true,
            Err(failure) => failure.is_answer && connection.command(Rset).await.is_ok(),
        };
        if is_in_step {
            self.keep(connection);
        }
        told.map_err(|failure| failure.error)
    }

    /// A connection that was kept and still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        while let Some((mut connection, since)) = self.take() {
            if since.elapsed() < IDLE_LIFETIME && connection.test_connected().await {
                return Ok(connection);
            }
        }
        // Nothing that happens before the first mail says anything about a recipient.
        self.connect().await.map_err(|error| MailError::Later(why("the mail server cannot be reached", &error)))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = (self.encryption == Encryption::Implicit).then(|| self.tls.clone());
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_TIMEOUT), &self.hello, implicit, None).await?;
        if self.encryption == Encryption::StartTls {
            connection.starttls(self.tls.clone(), &self.hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }

    fn take(&self) -> Option<(AsyncSmtpConnection, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push((connection, Instant::now()));
        }
    }
}

/// Why a mail was not taken.
struct Failure {
    error: MailError,
    /// Whether the server said so, rather than nothing.
    is_answer: bool,
}

/// Tells the server one mail.
async fn tell(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), Failure> {
    let later = |error: &Error| Failure {
        error: MailError::Later(why("the mail server did not take the mail", error)),
        is_answer: error.status().is_some(),
    };
    let judged = |error: &Error| {
        if !error.is_permanent() {
            return later(error);
        }
        Failure { error: MailError::Refused(why("the mail server refused the mail for good", error)), is_answer: true }
    };
    let envelope = message.envelope();
    let mut parameters = Vec::new();
    if !envelope.to().iter().all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let text = "the mail server takes no address that is not ASCII".to_owned();
            return Err(Failure { error: MailError::Refused(text), is_answer: true });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    // Whether we may send at all is no recipient's fault, so a refusal here is not for good.
    let from: Option<Address> = envelope.from().cloned();
    connection.command(Mail::new(from, parameters)).await.map_err(|error| later(&error))?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(|error| judged(&error))?;
    }
    connection.command(Data).await.map_err(|error| later(&error))?;
    connection.message(&message.formatted()).await.map_err(|error| judged(&error))?;
    Ok(())
}

/// What went wrong, without what the server wrote: that may name the recipient.
fn why(what: &str, error: &Error) -> String {
    if let Some(code) = error.status() {
        let reply = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        return match reply.split_whitespace().next().filter(|word| is_enhanced_code(word)) {
            Some(enhanced) => format!("{what}: {code} {enhanced}"),
            None => format!("{what}: {code}"),
        };
    }
    if error.is_response() { format!("{what}: its answer is not SMTP") } else { format!("{what}: {error}") }
}

/// Whether a word is a code as RFC 3463 has them, such as `5.1.1`.
fn is_enhanced_code(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.clone().count() == 3 && parts.all(is_number)
}

/// Who is trusted to say that a server is the one of its name: the authorities of the file, or those of the machine.
fn tls(config: &SmtpConfig) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParametersBuilder::new(config.host.clone());
    if let Some(file) = &config.ca {
        builder = builder.certificate_store(CertificateStore::None);
        let mut count = 0;
        for certificate in CertificateDer::pem_file_iter(file).context("SMTP_URL: `ca` cannot be read")? {
            let certificate = certificate.context("SMTP_URL: `ca` holds no PEM certificate")?;
            builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
            count += 1;
        }
        anyhow::ensure!(count > 0, "SMTP_URL: `ca` holds no PEM certificate");
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes_are_told_from_other_words() {
        for code in ["5.1.1", "4.7.500"] {
            assert!(is_enhanced_code(code), "{code}");
        }
        for word in ["", "5", "5.1", "5.1.1.1", "5..1", "a@b.c.d", "5.1.x", "5.1.1000"] {
            assert!(!is_enhanced_code(word), "{word}");
        }
    }
}
