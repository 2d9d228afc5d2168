//! Looking up times: the segment by its largest time, the batch by its header, the record inside by walking the batch.

use bytes::Bytes;
use carrick_record::inflate::{self, InflateLimits};
use carrick_record::{Batch, HEADER_LEN, checksum_holds};
use carrick_types::{Offset, Timestamp};
use tracing::debug;

use super::read::{Next, SCAN_BYTES, Spot, not_there};
use super::{Bound, Partition, ReadError};

/// Inflated at most to find a record in a batch: some 50 ms of one core. A larger batch answers with its first record.
const INFLATED_BYTES_MAX: u64 = 32 << 20;

/// The first record at or after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAnswer {
    pub offset: Offset,
    pub timestamp: Timestamp,
}

impl Partition {
    /// The first record below `bound` at or after `time`.
    pub async fn first_at(&self, time: Timestamp, bound: Bound) -> Result<Option<TimeAnswer>, ReadError> {
        loop {
            match self.look_for(time, bound).await {
                // A segment was removed meanwhile: the log begins behind it.
                Err(ReadError::OutOfRange { .. }) => {}
                answer => return answer,
            }
        }
    }

    async fn look_for(&self, time: Timestamp, bound: Bound) -> Result<Option<TimeAnswer>, ReadError> {
        let mut after = None;
        loop {
            let (next, limit, start) = {
                let mut inner = self.lock();
                let limit = self.bound(&inner, inner.start, bound)?;
                let behind = |base: Offset| after.is_none_or(|after| base > after);
                // One below the start is only there until it is removed.
                let mut kept = inner.sealed.iter().filter(|it| it.next > inner.start);
                let sealed = kept.find(|it| behind(it.base) && it.max_time >= time).cloned();
                let next = match (sealed, &inner.active) {
                    (Some(sealed), _) => Next::Sealed(sealed),
                    (None, Some(active)) if behind(active.base) && active.max_time >= time => {
                        let (base, end) = (active.base, active.end);
                        let entry =
                            active.index.at_time(time, inner.start).map(|it| (it.offset, it.position));
                        let (start, epochs) = (inner.start, std::sync::Arc::clone(&inner.epochs));
                        match entry {
                            Some((offset, position)) => {
                                let handle = self.active_handle(&mut inner);
                                let handle = handle.map_err(|failed| not_there(&inner, failed))?;
                                Next::Active(Spot { handle, base, position, offset, end, start, epochs })
                            }
                            None => Next::None,
                        }
                    }
                    _ => Next::None,
                };
                (next, limit, inner.start)
            };
            let spot = match next {
                Next::None => return Ok(None),
                Next::Active(spot) => spot,
                Next::Sealed(sealed) => {
                    let handle = self.loaded(&sealed).await?;
                    let mut spot = self.spot_in(&sealed, handle, sealed.base)?;
                    let entry = spot.handle.index.get().and_then(|index| index.at_time(time, start)).copied();
                    if let Some(entry) = entry {
                        (spot.offset, spot.position) = (entry.offset, entry.position);
                    }
                    spot
                }
            };
            let mut from = Some((spot.offset, spot.position));
            while let Some((expected, position)) = from {
                let Some(batch) = self.first_batch_at(&spot, expected, position, time, start).await? else {
                    break;
                };
                if batch.1.header.base_offset >= limit {
                    return Ok(None);
                }
                let (position, batch) = batch;
                from = Some((batch.header.next_offset(), position + batch.header.size() as u64));
                if let Some(found) = self.within(position, batch, time, start).await {
                    return Ok(Some(found));
                }
            }
            after = Some(spot.base);
        }
    }

    /// The next batch with a time that late, and where it stands.
    async fn first_batch_at(
        &self,
        spot: &Spot,
        mut expected: Offset,
        mut position: u64,
        time: Timestamp,
        start: Offset,
    ) -> Result<Option<(u64, Batch)>, ReadError> {
        let disk = &self.shared.sys.disk;
        let mut chunk = Bytes::new();
        while position < spot.end {
            let left = usize::try_from(spot.end - position).unwrap_or(usize::MAX);
            if chunk.len() < HEADER_LEN {
                chunk = disk.read(&spot.handle.file, SCAN_BYTES.min(left), position).await?;
            }
            let header = self.checked(spot, position, expected, &chunk).await??;
            // Also of a batch that is too early by what it says: a time that is damaged must not hide it.
            if header.last_offset() >= start {
                if chunk.len() < header.size() {
                    let len = header.size().max(SCAN_BYTES.min(left));
                    chunk = disk.read(&spot.handle.file, len, position).await?;
                }
                let bad = |e: carrick_record::BadBatch| self.broken(spot.base, position, &e.to_string());
                checksum_holds(&header, &chunk).map_err(bad)?;
                if header.max_timestamp >= time {
                    return Ok(Some((position, Batch::split_from(&mut chunk).map_err(bad)?)));
                }
            }
            chunk = chunk.slice(header.size().min(chunk.len())..);
            position += header.size() as u64;
            expected = header.next_offset();
        }
        Ok(None)
    }

    /// The record in a batch; None if it holds none after all: its largest time was that of one below the log's start.
    async fn within(
        &self,
        position: u64,
        batch: Batch,
        time: Timestamp,
        start: Offset,
    ) -> Option<TimeAnswer> {
        let limits = InflateLimits { bytes_max: INFLATED_BYTES_MAX, ..InflateLimits::default() };
        match inflate::first_at(&batch, time, start, limits) {
            Ok(found) => found.map(|it| TimeAnswer { offset: it.offset, timestamp: it.timestamp }),
            // A body that cannot be walked harms its own readers only: the batch's first record is never too late.
            Err(failed) => {
                debug!(topic = %self.place.topic, partition = %self.place.partition, position, error = %failed, code = failed.code(),
                    "a time was looked up in a batch that cannot be walked: its first record is the answer");
                let header = &batch.header;
                let timestamp = header.base_timestamp.max(time);
                Some(TimeAnswer { offset: header.base_offset.max(start), timestamp })
            }
        }
    }
}
