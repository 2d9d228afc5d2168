//! CreateTopics, DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use carrick_catalog::{CatalogError, TopicRecord};
use carrick_log::Role;
use carrick_sys::id_bytes;
use carrick_types::limits::{PARTITIONS_PER_NODE_MAX, PARTITIONS_PER_TOPIC_MAX};
use carrick_types::{LeaderEpoch, LineageId, TopicId, TopicName};
use carrick_wire::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse, ErrorCode, Text,
};
use tracing::{error, info};

use crate::broker::{Ask, Broker, TopicKey, text, uuid};
use crate::produce::mirror_refusal;
use crate::topic_config;

/// A refusal: Kafka's code and a sentence.
type Refusal = (ErrorCode, String);

/// A topic that was asked for and may be made.
struct Plan {
    name: TopicName,
    partitions: u32,
    configs: BTreeMap<String, String>,
}

impl Broker {
    pub(crate) async fn create_topics(
        &self,
        ask: &Ask,
        request: CreateTopicsRequest,
    ) -> CreateTopicsResponse {
        let mut seen = BTreeMap::<Text, usize>::new();
        request.topics.iter().for_each(|topic| *seen.entry(topic.name.clone()).or_default() += 1);
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let result = if seen.get(&topic.name).is_some_and(|times| *times > 1) {
                Err((ErrorCode::INVALID_REQUEST, "the request names this topic twice".into()))
            } else {
                self.create_topic(ask, topic, request.validate_only).await
            };
            topics.push(match result {
                Ok(created) => created,
                Err((code, message)) => CreatableTopicResult {
                    name: topic.name.clone(),
                    error_code: code.code(),
                    error_message: Some(message.into()),
                    ..Default::default()
                },
            });
        }
        CreateTopicsResponse { topics, ..Default::default() }
    }

    async fn create_topic(
        &self,
        ask: &Ask,
        topic: &CreatableTopic,
        only: bool,
    ) -> Result<CreatableTopicResult, Refusal> {
        // What is known of topics may not be durable, and then not even a refusal may rest on it.
        if let Some(why) = self.logs.halted() {
            return Err((
                ErrorCode::KAFKA_STORAGE_ERROR,
                format!("a sync of the data directory failed: {why}"),
            ));
        }
        let plan = self.plan_topic(ask, topic)?;
        let configs = self.shown_configs(&plan.configs);
        let mut result = CreatableTopicResult {
            name: topic.name.clone(),
            num_partitions: i32::try_from(plan.partitions).unwrap_or(i32::MAX),
            replication_factor: 1,
            configs: Some(configs),
            ..Default::default()
        };
        if !only {
            result.topic_id = uuid(&*self.make_topic(plan).await?);
        }
        Ok(result)
    }

    /// Checks in Kafka's order: name, existence, partitions, replication, settings.
    fn plan_topic(&self, ask: &Ask, topic: &CreatableTopic) -> Result<Plan, Refusal> {
        let name: TopicName =
            topic.name.parse().map_err(|e| (ErrorCode::INVALID_TOPIC_EXCEPTION, format!("{e}")))?;
        if self.catalog.topic(name.as_str()).is_some() {
            return Err((ErrorCode::TOPIC_ALREADY_EXISTS, format!("topic {name} already exists")));
        }
        let partitions = if topic.assignments.is_empty() {
            self.check_replication(topic.replication_factor)?;
            match topic.num_partitions {
                -1 if ask.version >= 4 => self.settings.num_partitions,
                count => u32::try_from(count).unwrap_or(0),
            }
        } else {
            self.check_assignments(topic)?
        };
        if !(1..=PARTITIONS_PER_TOPIC_MAX).contains(&partitions) {
            let message = format!("a topic has 1 to {PARTITIONS_PER_TOPIC_MAX} partitions");
            return Err((ErrorCode::INVALID_PARTITIONS, message));
        }
        if self.catalog.partitions() + partitions as usize > PARTITIONS_PER_NODE_MAX {
            let message = format!("a node holds at most {PARTITIONS_PER_NODE_MAX} partitions");
            return Err((ErrorCode::POLICY_VIOLATION, message));
        }
        let mut configs = BTreeMap::new();
        for config in &topic.configs {
            let (name, value) =
                (config.name.to_string(), config.value.clone().unwrap_or_default().to_string());
            topic_config::check(&name, &value).map_err(|e| (ErrorCode::INVALID_CONFIG, e.to_string()))?;
            configs.insert(name, value);
        }
        Ok(Plan { name, partitions, configs })
    }

    fn check_replication(&self, factor: i16) -> Result<(), Refusal> {
        let max = self.settings.replication_factor_max;
        if factor == -1 || (1..=max).contains(&factor) {
            return Ok(());
        }
        let message = format!(
            "replication factor {factor} is larger than 1, the number of brokers; kafka.replication.factor.max \
             would accept it and keep one copy"
        );
        Err((ErrorCode::INVALID_REPLICATION_FACTOR, message))
    }

    fn check_assignments(&self, topic: &CreatableTopic) -> Result<u32, Refusal> {
        let bad = |why: &str| Err((ErrorCode::INVALID_REPLICA_ASSIGNMENT, why.to_string()));
        if topic.num_partitions != -1 || topic.replication_factor != -1 {
            let why = "with assignments, partitions and replication factor must be -1";
            return Err((ErrorCode::INVALID_REQUEST, why.into()));
        }
        let indexes: BTreeSet<i32> = topic.assignments.iter().map(|it| it.partition_index).collect();
        let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
        if !indexes.iter().copied().eq(0..count) {
            return bad("partitions are numbered from 0, each once");
        }
        if topic.assignments.iter().any(|it| it.broker_ids != [self.broker_id]) {
            return bad("the only broker of this cluster must be the only replica");
        }
        Ok(count.unsigned_abs())
    }

    /// Durable, and open for writing, when it returns.
    async fn make_topic(&self, plan: Plan) -> Result<Arc<TopicRecord>, Refusal> {
        let topic = TopicRecord {
            id: TopicId::from_bytes(id_bytes(&*self.sys.entropy)),
            name: plan.name,
            lineage: LineageId::from_bytes(id_bytes(&*self.sys.entropy)),
            partitions: plan.partitions,
            configs: plan.configs,
            epoch: LeaderEpoch::FIRST,
            created: self.sys.clock.wall(),
            mirror: None,
            links: Vec::new(),
            superseded: None,
        };
        let topic = self.catalog.create_topic(topic).map_err(refused)?;
        self.catalog.durable(&*self.sys.disk).await.map_err(refused)?;
        let role = Role::Writable { epoch: topic.epoch };
        let log = topic_config::topic_log(&topic.configs);
        self.logs.open_topic(topic.id, topic.partitions, role, true, log).map_err(|e| {
            error!(topic = %topic.name, error = %e, "a new topic's logs could not be opened");
            (ErrorCode::KAFKA_STORAGE_ERROR, e.to_string())
        })?;
        info!(topic = %topic.name, id = %topic.id, partitions = topic.partitions, "topic created");
        Ok(topic)
    }

    pub(crate) async fn auto_create(&self, ask: &Ask, name: &Text) -> Result<Arc<TopicRecord>, ErrorCode> {
        let asked = CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        };
        let ask = Ask { version: 7, ..ask.clone() };
        let made = match self.plan_topic(&ask, &asked) {
            Ok(plan) => self.make_topic(plan).await,
            Err(refusal) => Err(refusal),
        };
        match made {
            Ok(topic) => Ok(topic),
            // Somebody else made it meanwhile; its logs are open by the time the client asks again.
            Err((ErrorCode::TOPIC_ALREADY_EXISTS, _)) => Err(ErrorCode::LEADER_NOT_AVAILABLE),
            Err((code, _)) => Err(code),
        }
    }

    fn shown_configs(&self, set: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
        let shown = topic_config::TABLE.iter().map(|known| {
            let value = set.get(known.name);
            CreatableTopicConfigs {
                name: known.name.into(),
                config_source: if value.is_some() { 1 } else { 5 },
                value: Some(value.cloned().unwrap_or_else(|| known.default(&self.settings)).into()),
                ..Default::default()
            }
        });
        shown.collect()
    }

    pub(crate) async fn delete_topics(&self, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let by_name = request
            .topic_names
            .into_iter()
            .map(|name| DeleteTopicState { name: Some(name), ..Default::default() });
        let mut responses = Vec::new();
        for asked in request.topics.into_iter().chain(by_name) {
            let key = match &asked.name {
                Some(name) => TopicKey::Name(name.clone()),
                None => TopicKey::Id(asked.topic_id),
            };
            let mut result = DeletableTopicResult {
                name: asked.name.clone(),
                topic_id: asked.topic_id,
                ..Default::default()
            };
            match self.delete_topic(&key).await {
                Ok(gone) => {
                    result.name = Some(text(&gone.name));
                    result.topic_id = uuid(&gone);
                }
                Err((code, message)) => {
                    result.error_code = code.code();
                    result.error_message = Some(message.into());
                }
            }
            responses.push(result);
        }
        DeleteTopicsResponse { responses, ..Default::default() }
    }

    async fn delete_topic(&self, key: &TopicKey) -> Result<Arc<TopicRecord>, Refusal> {
        let topic = self.topic(key).map_err(|code| (code, "there is no such topic".to_string()))?;
        if let Some(mirror) = &topic.mirror {
            return Err((ErrorCode::INVALID_REQUEST, mirror_refusal(&topic, mirror)));
        }
        let gone = self.catalog.delete_topic(&topic.name).map_err(refused)?;
        self.catalog.durable(&*self.sys.disk).await.map_err(refused)?;
        if let Err(e) = self.logs.remove_topic(gone.id) {
            // The topic is gone; its files are swept by the next start.
            error!(topic = %gone.name, error = %e, "the files of a deleted topic could not be removed");
        }
        info!(topic = %gone.name, id = %gone.id, "topic deleted");
        Ok(gone)
    }
}

fn refused(failed: CatalogError) -> Refusal {
    let code = match &failed {
        CatalogError::TopicExists { .. } => ErrorCode::TOPIC_ALREADY_EXISTS,
        CatalogError::NoTopic { .. } => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        _ => {
            error!(error = %failed, "the catalog refused a change");
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    };
    (code, failed.to_string())
}
