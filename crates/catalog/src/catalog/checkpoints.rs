//! The catalog as the home of partitions' checkpoints.

use bytes::Bytes;
use carrick_types::{Partition, TopicId};

use super::{Catalog, CatalogError, Commit};
use crate::checkpoint;
use crate::store::{Family, Write};

/// One piece of a partition's checkpoint; None takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub topic: TopicId,
    pub partition: Partition,
    pub number: u64,
    pub value: Option<Bytes>,
}

impl Catalog {
    /// All pieces of a partition, by number.
    pub fn checkpoint(
        &self,
        topic: TopicId,
        partition: Partition,
    ) -> Result<Vec<(u64, Bytes)>, CatalogError> {
        let pairs = self.store.scan(Family::Progress, &checkpoint::of_partition(topic, partition))?;
        Ok(pairs
            .into_iter()
            .filter_map(|(key, value)| Some((checkpoint::piece_of(&key)?, value.into())))
            .collect())
    }

    /// All of `pieces` or none. Those of a topic that is not there any more are left out.
    pub fn save_checkpoints(&self, pieces: Vec<Piece>) -> Result<Commit, CatalogError> {
        let mut state = self.state.write();
        let there = pieces.into_iter().filter(|piece| state.names.contains_key(&piece.topic));
        let writes = there.map(|piece| {
            let key = checkpoint::key(piece.topic, piece.partition, piece.number);
            match piece.value {
                Some(value) => Write::Put { family: Family::Progress, key, value: value.into() },
                None => Write::Delete { family: Family::Progress, key },
            }
        });
        let writes = writes.collect();
        self.commit(&mut state, writes)
    }

    /// Of a topic that goes.
    pub(super) fn forget_checkpoints(&self, topic: TopicId) -> Result<Vec<Write>, CatalogError> {
        let pairs = self.store.scan(Family::Progress, &checkpoint::of_topic(topic))?;
        Ok(pairs.into_iter().map(|(key, _)| Write::Delete { family: Family::Progress, key }).collect())
    }
}
