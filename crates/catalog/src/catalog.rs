//! The catalog in memory, written through to its store.

mod checkpoints;
mod durable;
mod groups;

pub use self::checkpoints::Piece;
pub use self::durable::Commit;
pub use self::groups::GroupOffsets;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use carrick_sys::{Entropy, id_bytes};
use carrick_types::{ClusterId, LinkId, NodeId, ProducerId, TopicId, TopicName};
use parking_lot::RwLock;

use self::durable::Synced;
use self::groups::Groups;
use crate::ledger;
use crate::node::{self, NodeRecord};
use crate::store::{Family, Store, StoreError, Write};
use crate::topic::{self, TopicRecord};
use crate::value::{self, Stored, ValueError};

/// Producer counters reserved by one commit: a restart skips what is left of them.
const PRODUCER_BLOCK: u32 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Value(#[from] ValueError),
    #[error("topic {name} exists")]
    TopicExists { name: TopicName },
    #[error("topic {name} does not exist")]
    NoTopic { name: TopicName },
    #[error("topic {name} was changed by somebody else meanwhile: try again")]
    Changed { name: TopicName },
    #[error("the ledger of link {link} was appended to by somebody else meanwhile: try again")]
    LedgerMoved { link: LinkId },
    #[error("all 4,294,967,295 producer ids of this cluster are given")]
    ProducersExhausted,
    #[error("the catalog could not be made durable: restart carrickd once the disk is well")]
    NotDurable { source: io::Error },
}

struct State {
    node: NodeRecord,
    /// The next counter to give, below `node.producer_next`.
    producer_counter: u32,
    topics: BTreeMap<TopicName, Arc<TopicRecord>>,
    names: BTreeMap<TopicId, TopicName>,
    groups: Groups,
}

/// What exists. Reads are from memory; a change is committed before it is visible, and durable after
/// [`Catalog::durable`].
pub struct Catalog {
    store: Arc<dyn Store>,
    state: RwLock<State>,
    synced: Arc<Synced>,
    on_durable: OnceLock<OnDurable>,
}

type OnDurable = Box<dyn Fn(u64) + Send + Sync>;

impl Catalog {
    /// Reads everything; a store that holds no node yet becomes a new cluster of one node, durable before this returns.
    /// Blocking.
    pub fn open(store: Arc<dyn Store>, entropy: &dyn Entropy) -> Result<Self, CatalogError> {
        let node = match store.get(Family::Catalog, node::KEY)? {
            Some(stored) => value::decode::<NodeRecord>(&stored)?,
            None => {
                let node = NodeRecord {
                    cluster: ClusterId::from_bytes(id_bytes(entropy)),
                    node: NodeId::from_bytes(id_bytes(entropy)),
                    producer_space: (entropy.u64() >> 33) as u32,
                    producer_next: 0,
                    clean: true,
                    commits: 1,
                };
                store.commit(vec![put(node::KEY.to_vec(), &node)?])?;
                store.sync()?;
                node
            }
        };
        let mut topics = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (_, stored) in store.scan(Family::Catalog, topic::PREFIX)? {
            let topic = value::decode::<TopicRecord>(&stored)?;
            names.insert(topic.id, topic.name.clone());
            topics.insert(topic.name.clone(), Arc::new(topic));
        }
        let groups = Groups::load(&*store)?;
        let synced = Arc::new(Synced::default());
        // What was there may have survived a kill only: nothing is known to be durable yet.
        synced.wrote(Commit(node.commits));
        let state = State { node, producer_counter: node.producer_next, topics, names, groups };
        Ok(Self { store, state: RwLock::new(state), synced, on_durable: OnceLock::new() })
    }

    pub fn node(&self) -> NodeRecord {
        self.state.read().node
    }

    pub fn topic(&self, name: &str) -> Option<Arc<TopicRecord>> {
        self.state.read().topics.get(name).cloned()
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<Arc<TopicRecord>> {
        let state = self.state.read();
        state.names.get(&id).and_then(|name| state.topics.get(name)).cloned()
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<Arc<TopicRecord>> {
        self.state.read().topics.values().cloned().collect()
    }

    /// Partitions of all topics.
    pub fn partitions(&self) -> usize {
        self.state.read().topics.values().map(|topic| topic.partitions as usize).sum()
    }

    /// Refused if the name is taken.
    pub fn create_topic(&self, topic: TopicRecord) -> Result<Arc<TopicRecord>, CatalogError> {
        let mut state = self.state.write();
        if state.topics.contains_key(&topic.name) {
            return Err(CatalogError::TopicExists { name: topic.name });
        }
        self.commit(&mut state, vec![put(topic::key(&topic.name), &topic)?])?;
        let topic = Arc::new(topic);
        state.names.insert(topic.id, topic.name.clone());
        state.topics.insert(topic.name.clone(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Replaces a topic's record if it still is `was`.
    pub fn update_topic(
        &self,
        was: &TopicRecord,
        now: TopicRecord,
    ) -> Result<Arc<TopicRecord>, CatalogError> {
        let mut state = self.state.write();
        match state.topics.get(&was.name) {
            Some(current) if **current == *was && now.name == was.name && now.id == was.id => {}
            _ => return Err(CatalogError::Changed { name: was.name.clone() }),
        }
        self.commit(&mut state, vec![put(topic::key(&now.name), &now)?])?;
        let now = Arc::new(now);
        state.topics.insert(now.name.clone(), Arc::clone(&now));
        Ok(now)
    }

    /// And all that groups committed for it, and its partitions' checkpoints.
    pub fn delete_topic(&self, name: &TopicName) -> Result<Arc<TopicRecord>, CatalogError> {
        let mut state = self.state.write();
        let Some(id) = state.topics.get(name).map(|topic| topic.id) else {
            return Err(CatalogError::NoTopic { name: name.clone() });
        };
        let read_by = state.groups.of_topic(name);
        let mut writes = self.forget_checkpoints(id)?;
        writes.extend(vec![Write::Delete { family: Family::Catalog, key: topic::key(name) }]);
        writes
            .extend(read_by.iter().map(|(group, partition)| groups::delete_offset(group, name, *partition)));
        self.commit(&mut state, writes)?;
        state.groups.forget(name, &read_by);
        let gone = state.topics.remove(name).ok_or(CatalogError::NoTopic { name: name.clone() })?;
        state.names.remove(&gone.id);
        Ok(gone)
    }

    /// The links that have a ledger here.
    pub fn ledgers(&self) -> Result<Vec<LinkId>, CatalogError> {
        let mut links: Vec<LinkId> = self
            .store
            .scan(Family::Catalog, ledger::PREFIX)?
            .iter()
            .filter_map(|(key, _)| ledger::link_of(key))
            .collect();
        links.dedup();
        Ok(links)
    }

    /// A link's events, in order.
    pub fn ledger(&self, link: LinkId) -> Result<Vec<Bytes>, CatalogError> {
        let pairs = self.store.scan(Family::Catalog, &ledger::prefix(link))?;
        Ok(pairs.into_iter().map(|(_, event)| event.into()).collect())
    }

    /// Appends to a link's ledger if it holds exactly `expected` events.
    pub fn append_ledger(&self, link: LinkId, expected: u64, event: Bytes) -> Result<(), CatalogError> {
        let mut state = self.state.write();
        // Whole ledgers are short; a compare-and-set reads only whether the last and the next are there.
        let holds = |at: u64| {
            Ok::<_, CatalogError>(self.store.get(Family::Catalog, &ledger::key(link, at))?.is_some())
        };
        if holds(expected)? || (expected > 0 && !holds(expected - 1)?) {
            return Err(CatalogError::LedgerMoved { link });
        }
        let write =
            Write::Put { family: Family::Catalog, key: ledger::key(link, expected), value: event.into() };
        self.commit(&mut state, vec![write]).map(drop)
    }

    /// A producer id that no producer was given. May be told once [`Catalog::durable`] returned.
    pub fn new_producer(&self) -> Result<ProducerId, CatalogError> {
        let mut state = self.state.write();
        let counter = state.producer_counter;
        if counter == u32::MAX {
            return Err(CatalogError::ProducersExhausted);
        }
        if counter >= state.node.producer_next {
            let was = state.node;
            state.node.producer_next = counter.saturating_add(PRODUCER_BLOCK);
            if let Err(failed) = self.commit(&mut state, Vec::new()) {
                state.node = was;
                return Err(failed);
            }
        }
        let id = state.node.producer_id(counter).ok_or(CatalogError::ProducersExhausted)?;
        state.producer_counter += 1;
        Ok(id)
    }

    /// Raises the epoch of every topic and clears the clean mark, in one commit: what a start does before the first write.
    /// `unclean` says whether the last end was none.
    pub fn begin(&self) -> Result<BeginOutcome, CatalogError> {
        let mut state = self.state.write();
        let unclean = !state.node.clean;
        let mut writes = Vec::new();
        let mut raised = Vec::new();
        let mut stuck = Vec::new();
        if unclean {
            // A mirror's epoch is its source's.
            for topic in state.topics.values().filter(|topic| topic.mirror.is_none()) {
                match topic.epoch.after_restart() {
                    Ok(epoch) => {
                        let topic = TopicRecord { epoch, ..TopicRecord::clone(topic) };
                        writes.push(put(topic::key(&topic.name), &topic)?);
                        raised.push(topic);
                    }
                    Err(overflow) => stuck.push((topic.name.clone(), overflow)),
                }
            }
        }
        let was = state.node;
        state.node.clean = false;
        if let Err(failed) = self.commit(&mut state, writes) {
            state.node = was;
            return Err(failed);
        }
        for topic in raised {
            state.topics.insert(topic.name.clone(), Arc::new(topic));
        }
        let begun = Commit(state.node.commits);
        drop(state);
        self.store.sync()?;
        self.synced.made_durable(begun);
        Ok(BeginOutcome { unclean, stuck })
    }

    /// The clean mark: the logs' tails are whole and durable. Blocking.
    pub fn end_clean(&self) -> Result<(), CatalogError> {
        let mut state = self.state.write();
        state.node.clean = true;
        state.node.producer_next = state.producer_counter;
        self.commit(&mut state, Vec::new())?;
        drop(state);
        Ok(self.store.sync()?)
    }

    /// Whether the store takes a change: makes one that says nothing.
    pub fn probe(&self) -> Result<(), CatalogError> {
        let mut state = self.state.write();
        self.commit(&mut state, Vec::new()).map(drop)
    }

    fn commit(&self, state: &mut State, mut writes: Vec<Write>) -> Result<Commit, CatalogError> {
        let counted = NodeRecord { commits: state.node.commits + 1, ..state.node };
        writes.push(put(node::KEY.to_vec(), &counted)?);
        self.store.commit(writes)?;
        state.node = counted;
        self.synced.wrote(Commit(counted.commits));
        Ok(Commit(counted.commits))
    }
}

/// What a start found.
#[derive(Debug)]
pub struct BeginOutcome {
    /// The last end left no clean mark.
    pub unclean: bool,
    /// Topics whose epoch cannot be raised any more: they must not be written.
    pub stuck: Vec<(TopicName, carrick_types::EpochOverflow)>,
}

fn put<T: Stored>(key: Vec<u8>, entity: &T) -> Result<Write, ValueError> {
    Ok(Write::Put { family: Family::Catalog, key, value: value::encode(entity)? })
}

#[cfg(test)]
mod tests;
