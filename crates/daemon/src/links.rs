//! The links' sockets: how this node dials its peers, and where they dial.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use carrick_link::{Connection, DialError, Dialer, Engine};
use carrick_rpc::tls::{Files, Purpose, Tls};
use carrick_rpc::{Endpoint, LinkServer};
use carrick_tls::Refusals;
use carrick_watch::Port;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::{LinkListener, TlsFiles};

/// Sessions that peers opened and the engine has not taken yet.
const ACCEPTED_MAX: usize = 16;

pub struct Links {
    /// Runs all that touches the sockets.
    line: Handle,
    tls: Option<Tls>,
    server: Option<(LinkServer, SocketAddr)>,
}

impl Links {
    /// Reads the certificates and takes the port.
    pub async fn bind(
        files: Option<&TlsFiles>,
        listener: Option<&LinkListener>,
        line: Handle,
    ) -> anyhow::Result<Self> {
        let Some(files) = files else {
            return Ok(Self { line, tls: None, server: None });
        };
        let files = Files { cert: files.cert.clone(), key: files.key.clone(), ca: Some(files.ca.clone()) };
        let tls = Tls::open(files, Purpose::Grpc)?;
        let server = match listener {
            Some(listener) => {
                let (bind, tls) = (listener.bind, tls.clone());
                let bound = line.spawn(async move { LinkServer::bind(bind, tls).await }).await?;
                let taken = || {
                    format!(
                        "the link port could not be bound to {}: is another process there?",
                        listener.bind
                    )
                };
                let server = bound.with_context(taken)?;
                let address = server.address()?;
                Some((server, address))
            }
            None => None,
        };
        Ok(Self { line, tls: Some(tls), server })
    }

    /// For those who look on; the certificate also where nobody may dial.
    pub fn port(&self) -> Option<Port> {
        let refusals = self.server.as_ref().map(|(server, _)| server.refusals());
        let refusals = refusals.unwrap_or_else(|| Refusals::new("link"));
        self.tls.clone().map(|tls| Port { name: "link".into(), tls: Some(tls), refusals })
    }

    pub fn dialer(&self) -> Arc<dyn Dialer> {
        Arc::new(TlsDialer { line: self.line.clone(), tls: self.tls.clone() })
    }

    /// Hands what peers open to the engine, and looks after the certificates.
    pub fn serve(self, engine: Arc<Engine>, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        if let Some(tls) = self.tls {
            tokio::spawn(async move { tls.follow().await });
        }
        if let Some((server, address)) = self.server {
            println!("link {address}");
            let (accepted, mut taken) = mpsc::channel::<carrick_rpc::Connection>(ACCEPTED_MAX);
            let stopped = stopped.clone();
            tasks.push(self.line.spawn(async move { server.serve(accepted, stopped).await }));
            tasks.push(tokio::spawn(async move {
                while let Some(connection) = taken.recv().await {
                    engine.accept(convert(connection));
                }
            }));
        }
        tasks
    }
}

fn convert(connection: carrick_rpc::Connection) -> Connection {
    let carrick_rpc::Connection { outgoing, incoming, peer } = connection;
    Connection { outgoing, incoming, peer: peer.address }
}

struct TlsDialer {
    line: Handle,
    tls: Option<Tls>,
}

impl Dialer for TlsDialer {
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (line, tls, peer) = (self.line.clone(), self.tls.clone(), peer.to_string());
        Box::pin(async move {
            let refused = |message: String| DialError { message };
            let tls = tls.ok_or_else(|| {
                refused("this node has no certificate: give it one under [tls]; `carrick pki` makes one for a trial".into())
            })?;
            let (host, port) =
                peer.rsplit_once(':').ok_or_else(|| refused(format!("{peer} is not host:port")))?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
            let port = port.parse().map_err(|_| refused(format!("{peer} is not host:port")))?;
            let endpoint = Endpoint { host, port, server_name: None };
            // The connection's own tasks run where it was dialled.
            let dialled = line.spawn(async move { carrick_rpc::dial(&endpoint, &tls).await }).await;
            let dialled = dialled.map_err(|_| refused("the node is stopping".into()))?;
            Ok(convert(dialled.map_err(|e| refused(e.to_string()))?))
        })
    }
}
