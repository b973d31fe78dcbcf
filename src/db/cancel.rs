//! Cancelling a statement on the server.
//!
//! The driver's own way sends the request and hangs up. A server has read it by then; PgBouncer has not yet passed it on, and
//! forgets what nobody waits for. So the other side hangs up first here, as libpq has it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    let ports = target.config.get_ports();
    for (index, host) in target.config.get_hosts().iter().enumerate() {
        // One port stands for all hosts. At another host than the connection's the request means nothing.
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(name) => {
                let address = target.config.get_hostaddrs().get(index).map(ToString::to_string);
                request(token, target, name, (address.as_deref().unwrap_or(name), port)).await?;
            }
            Host::Unix(_) => token.cancel_query(target.tls.clone()).await?,
        }
    }
    Ok(())
}

async fn request(token: &CancelToken, target: &Target, name: &str, address: (&str, u16)) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?.into_std()?;
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
