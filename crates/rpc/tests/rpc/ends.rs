//! A link port, and what it was handed.

use std::future::Future;
use std::time::Duration;

use carrick_rpc::tls::Tls;
use carrick_rpc::{Connection, Endpoint, LinkServer, Refusals, dial};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub struct Port {
    pub endpoint: Endpoint,
    pub refusals: Refusals,
    pub connections: mpsc::Receiver<Connection>,
    pub stop: watch::Sender<bool>,
    pub served: JoinHandle<()>,
}

impl Port {
    pub async fn open(tls: Tls) -> Self {
        let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
        let endpoint = at(server.address().unwrap().port());
        let refusals = server.refusals();
        let (sender, connections) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(server.serve(sender, stopped));
        Self { endpoint, refusals, connections, stop, served }
    }

    /// Both ends of a new connection: the dialler's, then the port's.
    pub async fn join(&mut self, tls: &Tls) -> (Connection, Connection) {
        let dialled = dial(&self.endpoint, tls).await.unwrap();
        (dialled, soon(self.connections.recv()).await.unwrap())
    }
}

pub fn at(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port, server_name: None }
}

/// What must not take long.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    within(Duration::from_secs(10), what).await
}

pub async fn within<T>(patience: Duration, what: impl Future<Output = T>) -> T {
    tokio::time::timeout(patience, what).await.expect("it took too long")
}

/// Asks until it is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
