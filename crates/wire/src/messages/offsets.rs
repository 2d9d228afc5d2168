//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords: where a partition begins, ends and diverges.

use crate::Text;
use crate::table::api;

api! { ListOffsets, versions 1-10, flexible 6;
    request ListOffsetsRequest {
        /// −1 from a consumer.
        replica_id: i32, 0+;
        /// 0: read uncommitted; 1: read committed.
        isolation_level: i8, 2+;
        topics: Vec<ListOffsetsTopic>, 0+;
        /// How long an answer that needs tiered storage may take.
        timeout_ms: i32, 10+;
    }

    structure ListOffsetsTopic {
        name: Text, 0+;
        partitions: Vec<ListOffsetsPartition>, 0+;
    }

    structure ListOffsetsPartition {
        partition_index: i32, 0+;
        current_leader_epoch: i32 = -1, 4+;
        /// In ms; −1: the latest offset; −2: the earliest; −3: of the greatest timestamp; −4: the earliest local; −5: the latest
        /// tiered.
        timestamp: i64, 0+;
    }

    response ListOffsetsResponse {
        throttle_time_ms: i32, 2+;
        topics: Vec<ListOffsetsTopicResponse>, 0+;
    }

    structure ListOffsetsTopicResponse {
        name: Text, 0+;
        partitions: Vec<ListOffsetsPartitionResponse>, 0+;
    }

    structure ListOffsetsPartitionResponse {
        partition_index: i32, 0+;
        error_code: i16, 0+;
        timestamp: i64 = -1, 1+;
        offset: i64 = -1, 1+;
        leader_epoch: i32 = -1, 4+;
    }
}

api! { OffsetForLeaderEpoch, versions 2-4, flexible 4;
    request OffsetForLeaderEpochRequest {
        /// −1 from a consumer; −2 from a client that does not say.
        replica_id: i32 = -2, 3+;
        topics: Vec<OffsetForLeaderTopic>, 0+;
    }

    structure OffsetForLeaderTopic {
        topic: Text, 0+;
        partitions: Vec<OffsetForLeaderPartition>, 0+;
    }

    structure OffsetForLeaderPartition {
        partition: i32, 0+;
        current_leader_epoch: i32 = -1, 2+;
        /// The epoch whose end is asked for.
        leader_epoch: i32, 0+;
    }

    response OffsetForLeaderEpochResponse {
        throttle_time_ms: i32, 2+;
        topics: Vec<OffsetForLeaderTopicResult>, 0+;
    }

    structure OffsetForLeaderTopicResult {
        topic: Text, 0+;
        partitions: Vec<EpochEndOffset>, 0+;
    }

    structure EpochEndOffset {
        error_code: i16, 0+;
        partition: i32, 0+;
        leader_epoch: i32 = -1, 1+;
        /// One past the last offset of the epoch.
        end_offset: i64 = -1, 0+;
    }
}

api! { DeleteRecords, versions 0-2, flexible 2;
    request DeleteRecordsRequest {
        topics: Vec<DeleteRecordsTopic>, 0+;
        timeout_ms: i32, 0+;
    }

    structure DeleteRecordsTopic {
        name: Text, 0+;
        partitions: Vec<DeleteRecordsPartition>, 0+;
    }

    structure DeleteRecordsPartition {
        partition_index: i32, 0+;
        /// Records below this go; −1: all that are replicated.
        offset: i64, 0+;
    }

    response DeleteRecordsResponse {
        throttle_time_ms: i32, 0+;
        topics: Vec<DeleteRecordsTopicResult>, 0+;
    }

    structure DeleteRecordsTopicResult {
        name: Text, 0+;
        partitions: Vec<DeleteRecordsPartitionResult>, 0+;
    }

    structure DeleteRecordsPartitionResult {
        partition_index: i32, 0+;
        low_watermark: i64, 0+;
        error_code: i16, 0+;
    }
}
