//! Metadata, DescribeCluster, DescribeTopicPartitions: which nodes and topics there are.

use crate::table::api;
use crate::{Text, Uuid};

api! { Metadata, versions 0-13, flexible 9;
    request MetadataRequest {
        /// Null for all. In version 0, which has no null, an empty list is for all.
        topics: Option<Vec<MetadataRequestTopic>>, 0+, null 1+;
        allow_auto_topic_creation: bool = true, 4+;
        include_cluster_authorized_operations: bool, 8-10;
        /// A bit set; `i32::MIN` if it was not asked for.
        include_topic_authorized_operations: bool, 8+;
    }

    structure MetadataRequestTopic {
        /// Zero to ask by name.
        topic_id: Uuid, 10+;
        name: Option<Text>, 0+, null 10+;
    }

    response MetadataResponse {
        throttle_time_ms: i32, 3+;
        brokers: Vec<MetadataResponseBroker>, 0+;
        cluster_id: Option<Text>, 2+;
        controller_id: i32 = -1, 1+;
        topics: Vec<MetadataResponseTopic>, 0+;
        cluster_authorized_operations: i32 = i32::MIN, 8-10;
        /// `REBOOTSTRAP_REQUIRED` makes clients forget all brokers and begin again (KIP-1102).
        error_code: i16, 13+;
    }

    structure MetadataResponseBroker {
        node_id: i32, 0+;
        host: Text, 0+;
        port: i32, 0+;
        rack: Option<Text>, 1+;
    }

    structure MetadataResponseTopic {
        error_code: i16, 0+;
        name: Option<Text>, 0+, null 12+;
        topic_id: Uuid, 10+;
        is_internal: bool, 1+;
        partitions: Vec<MetadataResponsePartition>, 0+;
        topic_authorized_operations: i32 = i32::MIN, 8+;
    }

    structure MetadataResponsePartition {
        error_code: i16, 0+;
        partition_index: i32, 0+;
        leader_id: i32, 0+;
        leader_epoch: i32 = -1, 7+;
        replica_nodes: Vec<i32>, 0+;
        isr_nodes: Vec<i32>, 0+;
        offline_replicas: Vec<i32>, 5+;
    }
}

api! { DescribeCluster, versions 0-2, flexible 0;
    request DescribeClusterRequest {
        include_cluster_authorized_operations: bool, 0+;
        /// 1: brokers; 2: controllers.
        endpoint_type: i8 = 1, 1+;
        include_fenced_brokers: bool, 2+;
    }

    response DescribeClusterResponse {
        throttle_time_ms: i32, 0+;
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        endpoint_type: i8 = 1, 1+;
        cluster_id: Text, 0+;
        controller_id: i32 = -1, 0+;
        brokers: Vec<DescribeClusterBroker>, 0+;
        cluster_authorized_operations: i32 = i32::MIN, 0+;
    }

    structure DescribeClusterBroker {
        broker_id: i32, 0+;
        host: Text, 0+;
        port: i32, 0+;
        rack: Option<Text>, 0+;
        is_fenced: bool, 2+;
    }
}

api! { DescribeTopicPartitions, versions 0-0, flexible 0;
    request DescribeTopicPartitionsRequest {
        topics: Vec<DescribeTopicPartitionsTopic>, 0+;
        response_partition_limit: i32 = 2000, 0+;
        /// Where the answer is to begin; null for the first.
        cursor: Option<Cursor>, 0+;
    }

    structure DescribeTopicPartitionsTopic {
        name: Text, 0+;
    }

    structure Cursor {
        topic_name: Text, 0+;
        partition_index: i32, 0+;
    }

    response DescribeTopicPartitionsResponse {
        throttle_time_ms: i32, 0+;
        topics: Vec<DescribeTopicPartitionsResponseTopic>, 0+;
        /// Where the next answer is to begin; null after the last.
        next_cursor: Option<Cursor>, 0+;
    }

    structure DescribeTopicPartitionsResponseTopic {
        error_code: i16, 0+;
        name: Option<Text>, 0+;
        topic_id: Uuid, 0+;
        is_internal: bool, 0+;
        partitions: Vec<DescribeTopicPartitionsResponsePartition>, 0+;
        topic_authorized_operations: i32 = i32::MIN, 0+;
    }

    structure DescribeTopicPartitionsResponsePartition {
        error_code: i16, 0+;
        partition_index: i32, 0+;
        leader_id: i32, 0+;
        leader_epoch: i32 = -1, 0+;
        replica_nodes: Vec<i32>, 0+;
        isr_nodes: Vec<i32>, 0+;
        eligible_leader_replicas: Option<Vec<i32>>, 0+;
        last_known_elr: Option<Vec<i32>>, 0+;
        offline_replicas: Vec<i32>, 0+;
    }
}
