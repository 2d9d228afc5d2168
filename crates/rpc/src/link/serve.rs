//! The link port: verified peers, one session a connection, and no other service.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrick_tls::{Certificate, Refusals, Role, Tls};
use futures::future::{Either, select};
use futures::pin_mut;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tonic::Code;
use tracing::{debug, info};

use super::connection::{Connection, Ending, PeerIdentity, drive, pair, read};
use super::outgoing::{Outgoing, Trailers};
use super::{CONTENT_TYPE, SESSION};
use crate::accept::{Accepted, HANDSHAKE_MAX, accept, stopped};
use crate::http2;
use crate::socket::Listener;

/// For sessions to end by themselves, once the port is to close.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The link port, bound.
pub struct LinkServer<L = TcpListener> {
    listener: L,
    tls: Tls,
    refusals: Refusals,
}

impl LinkServer {
    pub async fn bind(address: SocketAddr, tls: Tls) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, tls))
    }
}

impl<L: Listener> LinkServer<L> {
    pub fn new(listener: L, tls: Tls) -> Self {
        Self { listener, tls, refusals: Refusals::new("link") }
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Counts on while the port is served.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// Hands each session that a peer opens to `connections`; a full channel refuses. Once `stop` is told, or its sender is
    /// gone, nothing is accepted; returns when every connection is gone, which is three seconds later at most.
    pub async fn serve(self, connections: mpsc::Sender<Connection>, stop: watch::Receiver<bool>) {
        let Self { listener, tls, refusals } = self;
        if let Ok(address) = listener.address() {
            info!(%address, "the link port is open");
        }
        let (of_each, noted) = (stop.clone(), refusals.clone());
        let serve = move |accepted| serve(accepted, connections.clone(), noted.clone(), of_each.clone());
        accept(listener, tls, refusals, stop, serve).await;
    }
}

/// One peer's connection.
struct Peer {
    certificate: Certificate,
    address: SocketAddr,
    connections: mpsc::Sender<Connection>,
    refusals: Refusals,
    /// A session was opened; it is the only one.
    begun: AtomicBool,
    began: Notify,
    ending: Ending,
}

/// Why a call was refused.
struct Refused {
    code: Code,
    why: String,
}

async fn serve<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    accepted: Accepted<IO>,
    connections: mpsc::Sender<Connection>,
    refusals: Refusals,
    mut stop: watch::Receiver<bool>,
) {
    let Accepted { stream, certificate, address, place } = accepted;
    let ending = Ending::default();
    let peer = Arc::new(Peer {
        certificate,
        address,
        connections,
        refusals,
        begun: AtomicBool::new(false),
        began: Notify::new(),
        ending: ending.clone(),
    });
    let service = {
        let peer = Arc::clone(&peer);
        service_fn(move |request| {
            let answer = peer.answer(request);
            async move { Ok::<_, Infallible>(answer) }
        })
    };
    let transport = http2::server().serve_connection(TokioIo::new(stream), service);
    let driven = drive(transport, ending.clone(), |transport| transport.graceful_shutdown());
    let enough = async {
        if timeout(HANDSHAKE_MAX, peer.began.notified()).await.is_err() {
            debug!(peer = %peer.address, "no session was opened");
            return;
        }
        stopped(&mut stop).await;
        sleep(STOP_MAX).await;
    };
    {
        pin_mut!(driven, enough);
        if let Either::Right((_, driven)) = select(driven, enough).await {
            ending.tell();
            driven.await;
        }
    }
    drop(place);
}

impl Peer {
    fn answer(&self, request: Request<Incoming>) -> Response<Outgoing> {
        match self.begin(request) {
            Ok(body) => respond(body),
            Err(refused) => {
                self.refusals.note(self.address, &refused);
                refused.respond()
            }
        }
    }

    fn begin(&self, request: Request<Incoming>) -> Result<Outgoing, Refused> {
        let refused = |code, why: &str| Refused { code, why: why.into() };
        let names = || self.certificate.names.join(", ");
        if request.method() != Method::POST || request.uri().path() != SESSION {
            return Err(refused(Code::Unimplemented, "this is a link port: it serves the link service only"));
        }
        let grpc = request
            .headers()
            .get("content-type")
            .is_some_and(|it| it.as_bytes().starts_with(CONTENT_TYPE.as_bytes()));
        if !grpc {
            return Err(refused(Code::Unimplemented, "not gRPC"));
        }
        if !self.certificate.may(Role::Link) {
            let why = format!("the certificate of {} lacks {}", names(), Role::Link.uri());
            return Err(Refused { code: Code::PermissionDenied, why });
        }
        let place = self.connections.try_reserve().map_err(|e| match e {
            TrySendError::Full(()) => refused(Code::Unavailable, "too many sessions wait to begin"),
            TrySendError::Closed(()) => refused(Code::Unavailable, "the node is stopping"),
        })?;
        if self.begun.swap(true, Ordering::Relaxed) {
            return Err(refused(Code::ResourceExhausted, "a connection carries one session"));
        }
        let address = self.address.to_string();
        let peer = PeerIdentity {
            names: self.certificate.names.clone(),
            roles: self.certificate.roles.clone(),
            address: address.clone(),
        };
        let (connection, ends) = pair(peer, self.ending.clone(), Trailers::Said);
        tokio::spawn(read(request.into_body(), ends.incoming, ends.ending, address));
        place.send(connection);
        self.began.notify_one();
        Ok(ends.body)
    }
}

impl Refused {
    /// A status without a message.
    fn respond(&self) -> Response<Outgoing> {
        let mut response = respond(Outgoing::Nothing);
        let headers = response.headers_mut();
        headers.insert("grpc-status", HeaderValue::from(self.code as i32));
        // gRPC percent-encodes it; these are printable and without a percent sign but for a certificate's names.
        let said: String = self.why.chars().filter(|c| matches!(c, ' '..='~') && *c != '%').collect();
        if let Ok(said) = HeaderValue::from_str(&said) {
            headers.insert("grpc-message", said);
        }
        response
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

fn respond(body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert("content-type", HeaderValue::from_static(CONTENT_TYPE));
    response
}
