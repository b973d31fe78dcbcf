//! TLS to PostgreSQL by rustls, with libpq's words: `sslmode` and `sslrootcert` of the URL.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

/// How long a connection may be silent before the other side is asked for a sign of life, and how long it may take.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How to reach a database: the driver's settings and the TLS client.
#[derive(Clone)]
pub struct Target {
    /// Host, login and the like.
    pub config: tokio_postgres::Config,
    /// Makes the TLS session where the mode asks for one.
    pub tls: MakeRustlsConnect,
    /// Whether the server's certificate has to be signed by an authority that is trusted.
    pub is_verified: bool,
    /// Whether a statement that was prepared in one transaction is there in the next. It is not where a pooler gives each
    /// transaction another backend and knows nothing of statements.
    pub keeps_statements: bool,
}

/// How much of the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: encryption against listeners only, as libpq's `prefer` and `require`.
    Nothing,
    /// That a trusted authority signed it: `verify-ca`.
    Authority,
    /// That, and the host's name: `verify-full`.
    AuthorityAndName,
}

impl Target {
    /// Reads a PostgreSQL URL.
    ///
    /// # Errors
    /// The URL is malformed, has an unknown `sslmode`, or the certificates cannot be read. No password is quoted.
    pub fn from_url(url: &str) -> anyhow::Result<Self> {
        let mut url = Url::parse(url).context("the database URL cannot be parsed")?;
        let (mut mode, mut root_file, mut rest) = (None, None, Vec::new());
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => root_file = Some(value.into_owned()),
                _ => rest.push((name.into_owned(), value.into_owned())),
            }
        }
        // The driver knows neither the verifying modes nor the file: both are taken out before it reads the URL.
        url.query_pairs_mut().clear().extend_pairs(rest);

        let (ssl_mode, check) = match mode.as_deref().unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Check::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
            // As libpq: a root file turns `require` into `verify-ca`.
            "require" if root_file.is_none() => (SslMode::Require, Check::Nothing),
            "require" | "verify-ca" => (SslMode::Require, Check::Authority),
            "verify-full" => (SslMode::Require, Check::AuthorityAndName),
            other => anyhow::bail!("unknown sslmode `{other}`"),
        };
        let mut config: tokio_postgres::Config =
            url.as_str().trim_end_matches('?').parse().context("the database URL cannot be parsed")?;
        config.ssl_mode(ssl_mode).application_name("shelfwise");
        // A server that went away without a word is noticed in half a minute.
        config.keepalives_idle(KEEPALIVE).tcp_user_timeout(KEEPALIVE);
        let tls = MakeRustlsConnect::new(client_config(check, root_file.as_deref())?);
        Ok(Self { config, tls, is_verified: check != Check::Nothing, keeps_statements: true })
    }

    /// Whether the server is on this machine, so that what is said to it passes no network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let is_local = |host: &Host| match host {
            Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            Host::Unix(_) => true,
        };
        // An address in the URL wins over the name beside it.
        let addresses = self.config.get_hostaddrs();
        if addresses.is_empty() {
            return self.config.get_hosts().iter().all(is_local);
        }
        addresses.iter().all(IpAddr::is_loopback)
    }
}

fn client_config(check: Check, root_file: Option<&str>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authority = || -> anyhow::Result<Arc<WebPkiServerVerifier>> {
        let roots = Arc::new(roots(root_file)?);
        Ok(WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?)
    };
    let relaxed = |authority| Arc::new(Relaxed { provider: Arc::clone(&provider), authority });
    let verifier: Arc<dyn ServerCertVerifier> = match check {
        Check::Nothing => relaxed(None),
        Check::Authority => relaxed(Some(authority()?)),
        Check::AuthorityAndName => authority()?,
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// The authorities of the file, or those of the machine.
fn roots(file: Option<&str>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in CertificateDer::pem_file_iter(file).context("sslrootcert cannot be read")? {
            roots.add(certificate.context("sslrootcert holds no PEM certificate")?)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    anyhow::ensure!(!roots.is_empty(), "no trusted certificate authority was found");
    Ok(roots)
}

/// Looks at less than a name: at nothing, or at who signed the certificate. Signatures of the handshake are always
/// checked, so that the server holds the key of whatever it shows.
#[derive(Debug)]
struct Relaxed {
    provider: Arc<CryptoProvider>,
    /// Checks who signed, where that is asked for.
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Relaxed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        // The name is checked last, so an error about it means that all else was right.
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        let is_local = |host: &str| Target::from_url(&format!("postgres://a@{host}/d")).unwrap().is_local();
        for (host, expected) in
            [("localhost", true), ("127.0.0.1:5432", true), ("[::1]", true), ("db.example", false), ("10.0.0.4", false)]
        {
            assert_eq!(is_local(host), expected, "{host}");
        }
    }

    #[test]
    fn modes_are_those_of_libpq() {
        let mode = |query: &str| {
            Target::from_url(&format!("postgres://a:secret@h/d{query}"))
                .map(|target| target.config.get_ssl_mode())
                .map_err(|error| format!("{error:#}"))
        };
        assert_eq!(mode(""), Ok(SslMode::Prefer));
        assert_eq!(mode("?sslmode=disable"), Ok(SslMode::Disable));
        assert_eq!(mode("?sslmode=require&connect_timeout=3"), Ok(SslMode::Require));
        assert!(mode("?sslmode=always").unwrap_err().contains("always"));
        let error = mode("?sslmode=verify-full&sslrootcert=/nowhere").unwrap_err();
        assert!(error.contains("sslrootcert") && !error.contains("secret"), "{error}");
    }
}
