//! A connection as `link` sees it, and what joins it to a gRPC stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_proto::Encoded;
use carrick_tls::Role;
use futures::future::{Either, poll_fn, select};
use futures::{FutureExt as _, pin_mut, select_biased};
use http_body::Body;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use super::framing::{BadMessage, Messages};
use super::outgoing::{Outgoing, Queue, Trailers};

/// Waiting in each direction, beside what HTTP/2 has under way.
pub const QUEUE_MESSAGES: usize = 16;
/// For what is queued, once a connection is to end.
pub const GRACE: Duration = Duration::from_secs(1);

/// One ordered pipe of messages to a peer. Either half dropped, or the transport lost, ends both.
#[derive(Debug)]
pub struct Connection {
    /// Waits when the peer is slow; fails once the connection has ended. At most
    /// [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX) a message.
    pub outgoing: mpsc::Sender<Encoded>,
    /// None once the connection has ended; what arrived before is still handed out.
    pub incoming: mpsc::Receiver<Bytes>,
    pub peer: PeerIdentity,
}

/// Who is at the other end, by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The common name first, then hosts and addresses.
    pub names: Vec<String>,
    /// Has `link`.
    pub roles: Vec<Role>,
    /// Its address and port, as this end saw them.
    pub address: String,
}

/// The transport's ends of a [`Connection`]'s channels.
pub(crate) struct Transport {
    pub body: Outgoing,
    pub incoming: mpsc::Sender<Bytes>,
    pub ending: Ending,
}

pub(crate) fn pair(peer: PeerIdentity, ending: Ending, trailers: Trailers) -> (Connection, Transport) {
    let (outgoing, messages) = mpsc::channel(QUEUE_MESSAGES);
    let (sender, incoming) = mpsc::channel(QUEUE_MESSAGES);
    let body = Outgoing::Messages(Queue::new(messages, ending.clone(), trailers));
    (Connection { outgoing, incoming, peer }, Transport { body, incoming: sender, ending })
}

/// Told once this end lets go of a connection, or has read all that comes.
#[derive(Clone, Debug)]
pub(crate) struct Ending(Arc<watch::Sender<bool>>);

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Ending {
    pub(crate) fn tell(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn told(&self) {
        let mut told = self.0.subscribe();
        // The sender lives as long as this does.
        let _ = told.wait_for(|told| *told).await;
    }
}

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
enum End<E> {
    #[error("the peer ended it")]
    ByPeer,
    #[error("this end let go of it")]
    Local,
    #[error("the peer ended it inside a message")]
    Torn,
    #[error("the peer sent {0}")]
    Message(#[from] BadMessage),
    #[error("the transport is lost: {0}")]
    Transport(#[source] E),
}

/// Hands over what comes until either end has enough. Returns when the stream is over.
pub(crate) async fn read<B>(mut body: B, incoming: mpsc::Sender<Bytes>, ending: Ending, peer: String)
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error,
{
    let end = hand_over(&mut body, &incoming, &ending).await;
    debug!(%peer, why = %end, "a link's connection ends");
    drop(incoming);
    ending.tell();
    if matches!(end, End::Local) {
        // Until the peer has ended its half, or the transport is cut: an early reset would overtake what is queued.
        while let Some(Ok(_)) = next_frame(&mut body).await {}
    }
}

async fn hand_over<B>(body: &mut B, incoming: &mpsc::Sender<Bytes>, ending: &Ending) -> End<B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let told = ending.told().fuse();
    let closed = incoming.closed().fuse();
    pin_mut!(told, closed);
    let mut messages = Messages::default();
    loop {
        let frame = {
            let next = next_frame(body).fuse();
            pin_mut!(next);
            select_biased! {
                () = closed => return End::Local,
                () = told => return End::Local,
                frame = next => frame,
            }
        };
        let data = match frame {
            None if messages.is_torn() => return End::Torn,
            None => return End::ByPeer,
            Some(Err(e)) => return End::Transport(e),
            Some(Ok(frame)) => frame.into_data(),
        };
        // Trailers: the end comes next.
        let Ok(data) = data else { continue };
        messages.arrived(data);
        loop {
            let message = match messages.next() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(e) => return e.into(),
            };
            let sent = incoming.send(message).fuse();
            pin_mut!(sent);
            select_biased! {
                () = told => return End::Local,
                sent = sent => if sent.is_err() { return End::Local },
            }
        }
    }
}

async fn next_frame<B: Body + Unpin>(body: &mut B) -> Option<Result<http_body::Frame<B::Data>, B::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Runs an HTTP/2 connection until it is over, or until a while after its session is: then it is cut.
pub(crate) async fn drive<C: Future>(transport: C, ending: Ending, wind_down: impl FnOnce(Pin<&mut C>)) {
    pin_mut!(transport);
    let over = {
        let told = ending.told();
        pin_mut!(told);
        matches!(select(transport.as_mut(), told).await, Either::Left(_))
    };
    if !over {
        wind_down(transport.as_mut());
        // Cut if it takes longer.
        let _ = timeout(GRACE, transport).await;
    }
}
