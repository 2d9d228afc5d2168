//! The engine of one node: its links, and what operators ask of them.

mod create;
mod failover;

use std::collections::BTreeMap;
use std::sync::Arc;

use carrick_sys::Task;
use carrick_types::{ClusterId, Known, LinkId, NodeId, Partition, Timestamp, TopicId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{error, info};

pub use create::{CreateLink, CreateMirrors, CreatedLink, CreatedMirrors, MirrorOutcome, Mutation};
pub use failover::{FailedOver, Failover, PartitionLoss, TopicLoss};

use crate::destination::{Link, RecordError};
use crate::event::{Event, EventError, LinkView, Mirror};
use crate::ports::{Connection, LedgerError, Ports, SinkError};
use crate::source::{Host, Sessions};
use crate::status::{Lag, LinkStatus, MirrorStatus, Observed, PartitionStatus};

/// Who this node is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Event(String),
    #[error("mirror {topic} could not be made: {source}")]
    Sink { topic: String, source: SinkError },
    #[error("there is no link {name:?}: `carrick link list` shows those there are")]
    NoLink { name: String },
    #[error("link {name:?} exists, and is another one: choose another name")]
    LinkExists { name: String },
    #[error("{what}")]
    Invalid { what: String },
    #[error("link {name:?} is not connected ({reason}): try again when `carrick link list` shows it is")]
    NotConnected { name: String, reason: String },
    #[error("none of the mirrors can be opened: {}", refusals.join("; "))]
    NothingToOpen { refusals: Vec<String> },
    #[error("none of the topics can be mirrored: {}", refusals.join("; "))]
    NothingToMirror { refusals: Vec<String> },
}

impl From<RecordError> for EngineError {
    fn from(failed: RecordError) -> Self {
        match failed {
            RecordError::Ledger(failed) => Self::Ledger(failed),
            RecordError::Event(failed) => failed.into(),
        }
    }
}

impl From<EventError> for EngineError {
    fn from(failed: EventError) -> Self {
        Self::Event(failed.to_string())
    }
}

/// The first heartbeat after a partition began may have been on its way before: it does not know of it.
const BEATS_MIN: u64 = 2;

/// As the last heartbeat had it; unknown where that one did not know of the partition.
fn lag_of(observed: &Observed, topic: TopicId, partition: Partition) -> Known<Lag> {
    match observed.lagging.get(&(topic, partition)) {
        Some(told) => Known::Known(told.lag),
        None if observed.lagging_omitted => Known::Unknown,
        None => match observed.running.get(&(topic, partition)) {
            Some(began) if observed.beats >= began + BEATS_MIN => Known::Known(Lag::default()),
            _ => Known::Unknown,
        },
    }
}

/// One event of a link's ledger, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    pub link: String,
    pub number: u64,
    pub at: Timestamp,
    pub who: String,
    pub what: String,
}

struct Running {
    link: Arc<Link>,
    _task: Task,
}

/// The links of one node, both those that write here and those that read here.
pub struct Engine {
    ports: Ports,
    identity: Identity,
    host: Arc<Host>,
    links: Mutex<BTreeMap<LinkId, Running>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    stop: watch::Sender<bool>,
    accepted: Mutex<Vec<Task>>,
}

impl Engine {
    /// Folds the ledgers, finishes what was decided before and not done, and keeps a session per link from here on.
    pub async fn open(ports: Ports, identity: Identity) -> Result<Arc<Self>, EngineError> {
        let host = Host {
            sys: ports.sys.clone(),
            source: Arc::clone(&ports.source),
            identity,
            sessions: Sessions::default(),
        };
        let engine = Arc::new(Self {
            identity,
            host: Arc::new(host),
            links: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
            stop: watch::channel(false).0,
            accepted: Mutex::default(),
            ports,
        });
        for id in engine.ports.ledger.links()? {
            let view = LinkView::fold(id, &engine.ports.ledger.read(id)?)?;
            engine.make_mirrors(&view).await;
            let link = engine.start(view);
            engine.finish_openings(&link).await;
        }
        Ok(engine)
    }

    /// Makes the topics of decided mirrors; those that stand already stay as they are.
    async fn make_mirrors(&self, view: &LinkView) {
        for mirror in view.mirrors.values().map(|it| &it.definition) {
            if self.ports.sink.partition(mirror.topic, Partition(0)).is_some() {
                continue;
            }
            if let Err(failed) = self.ports.sink.create(view.mirror_topic(mirror)).await {
                error!(topic = %mirror.name, error = %failed, "a mirror that was decided cannot be made: it is tried again at the next start");
            }
        }
    }

    fn start(&self, view: LinkView) -> Arc<Link> {
        let (id, name) = (view.id, view.name.clone());
        let (link, inbox) = Link::new(self.ports.clone(), self.identity, view);
        let running = Arc::clone(&link).run(inbox, self.stop.subscribe());
        let task = self.ports.sys.spawn.spawn("link", Box::pin(running));
        self.links.lock().insert(id, Running { link: Arc::clone(&link), _task: task });
        info!(link = name, %id, "link started");
        link
    }

    /// Takes a connection that a peer opened.
    pub fn accept(&self, connection: Connection) {
        let accepting = Arc::clone(&self.host).accept(connection);
        let task = self.ports.sys.spawn.spawn("link accept", Box::pin(accepting));
        let mut accepted = self.accepted.lock();
        accepted.retain(|task| !task.is_finished());
        accepted.push(task);
    }

    /// Ends all sessions.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        self.links.lock().clear();
        self.accepted.lock().clear();
    }

    fn link(&self, name: &str) -> Option<Arc<Link>> {
        let links = self.links.lock();
        links.values().find(|it| it.link.view.lock().name == name).map(|it| Arc::clone(&it.link))
    }

    fn all(&self) -> Vec<Arc<Link>> {
        self.links.lock().values().map(|it| Arc::clone(&it.link)).collect()
    }

    pub fn links(&self) -> Vec<LinkStatus> {
        self.all().iter().map(|link| self.status_of(link)).collect()
    }

    fn status_of(&self, link: &Link) -> LinkStatus {
        let now = self.ports.sys.clock.now();
        let view = link.view.lock();
        let observed = link.observed.lock();
        LinkStatus {
            id: view.id,
            name: view.name.clone(),
            peer: view.peer.clone(),
            peer_cluster: view.peer_cluster,
            state: observed.state,
            reason: observed.reason.clone(),
            heard: observed.heard.map(|at| now.since(at)),
        }
    }

    /// What happened to a link, in order: number, time, who, what.
    pub fn journal(&self) -> Result<Vec<JournalEntry>, EngineError> {
        let mut entries = Vec::new();
        for link in self.all() {
            let (id, name) = {
                let view = link.view.lock();
                (view.id, view.name.clone())
            };
            for (number, stored) in self.ports.ledger.read(id)?.iter().enumerate() {
                let event = Event::decode(stored)?;
                let what = event.what.to_string();
                entries.push(JournalEntry {
                    link: name.clone(),
                    number: number as u64,
                    at: event.at,
                    who: event.who,
                    what,
                });
            }
        }
        Ok(entries)
    }

    /// Of all links.
    pub fn mirrors(&self) -> Vec<MirrorStatus> {
        self.all().iter().flat_map(|link| self.mirrors_of(link)).collect()
    }

    fn mirrors_of(&self, link: &Link) -> Vec<MirrorStatus> {
        let now = self.ports.sys.clock.now();
        let view = link.view.lock();
        let observed = link.observed.lock();
        let status = |topic, partition| {
            let heard = observed.source_high.get(&(topic, partition)).map(|(high, at)| {
                // What did not move since is as fresh as the last "nothing else changed".
                let fresh = observed.quiet.ok().map_or(*at, |quiet| quiet.max(*at));
                (*high, now.since(fresh))
            });
            PartitionStatus {
                partition,
                offsets: None,
                source_high: heard.map_or(Known::Unknown, Known::Known),
                lag: lag_of(&observed, topic, partition),
            }
        };
        // Said of the state itself, or else of the first partition that waits.
        let said = |mirror: &Mirror| {
            let topic = mirror.definition.topic;
            let mut waiting = observed.waiting.range((topic, Partition(0))..=(topic, Partition(u32::MAX)));
            match waiting.next().filter(|_| mirror.code.is_empty() && mirror.opening.is_none()) {
                Some(((_, partition), (code, why))) => {
                    (code.clone(), format!("partition {partition} waits: {why}"))
                }
                None => (mirror.code.clone(), mirror.message.clone()),
            }
        };
        let mirrors = view.mirrors.values().map(|mirror| (mirror, said(mirror)));
        let mirrors = mirrors.map(|(mirror, (code, message))| MirrorStatus {
            topic: mirror.definition.topic,
            name: mirror.definition.name.to_string(),
            link: view.name.clone(),
            state: mirror.state,
            code,
            message,
            partitions: (0..mirror.definition.partitions)
                .map(|it| status(mirror.definition.topic, Partition(it)))
                .collect(),
        });
        let mut mirrors: Vec<MirrorStatus> = mirrors.collect();
        // A stuck disk may hold a partition's lock: the link's own are given back before it is asked.
        drop((view, observed));
        for mirror in &mut mirrors {
            for it in &mut mirror.partitions {
                it.offsets = self.ports.sink.partition(mirror.topic, it.partition).map(|open| open.offsets());
            }
        }
        mirrors
    }
}
