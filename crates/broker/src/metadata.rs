//! Metadata and DescribeCluster: one broker, which leads everything.

use std::sync::Arc;

use carrick_catalog::TopicRecord;
use carrick_types::Partition as Index;
use carrick_wire::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse, ErrorCode, MetadataRequest,
    MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};

use crate::broker::{Ask, Broker, TopicKey, text, uuid};

impl Broker {
    pub(crate) async fn metadata(&self, ask: &Ask, request: MetadataRequest) -> MetadataResponse {
        let named = request.topics.as_ref().is_some_and(|asked| !asked.is_empty());
        let topics = match request.topics {
            Some(asked) if !asked.is_empty() || ask.version > 0 => {
                let mut topics = Vec::with_capacity(asked.len());
                for topic in asked {
                    topics.push(self.metadata_of(ask, topic, request.allow_auto_topic_creation).await);
                }
                topics
            }
            _ => self.catalog.topics().iter().map(|topic| self.describe(topic)).collect(),
        };
        // KIP-1102: the one signal on which clients look for the other site at once.
        let moved = named && topics.iter().any(|topic| self.is_superseded(topic));
        MetadataResponse {
            error_code: if moved { ErrorCode::REBOOTSTRAP_REQUIRED.code() } else { 0 },
            brokers: vec![MetadataResponseBroker {
                node_id: self.broker_id,
                host: ask.host.clone(),
                port: ask.port.into(),
                rack: None,
            }],
            cluster_id: Some(text(self.catalog.node().cluster)),
            controller_id: self.broker_id,
            topics,
            ..Default::default()
        }
    }

    fn is_superseded(&self, topic: &MetadataResponseTopic) -> bool {
        let record = topic.name.as_ref().and_then(|name| self.catalog.topic(name));
        record.is_some_and(|record| record.superseded.is_some())
    }

    async fn metadata_of(
        &self,
        ask: &Ask,
        asked: MetadataRequestTopic,
        may_create: bool,
    ) -> MetadataResponseTopic {
        let key = match &asked.name {
            Some(name) if asked.topic_id.is_zero() => TopicKey::Name(name.clone()),
            _ => TopicKey::Id(asked.topic_id),
        };
        let error = match self.topic(&key) {
            Ok(topic) => return self.describe(&topic),
            Err(error) => error,
        };
        let error = match &key {
            TopicKey::Name(name) if name.parse::<carrick_types::TopicName>().is_err() => {
                ErrorCode::INVALID_TOPIC_EXCEPTION
            }
            TopicKey::Name(name) if may_create && self.settings.auto_create_topics => {
                match self.auto_create(ask, name).await {
                    Ok(topic) => return self.describe(&topic),
                    Err(error) => error,
                }
            }
            _ => error,
        };
        MetadataResponseTopic {
            error_code: error.code(),
            // Before version 12 a name must stand there.
            name: asked.name.or_else(|| (ask.version < 12).then(Default::default)),
            topic_id: asked.topic_id,
            ..Default::default()
        }
    }

    fn describe(&self, topic: &Arc<TopicRecord>) -> MetadataResponseTopic {
        let me = || vec![self.broker_id];
        let partitions = (0..topic.partitions).map(|index| {
            let partition = self.logs.partition(topic.id, Index(index));
            let (error, offline) = match &partition {
                None => (ErrorCode::LEADER_NOT_AVAILABLE, true),
                Some(open) if open.damage().is_some() => (ErrorCode::KAFKA_STORAGE_ERROR, true),
                Some(_) => (ErrorCode::NONE, false),
            };
            MetadataResponsePartition {
                error_code: error.code(),
                partition_index: Index(index).wire(),
                leader_id: if offline { -1 } else { self.broker_id },
                leader_epoch: partition.map_or(-1, |open| open.leader_epoch().get()),
                replica_nodes: me(),
                isr_nodes: me(),
                offline_replicas: if offline { me() } else { Vec::new() },
            }
        });
        MetadataResponseTopic {
            name: Some(text(&topic.name)),
            topic_id: uuid(topic),
            partitions: partitions.collect(),
            ..Default::default()
        }
    }

    pub(crate) fn describe_cluster(
        &self,
        ask: &Ask,
        request: &DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        // KIP-919: type 2 are controllers, which are nowhere apart here.
        if ask.version >= 1 && request.endpoint_type != 1 {
            return DescribeClusterResponse {
                error_code: ErrorCode::MISMATCHED_ENDPOINT_TYPE.code(),
                error_message: Some("this listener answers for brokers".into()),
                endpoint_type: 1,
                ..Default::default()
            };
        }
        DescribeClusterResponse {
            endpoint_type: 1,
            cluster_id: text(self.catalog.node().cluster),
            controller_id: self.broker_id,
            brokers: vec![DescribeClusterBroker {
                broker_id: self.broker_id,
                host: ask.host.clone(),
                port: ask.port.into(),
                rack: None,
                is_fenced: false,
            }],
            ..Default::default()
        }
    }
}
