//! The futures that hyper would spawn for a dialled connection, kept together: dropped, the connection is cut.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use hyper::rt::Executor;
use tokio::sync::mpsc;

/// Whoever gives work to a [`Crew`]. hyper gives it the connection itself and, for each request, the sending of its body:
/// these outlive the futures that hyper returns, and a peer that takes nothing would keep them for ever.
#[derive(Clone)]
pub(crate) struct Foreman(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

/// Runs what it was given, in one task. Over when all of that is.
pub(crate) struct Crew {
    working: FuturesUnordered<BoxFuture<'static, ()>>,
    hired: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
}

pub(crate) fn crew() -> (Foreman, Crew) {
    let (sender, hired) = mpsc::unbounded_channel();
    (Foreman(sender), Crew { working: FuturesUnordered::new(), hired })
}

impl Crew {
    pub(crate) fn hire(&mut self, work: impl Future + Send + 'static) {
        self.working.push(discard(work));
    }
}

impl<F: Future + Send + 'static> Executor<F> for Foreman {
    fn execute(&self, work: F) {
        // Of a crew that is gone, the work is dropped with it.
        let _ = self.0.send(discard(work));
    }
}

fn discard(work: impl Future + Send + 'static) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        work.await;
    })
}

impl Future for Crew {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            while let Poll::Ready(Some(work)) = this.hired.poll_recv(cx) {
                this.working.push(work);
            }
            match this.working.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                // What was hired meanwhile wakes this task.
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) if this.hired.is_empty() => return Poll::Ready(()),
                Poll::Ready(None) => {}
            }
        }
    }
}
