//! Pieces of partitions' checkpoints, whose form is the log's own.
//!
//! | key | family | value |
//! |---|---|---|
//! | `checkpoint/` + topic id (16) + partition (4, big-endian) + piece (8, big-endian) | progress | a piece |

use carrick_types::{Partition, TopicId};

const PREFIX: &[u8] = b"checkpoint/";

pub(crate) fn of_topic(topic: TopicId) -> Vec<u8> {
    [PREFIX, &topic.bytes()].concat()
}

pub(crate) fn of_partition(topic: TopicId, partition: Partition) -> Vec<u8> {
    [PREFIX, &topic.bytes(), &partition.0.to_be_bytes()].concat()
}

pub(crate) fn key(topic: TopicId, partition: Partition, piece: u64) -> Vec<u8> {
    [of_partition(topic, partition).as_slice(), &piece.to_be_bytes()].concat()
}

/// The piece's number, at the end of its key.
pub(crate) fn piece_of(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|number| u64::from_be_bytes(*number))
}
