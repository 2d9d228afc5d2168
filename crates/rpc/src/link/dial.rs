//! From an address to a connection, or to the reason why not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use carrick_tls::{Certificate, Role, Tls};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error as TlsFault};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::{Connection, Ending, PeerIdentity, drive, pair, read};
use super::crew::crew;
use super::outgoing::{Outgoing, Trailers};
use super::{CONTENT_TYPE, SESSION};
use crate::http2;
use crate::socket::prepare;

/// For each step: the connection, the handshake, the first word, the answer.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Where a peer's link port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    /// The name that its certificate must have, if it is not `host`.
    pub server_name: Option<String>,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection. Dialling again may help with each of them, once somebody mended what it names.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{endpoint} cannot be reached: {why}; is its node running, and the way to that port open?")]
    Unreachable { endpoint: Endpoint, why: String },
    /// We do not trust them.
    #[error("{endpoint} is not trusted: {why}; look at the certificates of both ends")]
    Untrusted { endpoint: Endpoint, why: String },
    /// The line, or a peer that does not do as peers do.
    #[error("the handshake with {endpoint} failed: {why}; is it a node's port, and the line good?")]
    Handshake { endpoint: Endpoint, why: String },
    #[error("{endpoint} is not a link port: {why}; is it the right host and port?")]
    NotLink { endpoint: Endpoint, why: String },
    /// They do not trust us, or take no more.
    #[error("{endpoint} refused this node: {why}; the log there says more")]
    Refused { endpoint: Endpoint, why: String },
    #[error("this node has no CA to verify peers by; give it one under [tls]")]
    NoTrust,
}

/// Opens one HTTP/2 connection of its own, and the one session on it. Returns when the peer has taken it.
pub async fn dial(endpoint: &Endpoint, tls: &Tls) -> Result<Connection, DialError> {
    if tls.client().is_none() {
        return Err(DialError::NoTrust);
    }
    let stream = Steps { endpoint }.connect().await?;
    let address = stream.peer_addr().map(|it| it.to_string()).unwrap_or_default();
    dial_over(endpoint, tls, stream, address).await
}

/// As [`dial`], over a stream that leads to the peer already; `address` is the peer's.
pub async fn dial_over<IO>(
    endpoint: &Endpoint,
    tls: &Tls,
    stream: IO,
    address: String,
) -> Result<Connection, DialError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let steps = Steps { endpoint };
    let config = tls.client().ok_or(DialError::NoTrust)?;
    let (stream, certificate) = steps.shake_hands(stream, config).await?;
    let stream = steps.first_word(stream).await?;
    let peer = PeerIdentity { names: certificate.names, roles: certificate.roles, address };
    steps.open(stream, peer).await
}

/// The connection and the handshake alone, for another service than the link's.
pub(crate) async fn dial_tls(endpoint: &Endpoint, tls: &Tls) -> Result<Heard<TcpStream>, DialError> {
    let steps = Steps { endpoint };
    let config = tls.client().ok_or(DialError::NoTrust)?;
    let stream = steps.connect().await?;
    let (stream, _) = steps.shake_hands(stream, config).await?;
    steps.first_word(stream).await
}

struct Steps<'a> {
    endpoint: &'a Endpoint,
}

impl Steps<'_> {
    fn unreachable(&self, why: impl ToString) -> DialError {
        DialError::Unreachable { endpoint: self.endpoint.clone(), why: why.to_string() }
    }

    fn untrusted(&self, why: impl ToString) -> DialError {
        DialError::Untrusted { endpoint: self.endpoint.clone(), why: why.to_string() }
    }

    fn handshake(&self, why: impl ToString) -> DialError {
        DialError::Handshake { endpoint: self.endpoint.clone(), why: why.to_string() }
    }

    fn not_link(&self, why: impl ToString) -> DialError {
        DialError::NotLink { endpoint: self.endpoint.clone(), why: why.to_string() }
    }

    fn refused(&self, why: impl ToString) -> DialError {
        DialError::Refused { endpoint: self.endpoint.clone(), why: why.to_string() }
    }

    async fn connect(&self) -> Result<TcpStream, DialError> {
        let connecting = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port));
        let stream = match timeout(STEP_MAX, connecting).await {
            Ok(connected) => connected.map_err(|e| self.unreachable(e))?,
            Err(_) => return Err(self.unreachable(format_args!("no answer within {}s", STEP_MAX.as_secs()))),
        };
        prepare(&stream).map_err(|e| self.unreachable(e))?;
        Ok(stream)
    }

    async fn shake_hands<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: IO,
        config: Arc<ClientConfig>,
    ) -> Result<(TlsStream<IO>, Certificate), DialError> {
        let name = self.endpoint.server_name.as_ref().unwrap_or(&self.endpoint.host);
        let name = ServerName::try_from(name.clone())
            .map_err(|_| self.untrusted(format_args!("{name:?} is no name that a certificate could have")))?;
        let shaking = TlsConnector::from(config).connect(name, stream);
        let stream = match timeout(STEP_MAX, shaking).await {
            Ok(shaken) => shaken.map_err(|e| self.handshake_error(&e))?,
            Err(_) => {
                return Err(self.handshake(format_args!("nothing within {}s", STEP_MAX.as_secs())));
            }
        };
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(b"h2") {
            return Err(self.not_link("it speaks TLS, and not HTTP/2"));
        }
        let first = session.peer_certificates().and_then(|chain| chain.first());
        let certificate = first.and_then(|der| Certificate::read(der).ok());
        let certificate = certificate.ok_or_else(|| self.untrusted("its certificate cannot be read"))?;
        Ok((stream, certificate))
    }

    /// In TLS 1.3 a server verifies our certificate after our handshake is over. A server of ours speaks first, so its first
    /// word tells whether it took us; nothing is sent before, so that no reset overtakes its alert.
    async fn first_word<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: TlsStream<IO>,
    ) -> Result<Heard<IO>, DialError> {
        let mut word = [0; 256];
        let heard = match timeout(STEP_MAX, stream.read(&mut word)).await {
            Ok(Ok(0)) => return Err(self.refused("it closed the connection")),
            Ok(Ok(heard)) => Bytes::copy_from_slice(word.get(..heard).unwrap_or_default()),
            Ok(Err(e)) => return Err(self.handshake_error(&e)),
            Err(_) => {
                return Err(self.not_link(format_args!("it said nothing within {}s", STEP_MAX.as_secs())));
            }
        };
        Ok(Heard { heard, stream })
    }

    async fn open<IO>(&self, stream: Heard<IO>, peer: PeerIdentity) -> Result<Connection, DialError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if !peer.roles.contains(&Role::Link) {
            return Err(self.untrusted(format_args!("its certificate lacks {}", Role::Link.uri())));
        }
        let (executor, mut crew) = crew();
        let (mut sender, dispatch) = http2::client(executor)
            .handshake::<_, Outgoing>(TokioIo::new(stream))
            .await
            .map_err(|e| self.handshake(chain(&e)))?;
        let address = peer.address.clone();
        let (connection, ends) = pair(peer, Ending::default(), Trailers::None);
        crew.hire(dispatch);
        tokio::spawn(drive(crew, ends.ending.clone(), |_| {}));
        let request = request(self.endpoint, ends.body).map_err(|e| self.unreachable(e))?;
        let answer = match timeout(STEP_MAX, sender.send_request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => return Err(self.handshake(chain(&e))),
            Err(_) => return Err(self.not_link(format_args!("no answer within {}s", STEP_MAX.as_secs()))),
        };
        self.check(&answer)?;
        tokio::spawn(read(answer.into_body(), ends.incoming, ends.ending, address));
        Ok(connection)
    }

    fn check(&self, answer: &Response<Incoming>) -> Result<(), DialError> {
        let header = |name| answer.headers().get(name).and_then(|it| it.to_str().ok());
        let grpc = header("content-type").is_some_and(|it| it.starts_with(CONTENT_TYPE));
        if answer.status() != StatusCode::OK || !grpc {
            return Err(self.not_link(format_args!("it answered HTTP {}", answer.status())));
        }
        let Some(status) = tonic::Status::from_header_map(answer.headers()) else { return Ok(()) };
        match status.code() {
            tonic::Code::Ok => Err(self.refused("it ended the session at once")),
            tonic::Code::Unimplemented => Err(self.not_link(status.message())),
            _ => Err(self.refused(status.message())),
        }
    }

    /// Whose fault a failed handshake is.
    fn handshake_error(&self, e: &io::Error) -> DialError {
        let fault = e.get_ref().and_then(|inner| inner.downcast_ref::<TlsFault>());
        match fault {
            Some(TlsFault::InvalidCertificate(wrong)) => self.untrusted(words(wrong)),
            Some(TlsFault::AlertReceived(alert)) => self.refused(alert_words(*alert)),
            Some(TlsFault::InvalidMessage(_)) => self.not_link("it does not speak TLS"),
            Some(other) => self.handshake(other),
            None if e.kind() == io::ErrorKind::UnexpectedEof => self.refused("it closed the connection"),
            None => self.handshake(e),
        }
    }
}

fn request(endpoint: &Endpoint, body: Outgoing) -> Result<Request<Outgoing>, http::Error> {
    let uri =
        Uri::builder().scheme("https").authority(endpoint.to_string()).path_and_query(SESSION).build()?;
    Request::post(uri).header("content-type", CONTENT_TYPE).header("te", "trailers").body(body)
}

fn words(wrong: &CertificateError) -> String {
    match wrong {
        // A bad signature: two CAs of one name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is of another CA".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; do the clocks agree?".into()
        }
        CertificateError::NotValidForName => "its certificate has another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let hosts: Vec<&str> = presented.iter().filter_map(|name| host(name)).collect();
            format!("its certificate is not for {}, but for {}", expected.to_str(), hosts.join(", "))
        }
        other => format!("its certificate: {other}"),
    }
}

/// Of a certificate's name as webpki shows it: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn host(shown: &str) -> Option<&str> {
    let (kind, name) = shown.strip_suffix(')')?.split_once('(')?;
    matches!(kind, "DnsName" | "IpAddress").then_some(name.trim_matches('"'))
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "this node's certificate is of another CA".into()
        }
        AlertDescription::CertificateExpired => "this node's certificate expired".into(),
        AlertDescription::CertificateRequired => "it wants a certificate".into(),
        AlertDescription::NoApplicationProtocol => "it does not speak HTTP/2".into(),
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3".into(),
        other => format!("alert {other:?}"),
    }
}

/// An error with what is below it: the upper ones of hyper say little.
fn chain(e: &dyn std::error::Error) -> String {
    let mut said = e.to_string();
    let mut below = e.source();
    while let Some(e) = below {
        said.push_str(": ");
        said.push_str(&e.to_string());
        below = e.source();
    }
    said
}

/// A stream of which the first bytes were read.
pub(crate) struct Heard<IO> {
    heard: Bytes,
    stream: TlsStream<IO>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Heard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.heard.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let some = self.heard.len().min(into.remaining());
        into.put_slice(self.heard.get(..some).unwrap_or_default());
        self.heard.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Heard<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
