//! How clients and onlookers reach a site: whatever lives there now.

use std::sync::Arc;
use std::time::Duration;

use carrick_broker::Broker;
use carrick_catalog::Catalog;
use carrick_link::Engine;
use carrick_log::{LogStore, Partition};
use carrick_node::Node;
use carrick_sim::SimSite;
use carrick_sys::Spawn as _;
use carrick_wire::{Request, Response};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::world::ask;

/// A site from a start to its end.
#[derive(Clone)]
pub struct Life {
    pub broker: Broker,
    pub catalog: Arc<Catalog>,
    pub logs: Arc<LogStore>,
    pub links: Arc<Engine>,
    pub sim: SimSite,
}

impl Life {
    pub fn of(node: &Node, sim: &SimSite) -> Self {
        Self {
            broker: node.broker.clone(),
            catalog: Arc::clone(&node.catalog),
            logs: Arc::clone(&node.logs),
            links: Arc::clone(&node.links),
            sim: sim.clone(),
        }
    }

    pub fn log(&self, topic: &str, partition: u32) -> Option<Arc<Partition>> {
        self.logs.partition(self.catalog.topic(topic)?.id, carrick_types::Partition(partition))
    }
}

/// Closed between a crash and the next start.
#[derive(Default)]
pub struct Door(Mutex<Option<Life>>);

impl Door {
    pub fn open(&self, life: Life) {
        *self.0.lock() = Some(life);
    }

    pub fn close(&self) {
        *self.0.lock() = None;
    }

    pub fn life(&self) -> Option<Life> {
        self.0.lock().clone()
    }

    /// Has the site do something, as one of its tasks: it stops when the site is paused, and ends when it crashes. None if
    /// there is no answer in time; it may be done all the same.
    pub async fn have<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(Life) -> BoxFuture<'static, T>,
    ) -> Option<T> {
        let answer = {
            let life = self.life()?;
            let (told, answer) = oneshot::channel();
            let work = work(life.clone());
            // Who asked may have gone.
            let asked = async move { drop(told.send(work.await)) };
            life.sim.spawn.spawn("request", Box::pin(asked)).detach();
            answer
        };
        tokio::time::timeout(limit, answer).await.ok()?.ok()
    }

    pub async fn ask(&self, version: i16, request: impl Into<Request>, limit: Duration) -> Option<Response> {
        let request = request.into();
        self.have(limit, |life| Box::pin(async move { ask(&life.broker, version, request).await })).await?
    }
}
