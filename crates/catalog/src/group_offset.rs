//! Offsets that groups committed.
//!
//! | key | family | value |
//! |---|---|---|
//! | `offset/` + group id + 0 + topic + 0 + partition (4, big-endian) | catalog | [`OffsetRecord`] |
//!
//! No topic has a 0 in its name, so that a key is read from its end, whatever the group's id.

use carrick_types::{LeaderEpoch, Offset, Partition, Timestamp, TopicName};
use serde::{Deserialize, Serialize};

use crate::value::Stored;

pub(crate) const PREFIX: &[u8] = b"offset/";

pub(crate) fn key(group: &str, topic: &TopicName, partition: Partition) -> Vec<u8> {
    let (group, topic) = (group.as_bytes(), topic.as_str().as_bytes());
    [PREFIX, group, &[0], topic, &[0], &partition.0.to_be_bytes()].concat()
}

/// The group, the topic and the partition of a key.
pub(crate) fn parts_of(key: &[u8]) -> Option<(&str, TopicName, Partition)> {
    let (rest, partition) = key.strip_prefix(PREFIX)?.split_last_chunk::<4>()?;
    let rest = rest.strip_suffix(&[0])?;
    let zero = rest.iter().rposition(|byte| *byte == 0)?;
    let (group, topic) = (rest.get(..zero)?, rest.get(zero + 1..)?);
    let topic = std::str::from_utf8(topic).ok()?.parse().ok()?;
    Some((std::str::from_utf8(group).ok()?, topic, Partition(u32::from_be_bytes(*partition))))
}

/// How far a group has read one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRecord {
    /// The next to read.
    pub offset: Offset,
    /// Of the last record that was read, if the client said it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own words.
    pub metadata: String,
    pub committed: Timestamp,
    /// Set by old clients, which may ask for a time of their own.
    pub expires: Option<Timestamp>,
    /// Written by a link for a group of its source, and not by a client here.
    pub synced: bool,
}

impl Stored for OffsetRecord {
    const ENTITY: &'static str = "a group's offset";
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_whatever_the_group_is_called() {
        let topic: TopicName = "orders".parse().unwrap();
        for group in ["g", "", "a/b", "with\0zero", "grüße", "offset/"] {
            let key = key(group, &topic, Partition(0x0001_0200));
            assert_eq!(parts_of(&key), Some((group, topic.clone(), Partition(0x0001_0200))));
        }
        assert_eq!(parts_of(b"offset/"), None);
        assert_eq!(parts_of(b"offset/g\0bad name\0\0\0\0\x01"), None);
    }
}
