//! One partition's log.

mod append;
mod load;
mod read;
mod readable;
mod save;
mod start;
mod times;

pub use append::{AppendError, Appended, MirrorError};
pub(crate) use load::{IndexMaker, Step, kind_of};
pub use read::{Bound, ReadError, Slice};
pub use readable::Behind;
pub(crate) use save::Snapshot;
pub use start::StartError;
pub use times::TimeAnswer;

use std::collections::VecDeque;
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
use crate::partition::read::{HINTS, Hint};
use crate::partition::readable::Readable;
use crate::partition::save::Saving;
use crate::producers::Producers;
use crate::segment::{Active, Sealed};
use crate::settings::{Durability, TopicLog};
use crate::store::Shared;
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

/// Newest batches whose places are remembered, so that a reader at the tail reads no more than it needs.
const NEWEST_MAX: usize = 64;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DamageKind {
    /// Bytes are not what was written.
    Corrupt,
    /// It belongs to another place, or is of a layout that is not known.
    Foreign,
    /// It is not there.
    Missing,
    /// It is older than what the node knows of it, as after a restore of a copy.
    Stale,
    /// A sync of it had failed, and it could not be written again.
    Unwritten,
}

impl DamageKind {
    /// The code that operators look up.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Corrupt => "LOG_CORRUPT",
            Self::Foreign => "LOG_FOREIGN",
            Self::Missing => "LOG_MISSING",
            Self::Stale => "LOG_STALE",
            Self::Unwritten => "LOG_UNWRITTEN",
        }
    }
}

/// A place in a segment that does not hold what it should. Nothing of it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: topic {topic} partition {partition} is damaged: {file} at byte {position}: {what}", .kind.code())]
pub struct Damage {
    pub kind: DamageKind,
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
    pub settings: TopicLog,
    /// By base offset.
    pub sealed: Vec<Sealed>,
    /// None until the next append.
    pub active: Option<Active>,
    /// The newest batches, oldest first: offset, segment, position.
    pub newest: VecDeque<(Offset, Offset, u64)>,
    /// What the newest of them states.
    pub newest_crc: u32,
    /// Where readers stopped last: they go on there.
    pub hints: [Option<Hint>; HINTS],
    pub next_hint: usize,
    pub start: Offset,
    pub end: Offset,
    pub durable: Offset,
    /// On a mirror: the source's high watermark, as last heard.
    pub source_high: Option<Offset>,
    /// And where its log begins.
    pub source_start: Offset,
    pub digest: Digest,
    pub producers: Producers,
    pub transactions: Transactions,
    pub epochs: Arc<Epochs>,
    /// The partition is offline.
    pub damage: Option<Damage>,
    /// Places that readers found damaged; around them it works.
    pub wounds: Vec<Damage>,
    pub readable: Readable,
    pub waiters: Waiters,
    /// What the waiters were last woken for: high watermark, last stable offset, durable end.
    pub told: [Offset; 3],
    /// Written and not yet handed to a sync.
    pub unsynced: u64,
    pub dirty: Vec<Arc<dyn Durable>>,
    /// The active segment, if it has un-synced writes.
    pub active_dirty: Option<Arc<dyn Durable>>,
    pub queued: bool,
    /// A sync of what it handed in is under way.
    pub syncing: bool,
    /// Somebody waits for that, whatever the offsets do.
    pub flushing: bool,
    pub saving: Saving,
    pub this: Weak<Partition>,
}

impl Inner {
    pub(crate) fn new(role: Role, settings: TopicLog) -> Self {
        Self {
            role,
            settings,
            sealed: Vec::new(),
            active: None,
            newest: VecDeque::new(),
            newest_crc: 0,
            hints: [None; HINTS],
            next_hint: 0,
            start: Offset::ZERO,
            end: Offset::ZERO,
            durable: Offset::ZERO,
            source_high: None,
            source_start: Offset::ZERO,
            digest: Digest::default(),
            producers: Producers::default(),
            transactions: Transactions::default(),
            epochs: Arc::default(),
            damage: None,
            wounds: Vec::new(),
            readable: Readable::default(),
            waiters: Waiters::default(),
            told: [Offset::ZERO; 3],
            unsynced: 0,
            dirty: Vec::new(),
            active_dirty: None,
            queued: false,
            syncing: false,
            flushing: false,
            saving: Saving::default(),
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
        if let Some(active) = &mut self.active {
            if self.newest.len() == NEWEST_MAX {
                self.newest.pop_front();
            }
            self.newest.push_back((header.base_offset, active.base, active.end));
            self.newest_crc = header.crc;
            active.note(header, self.digest);
        }
        self.digest = after;
        if let Some(epoch) = LeaderEpoch::new(header.leader_epoch)
            && self.epochs.last().is_none_or(|last| last < epoch)
        {
            Arc::make_mut(&mut self.epochs).note(epoch, header.base_offset);
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
        self.saving.bytes += header.size() as u64;
    }

    /// The position of the batch that holds `offset` or of a boundary before it, if it is among the newest.
    fn newest_at(&self, offset: Offset) -> Option<(Offset, Offset, u64)> {
        let after = self.newest.partition_point(|(base, ..)| *base <= offset);
        after.checked_sub(1).and_then(|at| self.newest.get(at)).copied()
    }

    /// Bytes of all segments, without their first pages.
    pub(crate) fn bytes(&self) -> u64 {
        let ends = self.sealed.iter().map(|it| it.end).chain(self.active.iter().map(|it| it.end));
        ends.map(|end| end.saturating_sub(PAGE_LEN as u64)).sum()
    }
}

/// One partition's log. Cheap to share; every call is short, and only reading and waiting are awaited.
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
    pub(crate) place: Place,
    /// Held by who writes to the partition's files, and taken before [`Inner`]: a disk that is stuck holds up writers alone.
    pub(crate) files: Mutex<()>,
    /// Never held over a write.
    inner: Mutex<Inner>,
}

impl Partition {
    pub(crate) fn new(shared: Arc<Shared>, place: Place, inner: Inner) -> Arc<Self> {
        Arc::new(Self { shared, place, files: Mutex::default(), inner: Mutex::new(inner) })
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
        let times =
            inner.sealed.iter().map(|it| it.max_time).chain(inner.active.iter().map(|it| it.max_time));
        times.max().filter(|time| *time > Timestamp::NONE)
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

    /// Base offsets of up to `count` newest batches, oldest first; at least one where the newest segment has any.
    pub fn newest(&self, count: usize) -> Vec<Offset> {
        let inner = self.inner.lock();
        let skip = inner.newest.len().saturating_sub(count);
        inner.newest.iter().skip(skip).map(|(base, ..)| *base).filter(|base| *base >= inner.start).collect()
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

    /// Why the partition is offline.
    pub fn damage(&self) -> Option<Damage> {
        self.inner.lock().damage.clone()
    }

    /// Places that readers found damaged, while all around them works; the first of them.
    pub fn wounds(&self) -> Vec<Damage> {
        self.inner.lock().wounds.clone()
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

    /// Changes who may append. What is being written stands before it returns.
    pub fn set_role(&self, role: Role) {
        let _turn = self.files.lock();
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

    /// Returns once all that was written here is durable, names too, which no offset speaks of.
    pub(crate) async fn flushed(&self) -> Result<(), WaitError> {
        let wake = Wake::new();
        loop {
            {
                let mut inner = self.inner.lock();
                if !inner.queued && !inner.syncing {
                    return Ok(());
                }
                if let Some(what) = self.shared.halted() {
                    return Err(WaitError::Halted { what });
                }
                if inner.role == Role::Gone {
                    return Err(WaitError::Gone);
                }
                inner.flushing = true;
                inner.waiters.register(&wake);
            }
            wake.woken().await;
        }
    }

    pub(crate) fn set_durable(&self, end: Offset) {
        let mut inner = self.inner.lock();
        inner.syncing = false;
        if std::mem::take(&mut inner.flushing) {
            inner.waiters.wake_all();
        }
        inner.durable = inner.durable.max(end.min(inner.end));
        self.moved(&mut inner);
        self.begin_where_source_does(&mut inner);
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
    let page = PAGE_LEN as u64;
    if let Some((_, base, position)) = inner.newest_at(offset)
        && let Some(active) = inner.active.as_ref().filter(|it| it.base == base)
    {
        return active.end - position;
    }
    let active = inner.active.as_ref().map_or(0, |it| match it.index.at(offset) {
        Some(entry) if it.base <= offset => it.end - entry.position,
        _ => it.end - page,
    });
    let behind = inner.sealed.partition_point(|it| it.next <= offset);
    active + inner.sealed.iter().skip(behind).map(|it| it.end.saturating_sub(page)).sum::<u64>()
}
