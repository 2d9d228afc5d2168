//! OffsetCommit, OffsetFetch, OffsetDelete: where a group is.

use crate::Text;
use crate::message::NEVER;
use crate::table::api;

api! { OffsetCommit, versions 2-9, flexible 8;
    request OffsetCommitRequest {
        group_id: Text, 0+;
        /// −1 from a client outside the group.
        generation_id_or_member_epoch: i32 = -1, 1+;
        member_id: Text, 1+;
        group_instance_id: Option<Text>, 7+;
        /// −1 for the node's.
        retention_time_ms: i64 = -1, 2-4;
        topics: Vec<OffsetCommitRequestTopic>, 0+;
    }

    structure OffsetCommitRequestTopic {
        name: Text, 0-9;
        partitions: Vec<OffsetCommitRequestPartition>, 0+;
    }

    structure OffsetCommitRequestPartition {
        partition_index: i32, 0+;
        committed_offset: i64, 0+;
        committed_leader_epoch: i32 = -1, 6+;
        committed_metadata: Option<Text>, 0+;
    }

    response OffsetCommitResponse {
        throttle_time_ms: i32, 3+;
        topics: Vec<OffsetCommitResponseTopic>, 0+;
    }

    structure OffsetCommitResponseTopic {
        name: Text, 0-9;
        partitions: Vec<OffsetCommitResponsePartition>, 0+;
    }

    structure OffsetCommitResponsePartition {
        partition_index: i32, 0+;
        error_code: i16, 0+;
    }
}

api! { OffsetFetch, versions 1-9, flexible 6;
    request OffsetFetchRequest {
        group_id: Text, 0-7;
        /// Null for all.
        topics: Option<Vec<OffsetFetchRequestTopic>>, 0-7, null 2+;
        groups: Vec<OffsetFetchRequestGroup>, 8+;
        require_stable: bool, 7+;
    }

    structure OffsetFetchRequestTopic {
        name: Text, 0-7;
        partition_indexes: Vec<i32>, 0-7;
    }

    structure OffsetFetchRequestGroup {
        group_id: Text, 8+;
        member_id: Option<Text>, 9+;
        member_epoch: i32 = -1, 9+;
        /// Null for all.
        topics: Option<Vec<OffsetFetchRequestTopics>>, 8+;
    }

    structure OffsetFetchRequestTopics {
        name: Text, 8-9;
        partition_indexes: Vec<i32>, 8+;
    }

    response OffsetFetchResponse {
        throttle_time_ms: i32, 3+;
        topics: Vec<OffsetFetchResponseTopic>, 0-7;
        error_code: i16, 2-7;
        groups: Vec<OffsetFetchResponseGroup>, 8+;
    }

    structure OffsetFetchResponseTopic {
        name: Text, 0-7;
        partitions: Vec<OffsetFetchResponsePartition>, 0-7;
    }

    structure OffsetFetchResponsePartition {
        partition_index: i32, 0-7;
        /// −1 for none.
        committed_offset: i64, 0-7;
        committed_leader_epoch: i32 = -1, 5-7;
        metadata: Option<Text>, 0-7;
        error_code: i16, 0-7;
    }

    structure OffsetFetchResponseGroup {
        group_id: Text, 8+;
        topics: Vec<OffsetFetchResponseTopics>, 8+;
        error_code: i16, 8+;
    }

    structure OffsetFetchResponseTopics {
        name: Text, 8-9;
        partitions: Vec<OffsetFetchResponsePartitions>, 8+;
    }

    structure OffsetFetchResponsePartitions {
        partition_index: i32, 8+;
        committed_offset: i64, 8+;
        committed_leader_epoch: i32 = -1, 8+;
        metadata: Option<Text>, 8+;
        error_code: i16, 8+;
    }
}

api! { OffsetDelete, versions 0-0, flexible NEVER;
    request OffsetDeleteRequest {
        group_id: Text, 0+;
        topics: Vec<OffsetDeleteRequestTopic>, 0+;
    }

    structure OffsetDeleteRequestTopic {
        name: Text, 0+;
        partitions: Vec<OffsetDeleteRequestPartition>, 0+;
    }

    structure OffsetDeleteRequestPartition {
        partition_index: i32, 0+;
    }

    response OffsetDeleteResponse {
        error_code: i16, 0+;
        throttle_time_ms: i32, 0+;
        topics: Vec<OffsetDeleteResponseTopic>, 0+;
    }

    structure OffsetDeleteResponseTopic {
        name: Text, 0+;
        partitions: Vec<OffsetDeleteResponsePartition>, 0+;
    }

    structure OffsetDeleteResponsePartition {
        partition_index: i32, 0+;
        error_code: i16, 0+;
    }
}
