//! One partition on its way to a destination.

use std::collections::VecDeque;
use std::sync::Arc;

use carrick_proto::Encoded;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Change, Data, Ended, Mark, Moved, Subscribe, Subscribed};
use carrick_record::Batch;
use carrick_sys::{Budget, Claim, Task, Wake};
use carrick_types::{LeaderEpoch, Offset, Offsets};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Flying, Shared};
use crate::envelope::{End, FRAME_BYTES, encode, send};
use crate::ports::{SourceError, SourcePartition};

/// A running attempt; dropping it ends it.
pub(crate) struct Subscription {
    pub number: u32,
    pub attempt: u64,
    flight: Arc<Flight>,
    shared: Arc<Shared>,
    _task: Task,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut flights = self.shared.flights.lock();
        if flights.get(&self.number).is_some_and(|it| it.attempt == self.attempt) {
            flights.remove(&self.number);
        }
    }
}

/// What was sent and is not yet consumed.
#[derive(Default)]
pub(crate) struct Flight {
    /// Each with the bytes sent up to its end.
    sent: Mutex<VecDeque<(u64, Credit)>>,
    acknowledged: Mutex<Acknowledged>,
}

/// Durable at the destination.
#[derive(Default)]
struct Acknowledged {
    /// None before the attempt has begun.
    upto: Option<Offset>,
    /// By the destination: before, it is what it holds, of which the end may not be durable yet.
    told: bool,
}

impl Flight {
    /// Durable at the destination; None before the attempt has begun.
    pub(crate) fn acknowledged(&self) -> Option<Offset> {
        self.acknowledged.lock().upto
    }
}

/// Room taken from the link and from the subscription.
struct Credit {
    link: Claim,
    own: Claim,
}

/// Why an attempt ends while the session goes on.
struct Stop {
    code: &'static str,
    message: String,
}

enum Quit {
    Attempt(Stop),
    /// Lost: the session's own task knows why.
    Session,
}

impl From<End> for Quit {
    fn from(_: End) -> Self {
        Self::Session
    }
}

impl From<SourceError> for Quit {
    fn from(failed: SourceError) -> Self {
        let code = match &failed {
            SourceError::OutOfRange { .. } => "OFFSET_OUT_OF_RANGE",
            SourceError::Damaged { .. } => "SOURCE_DAMAGED",
            SourceError::Disk(_) => "SOURCE_READ_FAILED",
        };
        stop(code, failed.to_string())
    }
}

fn stop(code: &'static str, message: impl Into<String>) -> Quit {
    Quit::Attempt(Stop { code, message: message.into() })
}

impl Subscription {
    pub(crate) fn start(shared: &Arc<Shared>, partition: Arc<dyn SourcePartition>, asked: Subscribe) -> Self {
        let flight = Arc::new(Flight::default());
        let (number, attempt) = (asked.subscription, asked.attempt);
        let sender = Sender {
            own: Budget::new(shared.subscription_credit_bytes),
            shared: Arc::clone(shared),
            partition,
            flight: Arc::clone(&flight),
            number,
            attempt,
        };
        let flying =
            Flying { attempt, partition: Arc::clone(&sender.partition), flight: Arc::clone(&flight) };
        shared.flights.lock().insert(number, flying);
        let task = shared.sys.spawn.spawn("link subscription", Box::pin(sender.run(asked)));
        Self { number, attempt, flight, shared: Arc::clone(shared), _task: task }
    }

    pub(crate) fn consumed(&self, bytes: u64) {
        let mut sent = self.flight.sent.lock();
        while sent.front().is_some_and(|(upto, _)| *upto <= bytes) {
            if let Some((_, credit)) = sent.pop_front() {
                drop((credit.link, credit.own));
            }
        }
    }

    pub(crate) fn acknowledged(&self, end: i64) {
        let mut known = self.flight.acknowledged.lock();
        let upto = Offset::new(end);
        known.upto = if known.told { known.upto.max(upto) } else { upto };
        known.told = true;
    }
}

struct Sender {
    shared: Arc<Shared>,
    partition: Arc<dyn SourcePartition>,
    flight: Arc<Flight>,
    own: Budget,
    number: u32,
    attempt: u64,
}

impl Sender {
    async fn run(self, asked: Subscribe) {
        let ended = match self.work(&asked).await {
            Ok(()) | Err(Quit::Session) => return,
            Err(Quit::Attempt(stop)) => stop,
        };
        if let Some(control) = self.shared.control() {
            let ended = Ended {
                subscription: self.number,
                attempt: self.attempt,
                code: ended.code.into(),
                message: ended.message,
            };
            // A lost connection ends the session elsewhere.
            let _ = send(control, Body::Ended(ended)).await;
        }
    }

    async fn work(&self, asked: &Subscribe) -> Result<(), Quit> {
        let mut next = self.check(asked).await?;
        let start = self.batch_at(next).await?;
        // What it holds already counts as acknowledged until it says what is.
        self.flight.acknowledged.lock().upto = Some(next);
        let offsets = self.partition.offsets();
        let subscribed = Subscribed {
            subscription: self.number,
            attempt: self.attempt,
            start_offset: start.get(),
            log_start: offsets.log_start.at().get(),
            high_watermark: offsets.high_watermark.at().get(),
            leader_epoch: self.partition.leader_epoch().get(),
        };
        let data = self.data_connection()?;
        // On the connection that its Data takes, so that it comes before them.
        send(data, Body::Subscribed(subscribed)).await?;
        let wake = Wake::new();
        let mut told = (offsets.high_watermark.at(), offsets.log_start.at());
        let mut sequence = 0;
        let mut sent = 0;
        loop {
            self.partition.watch(&wake);
            let offsets = self.partition.offsets();
            let now = (offsets.high_watermark.at(), offsets.log_start.at());
            self.check_progress(next, &offsets)?;
            if next < now.0
                && let Some(after) = self.send_frame(data, next, sequence, &mut sent).await?
            {
                (next, sequence) = (after, sequence + 1);
                told = now;
                continue;
            }
            if told != now {
                self.send_change(data, &offsets).await?;
                told = now;
            }
            wake.woken().await;
        }
    }

    fn data_connection(&self) -> Result<&mpsc::Sender<Encoded>, End> {
        let count = self.shared.outgoing.len().max(1);
        self.shared.outgoing.get(self.number as usize % count).ok_or(End::Lost)
    }

    fn check_progress(&self, next: Offset, offsets: &Offsets) -> Result<(), Quit> {
        if self.partition.gone() {
            return Err(stop("TOPIC_GONE", "the topic was deleted at the source"));
        }
        if next < offsets.log_start.at() {
            let message =
                format!("offset {next} was deleted at the source, which begins at {}", offsets.log_start);
            return Err(stop("LOG_START_PASSED", message));
        }
        Ok(())
    }

    /// Where the batch that holds `offset` begins: the log's start may lie within one, and batches are sent whole.
    async fn batch_at(&self, offset: Offset) -> Result<Offset, Quit> {
        let offsets = self.partition.offsets();
        if offset != offsets.log_start.at() || offset >= offsets.high_watermark.at() {
            return Ok(offset);
        }
        let (mut bytes, _) = self.partition.read(offset, 1).await?;
        Ok(Batch::split_from(&mut bytes).map_or(offset, |batch| batch.header.base_offset.min(offset)))
    }

    /// Whether what the destination holds stands here too, and where to go on.
    async fn check(&self, asked: &Subscribe) -> Result<Offset, Quit> {
        let offsets = self.partition.offsets();
        let start = offsets.log_start.at();
        let Some(from) = asked.from_offset else {
            return Ok(start);
        };
        let from = Offset::new(from).ok_or_else(|| stop("OFFSET_OUT_OF_RANGE", format!("offset {from}")))?;
        let end = offsets.log_end.at();
        if from > end {
            let message = format!(
                "the destination ends at {from}, the source at {end}: the source lost its newest records"
            );
            return Err(stop("SOURCE_TRUNCATED", message));
        }
        if from < start {
            let message = format!(
                "the destination ends at {from}, the source begins at {start}: records between are gone"
            );
            return Err(stop("LOG_START_PASSED", message));
        }
        if let Some(epoch) = LeaderEpoch::new(asked.last_epoch)
            && let Some(epoch_end) = self.partition.end_of_epoch(epoch)
            && epoch_end < from
        {
            let message =
                format!("epoch {epoch} ends at {epoch_end} here and not before {from} at the destination");
            return Err(stop("DIVERGED", message));
        }
        for mark in &asked.tail {
            self.check_mark(mark, start).await?;
        }
        Ok(from)
    }

    async fn check_mark(&self, mark: &Mark, start: Offset) -> Result<(), Quit> {
        let base = Offset::new(mark.base_offset).ok_or_else(|| stop("DIVERGED", "a mark below 0"))?;
        if base < start {
            return Ok(());
        }
        let (mut bytes, _) = self.partition.read(base, 1).await?;
        let same = Batch::split_from(&mut bytes).is_ok_and(|batch| {
            batch.header.base_offset == base
                && batch.header.last_offset_delta == mark.last_offset_delta
                && batch.hash().to_be_bytes()[..] == mark.hash[..]
        });
        if same {
            return Ok(());
        }
        Err(stop("DIVERGED", format!("the batch at offset {base} is another one at the source")))
    }

    /// Room for a frame. A batch that is larger than all of the credit takes all of it, alone.
    async fn claim(&self, bytes: usize) -> Credit {
        let own = self.own.claim(bytes).await;
        Credit { own, link: self.shared.credit.claim(bytes).await }
    }

    /// Sends what stands at `next`; None if nothing does.
    async fn send_frame(
        &self,
        data: &mpsc::Sender<Encoded>,
        next: Offset,
        sequence: u64,
        sent: &mut u64,
    ) -> Result<Option<Offset>, Quit> {
        let mut credit = self.claim(FRAME_BYTES).await;
        let (records, after) = self.partition.read(next, FRAME_BYTES).await?;
        if records.is_empty() {
            return Ok(None);
        }
        if records.len() > FRAME_BYTES {
            drop(credit);
            credit = self.claim(records.len()).await;
        } else {
            credit.link.shrink_to(records.len());
            credit.own.shrink_to(records.len());
        }
        *sent += records.len() as u64;
        self.flight.sent.lock().push_back((*sent, credit));
        // After the read: what it held is below this one.
        let offsets = self.partition.offsets();
        let parts = records.len().div_ceil(FRAME_BYTES);
        for part in 0..parts {
            let from = part * FRAME_BYTES;
            // Numbered with its place taken: no number is drawn that is not sent.
            let place = data.reserve().await.map_err(|_| End::Lost)?;
            let frame = Data {
                subscription: self.number,
                attempt: self.attempt,
                sequence,
                part: part as u32,
                parts: parts as u32,
                change: self.shared.next_change(),
                high_watermark: offsets.high_watermark.at().get(),
                log_start: offsets.log_start.at().get(),
                records: records.slice(from..records.len().min(from + FRAME_BYTES)),
            };
            place.send(encode(Body::Data(frame)));
        }
        Ok(Some(after))
    }

    async fn send_change(&self, data: &mpsc::Sender<Encoded>, offsets: &Offsets) -> Result<(), End> {
        let moved = Moved {
            subscription: self.number,
            attempt: self.attempt,
            high_watermark: offsets.high_watermark.at().get(),
            log_start: offsets.log_start.at().get(),
        };
        let place = data.reserve().await.map_err(|_| End::Lost)?;
        place.send(encode(Body::Change(Change { change: self.shared.next_change(), moved: vec![moved] })));
        Ok(())
    }
}
