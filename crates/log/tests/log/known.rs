//! All that a partition says of itself, to hold one start against another.

use carrick_log::{Aborted, Bound, Digest, EpochEnd, Partition, TimeAnswer};
use carrick_record::Batch;
use carrick_types::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp};

use crate::batches::batch;
use crate::life::{Look as _, offset};

pub struct Known {
    pub batches: Vec<Batch>,
    five: [i64; 5],
    pub digest: Digest,
    /// The newest, what readers are told, and of each batch its own and its end.
    epochs: (Option<LeaderEpoch>, LeaderEpoch),
    epoch_of_each: Vec<(Option<LeaderEpoch>, Option<EpochEnd>)>,
    max_time: Option<Timestamp>,
    times: Vec<Option<TimeAnswer>>,
    newest: Vec<i64>,
    pub aborted: Vec<Aborted>,
    pub open: Vec<(ProducerId, carrick_types::Offset)>,
    open_producers: Vec<(ProducerId, ProducerEpoch)>,
}

impl Known {
    /// What is not the same: too long to be shown whole.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let fields: [(&str, bool); 11] = [
            ("batches", self.batches == other.batches),
            ("five", self.five == other.five),
            ("digest", self.digest == other.digest),
            ("epochs", self.epochs == other.epochs),
            ("epoch_of_each", self.epoch_of_each == other.epoch_of_each),
            ("max_time", self.max_time == other.max_time),
            ("times", self.times == other.times),
            ("newest", self.newest == other.newest),
            ("aborted", self.aborted == other.aborted),
            ("open", self.open == other.open),
            ("open_producers", self.open_producers == other.open_producers),
        ];
        let differ: Vec<_> = fields.iter().filter(|it| !it.1).map(|it| it.0).collect();
        let ends = (self.five, other.five);
        if differ.is_empty() { None } else { Some(format!("{differ:?}, of {ends:?}")) }
    }

    pub fn has_holes(&self) -> bool {
        self.batches.windows(2).any(|it| it[0].header.next_offset() < it[1].header.base_offset)
    }
}

/// Asked of a partition that is flushed. What is told of bytes is a bound: it is held against the batches here.
pub async fn known(log: &Partition) -> Known {
    assert_eq!((log.damage(), log.wounds()), (None, Vec::new()));
    let batches = log.all(Bound::LogEnd).await;
    bytes_are_bounds(log, &batches);
    let newest: Vec<_> = log.newest(8).into_iter().map(carrick_types::Offset::get).collect();
    let last = batches.iter().rev().take(newest.len()).rev();
    assert_eq!(newest, last.map(|it| it.header.base_offset.get()).collect::<Vec<_>>());
    assert!(batches.is_empty() || !newest.is_empty());
    let mut times = Vec::new();
    for it in batches.iter().step_by(7) {
        for time in
            [it.header.base_timestamp, it.header.max_timestamp, Timestamp(it.header.max_timestamp.0 + 1)]
        {
            times.push(log.first_at(time, Bound::LogEnd).await.unwrap());
        }
    }
    let each = batches.iter().map(|it| {
        let epoch = LeaderEpoch::new(it.header.leader_epoch);
        assert_eq!(log.epoch_at(it.header.base_offset), epoch);
        (epoch, epoch.and_then(|epoch| log.end_of_epoch(epoch)))
    });
    Known {
        epoch_of_each: each.collect(),
        five: log.five(),
        digest: log.digest(),
        epochs: (log.last_epoch(), log.leader_epoch()),
        max_time: log.max_time(),
        times,
        // A start remembers fewer of them.
        newest: newest.last().into_iter().copied().collect(),
        aborted: log.aborted_within(offset(0), offset(i64::MAX)),
        open: log.open_transactions(),
        open_producers: log.open_producers(),
        batches,
    }
}

fn bytes_are_bounds(log: &Partition, batches: &[Batch]) {
    let mut left: u64 = batches.iter().map(|it| it.bytes.len() as u64).sum();
    // The log's start may lie within a batch.
    let all = log.bytes_from(log.offsets().log_start.at());
    for it in batches {
        let told = log.bytes_from(it.header.last_offset());
        assert!(left <= told && told <= all, "from {}: {left} to {all}, told {told}", it.header.base_offset);
        let behind = log.behind(it.header.base_offset);
        assert!(behind.is_none_or(|it| it.bytes >= left && it.bytes <= all));
        left -= it.bytes.len() as u64;
    }
    assert_eq!(log.bytes_from(log.offsets().log_end.at()), 0);
}

/// What is answered to batches that producers sent last, to what they could send next and to what they could not. It changes
/// the log: ask the same of both.
pub fn answers(log: &Partition, batches: &[Batch], now: Timestamp) -> Vec<String> {
    let mut asked = Vec::new();
    for it in batches.iter().rev().take(60) {
        let Some(id) = it.header.producer_id else { continue };
        let (epoch, count) = (it.header.producer_epoch.0, it.header.count as usize);
        let first = it.header.base_sequence.map_or(0, carrick_types::Sequence::get);
        let last = first + count as i32;
        for (epoch, first, count) in [
            (epoch, first, count),
            (epoch, first, count + 1),
            (epoch, last + 1, 1),
            (epoch - 1, last, 1),
            (epoch + 1, 1, 1),
            (epoch, last, 1),
        ] {
            asked.push(batch(count).producer(id.get(), epoch.max(0), first).build());
        }
    }
    asked.push(batch(1).producer(99, 3, 7).build());
    asked.iter().map(|sent| format!("{:?} {:?}", sent.header, log.append(sent, None, now))).collect()
}
