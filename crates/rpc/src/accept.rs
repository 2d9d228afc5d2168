//! The accept path of a TLS port. It outlives whatever a socket does.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use carrick_tls::{Certificate, Refusals, Tls};
use futures::future::{Either, select};
use futures::pin_mut;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::warn;

use crate::socket::Listener;

/// From a socket to a peer whose certificate was verified.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Under way at once on one port. At the limit the next socket waits in the kernel, in order of arrival.
pub const HANDSHAKES_MAX: usize = 256;
/// Of them from one host: further ones are refused at once. A host that begins handshakes and does not end them would else have
/// every place of the port, and no peer would get in.
pub const HANDSHAKES_PER_HOST_MAX: usize = 64;
/// Of verified peers, on one port.
pub const CONNECTIONS_MAX: usize = 256;
/// After an accept that failed, which is nearly always a want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A verified peer.
pub(crate) struct Accepted<IO> {
    pub stream: TlsStream<IO>,
    pub certificate: Certificate,
    pub address: SocketAddr,
    /// Held as long as the connection is.
    pub place: Place,
}

/// A connection's place among those of its port.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _open: mpsc::Sender<()>,
}

/// Why a socket was not served.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the socket: {0}")]
    Socket(#[source] io::Error),
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("no handshake within {}s", HANDSHAKE_MAX.as_secs())]
    Slow,
    #[error("{HANDSHAKES_PER_HOST_MAX} handshakes of its host are under way")]
    Crowd,
    #[error("its certificate cannot be read")]
    Certificate,
    #[error("{CONNECTIONS_MAX} connections are open")]
    TooMany,
}

/// Accepts until `stop` is told, and returns when every connection is gone. `serve` is each one's task.
pub(crate) async fn accept<L, F, S>(
    listener: L,
    tls: Tls,
    refusals: Refusals,
    mut stop: watch::Receiver<bool>,
    serve: F,
) where
    L: Listener,
    F: Fn(Accepted<L::Stream>) -> S + Clone + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let hosts = Hosts::default();
    let (open, mut gone) = mpsc::channel(1);
    loop {
        let next = async {
            let permit = Arc::clone(&handshakes).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = {
            let stopped = stopped(&mut stop);
            pin_mut!(next, stopped);
            match select(stopped, next).await {
                Either::Left(_) => break,
                Either::Right((next, _)) => next,
            }
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                warn!(error = %e, "accept failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(visit) = hosts.begin(address.ip()) else {
            refusals.note(address, &Refused::Crowd);
            continue;
        };
        let (tls, refusals, serve) = (tls.clone(), refusals.clone(), serve.clone());
        let (places, open) = (Arc::clone(&places), open.clone());
        tokio::spawn(async move {
            let shaken = handshake::<L>(stream, &tls).await;
            drop((permit, visit));
            let place = shaken.and_then(|shaken| match places.try_acquire_owned() {
                Ok(permit) => Ok((shaken, Place { _permit: permit, _open: open })),
                Err(_) => Err(Refused::TooMany),
            });
            match place {
                Ok(((stream, certificate), place)) => {
                    serve(Accepted { stream, certificate, address, place }).await
                }
                Err(why) => refusals.note(address, &why),
            }
        });
    }
    drop((listener, open));
    // Nothing is ever sent: it ends when the last connection does.
    gone.recv().await;
}

/// Handshakes under way, by host.
#[derive(Clone, Default)]
struct Hosts(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One of them; over when dropped.
struct Visit {
    hosts: Hosts,
    host: IpAddr,
}

impl Hosts {
    /// None while the host has as many as it may.
    fn begin(&self, address: IpAddr) -> Option<Visit> {
        let host = match address.to_canonical() {
            // A host has all addresses of its network.
            IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() >> 64 << 64).into(),
            four => four,
        };
        let mut under_way = self.0.lock();
        let count = under_way.entry(host).or_default();
        (*count < HANDSHAKES_PER_HOST_MAX).then(|| {
            *count += 1;
            Visit { hosts: self.clone(), host }
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut under_way = self.hosts.0.lock();
        if let Some(count) = under_way.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.host);
            }
        }
    }
}

/// Returns once told to stop, or when nobody can tell any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error: the sender is gone.
    let _ = stop.wait_for(|told| *told).await;
}

async fn handshake<L: Listener>(
    stream: L::Stream,
    tls: &Tls,
) -> Result<(TlsStream<L::Stream>, Certificate), Refused> {
    L::prepare(&stream).map_err(Refused::Socket)?;
    let shaking = TlsAcceptor::from(tls.server()).accept(stream);
    let stream = match timeout(HANDSHAKE_MAX, shaking).await {
        Ok(shaken) => shaken.map_err(Refused::Tls)?,
        Err(_) => return Err(Refused::Slow),
    };
    let (_, session) = stream.get_ref();
    let first = session.peer_certificates().and_then(|chain| chain.first());
    let certificate = first.and_then(|der| Certificate::read(der).ok()).ok_or(Refused::Certificate)?;
    Ok((stream, certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_share_of_the_handshakes_and_gives_it_back() {
        let hosts = Hosts::default();
        let begin = |address: &str| hosts.begin(address.parse().unwrap());
        let visits: Vec<_> = (0..HANDSHAKES_PER_HOST_MAX).map(|_| begin("10.0.0.1").unwrap()).collect();
        assert!(begin("10.0.0.1").is_none() && begin("::ffff:10.0.0.1").is_none());
        assert!(begin("10.0.0.2").is_some());
        drop(visits);
        assert!(begin("10.0.0.1").is_some());
        // The host of a network of IPv6 is the network.
        let visits: Vec<_> =
            (0..HANDSHAKES_PER_HOST_MAX).map(|n| begin(&format!("2001:db8::{n:x}")).unwrap()).collect();
        assert!(begin("2001:db8::ffff").is_none() && begin("2001:db8:0:1::1").is_some());
        drop(visits);
        assert!(hosts.0.lock().is_empty());
    }
}
