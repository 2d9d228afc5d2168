//! What can be seen of a node from outside: kept so that looking never waits for a disk.
//!
//! Numbers that are behind locks which a write to the disk may hold are taken by a thread of their own, when somebody
//! asks, and every few seconds. Who asks waits for them a moment, and else gets the last ones; their ages go on.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carrick_catalog::{Catalog, NodeRecord};
use carrick_link::{Engine, LinkStatus, MirrorStatus};
use carrick_log::{Damage, Durability, LogStore, Role};
use carrick_node::Node;
use carrick_serve::Drain;
use carrick_sys::Budget;
use carrick_tls::{Refusals, Tls};
use carrick_types::Partition;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::warn;

use crate::metrics::Metrics;

/// Without being asked.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// For new numbers, before the last ones are given.
const SAMPLE_MAX: Duration = Duration::from_millis(50);
/// Between two looks at what only a disk can say.
const DISK_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Open,
    Stopping,
}

/// A port that speaks TLS, or refuses.
#[derive(Clone)]
pub struct Port {
    pub name: String,
    pub tls: Option<Tls>,
    pub refusals: Refusals,
}

/// The parts of an open node that are looked at.
struct Parts {
    logs: Arc<LogStore>,
    catalog: Arc<Catalog>,
    engine: Arc<Engine>,
    budget: Budget,
    drain: Drain,
}

/// Numbers of one moment. What is an age in them was so then.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    pub topics: usize,
    pub partitions: usize,
    pub unsynced: u64,
    pub budget_free: usize,
    pub budget_total: usize,
    pub kafka_connections: usize,
    pub links: Vec<LinkStatus>,
    pub mirrors: Vec<MirrorStatus>,
    /// Topics with links that take no writes: they wait for a peer's word.
    pub waiting: Vec<String>,
    /// Damaged places of the logs: the topic's name, the place, whether the partition is offline.
    pub damaged: Vec<(String, Damage, bool)>,
}

impl Sample {
    /// What was this old then is so old now.
    pub fn now(&self, age: Duration) -> Duration {
        age + self.at.elapsed()
    }
}

/// What only a disk can say.
#[derive(Clone, Debug)]
pub struct DiskSample {
    pub at: Instant,
    /// Bytes of the data directory's file system: all, and those that this process may take.
    pub space: Option<(u64, u64)>,
    /// By port: its certificate's files are not what is in use.
    pub stale: Vec<(String, bool)>,
}

pub struct Eyes {
    pub data: PathBuf,
    pub durability: Durability,
    began: Instant,
    pub began_at: Duration,
    phase: Mutex<Phase>,
    /// Of the node, and whether its last end was clean; once open.
    pub node: Mutex<Option<(NodeRecord, bool)>>,
    parts: Mutex<Option<Arc<Parts>>>,
    ports: Mutex<Vec<Port>>,
    sampled: watch::Sender<Option<Arc<Sample>>>,
    wanted: SyncSender<()>,
    disk: Mutex<Option<DiskSample>>,
    metrics: Metrics,
}

impl Eyes {
    /// Of a node that is starting. Once per process.
    pub fn new(data: PathBuf, durability: Durability) -> io::Result<Arc<Self>> {
        let (wanted, asked) = sync_channel(1);
        let eyes = Arc::new(Self {
            data,
            durability,
            began: Instant::now(),
            began_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            phase: Mutex::new(Phase::Starting),
            node: Mutex::default(),
            parts: Mutex::default(),
            ports: Mutex::default(),
            sampled: watch::channel(None).0,
            wanted,
            disk: Mutex::default(),
            metrics: Metrics::install()?,
        });
        let weak = Arc::downgrade(&eyes);
        std::thread::Builder::new()
            .name("carrick-eyes".into())
            .spawn(move || keep_sampling(&weak, &asked))?;
        Ok(eyes)
    }

    /// Its listeners accept.
    pub fn open(&self, node: &Node, drain: &Drain, ports: Vec<Port>) {
        *self.node.lock() = Some((node.catalog.node(), node.clean));
        *self.parts.lock() = Some(Arc::new(Parts {
            logs: Arc::clone(&node.logs),
            catalog: Arc::clone(&node.catalog),
            engine: Arc::clone(&node.links),
            budget: node.budget.clone(),
            drain: drain.clone(),
        }));
        *self.ports.lock() = ports;
        *self.phase.lock() = Phase::Open;
    }

    /// It was told to stop: clients should go.
    pub fn stopping(&self) {
        *self.phase.lock() = Phase::Stopping;
    }

    /// Lets go of the node. What was seen last is still told.
    pub fn close(&self) {
        self.parts.lock().take();
    }

    fn parts(&self) -> Option<Arc<Parts>> {
        self.parts.lock().clone()
    }

    pub fn ports(&self) -> Vec<Port> {
        self.ports.lock().clone()
    }

    pub fn disk(&self) -> Option<DiskSample> {
        self.disk.lock().clone()
    }

    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Why nothing is acknowledged any more.
    pub fn halted(&self) -> Option<String> {
        self.parts()?.logs.halted()
    }

    /// New numbers, or the last ones, if a lock that they need is not free in time.
    pub async fn sample(&self) -> Option<Arc<Sample>> {
        let mut sampled = self.sampled.subscribe();
        if self.parts().is_some() {
            // One that is asked for already will do.
            let _ = self.wanted.try_send(());
            let _ = tokio::time::timeout(SAMPLE_MAX, sampled.changed()).await;
        }
        sampled.borrow().clone()
    }

    /// Looks at the disk now and every few seconds, for ever.
    pub async fn follow_disk(self: Arc<Self>) {
        loop {
            let eyes = Arc::clone(&self);
            // A disk that hangs holds this thread, and nobody else.
            let _ = tokio::task::spawn_blocking(move || eyes.look_at_disk()).await;
            tokio::time::sleep(DISK_EVERY).await;
        }
    }

    fn look_at_disk(&self) {
        let space = match rustix::fs::statvfs(&self.data) {
            Ok(it) => {
                Some((it.f_blocks.saturating_mul(it.f_frsize), it.f_bavail.saturating_mul(it.f_frsize)))
            }
            Err(e) => {
                // Said once.
                if self.disk().is_none_or(|it| it.space.is_some()) {
                    warn!(data = %self.data.display(), error = %e, "the free space of the disk is not known");
                }
                None
            }
        };
        let stale =
            self.ports().into_iter().filter_map(|port| Some((port.name, port.tls?.stale()))).collect();
        *self.disk.lock() = Some(DiskSample { at: Instant::now(), space, stale });
    }
}

impl carrick_serve::Eyes for Eyes {
    fn health(&self) -> Result<(), String> {
        match self.halted() {
            None => Ok(()),
            Some(why) => Err(format!("a sync failed, nothing is acknowledged any more: {why}")),
        }
    }

    fn ready(&self) -> Result<(), String> {
        let phase = *self.phase.lock();
        match phase {
            Phase::Starting => Err("starting".into()),
            Phase::Open => self.health(),
            Phase::Stopping => Err("stopping".into()),
        }
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        Box::pin(async {
            let sample = self.sample().await;
            self.metrics.render(self, sample.as_deref())
        })
    }
}

fn keep_sampling(eyes: &Weak<Eyes>, asked: &Receiver<()>) {
    loop {
        if let Err(RecvTimeoutError::Disconnected) = asked.recv_timeout(SAMPLE_EVERY) {
            return;
        }
        let Some(eyes) = eyes.upgrade() else { return };
        if let Some(parts) = eyes.parts() {
            let sample = parts.sample();
            eyes.sampled.send_replace(Some(Arc::new(sample)));
        }
    }
}

impl Parts {
    fn damaged(&self) -> Vec<(String, Damage, bool)> {
        let named = |damage: &Damage| {
            let topic = self.catalog.topic_by_id(damage.topic);
            topic.map_or_else(|| damage.topic.to_string(), |it| it.name.to_string())
        };
        self.logs.damages().into_iter().map(|(it, offline)| (named(&it), it, offline)).collect()
    }

    /// May wait for a partition that is being written.
    fn sample(&self) -> Sample {
        // Before the looking: ages are rather too long than too short.
        let at = Instant::now();
        let topics = self.catalog.topics();
        let waits = topics.iter().filter(|topic| {
            let role = self.logs.partition(topic.id, Partition(0)).map(|it| it.role());
            !topic.links.is_empty() && topic.mirror.is_none() && role == Some(Role::Closed)
        });
        Sample {
            at,
            topics: topics.len(),
            partitions: self.catalog.partitions(),
            unsynced: self.logs.unsynced(),
            budget_free: self.budget.free(),
            budget_total: self.budget.total(),
            kafka_connections: self.drain.open(),
            waiting: waits.map(|topic| topic.name.to_string()).collect(),
            damaged: self.damaged(),
            links: self.engine.links(),
            mirrors: self.engine.mirrors(),
        }
    }
}

#[cfg(test)]
mod tests;
