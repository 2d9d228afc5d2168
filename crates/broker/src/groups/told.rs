//! Answers, and what they rest on: none leaves before that is durable.

use std::sync::Arc;

use carrick_catalog::Commit;
use carrick_wire::{ErrorCode, Response};
use futures::FutureExt as _;
use tokio::sync::oneshot;
use tracing::error;

use super::World;
use crate::broker::{Begun, Reply};

/// An answer that may leave once a commit is durable.
#[derive(Debug)]
pub(super) struct Told<T> {
    pub answer: T,
    pub after: Commit,
}

/// Where a member's answer goes; nobody may be left to hear it.
pub(super) type Tell<T> = oneshot::Sender<Told<T>>;

/// An answer of one of the groups' requests, which can say that there is none.
pub(super) trait Refusable: Into<Response> + Send + 'static {
    /// The same answer with this error instead of what it says.
    fn refused(self, code: ErrorCode) -> Self;
}

impl World {
    /// The answer as soon as its commit is durable.
    pub(super) fn reply<T: Refusable>(self: &Arc<Self>, told: Told<T>) -> Begun {
        let world = Arc::clone(self);
        async move { Reply::from(world.settled(told).await) }.boxed()
    }

    /// The answer that somebody will tell; `unheard`, with an error, if that one goes without a word.
    pub(super) fn reply_later<T: Refusable>(
        self: &Arc<Self>,
        told: oneshot::Receiver<Told<T>>,
        unheard: T,
    ) -> Begun {
        let world = Arc::clone(self);
        async move {
            Reply::from(match told.await {
                Ok(told) => world.settled(told).await,
                Err(_) => unheard.refused(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            })
        }
        .boxed()
    }

    async fn settled<T: Refusable>(&self, told: Told<T>) -> T {
        match self.catalog.durable_to(told.after, &*self.sys.disk).await {
            Ok(()) => told.answer,
            Err(failed) => {
                error!(error = %failed, "a group's change may be lost, and is not told");
                told.answer.refused(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        }
    }
}
