//! Cancelling a statement on the server.
//!
//! The driver's own way sends the request and hangs up. A server has read it by then; PgBouncer has not yet passed it on, and
//! forgets what nobody waits for. So the other side hangs up first here, as libpq has it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::ensure;
use futures_util::future::{FutureExt as _, join_all};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::CancelToken;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;

use super::tls::Target;

/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// Asks for the end of what a connection is at, and waits until the request was taken. Whether there was still something to end
/// is not told.
///
/// # Errors
/// The server could not be reached, or does not speak as the target has it.
pub(super) async fn cancel(token: &CancelToken, target: &Target) -> anyhow::Result<()> {
    let (hosts, ports) = (target.config.get_hosts(), target.config.get_ports());
    // At another place than the connection's the request means nothing, so all are asked that it may be at.
    let mut asked = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        // One port stands for all hosts.
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(name) => {
                let address = target.config.get_hostaddrs().get(index).map(ToString::to_string);
                let places = tokio::net::lookup_host((address.as_deref().unwrap_or(name), port)).await;
                asked.extend(places.into_iter().flatten().map(|place| request(token, target, name, place).boxed()));
            }
            Host::Unix(_) => {
                let tls = target.tls.clone();
                asked.push(async { Ok(token.cancel_query(tls).await?) }.boxed());
            }
        }
    }
    let answers = join_all(asked).await;
    ensure!(answers.iter().any(Result::is_ok), "no server took the request");
    Ok(())
}

async fn request(token: &CancelToken, target: &Target, name: &str, place: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(place).await?.into_std()?;
    let mut end = TcpStream::from_std(stream.try_clone()?)?;
    let mut tls = target.tls.clone();
    let tls = MakeTlsConnect::<StaysOpen>::make_tls_connect(&mut tls, name)?;
    token.cancel_query_raw(StaysOpen(TcpStream::from_std(stream)?), tls).await?;
    tokio::io::copy(&mut end, &mut tokio::io::sink()).await?;
    Ok(())
}

/// A stream that is not shut down from this side.
struct StaysOpen(TcpStream);

impl AsyncRead for StaysOpen {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, into)
    }
}

impl AsyncWrite for StaysOpen {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
