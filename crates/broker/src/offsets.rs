//! ListOffsets, OffsetForLeaderEpoch.

use carrick_log::{Bound, Partition};
use carrick_types::{LeaderEpoch, Offset, Timestamp};
use carrick_wire::{
    EpochEndOffset, ErrorCode, ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest,
    ListOffsetsResponse, ListOffsetsTopicResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult, Text,
};

use crate::broker::{Ask, Broker, TopicKey, check_epoch};
use crate::fetch::refused;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// KIP-734.
const MAX_TIMESTAMP: i64 = -3;
/// KIP-405: everything is local.
const EARLIEST_LOCAL: i64 = -4;
/// KIP-1005: nothing is tiered.
const LATEST_TIERED: i64 = -5;

impl Broker {
    pub(crate) async fn list_offsets(&self, ask: &Ask, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let bound = if request.isolation_level == 1 { Bound::LastStable } else { Bound::HighWatermark };
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let answer = if request.replica_id >= 0 {
                    Err(ErrorCode::INVALID_REQUEST)
                } else {
                    self.list_offset(ask, &topic.name, asked, bound).await
                };
                partitions.push(match answer {
                    Ok(answer) => {
                        ListOffsetsPartitionResponse { partition_index: asked.partition_index, ..answer }
                    }
                    Err(code) => ListOffsetsPartitionResponse {
                        partition_index: asked.partition_index,
                        error_code: code.code(),
                        ..Default::default()
                    },
                });
            }
            topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
        }
        ListOffsetsResponse { topics, ..Default::default() }
    }

    async fn list_offset(
        &self,
        ask: &Ask,
        topic: &Text,
        asked: &ListOffsetsPartition,
        bound: Bound,
    ) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
        let partition = self.find(topic, asked.partition_index, asked.current_leader_epoch)?;
        let offsets = partition.offsets();
        let at = |offset: Offset| Ok(answer(&partition, offset, Timestamp::NONE));
        match asked.timestamp {
            LATEST if bound == Bound::LastStable => at(offsets.last_stable.at()),
            LATEST => at(offsets.high_watermark.at()),
            EARLIEST => at(offsets.log_start.at()),
            EARLIEST_LOCAL if ask.version >= 8 => at(offsets.log_start.at()),
            LATEST_TIERED if ask.version >= 9 => Ok(ListOffsetsPartitionResponse::default()),
            MAX_TIMESTAMP if ask.version >= 7 => match partition.max_time() {
                Some(time) => self.at_time(&partition, time, bound).await,
                None => Ok(ListOffsetsPartitionResponse::default()),
            },
            time if time >= 0 => self.at_time(&partition, Timestamp(time), bound).await,
            _ => Err(ErrorCode::UNSUPPORTED_VERSION),
        }
    }

    async fn at_time(
        &self,
        partition: &Partition,
        time: Timestamp,
        bound: Bound,
    ) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
        let found = partition.first_at(time, bound).await.map_err(|e| refused(partition, &e))?;
        Ok(found.map_or_else(Default::default, |it| answer(partition, it.offset, it.timestamp)))
    }

    fn find(&self, topic: &Text, index: i32, believed: i32) -> Result<std::sync::Arc<Partition>, ErrorCode> {
        let topic = self.topic(&TopicKey::Name(topic.clone()))?;
        let partition = self.partition(&topic, index)?;
        check_epoch(&partition, believed)?;
        Ok(partition)
    }

    pub(crate) fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
            partitions: topic.partitions.iter().map(|asked| self.end_of_epoch(&topic.topic, asked)).collect(),
            topic: topic.topic,
        });
        OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
    }

    fn end_of_epoch(&self, topic: &Text, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
        let unknown = EpochEndOffset { partition: asked.partition, ..Default::default() };
        let partition = match self.find(topic, asked.partition, asked.current_leader_epoch) {
            Ok(partition) => partition,
            Err(code) => return EpochEndOffset { error_code: code.code(), ..unknown },
        };
        let current = partition.leader_epoch();
        let end = match LeaderEpoch::new(asked.leader_epoch) {
            Some(epoch) if epoch == current => Some((current, partition.offsets().log_end.at())),
            Some(epoch) if epoch < current => partition.end_of_epoch(epoch).map(|it| (it.epoch, it.end)),
            _ => None,
        };
        end.map_or(unknown.clone(), |(epoch, end)| EpochEndOffset {
            leader_epoch: epoch.get(),
            end_offset: end.get(),
            ..unknown
        })
    }
}

fn answer(partition: &Partition, offset: Offset, time: Timestamp) -> ListOffsetsPartitionResponse {
    let epoch = partition.epoch_at(offset).unwrap_or_else(|| partition.leader_epoch());
    ListOffsetsPartitionResponse {
        timestamp: time.0,
        offset: offset.get(),
        leader_epoch: epoch.get(),
        ..Default::default()
    }
}
