//! What the engine is given of the world.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_proto::Encoded;
use carrick_record::Batch;
use carrick_sys::{Budget, Claim, Mono, Sys, Wake};
use carrick_types::{
    Generation, LeaderEpoch, LineageId, LinkId, Offset, Offsets, Partition, Timestamp, TopicId, TopicName,
};
use futures::future::BoxFuture;
use futures::{FutureExt as _, pin_mut, select_biased};
use tokio::sync::mpsc;

use crate::hello::CREDIT_BYTES;

/// A topic as its cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTopic {
    pub name: TopicName,
    pub id: TopicId,
    pub lineage: LineageId,
    pub partitions: u32,
    pub configs: BTreeMap<String, String>,
    pub epoch: LeaderEpoch,
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("offset {asked} is not within {start} to {end}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
    #[error("{what}")]
    Damaged { what: String },
    #[error("the disk could not be read")]
    Disk(#[from] io::Error),
}

/// A cluster that is read.
pub trait Source: Send + Sync + 'static {
    fn topics(&self) -> Vec<SourceTopic>;

    fn topic(&self, name: &str) -> Option<SourceTopic>;

    fn partition(&self, topic: TopicId, partition: Partition) -> Option<Arc<dyn SourcePartition>>;

    /// The positions of all groups in the topics that a link reads; durable, all of them.
    fn groups(&self, link: LinkId) -> BoxFuture<'_, Result<Vec<SourceGroup>, SinkError>>;

    /// Remembers that a link reads this topic; durable when it returns.
    fn note_link(&self, topic: TopicId, link: LinkId) -> BoxFuture<'_, Result<(), SinkError>>;

    /// What a link's destination says of itself: the topics that it opened for writing are written here no more, the others
    /// of this link may be. Durable when it returns.
    fn hear(&self, link: LinkId, opened: Vec<Opened>) -> BoxFuture<'_, Result<(), SinkError>>;
}

/// A consumer group at its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    pub id: String,
    /// Within the time after which groups expire: if it is gone next time, it was deleted.
    pub young: bool,
    pub positions: BTreeMap<(TopicId, Partition), Position>,
}

/// Where a group goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: Offset,
    /// The client's own words.
    pub metadata: String,
}

/// A topic that the other side of a link opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    pub source_topic: TopicId,
    pub lineage: LineageId,
    pub generation: Generation,
}

/// What somebody who has everything below an offset is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    pub offsets: u64,
    /// At most that many.
    pub bytes: u64,
    /// When the first of it became readable.
    pub since: Timestamp,
    /// It may have been earlier.
    pub or_before: bool,
}

pub trait SourcePartition: Send + Sync + 'static {
    fn offsets(&self) -> Offsets;

    fn leader_epoch(&self) -> LeaderEpoch;

    /// Where the largest epoch at or below `epoch` ends; None below the first.
    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<Offset>;

    /// How far somebody is behind who has everything below `offset`; None if not at all.
    fn behind(&self, offset: Offset) -> Option<Behind>;

    /// Whether the topic was deleted.
    fn gone(&self) -> bool;

    /// Wakes at the next move of any offset, once.
    fn watch(&self, wake: &Wake);

    /// Whole batches below the high watermark from the one that holds `from`, at most `max` bytes, but one always; and the
    /// offset after them.
    fn read(&self, from: Offset, max: usize) -> BoxFuture<'_, Result<(Bytes, Offset), SourceError>>;
}

/// A topic to be made as a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTopic {
    pub id: TopicId,
    pub name: TopicName,
    pub lineage: LineageId,
    pub partitions: u32,
    pub configs: BTreeMap<String, String>,
    pub epoch: LeaderEpoch,
    pub link: LinkId,
    pub link_name: String,
    pub source_topic: TopicId,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Going on would not be exact.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    /// It may go on later.
    #[error("{message}")]
    Unavailable { message: String },
}

/// A cluster that is written.
pub trait Sink: Send + Sync + 'static {
    /// The topic of that name, if there is one.
    fn named(&self, name: &str) -> Option<TopicId>;

    /// A topic of that lineage, if there is one.
    fn of_lineage(&self, lineage: LineageId) -> Option<TopicName>;

    /// Makes a mirror; durable when it returns, and nothing new if it stands already.
    fn create(&self, topic: MirrorTopic) -> BoxFuture<'_, Result<(), SinkError>>;

    fn partition(&self, topic: TopicId, partition: Partition) -> Option<Arc<dyn SinkPartition>>;

    /// Writes positions of a group in mirrors; durable when it returns. Refused while the group is active here: it has
    /// members, or a client committed within `quiet`.
    fn write_group<'a>(
        &'a self,
        group: &'a str,
        positions: Vec<(TopicName, Partition, Position)>,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Where a group goes on here.
    fn group_offset(&self, group: &str, topic: &TopicName, partition: Partition) -> Option<Offset>;

    /// Groups that a link wrote positions of in these topics, and that would not have expired at the source.
    fn synced_groups(&self, topics: &[TopicName]) -> Vec<String>;

    /// Deletes a group whose source deleted it; refused as [`Sink::write_group`] is.
    fn delete_group<'a>(&'a self, group: &'a str, quiet: Duration) -> BoxFuture<'a, Result<(), SinkError>>;

    /// Gives up what was put by for a failover, if the disk has no room for one.
    fn make_room(&self) -> BoxFuture<'_, ()>;

    /// Makes a mirror an ordinary topic that clients write with this epoch: its open transactions are aborted first. Durable
    /// when it returns, and nothing new if it was done before.
    fn open(&self, topic: TopicId, epoch: LeaderEpoch) -> BoxFuture<'_, Result<(), SinkError>>;
}

pub trait SinkPartition: Send + Sync + 'static {
    fn offsets(&self) -> Offsets;

    fn last_epoch(&self) -> Option<LeaderEpoch>;

    /// Transactions that have begun and not ended.
    fn open_transactions(&self) -> usize;

    /// Bytes from `offset` to the log's end; at most that many.
    fn bytes_from(&self, offset: Offset) -> u64;

    /// Up to `count` newest batches, oldest first.
    fn newest(&self, count: usize) -> BoxFuture<'_, Result<Vec<Batch>, SourceError>>;

    /// Where an empty mirror begins.
    fn start_at(&self, start: Offset);

    /// Whether a start after a crash finds the log to begin where it does now, if it finds what is written after this call.
    fn start_saved(&self) -> bool;

    /// Appends a batch, whose checksum was verified, at its own offset. In the page cache when it returns; [`Self::watch`]
    /// tells when it is durable.
    fn append(&self, batch: &Batch, now: Timestamp) -> Result<(), SinkError>;

    fn set_source_high(&self, high: Offset);

    /// The source's log begins at `start`: what stands below goes here too, once readers here have been there.
    fn follow_start(&self, start: Offset);

    fn watch(&self, wake: &Wake);
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger was appended to by somebody else meanwhile: try again")]
    Moved,
    #[error("the ledger cannot be written: {what}")]
    Failed { what: String },
}

/// Where a link's events are kept.
pub trait Ledger: Send + Sync + 'static {
    fn links(&self) -> Result<Vec<LinkId>, LedgerError>;

    fn read(&self, link: LinkId) -> Result<Vec<Bytes>, LedgerError>;

    /// Appends if exactly `expected` events are there; durable when it returns.
    fn append(&self, link: LinkId, expected: u64, event: Bytes) -> BoxFuture<'_, Result<(), LedgerError>>;
}

/// Held of what a dialled connection brought and nobody has worked on: all that a link's credit lets under way.
pub(crate) const DIALLED_WAITING_MAX: usize = CREDIT_BYTES as usize;
/// Of a connection that a peer opened: it brings no records.
pub(crate) const ACCEPTED_WAITING_MAX: usize = 2 << 20;

/// A message, and when it came: whoever works on it may have been held up by a disk.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub at: Mono,
    pub bytes: Bytes,
    _room: Claim,
}

pub(crate) type Inbox = mpsc::UnboundedReceiver<Arrived>;

/// One ordered pair of streams of encoded Envelopes to a peer. Dropping an end cuts it; both ends see a cut as the end of
/// `incoming`.
pub struct Connection {
    pub outgoing: mpsc::Sender<Encoded>,
    pub incoming: mpsc::Receiver<Bytes>,
    /// For logs.
    pub peer: String,
}

impl Connection {
    /// Takes what comes off the line as it comes, whatever its reader waits for; at most `waiting_max` bytes.
    pub(crate) fn listen(self, sys: &Sys, waiting_max: usize) -> (mpsc::Sender<Encoded>, Inbox, String) {
        let Self { outgoing, mut incoming, peer } = self;
        let (taken, inbox) = mpsc::unbounded_channel();
        let clock = Arc::clone(&sys.clock);
        let listening = async move {
            let room = Budget::new(waiting_max);
            loop {
                let next = async {
                    let bytes = incoming.recv().await?;
                    let at = clock.now();
                    let room = room.claim(bytes.len()).await;
                    Some(Arrived { at, bytes, _room: room })
                };
                let (next, gone) = (next.fuse(), taken.closed().fuse());
                pin_mut!(next, gone);
                let arrived = select_biased! {
                    () = gone => return,
                    arrived = next => arrived,
                };
                let Some(arrived) = arrived else { return };
                if taken.send(arrived).is_err() {
                    return;
                }
            }
        };
        sys.prompt.spawn("link ears", Box::pin(listening)).detach();
        (outgoing, inbox, peer)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DialError {
    pub message: String,
}

/// Makes connections to peers.
pub trait Dialer: Send + Sync + 'static {
    /// `peer` as the operator gave it.
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>>;
}

#[derive(Clone)]
pub struct Ports {
    pub source: Arc<dyn Source>,
    pub sink: Arc<dyn Sink>,
    pub ledger: Arc<dyn Ledger>,
    pub dialer: Arc<dyn Dialer>,
    pub sys: Sys,
}
