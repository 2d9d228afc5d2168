//! Listeners: bound before anything starts, accepting until told to drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carrick_broker::Broker;
use carrick_sys::{Budget, Sys};
use carrick_wire::Text;
use futures::future::{Either, select};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{info, warn};

use crate::connection::{Connection, serve};

/// Connections of one listener.
const CONNECTIONS_MAX: usize = 10_000;
/// After an accept that failed, which is nearly always a want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub bind: SocketAddr,
    /// What clients are told; port 0 stands for the port that was bound.
    pub advertised_host: String,
    pub advertised_port: u16,
}

/// A listener that holds its port.
pub struct Bound {
    listener: Listener,
    socket: TcpListener,
    pub address: SocketAddr,
}

/// Takes the port; nothing is accepted before [`Bound::serve`].
pub async fn bind(listener: Listener) -> io::Result<Bound> {
    let socket = TcpListener::bind(listener.bind).await?;
    let address = socket.local_addr()?;
    Ok(Bound { listener, socket, address })
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
        info!(listener = self.name(), address = %self.address, advertised = %format!("{host}:{port}"), "listening");
        let begun = drain.begun();
        tokio::pin!(begun);
        loop {
            let accepted = {
                let next = std::pin::pin!(self.socket.accept());
                match select(next, begun.as_mut()).await {
                    Either::Left((accepted, _)) => accepted,
                    Either::Right(_) => return,
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
            tokio::spawn(run(connection, stream, permit));
        }
    }
}

async fn run(connection: Connection, stream: TcpStream, _open: OwnedSemaphorePermit) {
    if let Err(e) = stream.set_nodelay(true) {
        warn!(peer = %connection.peer, error = %e, "TCP_NODELAY was refused");
    }
    serve(connection, stream).await;
}
