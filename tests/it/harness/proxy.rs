//! A load balancer: passes requests on, in turn, to those servers that say that they are ready.
//!
//! It keeps connections to servers, as the usual ones do, and sends nothing twice: what a server does not answer is an error of the
//! client's request. Whether a server is ready it asks again and again, by a new connection each time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often it asks who is ready.
const PACE: Duration = Duration::from_millis(20);

/// A load balancer. It ends when it is dropped.
pub struct Proxy {
    pub base_url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    servers: Mutex<Servers>,
    /// Counts changes of who is ready.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Servers {
    all: Vec<Server>,
    next: usize,
    /// Requests that were not answered, and why.
    failures: Vec<String>,
}

struct Server {
    address: SocketAddr,
    is_ready: bool,
    served: u64,
    kept: Vec<TcpStream>,
}

impl Proxy {
    /// Listens, and knows no servers.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { servers: Mutex::default(), changed: watch::Sender::new(0) });
        let mut tasks = JoinSet::new();
        let (taking, following) = (Arc::clone(&shared), Arc::clone(&shared));
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                clients.spawn(attend(Arc::clone(&taking), client));
            }
        });
        tasks.spawn(async move { follow(&following).await });
        Self { base_url, shared, _tasks: tasks }
    }

    /// Takes a server in, and waits until it is ready.
    pub async fn add(&self, address: SocketAddr) {
        self.shared.servers().all.push(Server { address, is_ready: false, served: 0, kept: Vec::new() });
        self.until(address, true).await;
    }

    /// Waits until nothing is sent to a server any more, because it says that it is not ready.
    pub async fn until_left_alone(&self, address: SocketAddr) {
        self.until(address, false).await;
    }

    /// Forgets a server, and answers how many requests it has answered.
    pub fn remove(&self, address: SocketAddr) -> u64 {
        let mut servers = self.shared.servers();
        let at = servers.all.iter().position(|server| server.address == address).unwrap();
        servers.all.remove(at).served
    }

    /// Requests that were not answered, and why.
    pub fn failures(&self) -> Vec<String> {
        self.shared.servers().failures.clone()
    }

    async fn until(&self, address: SocketAddr, is_ready: bool) {
        let is_so = |_: &u64| {
            let servers = self.shared.servers();
            servers.all.iter().any(|server| server.address == address && server.is_ready == is_ready)
        };
        let mut changes = self.shared.changed.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(60), changes.wait_for(is_so)).await;
        waited.expect("the server becomes what it should").unwrap();
    }
}

impl Shared {
    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap()
    }

    /// The next server that is ready, and a connection to it that was kept.
    fn next(&self) -> Option<(SocketAddr, Option<TcpStream>)> {
        let mut servers = self.servers();
        let count = servers.all.len();
        for step in 0..count {
            let at = (servers.next + step) % count;
            if servers.all[at].is_ready {
                servers.next = at + 1;
                let server = &mut servers.all[at];
                return Some((server.address, server.kept.pop()));
            }
        }
        None
    }

    /// Passes a request on and answers what comes back.
    async fn pass(&self, request: &Message) -> Result<Message, String> {
        let (address, kept) = self.next().ok_or("no server is ready")?;
        let is_kept = kept.is_some();
        let pass = async {
            let mut server = match kept {
                Some(server) => server,
                None => TcpStream::connect(address).await?,
            };
            server.write_all(&request.bytes).await?;
            let answer = Message::read(&mut server).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            Ok::<_, std::io::Error>((server, answer))
        };
        let failed = |error| format!("{address}, {}: {error}", if is_kept { "kept" } else { "new" });
        let (server, answer) = pass.await.map_err(failed)?;
        let mut servers = self.servers();
        if let Some(known) = servers.all.iter_mut().find(|known| known.address == address) {
            known.served += 1;
            if known.is_ready && !answer.closes() {
                known.kept.push(server);
            }
        }
        Ok(answer)
    }
}

/// Answers a client's requests, one after the other.
async fn attend(shared: Arc<Shared>, mut client: TcpStream) {
    while let Ok(Some(request)) = Message::read(&mut client).await {
        let answer = match shared.pass(&request).await {
            Ok(answer) => answer.bytes,
            Err(failure) => {
                shared.servers().failures.push(failure);
                b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".to_vec()
            }
        };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Asks servers again and again whether they are ready.
async fn follow(shared: &Shared) {
    let mut pace = tokio::time::interval(PACE);
    loop {
        pace.tick().await;
        let addresses: Vec<SocketAddr> = shared.servers().all.iter().map(|server| server.address).collect();
        for address in addresses {
            let is_ready = is_ready(address).await.unwrap_or(false);
            let mut servers = shared.servers();
            let Some(server) = servers.all.iter_mut().find(|server| server.address == address) else { continue };
            if server.is_ready != is_ready {
                server.is_ready = is_ready;
                server.kept.clear();
                drop(servers);
                shared.changed.send_modify(|count| *count += 1);
            }
        }
    }
}

async fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let answer = Message::read(&mut stream).await?;
    Ok(answer.is_some_and(|answer| answer.bytes.starts_with(b"HTTP/1.1 200")))
}

/// A request or an answer whose body's length is announced.
struct Message {
    bytes: Vec<u8>,
    head_len: usize,
}

impl Message {
    /// The next message; nothing where the other side has none any more.
    async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(head_len) = end.map(|end| end + 4) {
                let message = Self { bytes, head_len };
                let len: usize = message.field("content-length").map_or(0, |len| len.parse().unwrap());
                assert!(message.field("transfer-encoding").is_none(), "the proxy knows no chunks");
                let mut bytes = message.bytes;
                while bytes.len() < head_len + len {
                    if stream.read_buf(&mut bytes).await? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                }
                assert_eq!(bytes.len(), head_len + len, "one message at a time");
                return Ok(Some(Self { bytes, head_len }));
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return if bytes.is_empty() { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn field(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.bytes[..self.head_len]).into_owned();
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    }

    /// Whether nothing more comes on this connection.
    fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}
