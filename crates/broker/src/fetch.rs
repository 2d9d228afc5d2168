//! Fetch: whole batches from the page cache to the socket; waits where there is not enough yet.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, Partition, ReadError, Wake};
use carrick_sys::Claim;
use carrick_types::Offset;
use carrick_types::limits::FETCH_BYTES_MAX;
use carrick_wire::{
    AbortedTransaction, ErrorCode, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
    Records, Text, Uuid,
};
use futures::{FutureExt as _, pin_mut, select_biased};
use tracing::error;

use crate::broker::{Ask, Broker, Reply, TopicKey, check_epoch};

/// One partition of a request: what to read, or why not.
struct Wanted {
    index: i32,
    partition: Result<Arc<Partition>, ErrorCode>,
    from: i64,
    max: usize,
}

struct WantedTopic {
    name: Text,
    id: Uuid,
    partitions: Vec<Wanted>,
}

/// One pass over all partitions.
struct Pass {
    responses: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
    claims: Vec<Claim>,
}

impl Broker {
    pub(crate) async fn fetch(&self, ask: &Ask, request: FetchRequest) -> Reply {
        let error = |code: ErrorCode| FetchResponse { error_code: code.code(), ..Default::default() }.into();
        if request.replica_id >= 0 || request.replica_state.replica_id >= 0 {
            return error(ErrorCode::INVALID_REQUEST);
        }
        // No sessions (KIP-227): every fetch is a full one.
        if request.session_id != 0 {
            return error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if request.session_epoch > 0 {
            return error(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        let bound = if request.isolation_level == 1 { Bound::LastStable } else { Bound::HighWatermark };
        let wanted = self.wanted(ask, &request);
        let max = usize::try_from(request.max_bytes).unwrap_or(0).min(FETCH_BYTES_MAX);
        let min = usize::try_from(request.min_bytes).unwrap_or(0).min(max);
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));

        let mut deadline = self.sys.clock.sleep(wait).fuse();
        let closed = self.closed().fuse();
        pin_mut!(closed);
        let wake = Wake::new();
        loop {
            let open =
                wanted.iter().flat_map(|topic| &topic.partitions).filter_map(|it| it.partition.as_ref().ok());
            open.for_each(|partition| partition.watch(&wake));
            let pass = self.read(&wanted, max, bound).await;
            let enough = pass.bytes >= min || pass.failed || wait.is_zero();
            let waited = enough || {
                select_biased! {
                    () = wake.woken().fuse() => false,
                    () = deadline => true,
                    () = closed => true,
                }
            };
            if waited {
                let response = FetchResponse { responses: pass.responses, ..Default::default() };
                return Reply { claims: pass.claims, ..response.into() };
            }
        }
    }

    fn wanted(&self, ask: &Ask, request: &FetchRequest) -> Vec<WantedTopic> {
        let topics = request.topics.iter().map(|topic| {
            let key = if ask.version >= 13 {
                TopicKey::Id(topic.topic_id)
            } else {
                TopicKey::Name(topic.topic.clone())
            };
            let found = self.topic(&key);
            let partitions = topic.partitions.iter().map(|asked| Wanted {
                index: asked.partition,
                from: asked.fetch_offset,
                max: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
                partition: found.clone().and_then(|topic| {
                    let partition = self.partition(&topic, asked.partition)?;
                    check_epoch(&partition, asked.current_leader_epoch)?;
                    Ok(partition)
                }),
            });
            WantedTopic { name: topic.topic.clone(), id: topic.topic_id, partitions: partitions.collect() }
        });
        topics.collect()
    }

    async fn read(&self, wanted: &[WantedTopic], max: usize, bound: Bound) -> Pass {
        let mut pass =
            Pass { responses: Vec::with_capacity(wanted.len()), bytes: 0, failed: false, claims: Vec::new() };
        for topic in wanted {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for it in &topic.partitions {
                let data = match &it.partition {
                    Ok(partition) => self.read_partition(partition, it, max, bound, &mut pass).await,
                    Err(code) => Err(*code),
                };
                partitions.push(data.unwrap_or_else(|code| {
                    pass.failed = true;
                    PartitionData {
                        partition_index: it.index,
                        error_code: code.code(),
                        high_watermark: -1,
                        aborted_transactions: None,
                        records: Some(Records::default()),
                        ..Default::default()
                    }
                }));
            }
            pass.responses.push(FetchableTopicResponse {
                topic: topic.name.clone(),
                topic_id: topic.id,
                partitions,
            });
        }
        pass
    }

    async fn read_partition(
        &self,
        partition: &Arc<Partition>,
        wanted: &Wanted,
        max: usize,
        bound: Bound,
        pass: &mut Pass,
    ) -> Result<PartitionData, ErrorCode> {
        let from = Offset::new(wanted.from).ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        // Taken before reading, so that nothing is answered that was cut away meanwhile.
        let offsets = partition.offsets();
        let left = max.saturating_sub(pass.bytes).min(wanted.max);
        let first = pass.bytes == 0;
        // The request holds some of the budget itself: what is asked for must leave it, and others, room.
        let left = left.min(self.budget.total() / 2);
        let claim = if first { Some(self.budget.claim(left).await) } else { self.budget.try_claim(left) };
        let slice = match claim {
            // The first batch of an answer is given whole, whatever its size; the others must fit.
            Some(mut claim) if left > 0 || first => {
                let slice = partition.read(from, left, bound).await.map_err(|e| refused(partition, &e))?;
                if first || slice.bytes.len() <= left {
                    claim.shrink_to(slice.bytes.len());
                    pass.claims.push(claim);
                    slice
                } else {
                    Default::default()
                }
            }
            _ => {
                if from < offsets.log_start.at() || from > offsets.log_end.at() {
                    return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
                }
                Default::default()
            }
        };
        pass.bytes += slice.bytes.len();
        let aborted = (bound == Bound::LastStable).then(|| {
            let aborted = partition.aborted_within(from, slice.next).into_iter();
            let aborted = aborted.map(|it| AbortedTransaction {
                producer_id: it.producer_id.get(),
                first_offset: it.first.get(),
            });
            aborted.collect()
        });
        Ok(PartitionData {
            partition_index: wanted.index,
            high_watermark: offsets.high_watermark.at().get(),
            last_stable_offset: offsets.last_stable.at().get(),
            log_start_offset: offsets.log_start.at().get(),
            aborted_transactions: aborted,
            records: Some(Records::from(slice.bytes)),
            ..Default::default()
        })
    }
}

pub(crate) fn refused(partition: &Partition, failed: &ReadError) -> ErrorCode {
    match failed {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Gone => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        // The batch at that place alone: its neighbours are read.
        ReadError::Damaged(_) if partition.damage().is_none() => ErrorCode::CORRUPT_MESSAGE,
        ReadError::Damaged(_) | ReadError::Disk(_) => {
            error!(topic = %partition.topic(), partition = %partition.index(), error = %failed, "a read failed");
            ErrorCode::KAFKA_STORAGE_ERROR
        }
    }
}
