//! Fetch: read record batches.

use crate::messages::leaders::{LeaderIdAndEpoch, NodeEndpoint};
use crate::table::api;
use crate::{Records, Text, Uuid};

api! { Fetch, versions 4-18, flexible 12;
    request FetchRequest {
        /// Only from a replica.
        cluster_id: Option<Text>, 12+, tag 0;
        /// −1 from a consumer. From version 15 in `replica_state`.
        replica_id: i32 = -1, 0-14;
        replica_state: ReplicaState, 15+, tag 1;
        /// How long to wait for `min_bytes`.
        max_wait_ms: i32, 0+;
        min_bytes: i32, 0+;
        max_bytes: i32 = i32::MAX, 3+;
        /// 0: read uncommitted; 1: read committed.
        isolation_level: i8, 4+;
        /// 0 for none (KIP-227).
        session_id: i32, 7+;
        /// 0 begins a session, −1 ends it or wants none.
        session_epoch: i32 = -1, 7+;
        topics: Vec<FetchTopic>, 0+;
        forgotten_topics_data: Vec<ForgottenTopic>, 7+;
        rack_id: Text, 11+;
    }

    structure ReplicaState {
        replica_id: i32 = -1, 15+;
        replica_epoch: i64 = -1, 15+;
    }

    structure FetchTopic {
        topic: Text, 0-12;
        topic_id: Uuid, 13+;
        partitions: Vec<FetchPartition>, 0+;
    }

    structure FetchPartition {
        partition: i32, 0+;
        /// −1 to leave it unchecked.
        current_leader_epoch: i32 = -1, 9+;
        fetch_offset: i64, 0+;
        /// The epoch of the last record the reader has, to tell where it diverged; −1 to leave it unchecked.
        last_fetched_epoch: i32 = -1, 12+;
        /// Of the replica that asks; −1 from a consumer.
        log_start_offset: i64 = -1, 5+;
        partition_max_bytes: i32, 0+;
        replica_directory_id: Uuid, 17+, tag 0;
        high_watermark: i64 = i64::MAX, 18+, tag 1;
    }

    structure ForgottenTopic {
        topic: Text, 7-12;
        topic_id: Uuid, 13+;
        partitions: Vec<i32>, 7+;
    }

    response FetchResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 7+;
        /// 0 if none was made.
        session_id: i32, 7+;
        responses: Vec<FetchableTopicResponse>, 0+;
        node_endpoints: Vec<NodeEndpoint>, 16+, tag 0;
    }

    structure FetchableTopicResponse {
        topic: Text, 0-12;
        topic_id: Uuid, 13+;
        partitions: Vec<PartitionData>, 0+;
    }

    structure PartitionData {
        partition_index: i32, 0+;
        error_code: i16, 0+;
        high_watermark: i64, 0+;
        last_stable_offset: i64 = -1, 4+;
        log_start_offset: i64 = -1, 5+;
        diverging_epoch: DivergingEpoch, 12+, tag 0;
        current_leader: LeaderIdAndEpoch, 12+, tag 1;
        snapshot_id: SnapshotId, 12+, tag 2;
        /// Null unless read committed was asked for.
        aborted_transactions: Option<Vec<AbortedTransaction>>, 4+;
        /// −1 for none.
        preferred_read_replica: i32 = -1, 11+;
        records: Option<Records>, 0+;
    }

    /// The last epoch and offset at which reader and leader agree; −1 and −1 if they do not differ.
    /// Kafka's `EpochEndOffset`.
    structure DivergingEpoch {
        epoch: i32 = -1, 12+;
        end_offset: i64 = -1, 12+;
    }

    structure SnapshotId {
        end_offset: i64 = -1, 0+;
        epoch: i32 = -1, 0+;
    }

    structure AbortedTransaction {
        producer_id: i64, 4+;
        first_offset: i64, 4+;
    }
}
