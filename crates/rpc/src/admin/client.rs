//! Calls a node.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use carrick_tls::Tls;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::Service;

use crate::http2;
use crate::link::{DialError, Endpoint, dial_tls};

/// The calls of `carrick.v1.Admin` on one connection.
pub type AdminClient = super::v1::admin_client::AdminClient<Http2>;

const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Why a node cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum AdminDialError {
    #[error("no node answers on {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("what answers does not speak HTTP/2: {source}")]
    Http2 { source: hyper::Error },
}

/// By the unix socket of a node on this machine.
pub async fn connect_socket(path: &Path) -> Result<AdminClient, AdminDialError> {
    let failed = |source| AdminDialError::Socket { path: path.into(), source };
    let stream = match timeout(CONNECT_MAX, UnixStream::connect(path)).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    open(stream, Uri::from_static("http://localhost")).await
}

/// By a node's admin port.
pub async fn connect_tls(endpoint: &Endpoint, tls: &Tls) -> Result<AdminClient, AdminDialError> {
    open(dial_tls(endpoint, tls).await?, Uri::from_static("https://localhost")).await
}

async fn open<S>(stream: S, origin: Uri) -> Result<AdminClient, AdminDialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::client(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| AdminDialError::Http2 { source })?;
    // Its end shows in the calls.
    tokio::spawn(connection);
    Ok(AdminClient::with_origin(Http2 { sender }, origin))
}

/// One HTTP/2 connection, as tonic's clients want it.
#[derive(Clone, Debug)]
pub struct Http2 {
    sender: SendRequest<Body>,
}

impl Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
