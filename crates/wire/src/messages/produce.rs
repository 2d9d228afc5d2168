//! Produce: append record batches.

use bytes::Bytes;

use crate::messages::leaders::{LeaderIdAndEpoch, NodeEndpoint};
use crate::table::api;
use crate::{Text, Uuid};

api! { Produce, versions 3-13, flexible 9;
    /// Append batches. With `acks` 0 no answer is sent.
    request ProduceRequest {
        transactional_id: Option<Text>, 3+;
        /// 0: no answer; 1: when the leader has it; −1: when all in-sync replicas have it.
        acks: i16, 0+;
        timeout_ms: i32, 0+;
        topic_data: Vec<TopicProduceData>, 0+;
    }

    structure TopicProduceData {
        name: Text, 0-12;
        topic_id: Uuid, 13+;
        partition_data: Vec<PartitionProduceData>, 0+;
    }

    structure PartitionProduceData {
        /// The partition.
        index: i32, 0+;
        /// One record batch or more, whole.
        records: Option<Bytes>, 0+;
    }

    response ProduceResponse {
        responses: Vec<TopicProduceResponse>, 0+;
        throttle_time_ms: i32, 1+;
        /// Where the leaders named in `current_leader` are.
        node_endpoints: Vec<NodeEndpoint>, 10+, tag 0;
    }

    structure TopicProduceResponse {
        name: Text, 0-12;
        topic_id: Uuid, 13+;
        partition_responses: Vec<PartitionProduceResponse>, 0+;
    }

    structure PartitionProduceResponse {
        index: i32, 0+;
        error_code: i16, 0+;
        /// The offset of the first record appended, or of the one that a duplicate repeats.
        base_offset: i64, 0+;
        /// −1 unless the topic stamps records itself.
        log_append_time_ms: i64 = -1, 2+;
        log_start_offset: i64 = -1, 5+;
        /// The records for which the whole batch was refused.
        record_errors: Vec<BatchIndexAndErrorMessage>, 8+;
        error_message: Option<Text>, 8+;
        current_leader: LeaderIdAndEpoch, 10+, tag 0;
    }

    structure BatchIndexAndErrorMessage {
        batch_index: i32, 8+;
        batch_index_error_message: Option<Text>, 8+;
    }
}
