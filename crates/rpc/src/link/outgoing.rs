//! The sending half as HTTP/2 wants it: a body that is polled when there is room.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use bytes::buf::Chain;
use carrick_proto::Encoded;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tracing::warn;

use super::connection::Ending;
use super::framing::{BadMessage, frame};

type Polled = Result<Frame<Chain<Bytes, Bytes>>, BadMessage>;

/// What is sent: a session's messages, or nothing.
pub(crate) enum Outgoing {
    Nothing,
    Messages(Queue),
}

/// A session's messages.
pub(crate) struct Queue {
    messages: mpsc::Receiver<Encoded>,
    ending: Ending,
    /// None once told.
    told: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    trailers: Trailers,
    done: bool,
}

/// Whether a good end is said, as gRPC's servers do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trailers {
    Said,
    None,
}

impl Queue {
    pub(crate) fn new(messages: mpsc::Receiver<Encoded>, ending: Ending, trailers: Trailers) -> Self {
        let told = ending.clone();
        let told: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { told.told().await });
        Self { messages, ending, told: Some(told), trailers, done: false }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        if self.done {
            return Poll::Ready(None);
        }
        if self.told.as_mut().is_some_and(|told| told.as_mut().poll(cx).is_ready()) {
            self.told = None;
            // What is queued is sent, and nothing after it.
            self.messages.close();
        }
        if let Some(message) = ready!(self.messages.poll_recv(cx)) {
            let framed = frame(message);
            if let Err(e) = &framed {
                warn!(error = %e, "a link's connection ends: this node made a message that no peer takes");
                self.done = true;
                self.ending.tell();
            }
            return Poll::Ready(Some(framed.map(Frame::data)));
        }
        self.done = true;
        self.ending.tell();
        Poll::Ready(match self.trailers {
            Trailers::None => None,
            Trailers::Said => {
                let mut good = HeaderMap::with_capacity(1);
                good.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(good)))
            }
        })
    }
}

impl Body for Outgoing {
    type Data = Chain<Bytes, Bytes>;
    type Error = BadMessage;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Polled>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Messages(queue) => queue.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Messages(queue) => queue.done,
        }
    }
}
