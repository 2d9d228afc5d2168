//! DeleteRecords: a partition's log begins further up from now on (KIP-107). The files follow with the next look of the
//! topic's retention.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Partition, Role, StartError, WaitError};
use carrick_types::Offset;
use carrick_wire::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult, ErrorCode, Text,
};
use futures::future::join_all;
use tracing::{error, info};

use crate::broker::{Ask, Broker, TopicKey};

/// All that readers can see.
const TO_THE_END: i64 = -1;
/// The low watermark beside an error.
const NO_OFFSET: i64 = -1;

/// A partition as it was asked for: where its log is to begin, or why it will not.
struct Asked {
    index: i32,
    found: Result<(Arc<Partition>, Option<Offset>), ErrorCode>,
}

impl Broker {
    /// What is told would survive a power cut.
    pub(crate) async fn delete_records(
        &self,
        ask: &Ask,
        request: DeleteRecordsRequest,
    ) -> DeleteRecordsResponse {
        let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let deadline = self.sys.clock.now().plus(timeout);
        let mut seen = BTreeSet::new();
        let mut topics: Vec<(Text, Vec<Asked>)> = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let asked = topic.partitions.iter().map(|it| self.asked(&topic.name, it, &mut seen)).collect();
            topics.push((topic.name, asked));
        }
        let all = topics.iter().flat_map(|(name, asked)| asked.iter().map(move |it| (name, it)));
        // At most one per partition that is there.
        let moves =
            all.filter_map(|(name, it)| Some(self.move_start(name, it.found.as_ref().ok()?, timeout)));
        let mut moved = join_all(moves).await;
        if moved.iter().any(Result::is_ok) {
            let left = deadline.since(self.sys.clock.now());
            let durable = self.sys.clock.timeout(left, self.catalog.durable(&*self.sys.disk)).await;
            let failed = match durable {
                Ok(Ok(())) => None,
                Ok(Err(failed)) => {
                    error!(error = %failed, "new log starts could not be made durable");
                    Some(ErrorCode::KAFKA_STORAGE_ERROR)
                }
                Err(_) => Some(ErrorCode::REQUEST_TIMED_OUT),
            };
            if let Some(code) = failed {
                moved.iter_mut().filter(|it| it.is_ok()).for_each(|it| *it = Err(code));
            }
        }
        let mut moved = moved.into_iter();
        let topics = topics.into_iter().map(|(name, asked)| {
            let results: Vec<_> = asked
                .into_iter()
                .map(|it| {
                    let start = match it.found {
                        Ok(_) => moved.next().unwrap_or(Err(ErrorCode::UNKNOWN_SERVER_ERROR)),
                        Err(code) => Err(code),
                    };
                    result(it.index, start)
                })
                .collect();
            let done = results.iter().filter(|it| it.error_code == 0).count();
            if done > 0 {
                info!(topic = %name, partitions = done, by = %ask.client_host, "a client deleted records");
            }
            DeleteRecordsTopicResult { name, partitions: results }
        });
        DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
    }

    fn asked(&self, topic: &Text, it: &DeleteRecordsPartition, seen: &mut BTreeSet<(Text, i32)>) -> Asked {
        let find = || {
            let to = match it.offset {
                TO_THE_END => None,
                offset => Some(Offset::new(offset).ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?),
            };
            let topic = self.topic(&TopicKey::Name(topic.clone()))?;
            Ok((self.partition(&topic, it.partition_index)?, to))
        };
        let found = find().and_then(|found| {
            let first = seen.insert((topic.clone(), it.partition_index));
            if first { Ok(found) } else { Err(ErrorCode::INVALID_REQUEST) }
        });
        Asked { index: it.partition_index, found }
    }

    async fn move_start(
        &self,
        topic: &Text,
        (partition, to): &(Arc<Partition>, Option<Offset>),
        timeout: Duration,
    ) -> Result<Offset, ErrorCode> {
        match self.sys.clock.timeout(timeout, partition.delete_records(*to)).await {
            Ok(Ok(start)) => Ok(start),
            Ok(Err(failed)) => {
                let code = code_of(&failed);
                if code == ErrorCode::KAFKA_STORAGE_ERROR {
                    error!(%topic, partition = %partition.index(), error = %failed, "records were not deleted");
                }
                Err(code)
            }
            Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT),
        }
    }
}

fn result(index: i32, start: Result<Offset, ErrorCode>) -> DeleteRecordsPartitionResult {
    let (low_watermark, code) = match start {
        Ok(start) => (start.get(), ErrorCode::NONE),
        Err(code) => (NO_OFFSET, code),
    };
    DeleteRecordsPartitionResult { partition_index: index, low_watermark, error_code: code.code() }
}

/// As produce is answered by a topic that is not written here.
fn code_of(failed: &StartError) -> ErrorCode {
    match failed {
        StartError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        StartError::NotWritable { role: Role::Gone } | StartError::Wait(WaitError::Gone) => {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        }
        // Retriable: the client waits for the peer's word, or finds the site that writes now.
        StartError::NotWritable { role: Role::Closed | Role::Superseded } => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
        StartError::NotWritable { .. } => ErrorCode::INVALID_REQUEST,
        StartError::Damaged(_) | StartError::Wait(WaitError::Halted { .. }) | StartError::NotSaved => {
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    }
}
