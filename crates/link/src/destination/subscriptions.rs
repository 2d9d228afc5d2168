//! What is asked of the source: one subscription per partition of a mirror.

use std::sync::Arc;

use bytes::Bytes;
use carrick_proto::v1::{Data, Mark, Subscribe, Subscribed};
use carrick_record::Batches;
use carrick_sys::Mono;
use carrick_types::{Offset, Partition, Timestamp, TopicId};

use super::frames::Assembly;
use crate::envelope::{End, offset, protocol};
use crate::ports::{SinkError, SinkPartition, SourceError};

/// Newest batches that are shown to the source, so that it can say whether it has the same.
const MARKS: usize = 4;

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Asked,
    Running,
    /// To be asked for again then.
    Waiting(Mono),
    /// The mirror failed.
    Ended,
}

pub(crate) struct Subscription {
    pub topic: TopicId,
    pub partition: Partition,
    pub source_topic: TopicId,
    pub sink: Arc<dyn SinkPartition>,
    pub phase: Phase,
    pub attempt: u64,
    assembly: Assembly,
    /// Of this attempt, in the page cache.
    pub consumed: u64,
    pub told_consumed: u64,
    /// Told to be durable in this attempt.
    pub told_durable: Option<Offset>,
    /// As last heard in this attempt.
    pub source_high: Option<Offset>,
    /// The source's high watermark when this attempt began.
    goal: Option<Offset>,
}

/// What applying came to.
pub(crate) enum Failure {
    /// The session cannot go on.
    Session(End),
    /// The mirror cannot go on without an operator.
    Mirror { code: String, message: String },
    /// The partition may go on later.
    Later { code: String, message: String },
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::Session(end)
    }
}

impl From<SinkError> for Failure {
    fn from(failed: SinkError) -> Self {
        match failed {
            SinkError::Refused { code, message } => Self::Mirror { code: code.into(), message },
            SinkError::Unavailable { message } => Self::Later { code: "NOT_WRITTEN".into(), message },
        }
    }
}

impl Subscription {
    pub(crate) fn new(
        topic: TopicId,
        partition: Partition,
        source_topic: TopicId,
        sink: Arc<dyn SinkPartition>,
    ) -> Self {
        Self {
            topic,
            partition,
            source_topic,
            sink,
            phase: Phase::Ended,
            attempt: 0,
            assembly: Assembly::default(),
            consumed: 0,
            told_consumed: 0,
            told_durable: None,
            source_high: None,
            goal: None,
        }
    }

    /// Begins a new attempt from what the sink holds.
    pub(crate) async fn ask(&mut self, number: u32, attempt: u64) -> Result<Subscribe, SourceError> {
        let newest = self.sink.newest(MARKS).await?;
        let offsets = self.sink.offsets();
        let end = offsets.log_end.at();
        let empty = end == offsets.log_start.at() && self.sink.last_epoch().is_none();
        let marks = newest.iter().map(|batch| Mark {
            base_offset: batch.header.base_offset.get(),
            last_offset_delta: batch.header.last_offset_delta,
            hash: Bytes::copy_from_slice(&batch.hash().to_be_bytes()),
        });
        self.attempt = attempt;
        self.phase = Phase::Asked;
        self.assembly = Assembly::default();
        (self.consumed, self.told_consumed) = (0, 0);
        (self.told_durable, self.source_high, self.goal) = (None, None, None);
        Ok(Subscribe {
            subscription: number,
            attempt,
            topic_id: Bytes::copy_from_slice(&self.source_topic.bytes()),
            partition: self.partition.0,
            from_offset: (!empty).then_some(end.get()),
            tail: marks.collect(),
            last_epoch: self.sink.last_epoch().map_or(-1, |epoch| epoch.get()),
        })
    }

    pub(crate) fn begun(&mut self, answer: &Subscribed) -> Result<(), Failure> {
        if self.phase != Phase::Asked {
            return Err(protocol("it answers what was not asked").into());
        }
        let start = offset(answer.start_offset, "the start offset")?;
        let offsets = self.sink.offsets();
        let end = offsets.log_end.at();
        let empty = end == offsets.log_start.at() && self.sink.last_epoch().is_none();
        if empty && start != end {
            // Also back: a source that crashed may begin lower again than it had told.
            self.sink.start_at(start);
        } else if start != end {
            let message = format!("the source would go on at {start}, the mirror ends at {end}");
            return Err(Failure::Mirror { code: "GAP".into(), message });
        }
        self.phase = Phase::Running;
        self.goal = Some(offset(answer.high_watermark, "the high watermark")?);
        self.hear(answer.high_watermark, answer.log_start)
    }

    /// Neither the source's high watermark nor its log start goes back within an attempt.
    pub(crate) fn hear(&mut self, high: i64, start: i64) -> Result<(), Failure> {
        let high = offset(high, "the high watermark")?;
        let start = offset(start, "the log start")?;
        self.source_high = self.source_high.max(Some(high));
        self.sink.set_source_high(high);
        self.sink.follow_start(start);
        Ok(())
    }

    pub(crate) fn apply(&mut self, data: Data, now: Timestamp) -> Result<(), Failure> {
        if self.phase != Phase::Running {
            return Err(protocol("it sends before it has answered").into());
        }
        let (size, high, start) = (data.records.len() as u64, data.high_watermark, data.log_start);
        if let Some(records) = self.assembly.take(data)? {
            self.append(records, now)?;
        }
        self.consumed += size;
        self.hear(high, start)
    }

    fn append(&self, records: Bytes, now: Timestamp) -> Result<(), Failure> {
        for batch in Batches::new(records) {
            let batch = batch.and_then(|batch| batch.verify().map(|()| batch));
            let batch = batch.map_err(|e| Failure::Mirror {
                code: "CHECKSUM".into(),
                message: format!("a batch came damaged: {e}"),
            })?;
            self.sink.append(&batch, now)?;
        }
        Ok(())
    }

    /// Whether everything that readers saw at the source when this attempt began is durable here.
    pub(crate) fn caught_up(&self) -> bool {
        let durable = self.sink.offsets().durable_end.at();
        self.phase == Phase::Running && self.goal.is_some_and(|goal| durable >= goal)
    }
}
