//! Topics.
//!
//! | key | family | value |
//! |---|---|---|
//! | `topic/` + name | catalog | [`TopicRecord`] |

use std::collections::BTreeMap;

use carrick_types::{Generation, LeaderEpoch, LineageId, LinkId, Timestamp, TopicId, TopicName};
use serde::{Deserialize, Serialize};

use crate::value::Stored;

pub(crate) const PREFIX: &[u8] = b"topic/";

pub(crate) fn key(name: &TopicName) -> Vec<u8> {
    [PREFIX, name.as_str().as_bytes()].concat()
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    pub id: TopicId,
    pub name: TopicName,
    /// Born with the topic; a mirror has its source's.
    pub lineage: LineageId,
    pub partitions: u32,
    /// What was set; a key that is absent has the node's default.
    pub configs: BTreeMap<String, String>,
    /// The epoch that this topic's next batch carries.
    pub epoch: LeaderEpoch,
    pub created: Timestamp,
    /// Of a mirror: the link that writes it, and what it mirrors there.
    pub mirror: Option<MirrorOf>,
    /// The links whose source this topic is: after a start it waits for their word.
    pub links: Vec<LinkId>,
    /// The generation in which another site writes this topic.
    pub superseded: Option<Generation>,
}

/// Where a mirror comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorOf {
    pub link: LinkId,
    pub link_name: String,
    /// The source's topic, by which a re-creation is noticed.
    pub source_topic: TopicId,
}

impl Stored for TopicRecord {
    const ENTITY: &'static str = "a topic";
    const VERSION: u8 = 1;
}
