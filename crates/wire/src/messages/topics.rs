//! CreateTopics, DeleteTopics, CreatePartitions.

use crate::table::api;
use crate::{Text, Uuid};

api! { CreateTopics, versions 2-7, flexible 5;
    request CreateTopicsRequest {
        topics: Vec<CreatableTopic>, 0+;
        timeout_ms: i32 = 60000, 0+;
        validate_only: bool, 1+;
    }

    structure CreatableTopic {
        name: Text, 0+;
        /// −1 for the default, or with `assignments`.
        num_partitions: i32, 0+;
        /// −1 for the default, or with `assignments`.
        replication_factor: i16, 0+;
        assignments: Vec<CreatableReplicaAssignment>, 0+;
        configs: Vec<CreatableTopicConfig>, 0+;
    }

    structure CreatableReplicaAssignment {
        partition_index: i32, 0+;
        broker_ids: Vec<i32>, 0+;
    }

    structure CreatableTopicConfig {
        name: Text, 0+;
        value: Option<Text>, 0+;
    }

    response CreateTopicsResponse {
        throttle_time_ms: i32, 2+;
        topics: Vec<CreatableTopicResult>, 0+;
    }

    structure CreatableTopicResult {
        name: Text, 0+;
        topic_id: Uuid, 7+;
        error_code: i16, 0+;
        error_message: Option<Text>, 1+;
        /// Why `configs` is null.
        topic_config_error_code: i16, 5+, tag 0;
        num_partitions: i32 = -1, 5+;
        replication_factor: i16 = -1, 5+;
        configs: Option<Vec<CreatableTopicConfigs>>, 5+;
    }

    structure CreatableTopicConfigs {
        name: Text, 5+;
        value: Option<Text>, 5+;
        read_only: bool, 5+;
        config_source: i8 = -1, 5+;
        is_sensitive: bool, 5+;
    }
}

api! { DeleteTopics, versions 1-6, flexible 4;
    request DeleteTopicsRequest {
        /// By name or, with a null name, by id.
        topics: Vec<DeleteTopicState>, 6+;
        topic_names: Vec<Text>, 0-5;
        timeout_ms: i32, 0+;
    }

    structure DeleteTopicState {
        name: Option<Text>, 6+;
        topic_id: Uuid, 6+;
    }

    response DeleteTopicsResponse {
        throttle_time_ms: i32, 1+;
        responses: Vec<DeletableTopicResult>, 0+;
    }

    structure DeletableTopicResult {
        name: Option<Text>, 0+, null 6+;
        topic_id: Uuid, 6+;
        error_code: i16, 0+;
        error_message: Option<Text>, 5+;
    }
}

api! { CreatePartitions, versions 0-3, flexible 2;
    request CreatePartitionsRequest {
        topics: Vec<CreatePartitionsTopic>, 0+;
        timeout_ms: i32, 0+;
        validate_only: bool, 0+;
    }

    structure CreatePartitionsTopic {
        name: Text, 0+;
        /// How many there are to be.
        count: i32, 0+;
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0+;
    }

    structure CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0+;
    }

    response CreatePartitionsResponse {
        throttle_time_ms: i32, 0+;
        results: Vec<CreatePartitionsTopicResult>, 0+;
    }

    structure CreatePartitionsTopicResult {
        name: Text, 0+;
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
    }
}
