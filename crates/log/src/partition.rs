//! One partition's log.

mod append;
mod read;
mod readable;

pub use append::{AppendError, Appended, MirrorError};
pub use read::{Bound, ReadError, Slice, TimeAnswer};
pub use readable::Behind;

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use carrick_record::{ControlKind, Header};
use carrick_sys::{Durable, Waiters, Wake};
use carrick_types::{
    DurableEnd, Generation, HighWatermark, LastStable, LeaderEpoch, LogEnd, LogStart, Offset, Offsets,
    Partition as Index, ProducerEpoch, ProducerId, Timestamp, TopicId,
};
use parking_lot::{Mutex, MutexGuard};

use crate::digest::Digest;
use crate::epochs::{EpochEnd, Epochs};
use crate::page::PAGE_LEN;
use crate::partition::readable::Readable;
use crate::producers::Producers;
use crate::segment::Segment;
use crate::store::{Durability, Shared};
use crate::transactions::{Aborted, Transactions};

/// Who may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients; their batches carry this epoch.
    Writable { epoch: LeaderEpoch },
    /// The link alone, with batches of generations up to this one.
    Mirror { generation: Generation },
    /// Nobody, until the peer was heard or an operator acts.
    Closed,
    /// Nobody: another site writes the topic since.
    Superseded,
    /// Nobody: the topic was deleted.
    Gone,
}

/// A place in a segment that does not hold what it should. The partition is offline; nothing of it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic} partition {partition} is damaged: {file} at byte {position}: {what}")]
pub struct Damage {
    pub topic: TopicId,
    pub partition: Index,
    pub file: String,
    pub position: u64,
    pub what: String,
}

/// Why a wait for durability ends without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    #[error("a sync of the data directory failed ({what}): restart carrickd once the disk is well")]
    Halted { what: String },
    #[error("the topic was deleted")]
    Gone,
}

pub(crate) struct Place {
    pub topic: TopicId,
    pub partition: Index,
    pub dir: PathBuf,
}

pub(crate) struct Inner {
    pub role: Role,
    /// By base offset; empty until the first append.
    pub segments: Vec<Segment>,
    pub start: Offset,
    pub end: Offset,
    pub durable: Offset,
    /// On a mirror: the source's high watermark, as last heard.
    pub source_high: Option<Offset>,
    pub digest: Digest,
    pub producers: Producers,
    pub transactions: Transactions,
    pub epochs: Epochs,
    pub damage: Option<Damage>,
    pub readable: Readable,
    pub waiters: Waiters,
    /// What the waiters were last woken for: high watermark, last stable offset, durable end.
    pub told: [Offset; 3],
    /// Written and not yet handed to a sync.
    pub unsynced: u64,
    pub dirty: Vec<Arc<dyn Durable>>,
    pub active_dirty: bool,
    pub queued: bool,
    pub this: Weak<Partition>,
}

impl Inner {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            segments: Vec::new(),
            start: Offset::ZERO,
            end: Offset::ZERO,
            durable: Offset::ZERO,
            source_high: None,
            digest: Digest::default(),
            producers: Producers::default(),
            transactions: Transactions::default(),
            epochs: Epochs::default(),
            damage: None,
            readable: Readable::default(),
            waiters: Waiters::default(),
            told: [Offset::ZERO; 3],
            unsynced: 0,
            dirty: Vec::new(),
            active_dirty: false,
            queued: false,
            this: Weak::new(),
        }
    }

    /// Takes note of a batch that stands in the active segment.
    pub(crate) fn note(
        &mut self,
        header: &Header,
        control: Option<ControlKind>,
        after: Digest,
        at: Timestamp,
    ) {
        if let Some(segment) = self.segments.last_mut() {
            segment.note(header, self.digest);
        }
        self.digest = after;
        if let Some(epoch) = LeaderEpoch::new(header.leader_epoch) {
            self.epochs.note(epoch, header.base_offset);
        }
        self.producers.note(header, at);
        if let Some(id) = header.producer_id
            && header.is_transactional()
        {
            match control {
                None if !header.is_control() => self.transactions.data(id, header.base_offset),
                Some(ControlKind::Abort) => self.transactions.end(id, header.base_offset, false),
                Some(ControlKind::Commit) => self.transactions.end(id, header.base_offset, true),
                Some(ControlKind::Other(_)) | None => {}
            }
        }
        self.end = header.next_offset();
    }
}

/// One partition's log. Cheap to share; every call is short, and only reading and waiting are awaited.
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
    pub(crate) place: Place,
    inner: Mutex<Inner>,
}

impl Partition {
    pub(crate) fn new(shared: Arc<Shared>, place: Place, inner: Inner) -> Arc<Self> {
        Arc::new(Self { shared, place, inner: Mutex::new(inner) })
    }

    pub fn topic(&self) -> TopicId {
        self.place.topic
    }

    pub fn index(&self) -> Index {
        self.place.partition
    }

    pub fn offsets(&self) -> Offsets {
        self.offsets_of(&self.inner.lock())
    }

    pub fn role(&self) -> Role {
        self.inner.lock().role
    }

    /// The epoch that clients are told: a writable partition's own, a mirror's newest.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        let inner = self.inner.lock();
        match inner.role {
            Role::Writable { epoch } => epoch,
            Role::Mirror { .. } | Role::Closed | Role::Superseded | Role::Gone => {
                inner.epochs.last().unwrap_or_default()
            }
        }
    }

    /// The largest time of any batch; none of an empty log.
    pub fn max_time(&self) -> Option<Timestamp> {
        let inner = self.inner.lock();
        inner.segments.iter().map(|segment| segment.max_time).max().filter(|time| *time > Timestamp::NONE)
    }

    /// The epoch of the newest batch; a writable partition's own epoch may be above it.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.inner.lock().epochs.last()
    }

    /// Where the largest epoch at or below `epoch` ends.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let inner = self.inner.lock();
        inner.epochs.end_of(epoch, inner.end)
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.inner.lock().epochs.at(offset)
    }

    /// Base offsets of up to `count` newest batches, oldest first.
    pub fn newest(&self, count: usize) -> Vec<Offset> {
        let inner = self.inner.lock();
        let newest = inner.segments.iter().rev().flat_map(|segment| segment.newest().rev());
        let mut bases: Vec<_> = newest.take(count).collect();
        bases.reverse();
        bases
    }

    /// How far somebody is behind who has everything below `offset`; None if not at all.
    pub fn behind(&self, offset: Offset) -> Option<Behind> {
        let inner = self.inner.lock();
        let high = self.high(&inner);
        if offset >= high {
            return None;
        }
        // Nothing that is readable now has no mark but what was before this node began.
        let (since, or_before) = inner.readable.since(offset).unwrap_or((self.shared.sys.clock.wall(), true));
        Some(Behind { offsets: high.since(offset), bytes: bytes_from(&inner, offset), since, or_before })
    }

    /// Bytes from the batch that holds `offset` to the log's end; at most that many.
    pub fn bytes_from(&self, offset: Offset) -> u64 {
        let inner = self.inner.lock();
        if offset >= inner.end { 0 } else { bytes_from(&inner, offset) }
    }

    /// The sum over all batches to the log's end.
    pub fn digest(&self) -> Digest {
        self.inner.lock().digest
    }

    pub fn damage(&self) -> Option<Damage> {
        self.inner.lock().damage.clone()
    }

    /// Transactions that were aborted and touch `from..to`.
    pub fn aborted_within(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        self.inner.lock().transactions.aborted_within(from, to)
    }

    /// Open transactions: producer and first offset.
    pub fn open_transactions(&self) -> Vec<(ProducerId, Offset)> {
        self.inner.lock().transactions.open()
    }

    /// The producers of open transactions, with the newest epoch of each.
    pub fn open_producers(&self) -> Vec<(ProducerId, ProducerEpoch)> {
        let inner = self.inner.lock();
        let open = inner.transactions.open().into_iter();
        open.map(|(id, _)| (id, inner.producers.epoch_of(id).unwrap_or_default())).collect()
    }

    /// Wakes `wake` at the next move of any offset, once.
    pub fn watch(&self, wake: &Wake) {
        self.inner.lock().waiters.register(wake);
    }

    /// Changes who may append.
    pub fn set_role(&self, role: Role) {
        let mut inner = self.inner.lock();
        if inner.role != Role::Gone {
            inner.role = role;
        }
        if !matches!(role, Role::Mirror { .. }) {
            inner.source_high = None;
        }
        inner.waiters.wake_all();
    }

    /// Returns once everything below `end` is acknowledged as the node's durability has it: at `fsync` it would survive a
    /// power cut, at `os` a kill of the process.
    pub async fn acknowledged(&self, end: Offset) -> Result<(), WaitError> {
        match self.shared.settings.durability {
            Durability::Os => Ok(()),
            Durability::Fsync => self.durable(end).await,
        }
    }

    /// Returns once everything below `end` would survive a power cut.
    pub async fn durable(&self, end: Offset) -> Result<(), WaitError> {
        let wake = Wake::new();
        loop {
            {
                let mut inner = self.inner.lock();
                if inner.durable >= end {
                    return Ok(());
                }
                if let Some(what) = self.shared.halted() {
                    return Err(WaitError::Halted { what });
                }
                if inner.role == Role::Gone {
                    return Err(WaitError::Gone);
                }
                inner.waiters.register(&wake);
            }
            wake.woken().await;
        }
    }

    /// What the next sync has to make durable, and what that will have made so.
    pub(crate) fn take_dirty(&self, into: &mut Vec<Arc<dyn Durable>>) -> (Offset, u64) {
        let mut inner = self.inner.lock();
        inner.queued = false;
        into.append(&mut inner.dirty);
        if std::mem::take(&mut inner.active_dirty)
            && let Some(active) = inner.segments.last()
        {
            into.push(Arc::clone(&active.file).as_durable());
        }
        (inner.end, std::mem::take(&mut inner.unsynced))
    }

    pub(crate) fn set_durable(&self, end: Offset) {
        let mut inner = self.inner.lock();
        inner.durable = inner.durable.max(end.min(inner.end));
        self.moved(&mut inner);
    }

    pub(crate) fn wake_all(&self) {
        self.inner.lock().waiters.wake_all();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// After any change of an offset.
    pub(crate) fn moved(&self, inner: &mut Inner) {
        let high = self.high(inner);
        inner.transactions.settle(high);
        let offsets = self.offsets_of(inner);
        let fsync = self.shared.settings.durability == Durability::Fsync;
        debug_assert!(offsets.ordered(fsync), "the five offsets keep their order: {offsets:?}");
        let moved = [offsets.high_watermark.at(), offsets.last_stable.at(), offsets.durable_end.at()];
        if moved != inner.told {
            if moved[0] != inner.told[0] {
                inner.readable.note(moved[0], self.shared.sys.clock.wall());
            }
            inner.told = moved;
            inner.waiters.wake_all();
        }
    }

    fn high(&self, inner: &Inner) -> Offset {
        let own = match self.shared.settings.durability {
            Durability::Fsync => inner.durable,
            Durability::Os => inner.end,
        };
        let high = match inner.role {
            Role::Mirror { .. } => inner.source_high.map_or(inner.start, |source| source.min(own)),
            Role::Writable { .. } | Role::Closed | Role::Superseded | Role::Gone => own,
        };
        high.max(inner.start)
    }

    fn offsets_of(&self, inner: &Inner) -> Offsets {
        let high = self.high(inner);
        let stable = inner.transactions.first_unstable(high).map_or(high, |first| first.min(high));
        Offsets {
            log_start: LogStart::new(inner.start),
            last_stable: LastStable::new(stable.max(inner.start)),
            high_watermark: HighWatermark::new(high),
            log_end: LogEnd::new(inner.end),
            durable_end: DurableEnd::new(inner.durable),
        }
    }
}

fn bytes_from(inner: &Inner, offset: Offset) -> u64 {
    let first = inner.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1);
    let segments = inner.segments.iter().skip(first).enumerate();
    let bytes = segments.map(|(at, segment)| match at {
        0 => segment.end.saturating_sub(segment.position_of(offset)),
        _ => segment.end.saturating_sub(PAGE_LEN as u64),
    });
    bytes.sum()
}
