//! Listeners: bound before anything starts, accepting until told to drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carrick_broker::Broker;
use carrick_sys::{Budget, Sys};
use carrick_tls::{Files, Purpose, Refusals, Tls, TlsError};
use carrick_wire::Text;
use futures::future::{Either, select};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::connection::{Connection, serve};

/// Connections of one listener.
const CONNECTIONS_MAX: usize = 10_000;
/// After an accept that failed, which is nearly always a want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// A listener as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub bind: SocketAddr,
    /// What clients are told; port 0 stands for the port that was bound.
    pub advertised_host: String,
    pub advertised_port: u16,
    /// TLS; None: plaintext. With a CA, clients without a certificate of it are refused.
    pub tls: Option<Files>,
}

/// Why a listener cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("it could not be bound to {address}: {source}; is another process there?")]
    Socket { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A listener that holds its port.
pub struct Bound {
    listener: Listener,
    socket: TcpListener,
    tls: Option<Tls>,
    refusals: Refusals,
    pub address: SocketAddr,
}

/// Takes the port; nothing is accepted before [`Bound::serve`].
pub async fn bind(listener: Listener) -> Result<Bound, BindError> {
    let failed = |source| BindError::Socket { address: listener.bind, source };
    let tls = listener.tls.clone().map(|files| Tls::open(files, Purpose::Kafka)).transpose()?;
    let socket = TcpListener::bind(listener.bind).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let refusals = Refusals::new(&listener.name);
    Ok(Bound { listener, socket, tls, refusals, address })
}

/// Tells connections to finish what is under way and to close.
#[derive(Clone, Debug)]
pub struct Drain {
    told: Arc<watch::Sender<bool>>,
    open: Arc<Semaphore>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { told: Arc::new(watch::channel(false).0), open: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Drain {
    /// Stops accepting and reading; returns when every connection has closed, or after `patience`.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.told.send_replace(true);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, self.open.acquire_many(all)).await.is_ok()
    }

    /// Connections of all listeners; what is above `CONNECTIONS_MAX` is refused. Counts all as open while it drains.
    pub fn open(&self) -> usize {
        CONNECTIONS_MAX - self.open.available_permits().min(CONNECTIONS_MAX)
    }

    /// Returns once told to drain.
    pub(crate) async fn begun(&self) {
        let mut told = self.told.subscribe();
        // The sender lives as long as this does.
        let _ = told.wait_for(|told| *told).await;
    }
}

impl Bound {
    pub fn name(&self) -> &str {
        &self.listener.name
    }

    /// The certificate that clients see; None: plaintext.
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Of TLS; counts on while the listener is served.
    pub fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// What clients are told.
    pub fn advertised(&self) -> (String, u16) {
        let port = match self.listener.advertised_port {
            0 => self.address.port(),
            port => port,
        };
        (self.listener.advertised_host.clone(), port)
    }

    /// Accepts until `drain`.
    pub async fn serve(self, sys: Sys, broker: Broker, budget: Budget, drain: Drain) {
        let (host, port) = self.advertised();
        let host = Text::from(host);
        let advertised = format!("{host}:{port}");
        info!(listener = self.name(), address = %self.address, %advertised, tls = self.tls.is_some(), "listening");
        let refusals = self.refusals.clone();
        let following = self.tls.clone().map(|tls| tokio::spawn(tls.follow()));
        let begun = drain.begun();
        tokio::pin!(begun);
        loop {
            let accepted = {
                let next = std::pin::pin!(self.socket.accept());
                match select(next, begun.as_mut()).await {
                    Either::Left((accepted, _)) => accepted,
                    Either::Right(_) => break,
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    warn!(listener = self.name(), error = %e, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&drain.open).try_acquire_owned() else {
                warn!(listener = self.name(), %peer, limit = CONNECTIONS_MAX, "refused a connection: too many are open");
                continue;
            };
            let connection = Connection {
                sys: sys.clone(),
                broker: broker.clone(),
                budget: budget.clone(),
                drain: drain.clone(),
                host: host.clone(),
                port,
                peer,
            };
            let shaking = self.tls.clone().map(|tls| (tls, refusals.clone()));
            tokio::spawn(run(connection, stream, shaking, permit));
        }
        if let Some(following) = following {
            following.abort();
        }
    }
}

async fn run(
    connection: Connection,
    stream: TcpStream,
    shaking: Option<(Tls, Refusals)>,
    _open: OwnedSemaphorePermit,
) {
    if let Err(e) = stream.set_nodelay(true) {
        warn!(peer = %connection.peer, error = %e, "TCP_NODELAY was refused");
    }
    let Some((tls, refusals)) = shaking else {
        return serve(connection, stream).await;
    };
    let shaken = {
        let shaking = tokio::time::timeout(HANDSHAKE_MAX, TlsAcceptor::from(tls.server()).accept(stream));
        let draining = connection.drain.begun();
        futures::pin_mut!(shaking, draining);
        match select(shaking, draining).await {
            Either::Left((shaken, _)) => shaken,
            Either::Right(_) => return,
        }
    };
    match shaken {
        Ok(Ok(stream)) => serve(connection, stream).await,
        Ok(Err(e)) => refusals.note(connection.peer, &e),
        Err(_) => {
            refusals
                .note(connection.peer, &format_args!("no TLS handshake within {}s", HANDSHAKE_MAX.as_secs()));
        }
    }
}
