//! The ledger of a link: its events, how they are stored, and what they fold to.
//!
//! An event is stored as one byte of version and the event in postcard's format. New kinds go to the end of the enum.

use std::collections::BTreeMap;

use carrick_types::{
    ClusterId, LeaderEpoch, LineageId, LinkId, MirrorState, Offset, Partition, Timestamp, TopicId, TopicName,
};
use serde::{Deserialize, Serialize};

use crate::ports::MirrorTopic;

const VERSION: u8 = 1;
/// Requests that are remembered, so that a repeat changes nothing.
const REQUESTS_MAX: usize = 1_000;

/// What the caller drew for a change.
pub(crate) type RequestId = [u8; 16];

/// A mirror as decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorDefinition {
    pub topic: TopicId,
    pub name: TopicName,
    pub source_topic: TopicId,
    pub lineage: LineageId,
    pub partitions: u32,
    pub configs: BTreeMap<String, String>,
    pub epoch: LeaderEpoch,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub at: Timestamp,
    /// The operator, or the engine itself.
    pub who: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    LinkCreated {
        request: RequestId,
        name: String,
        peer: String,
        connections: u32,
        /// Which groups' positions follow.
        groups: String,
    },
    /// The peer's cluster, learnt once: another one behind the same address is refused from then on.
    PeerLearnt {
        cluster: ClusterId,
    },
    /// One decision, whatever the number of mirrors.
    MirrorsCreated {
        request: RequestId,
        mirrors: Vec<MirrorDefinition>,
    },
    MirrorsMoved {
        topics: Vec<TopicId>,
        to: MirrorState,
        code: String,
        message: String,
    },
    /// One decision, whatever the number of mirrors: they are opened, whatever happens to this node meanwhile.
    FailedOver {
        request: RequestId,
        mirrors: Vec<Opening>,
    },
    /// The source set a group back, and the mirror followed.
    GroupWentBack {
        group: String,
        topic: TopicName,
        partition: Partition,
        from: Offset,
        to: Offset,
    },
}

/// What was decided of one mirror, and the numbers then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub topic: TopicId,
    /// Its first epoch as a topic of this site.
    pub epoch: LeaderEpoch,
    pub partitions: Vec<OpeningPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpeningPartition {
    /// Kept: everything below.
    pub end: Offset,
    /// At least that many offsets are lost; None is unknown.
    pub lost_offsets: Option<u64>,
    pub lost_bytes: Option<u64>,
    pub lost_ms: Option<u64>,
    /// How long before the source was heard last; None is never.
    pub heard_ms: Option<u64>,
    pub open_transactions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    #[error(
        "an event of the ledger is of version {found}, this program knows {VERSION}: start a newer carrickd"
    )]
    Newer { found: u8 },
    #[error("an event of the ledger is damaged: {what}")]
    Damaged { what: String },
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LinkCreated { name, peer, connections, groups, .. } => {
                write!(f, "link {name} made to {peer} over {connections} connections, with groups {groups}")
            }
            Self::GroupWentBack { group, topic, partition, from, to } => {
                write!(
                    f,
                    "group {group} went back from {from} to {to} in {topic}-{partition}, as its source has it"
                )
            }
            Self::PeerLearnt { cluster } => write!(f, "the peer is cluster {cluster}"),
            Self::MirrorsCreated { mirrors, .. } => {
                let names: Vec<_> = mirrors.iter().map(|it| it.name.as_str()).collect();
                write!(f, "mirrors made: {}", names.join(", "))
            }
            Self::MirrorsMoved { topics, to, code, message } => {
                write!(f, "{} mirrors became {to}", topics.len())?;
                if code.is_empty() { Ok(()) } else { write!(f, " ({code}: {message})") }
            }
            Self::FailedOver { mirrors, .. } => {
                let partitions = || mirrors.iter().flat_map(|it| &it.partitions);
                let known: u64 = partitions().filter_map(|it| it.lost_offsets).sum();
                let unknown = partitions().filter(|it| it.lost_offsets.is_none()).count();
                write!(f, "failover of {} mirrors decided: at least {known} offsets lost", mirrors.len())?;
                if unknown > 0 { write!(f, ", and of {unknown} partitions it is not known") } else { Ok(()) }
            }
        }
    }
}

impl Event {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EventError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|e| EventError::Damaged { what: e.to_string() })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        let damaged = |what: String| EventError::Damaged { what };
        match bytes.split_first() {
            None => Err(damaged("it is empty".into())),
            Some((&VERSION, form)) => match postcard::take_from_bytes(form) {
                Ok((event, [])) => Ok(event),
                Ok((_, rest)) => Err(damaged(format!("{} bytes too many", rest.len()))),
                Err(e) => Err(damaged(e.to_string())),
            },
            Some((&found, _)) => Err(EventError::Newer { found }),
        }
    }
}

/// One mirror now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub definition: MirrorDefinition,
    pub state: MirrorState,
    /// Why, where the state is one that asks for it.
    pub code: String,
    pub message: String,
    pub since: Timestamp,
    /// Once it was decided to open it: the decision.
    pub(crate) opening: Option<Opening>,
}

/// What a link's events fold to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    pub id: LinkId,
    pub name: String,
    pub peer: String,
    pub connections: u32,
    /// Which groups' positions follow: a glob.
    pub groups: String,
    pub peer_cluster: Option<ClusterId>,
    /// By the mirror's own topic id.
    pub mirrors: BTreeMap<TopicId, Mirror>,
    /// Events so far: what the next append expects.
    pub(crate) events: u64,
    /// What each request made; the oldest are forgotten.
    requests: BTreeMap<RequestId, (u64, Vec<TopicId>)>,
}

impl LinkView {
    pub(crate) fn empty(id: LinkId) -> Self {
        Self {
            id,
            name: String::new(),
            peer: String::new(),
            connections: 0,
            groups: String::new(),
            peer_cluster: None,
            mirrors: BTreeMap::new(),
            events: 0,
            requests: BTreeMap::new(),
        }
    }

    pub(crate) fn fold(id: LinkId, events: &[impl AsRef<[u8]>]) -> Result<Self, EventError> {
        let mut view = Self::empty(id);
        for event in events {
            view.apply(&Event::decode(event.as_ref())?);
        }
        Ok(view)
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        match &event.what {
            What::LinkCreated { request, name, peer, connections, groups } => {
                (self.name, self.peer, self.connections) = (name.clone(), peer.clone(), *connections);
                self.groups = groups.clone();
                self.remember(*request, Vec::new());
            }
            What::PeerLearnt { cluster } => self.peer_cluster = Some(*cluster),
            What::MirrorsCreated { request, mirrors } => {
                self.remember(*request, mirrors.iter().map(|it| it.topic).collect());
                for definition in mirrors {
                    let mirror = Mirror {
                        definition: definition.clone(),
                        state: MirrorState::Creating,
                        code: String::new(),
                        message: String::new(),
                        since: event.at,
                        opening: None,
                    };
                    self.mirrors.insert(definition.topic, mirror);
                }
            }
            What::MirrorsMoved { topics, to, code, message } => {
                for topic in topics {
                    if let Some(mirror) = self.mirrors.get_mut(topic) {
                        mirror.state = *to;
                        (mirror.code, mirror.message) = (code.clone(), message.clone());
                        mirror.since = event.at;
                    }
                }
            }
            What::GroupWentBack { .. } => {}
            What::FailedOver { request, mirrors } => {
                self.remember(*request, mirrors.iter().map(|it| it.topic).collect());
                self.open(event.at, mirrors);
            }
        }
        self.events += 1;
    }

    fn open(&mut self, at: Timestamp, openings: &[Opening]) {
        for opening in openings {
            if let Some(mirror) = self.mirrors.get_mut(&opening.topic) {
                mirror.state = MirrorState::FailingOver;
                (mirror.code, mirror.message) = (String::new(), String::new());
                mirror.since = at;
                mirror.opening = Some(opening.clone());
            }
        }
    }

    fn remember(&mut self, request: RequestId, made: Vec<TopicId>) {
        self.requests.insert(request, (self.events, made));
        if self.requests.len() > REQUESTS_MAX
            && let Some(oldest) = self.requests.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| *id)
        {
            self.requests.remove(&oldest);
        }
    }

    /// The topics that a request made, if it was carried out before.
    pub(crate) fn request(&self, request: &RequestId) -> Option<&[TopicId]> {
        self.requests.get(request).map(|(_, made)| made.as_slice())
    }

    pub(crate) fn mirror_topic(&self, definition: &MirrorDefinition) -> MirrorTopic {
        MirrorTopic {
            id: definition.topic,
            name: definition.name.clone(),
            lineage: definition.lineage,
            partitions: definition.partitions,
            configs: definition.configs.clone(),
            epoch: definition.epoch,
            link: self.id,
            link_name: self.name.clone(),
            source_topic: definition.source_topic,
        }
    }
}

#[cfg(test)]
mod tests;
