//! Where a port's connections come from, and what is set on every TCP socket, dialled or accepted.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Where a port's connections come from.
pub trait Listener: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    fn address(&self) -> io::Result<SocketAddr>;

    /// Sets on what was accepted what its kind needs.
    fn prepare(stream: &Self::Stream) -> io::Result<()>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn prepare(stream: &TcpStream) -> io::Result<()> {
        prepare(stream)
    }
}

/// Bytes that the kernel takes and has not sent. Small, so that a ping is answered in time on a slow line: it waits behind
/// what the kernel holds, and three silent seconds end a connection.
const UNSENT_BYTES_MAX: u32 = 256 << 10;

pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Else a message waits for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nagle_is_off_and_little_waits_in_the_kernel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        for stream in [&dialled, &accepted] {
            assert!(!stream.nodelay().unwrap());
            prepare(stream).unwrap();
            assert!(stream.nodelay().unwrap());
            assert_eq!(SockRef::from(stream).tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
        }
    }
}
