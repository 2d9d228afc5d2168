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
}

/// What sessions leave for those who ask.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub state: LinkState,
    pub reason: String,
    pub heard: Known<carrick_sys::Mono>,
    pub source_high: BTreeMap<(TopicId, Partition), (Offset, carrick_sys::Mono)>,
    /// Up to when "nothing else changed" is known.
    pub quiet: Known<carrick_sys::Mono>,
}
