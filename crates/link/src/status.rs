//! What a link and its mirrors look like now, for those who ask.

use std::collections::BTreeMap;
use std::time::Duration;

use carrick_types::{ClusterId, Known, LinkId, MirrorState, Offset, Offsets, Partition, TopicId};

/// Of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    #[default]
    Connecting,
    Connected,
    /// The peer, or this node, would not: trying goes on.
    Refused,
}

impl LinkState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Refused => "REFUSED",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    pub id: LinkId,
    pub name: String,
    pub peer: String,
    pub peer_cluster: Option<ClusterId>,
    pub state: LinkState,
    /// Why the last session ended or none began.
    pub reason: String,
    /// Since the peer was last heard.
    pub heard: Known<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorStatus {
    pub topic: TopicId,
    pub name: String,
    pub link: String,
    pub state: MirrorState,
    pub code: String,
    pub message: String,
    pub partitions: Vec<PartitionStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    pub partition: Partition,
    /// None where the log cannot be opened.
    pub offsets: Option<Offsets>,
    /// The source's high watermark, as last heard, and how long ago that was.
    pub source_high: Known<(Offset, Duration)>,
    pub lag: Known<Lag>,
}

/// How far a mirror's partition was behind when its source was heard last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// An upper bound of records.
    pub offsets: u64,
    /// At most that many.
    pub bytes: u64,
    /// By the source's clock: since when it had something readable that was not acknowledged.
    pub time: Duration,
    /// It may be longer: the source has started since.
    pub or_more: bool,
}

/// A source's word on one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub acknowledged: Offset,
    pub lag: Lag,
}

/// What sessions leave for those who ask.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub state: LinkState,
    pub reason: String,
    pub heard: Known<carrick_sys::Mono>,
    pub source_high: BTreeMap<(TopicId, Partition), (Offset, carrick_sys::Mono)>,
    /// What the last heartbeat said of those that lag; of the others it said that they do not.
    pub lagging: BTreeMap<(TopicId, Partition), Told>,
    /// Of that heartbeat: some were too many to be named.
    pub lagging_omitted: bool,
    /// Of this session.
    pub beats: u64,
    /// Partitions that go on, each with the heartbeats that had been heard when it began to: of the others the source says
    /// nothing.
    pub running: BTreeMap<(TopicId, Partition), u64>,
    /// Up to when "nothing else changed" is known.
    pub quiet: Known<carrick_sys::Mono>,
    /// Partitions that could not go on and are asked for again: code and words.
    pub waiting: BTreeMap<(TopicId, Partition), (String, String)>,
}
