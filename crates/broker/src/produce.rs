//! Produce: checks what a batch's header says, appends in order of arrival, answers when it is durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_catalog::{MirrorOf, TopicRecord};
use carrick_log::{AppendError, Partition, ProducerRefusal, Role, Wake};
use carrick_record::{BadBatch, Batch, Codec};
use carrick_types::{Offset, Timestamp};
use carrick_wire::{
    ErrorCode, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, Text,
    TopicProduceData, TopicProduceResponse, Uuid,
};
use futures::future::join_all;
use tracing::{error, warn};

use crate::broker::{Answer, Ask, Begun, Broker, Reply, TopicKey};
use crate::topic_config::ProduceLimits;

/// For a topic that waits for its peer: longer than it does.
const OPEN_WAIT_MAX: Duration = Duration::from_secs(12);

/// What a partition's append came to; told only once everything below `rests_on` is durable.
struct Pending {
    partition: Option<Arc<Partition>>,
    rests_on: Option<Offset>,
    response: PartitionProduceResponse,
}

struct PendingTopic {
    name: Text,
    id: Uuid,
    partitions: Vec<Pending>,
}

impl Broker {
    /// A topic that waits for its peer's word takes writes soon, or never: a request waits for it in its order. Were it refused,
    /// a later batch of its producer that comes after the word would be taken for the first.
    pub(crate) async fn wait_open(&self, ask: &Ask, request: &ProduceRequest) {
        let timeout =
            Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(OPEN_WAIT_MAX);
        let wake = Wake::new();
        let waiting = async {
            for topic in &request.topic_data {
                let key = key_of(ask, topic);
                for data in &topic.partition_data {
                    let found = self.topic(&key).and_then(|topic| self.partition(&topic, data.index));
                    let Ok(partition) = found else { continue };
                    while partition.role() == Role::Closed {
                        partition.watch(&wake);
                        // Registered before looking again: an opening in between is not missed.
                        if partition.role() == Role::Closed {
                            wake.woken().await;
                        }
                    }
                }
            }
        };
        // Still closed: it is refused as it is.
        let _ = self.sys.clock.timeout(timeout, waiting).await;
    }

    /// Appends at once; the returned future waits for durability.
    pub(crate) fn produce(&self, ask: &Ask, request: ProduceRequest) -> Begun {
        let refusal = if !(-1..=1).contains(&request.acks) {
            Some((ErrorCode::INVALID_REQUIRED_ACKS, "acks is -1, 0 or 1"))
        } else if request.transactional_id.is_some() {
            Some((ErrorCode::INVALID_TXN_STATE, "transactions are not served"))
        } else {
            None
        };
        let mut topics = Vec::with_capacity(request.topic_data.len());
        for topic in request.topic_data {
            let key = key_of(ask, &topic);
            let partitions = topic.partition_data.into_iter().map(|data| match refusal {
                Some((code, message)) => Pending::refused(data.index, code, message.into()),
                None => self.append(ask, &key, data),
            });
            topics.push(PendingTopic {
                name: topic.name,
                id: topic.topic_id,
                partitions: partitions.collect(),
            });
        }
        let broker = self.clone();
        let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        Box::pin(async move { broker.finish(topics, request.acks, timeout).await })
    }

    fn append(&self, ask: &Ask, key: &TopicKey, data: PartitionProduceData) -> Pending {
        let index = data.index;
        let found = self.topic(key).and_then(|topic| Ok((self.partition(&topic, index)?, topic)));
        let (partition, topic) = match found {
            Ok(found) => found,
            Err(code) => return Pending::refused(index, code, String::new()),
        };
        let now = self.sys.clock.wall();
        let limits = ProduceLimits::of(&topic.configs, &self.settings);
        let batch = match check(data.records, limits, ask.version, now) {
            Ok(batch) => batch,
            Err((code, message)) => return Pending::refused(index, code, message),
        };
        let time = limits.append_time.then_some(now);
        match partition.append(&batch, time, now) {
            Ok(appended) => Pending {
                response: PartitionProduceResponse {
                    index,
                    base_offset: appended.base.get(),
                    log_append_time_ms: if time.is_some() { appended.max_time.0 } else { -1 },
                    log_start_offset: partition.offsets().log_start.at().get(),
                    ..Default::default()
                },
                partition: Some(partition),
                rests_on: Some(appended.end),
            },
            Err(failed) => {
                let rests_on = match &failed {
                    AppendError::Producer { known_end, .. } => Some(*known_end),
                    _ => None,
                };
                let code = code_of(&failed);
                if code == ErrorCode::KAFKA_STORAGE_ERROR {
                    error!(topic = %topic.name, partition = index, error = %failed, "a batch was not appended");
                }
                let message = match (&failed, &topic.mirror) {
                    (AppendError::NotWritable { .. }, Some(mirror)) => mirror_refusal(&topic, mirror),
                    _ => failed.to_string(),
                };
                Pending { partition: Some(partition), rests_on, ..Pending::refused(index, code, message) }
            }
        }
    }

    async fn finish(&self, topics: Vec<PendingTopic>, acks: i16, timeout: Duration) -> Reply {
        let waits = topics.iter().flat_map(|topic| &topic.partitions).filter_map(|pending| {
            let (partition, end) = (pending.partition.as_ref()?, pending.rests_on?);
            Some(partition.acknowledged(end))
        });
        // One deadline for all of the request.
        let waited = self.sys.clock.timeout(timeout, join_all(waits)).await;
        let mut outcomes = waited.ok().map(Vec::into_iter);
        let responses: Vec<TopicProduceResponse> = topics
            .into_iter()
            .map(|topic| TopicProduceResponse {
                name: topic.name,
                topic_id: topic.id,
                partition_responses: topic
                    .partitions
                    .into_iter()
                    .map(|pending| {
                        let unresolved = match (&mut outcomes, pending.rests_on) {
                            (_, None) => None,
                            (None, Some(_)) => Some((ErrorCode::REQUEST_TIMED_OUT, String::new())),
                            (Some(outcomes), Some(_)) => outcomes
                                .next()
                                .and_then(Result::err)
                                .map(|failed| (ErrorCode::KAFKA_STORAGE_ERROR, failed.to_string())),
                        };
                        match unresolved {
                            Some((code, message)) => {
                                Pending::refused(pending.response.index, code, message).response
                            }
                            None => pending.response,
                        }
                    })
                    .collect(),
            })
            .collect();
        if acks != 0 {
            return ProduceResponse { responses, ..Default::default() }.into();
        }
        let failed =
            responses.iter().flat_map(|topic| &topic.partition_responses).find(|it| it.error_code != 0);
        let answer = match failed {
            None => Answer::Nothing,
            Some(failed) => {
                let code = ErrorCode(failed.error_code);
                warn!(partition = failed.index, error = code.name(), "a batch with acks 0 was not appended");
                Answer::Close(format!("a batch with acks 0 was refused: {}", code.name()))
            }
        };
        Reply { answer, claims: Vec::new() }
    }
}

fn key_of(ask: &Ask, topic: &TopicProduceData) -> TopicKey {
    if ask.version >= 13 { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.name.clone()) }
}

impl Pending {
    fn refused(index: i32, code: ErrorCode, message: String) -> Self {
        let response = PartitionProduceResponse {
            index,
            error_code: code.code(),
            base_offset: -1,
            error_message: (!message.is_empty()).then(|| message.into()),
            ..Default::default()
        };
        Self { partition: None, rests_on: None, response }
    }
}

/// What a batch's header says, checked as Kafka checks it; the body is not inflated.
fn check(
    records: Option<Bytes>,
    limits: ProduceLimits,
    version: i16,
    now: Timestamp,
) -> Result<Batch, (ErrorCode, String)> {
    let invalid = |why: String| (ErrorCode::INVALID_RECORD, why);
    let mut records = records.unwrap_or_default();
    if records.is_empty() {
        return Err(invalid("a produce request carries exactly one batch per partition".into()));
    }
    let batch = Batch::split_verified_from(&mut records).map_err(|bad| {
        let code = match bad {
            BadBatch::Magic { .. } | BadBatch::Count { .. } | BadBatch::Producer { .. } => {
                ErrorCode::INVALID_RECORD
            }
            BadBatch::Codec { .. } => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            _ => ErrorCode::CORRUPT_MESSAGE,
        };
        (code, bad.to_string())
    })?;
    let header = &batch.header;
    if !records.is_empty() {
        return Err(invalid("a produce request carries exactly one batch per partition".into()));
    }
    if batch.bytes.len() > limits.max_message_bytes {
        let message =
            format!("a batch of {} bytes; the topic takes {}", batch.bytes.len(), limits.max_message_bytes);
        return Err((ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    if header.is_control() {
        return Err(invalid("clients do not write control batches".into()));
    }
    if header.is_transactional() {
        return Err((ErrorCode::INVALID_TXN_STATE, "transactions are not served".into()));
    }
    if header.count == 0 || u64::from(header.count) != u64::from(header.last_offset_delta) + 1 {
        let message = format!("{} records, last offset delta {}", header.count, header.last_offset_delta);
        return Err(invalid(message));
    }
    if header.codec() == Codec::Zstd && version < 7 {
        return Err((ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce 7".into()));
    }
    if !limits.append_time {
        let time = header.max_timestamp;
        let late = now.since(time) > limits.before_max_ms && time != Timestamp::NONE;
        if late || time.since(now) > limits.after_max_ms {
            return Err((
                ErrorCode::INVALID_TIMESTAMP,
                format!("timestamp {time} is out of the topic's limits at {now}"),
            ));
        }
    }
    Ok(batch)
}

/// What whoever would change a mirror is told.
pub(crate) fn mirror_refusal(topic: &TopicRecord, mirror: &MirrorOf) -> String {
    let (name, link) = (&topic.name, &mirror.link_name);
    format!(
        "topic {name} is a mirror, written by link {link} alone: write to its source (topic id {})",
        mirror.source_topic
    )
}

fn code_of(failed: &AppendError) -> ErrorCode {
    match failed {
        AppendError::NotWritable { role: Role::Gone } => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        // Retriable: the producer waits for the peer's word, or finds the site that writes now.
        AppendError::NotWritable { role: Role::Closed | Role::Superseded } => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
        AppendError::NotWritable { .. } => ErrorCode::INVALID_REQUEST,
        AppendError::Producer { refusal, .. } => match refusal {
            ProducerRefusal::Epoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            ProducerRefusal::OutOfOrder { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            ProducerRefusal::DuplicateForgotten { .. } => ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
        },
        AppendError::Damaged(_) | AppendError::Halted { .. } | AppendError::Disk(_) | AppendError::Full => {
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    }
}
