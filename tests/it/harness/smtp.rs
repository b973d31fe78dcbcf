//! A mail server, as far as a test needs one: it takes mail by SMTP, with TLS, and answers as it is told.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;

/// How long a test waits for a mail.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    StartTls,
    Implicit,
    Nothing,
}

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Accept,
    /// The recipient is answered 451, and named.
    Busy,
    /// The recipient is answered 550, and named.
    Refuse,
    /// The sender is answered 550.
    RefuseSender,
    /// The recipient is never answered.
    Stall,
    /// The mail is taken, and the connection is gone before the answer.
    HangUp,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Received {
    /// On which connection, counted from 0.
    pub connection: usize,
    pub is_encrypted: bool,
    /// By whom, as `AUTH PLAIN` has it.
    pub login: Option<String>,
    pub from: String,
    pub to: String,
    pub data: String,
}

struct Shared {
    offer: Offer,
    fates: Mutex<VecDeque<Fate>>,
    connections: AtomicUsize,
    received: mpsc::UnboundedSender<Received>,
    stalled: Notify,
}

/// The server. It ends with the test's runtime.
pub struct SmtpServer {
    port: u16,
    offer: Offer,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl SmtpServer {
    pub async fn start(offer: Offer) -> Self {
        let authority = Authority::new("Mail");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("other.pem"), Authority::new("Another").pem()).unwrap();
        let (certificate, key) = authority.server("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            offer,
            fates: Mutex::default(),
            connections: AtomicUsize::new(0),
            received: sender,
            stalled: Notify::new(),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&serving), tls.clone(), stream));
            }
        });
        Self { port, offer, folder, shared, received }
    }

    /// The setting by which its authority is trusted.
    pub fn url(&self) -> String {
        self.url_trusting("ca.pem")
    }

    /// The setting by which somebody else is trusted.
    pub fn url_of_strangers(&self) -> String {
        self.url_trusting("other.pem")
    }

    fn url_trusting(&self, file: &str) -> String {
        let ca: PathBuf = self.folder.path().join(file);
        let (scheme, tls) = match self.offer {
            Offer::Implicit => ("smtps", ""),
            Offer::StartTls | Offer::Nothing => ("smtp", "tls=required&"),
        };
        format!("{scheme}://post%40shop.example:s%3Acret@localhost:{}?{tls}ca={}", self.port, ca.display())
    }

    /// The setting of a server without TLS and log-in.
    pub fn plain_url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// What becomes of the next mails; those after them are accepted.
    pub fn next_fates(&self, fates: &[Fate]) {
        self.shared.fates.lock().unwrap().extend(fates);
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits for the next mail.
    pub async fn next(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("a mail comes in time").unwrap()
    }

    /// Waits until a recipient is not answered.
    pub async fn stalls(&self) {
        tokio::time::timeout(PATIENCE, self.shared.stalled.notified()).await.expect("the server is asked in time");
    }

    /// That no other mail has come.
    pub fn assert_quiet(&mut self) {
        if let Ok(received) = self.received.try_recv() {
            panic!("another mail came: {received:?}");
        }
    }
}

async fn serve(shared: Arc<Shared>, tls: TlsAcceptor, stream: TcpStream) {
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
    let mut session = Session { shared: &shared, connection, is_encrypted: false, login: None };
    // A client that does not trust the certificate goes away in the middle of the handshake.
    if shared.offer == Offer::Implicit {
        let Ok(stream) = tls.accept(stream).await else { return };
        session.is_encrypted = true;
        let _ = session.talk(stream, true).await;
    } else if let Ok(Some(stream)) = session.talk(stream, true).await {
        let Ok(stream) = tls.accept(stream).await else { return };
        session.is_encrypted = true;
        let _ = session.talk(stream, false).await;
    }
}

/// One connection.
struct Session<'a> {
    shared: &'a Shared,
    connection: usize,
    is_encrypted: bool,
    login: Option<String>,
}

impl Session<'_> {
    /// Talks until the connection ends. Answers the stream where TLS is to begin on it.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S, greet: bool) -> std::io::Result<Option<S>> {
        let mut stream = BufReader::new(stream);
        if greet {
            stream.write_all(b"220 test ESMTP\r\n").await?;
        }
        let (mut from, mut to, mut fate) = (String::new(), String::new(), Fate::Accept);
        loop {
            let Some(line) = line(&mut stream).await? else { return Ok(None) };
            let word = line.split([' ', ':']).next().unwrap().to_uppercase();
            let answer = match word.as_str() {
                "EHLO" => self.extensions(),
                "STARTTLS" if !self.is_encrypted && self.shared.offer == Offer::StartTls => {
                    stream.write_all(b"220 Go ahead\r\n").await?;
                    return Ok(Some(stream.into_inner()));
                }
                "AUTH" => {
                    self.login = Some(login(&line));
                    "235 2.7.0 Welcome\r\n".to_owned()
                }
                "MAIL" if !from.is_empty() => "503 5.5.1 One mail at a time\r\n".to_owned(),
                "MAIL" => {
                    fate = self.shared.fates.lock().unwrap().pop_front().unwrap_or(Fate::Accept);
                    if fate == Fate::RefuseSender {
                        "550 5.7.1 Not you\r\n".to_owned()
                    } else {
                        from = address(&line);
                        "250 2.1.0 Ok\r\n".to_owned()
                    }
                }
                "RCPT" => {
                    to = address(&line);
                    if fate == Fate::Stall {
                        self.shared.stalled.notify_one();
                        continue;
                    }
                    match fate {
                        Fate::Busy => format!("451 4.7.1 <{to}> is greylisted\r\n"),
                        Fate::Refuse => format!("550 5.1.1 <{to}> is unknown here\r\n"),
                        _ => "250 2.1.5 Ok\r\n".to_owned(),
                    }
                }
                "DATA" => {
                    stream.write_all(b"354 Go on\r\n").await?;
                    let data = data(&mut stream).await?;
                    let (from, to) = (std::mem::take(&mut from), std::mem::take(&mut to));
                    let (connection, is_encrypted, login) = (self.connection, self.is_encrypted, self.login.clone());
                    let _ = self.shared.received.send(Received { connection, is_encrypted, login, from, to, data });
                    if fate == Fate::HangUp {
                        return Ok(None);
                    }
                    "250 2.0.0 Queued\r\n".to_owned()
                }
                "RSET" => {
                    from.clear();
                    "250 2.0.0 Ok\r\n".to_owned()
                }
                "NOOP" => "250 2.0.0 Ok\r\n".to_owned(),
                "QUIT" => {
                    stream.write_all(b"221 2.0.0 Bye\r\n").await?;
                    return Ok(None);
                }
                _ => "500 5.5.2 What?\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    fn extensions(&self) -> String {
        let more = match self.shared.offer {
            Offer::StartTls if !self.is_encrypted => "250-STARTTLS\r\n",
            _ => "250-AUTH PLAIN\r\n",
        };
        format!("250-test\r\n{more}250 ENHANCEDSTATUSCODES\r\n")
    }
}

/// The next line; nothing where the connection ended.
async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let is_there = stream.read_line(&mut line).await? > 0;
    Ok(is_there.then(|| line.trim_end().to_owned()))
}

/// A mail up to the line with a dot alone.
async fn data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut data = String::new();
    while let Some(line) = line(stream).await?.filter(|line| line != ".") {
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
        data.push_str("\r\n");
    }
    Ok(data)
}

/// What is between the angles.
fn address(line: &str) -> String {
    line.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned()
}

/// `user:password` of `AUTH PLAIN`.
fn login(line: &str) -> String {
    let plain = STANDARD.decode(line.strip_prefix("AUTH PLAIN ").unwrap()).unwrap();
    String::from_utf8(plain).unwrap().trim_start_matches('\0').replace('\0', ":")
}

impl Received {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.data.split_once("\r\n\r\n").unwrap().0.replace("\r\n ", " ");
        let found = head.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    }

    /// The text, decoded.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML, decoded.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    /// The parts' types, in their order.
    pub fn types(&self) -> Vec<String> {
        let types = self.parts().iter().map(|(head, _)| value(head, "Content-Type")).collect::<Vec<_>>();
        types.iter().map(|value| value.split(';').next().unwrap().to_owned()).collect()
    }

    fn part(&self, kind: &str) -> String {
        let parts = self.parts();
        let (head, body) = parts.iter().find(|(head, _)| value(head, "Content-Type").starts_with(kind)).unwrap();
        let bytes = match value(head, "Content-Transfer-Encoding").as_str() {
            "base64" => STANDARD.decode(body.replace("\r\n", "")).unwrap(),
            "quoted-printable" => quoted(body),
            _ => body.clone().into_bytes(),
        };
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }

    /// Heads and bodies of the parts.
    fn parts(&self) -> Vec<(String, String)> {
        let kind = self.header("Content-Type");
        let boundary = format!("--{}", kind.split_once("boundary=\"").unwrap().1.trim_end_matches('"'));
        let parts = self.data.split(&boundary).skip(1).filter(|part| !part.starts_with("--"));
        parts
            .map(|part| part.trim_start().split_once("\r\n\r\n").unwrap())
            .map(|(head, body)| (head.to_owned(), body.to_owned()))
            .collect()
    }
}

fn value(head: &str, name: &str) -> String {
    head.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default().to_owned()
}

fn quoted(body: &str) -> Vec<u8> {
    let body = body.replace("=\r\n", "");
    let mut pieces = body.split('=');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}
