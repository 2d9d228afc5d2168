//! InitProducerId, WriteTxnMarkers, DescribeProducers: producer ids and what they wrote.

use crate::Text;
use crate::table::api;

api! { InitProducerId, versions 0-5, flexible 2;
    request InitProducerIdRequest {
        /// Null for a producer that is only idempotent.
        transactional_id: Option<Text>, 0+;
        transaction_timeout_ms: i32, 0+;
        /// −1, or the id whose epoch is to be raised (KIP-360).
        producer_id: i64 = -1, 3+;
        producer_epoch: i16 = -1, 3+;
    }

    response InitProducerIdResponse {
        throttle_time_ms: i32, 0+;
        error_code: i16, 0+;
        producer_id: i64 = -1, 0+;
        producer_epoch: i16, 0+;
    }
}

api! { WriteTxnMarkers, versions 1-1, flexible 1;
    request WriteTxnMarkersRequest {
        markers: Vec<WritableTxnMarker>, 0+;
    }

    structure WritableTxnMarker {
        producer_id: i64, 0+;
        producer_epoch: i16, 0+;
        /// Whether it was committed.
        transaction_result: bool, 0+;
        topics: Vec<WritableTxnMarkerTopic>, 0+;
        coordinator_epoch: i32, 0+;
    }

    structure WritableTxnMarkerTopic {
        name: Text, 0+;
        partition_indexes: Vec<i32>, 0+;
    }

    response WriteTxnMarkersResponse {
        markers: Vec<WritableTxnMarkerResult>, 0+;
    }

    structure WritableTxnMarkerResult {
        producer_id: i64, 0+;
        topics: Vec<WritableTxnMarkerTopicResult>, 0+;
    }

    structure WritableTxnMarkerTopicResult {
        name: Text, 0+;
        partitions: Vec<WritableTxnMarkerPartitionResult>, 0+;
    }

    structure WritableTxnMarkerPartitionResult {
        partition_index: i32, 0+;
        error_code: i16, 0+;
    }
}

api! { DescribeProducers, versions 0-0, flexible 0;
    request DescribeProducersRequest {
        topics: Vec<DescribeProducersTopic>, 0+;
    }

    structure DescribeProducersTopic {
        name: Text, 0+;
        partition_indexes: Vec<i32>, 0+;
    }

    response DescribeProducersResponse {
        throttle_time_ms: i32, 0+;
        topics: Vec<DescribeProducersTopicResponse>, 0+;
    }

    structure DescribeProducersTopicResponse {
        name: Text, 0+;
        partitions: Vec<DescribeProducersPartitionResponse>, 0+;
    }

    structure DescribeProducersPartitionResponse {
        partition_index: i32, 0+;
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        active_producers: Vec<ProducerState>, 0+;
    }

    structure ProducerState {
        producer_id: i64, 0+;
        producer_epoch: i32, 0+;
        last_sequence: i32 = -1, 0+;
        last_timestamp: i64 = -1, 0+;
        coordinator_epoch: i32, 0+;
        current_txn_start_offset: i64 = -1, 0+;
    }
}
