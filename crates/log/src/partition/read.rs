//! Reading whole batches, and looking up times.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batch, Codec, HEADER_LEN, Header, TimeType, records};
use carrick_sys::File;
use carrick_types::{Offset, Timestamp};

use super::{Damage, Inner, Partition};
use crate::segment::file_name;

/// How far a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    LastStable,
    HighWatermark,
    LogEnd,
}

/// Whole batches, one after the other; the first holds the offset asked for, or is the next after it.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub bytes: Bytes,
    /// The offset after the last batch; the one asked for if there is none.
    pub next: Offset,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {asked} is not within {start} to {end}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("the disk could not be read")]
    Disk(#[from] io::Error),
}

/// The first record at or after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAnswer {
    pub offset: Offset,
    pub timestamp: Timestamp,
}

/// Read ahead of the batch asked for, to find it from the last known boundary.
const SCAN_BYTES: usize = 64 * 1024;

/// Where to read, taken under the lock and used without it.
struct Spot {
    file: Arc<dyn File>,
    base: Offset,
    position: u64,
    end: u64,
}

impl Partition {
    /// Whole batches from the one that holds `from`, at most `max` bytes, but one batch always; empty at the bound.
    pub async fn read(&self, from: Offset, max: usize, bound: Bound) -> Result<Slice, ReadError> {
        let mut segment = None;
        loop {
            let (spot, limit) = {
                let inner = self.lock();
                let limit = self.bound(&inner, from, bound)?;
                if from >= limit {
                    return Ok(Slice { bytes: Bytes::new(), next: from });
                }
                (spot(&inner, from, segment), limit)
            };
            let Some(spot) = spot else {
                return Ok(Slice { bytes: Bytes::new(), next: from });
            };
            if let Some(slice) = self.read_segment(&spot, from, max, limit).await? {
                return Ok(slice);
            }
            // A hole reaches to the segment's end: the next one goes on.
            segment = Some(spot.base);
        }
    }

    /// The end that readers see, if `from` may be asked for.
    fn bound(&self, inner: &Inner, from: Offset, bound: Bound) -> Result<Offset, ReadError> {
        if let Some(damage) = &inner.damage {
            return Err(damage.clone().into());
        }
        if from < inner.start || from > inner.end {
            return Err(ReadError::OutOfRange { asked: from, start: inner.start, end: inner.end });
        }
        let offsets = self.offsets_of(inner);
        Ok(match bound {
            Bound::LastStable => offsets.last_stable.at(),
            Bound::HighWatermark => offsets.high_watermark.at(),
            Bound::LogEnd => offsets.log_end.at(),
        })
    }

    /// None if the segment holds nothing from `from` on.
    async fn read_segment(
        &self,
        spot: &Spot,
        from: Offset,
        max: usize,
        limit: Offset,
    ) -> Result<Option<Slice>, ReadError> {
        let mut position = spot.position;
        let mut want = max.saturating_add(SCAN_BYTES);
        while position < spot.end {
            let len = usize::try_from(spot.end - position).unwrap_or(usize::MAX).min(want);
            let bytes = self.shared.sys.disk.read(&spot.file, len, position).await?;
            if bytes.len() < len {
                let end = position + bytes.len() as u64;
                return Err(self.broken(spot, end, "the file ends before its last batch").into());
            }
            let mut at = 0;
            let mut first: Option<usize> = None;
            let mut next = from;
            while let Some(header) = self.header_at(spot, &bytes, position, at)? {
                let after = at + header.size();
                if header.last_offset() < from {
                    at = after;
                    continue;
                }
                if header.base_offset >= limit {
                    break;
                }
                let begin = *first.get_or_insert(at);
                if (after - begin > max && begin != at) || after > bytes.len() {
                    break;
                }
                (at, next) = (after, header.next_offset());
                if at - begin >= max {
                    break;
                }
            }
            match first {
                Some(begin) if at > begin => {
                    return Ok(Some(Slice { bytes: bytes.slice(begin..at), next }));
                }
                // The wanted batch begins here and is longer than what was read.
                Some(begin) => {
                    position += begin as u64;
                    let header = Header::parse(bytes.get(begin..).unwrap_or_default());
                    let size = header.map_or(HEADER_LEN, |it| it.size());
                    if bytes.len() - begin >= size || position + size as u64 > spot.end {
                        return Err(self.broken(spot, position, "a batch ends behind its segment").into());
                    }
                    want = size;
                }
                None if at == 0 && len < HEADER_LEN => {
                    return Err(self.broken(spot, position, "the segment ends inside a header").into());
                }
                // The bound.
                None if at == 0 => return Ok(Some(Slice { bytes: Bytes::new(), next: from })),
                None => position += at as u64,
            }
        }
        Ok(None)
    }

    /// The header at `at`, if all of it was read.
    fn header_at(
        &self,
        spot: &Spot,
        bytes: &Bytes,
        position: u64,
        at: usize,
    ) -> Result<Option<Header>, Damage> {
        match bytes.get(at..) {
            Some(rest) if rest.len() >= HEADER_LEN => {
                let bad = |e| self.broken(spot, position + at as u64, &format!("{e}"));
                Header::parse(rest).map(Some).map_err(bad)
            }
            _ => Ok(None),
        }
    }

    fn broken(&self, spot: &Spot, position: u64, what: &str) -> Damage {
        self.damage_at(file_name(spot.base), position, what.into())
    }

    /// The first record below `bound` at or after `time`. In a compressed batch, whose records are not looked at, it is the
    /// batch's first one: never later than Kafka's answer.
    pub async fn first_at(&self, time: Timestamp, bound: Bound) -> Result<Option<TimeAnswer>, ReadError> {
        let mut after = None;
        loop {
            let (spot, limit, start) = {
                let inner = self.lock();
                let limit = self.bound(&inner, inner.start, bound)?;
                let found = inner
                    .segments
                    .iter()
                    .filter(|segment| after.is_none_or(|after| segment.base > after))
                    .find_map(|segment| Some((segment, segment.position_of_time(time)?)));
                let spot = found.map(|(segment, position)| Spot {
                    file: Arc::clone(&segment.file),
                    base: segment.base,
                    position,
                    end: segment.end,
                });
                (spot, limit, inner.start)
            };
            let Some(spot) = spot else {
                return Ok(None);
            };
            if let Some(batch) = self.first_batch_at(&spot, time, start).await? {
                if batch.header.base_offset >= limit {
                    return Ok(None);
                }
                return Ok(Some(within(&batch, time, start)));
            }
            after = Some(spot.base);
        }
    }

    async fn first_batch_at(
        &self,
        spot: &Spot,
        time: Timestamp,
        start: Offset,
    ) -> Result<Option<Batch>, ReadError> {
        let mut position = spot.position;
        let mut want = SCAN_BYTES;
        while position < spot.end {
            let len = usize::try_from(spot.end - position).unwrap_or(usize::MAX).min(want);
            let mut bytes = self.shared.sys.disk.read(&spot.file, len, position).await?;
            let header = match Header::parse(&bytes) {
                Ok(header) => header,
                Err(e) => return Err(self.broken(spot, position, &e.to_string()).into()),
            };
            if header.max_timestamp < time || header.last_offset() < start {
                position += header.size() as u64;
                continue;
            }
            if header.size() > bytes.len() {
                if header.size() as u64 > spot.end - position || len == header.size() {
                    return Err(self.broken(spot, position, "a batch ends behind its segment").into());
                }
                want = header.size();
                continue;
            }
            let bad = |e: carrick_record::BadBatch| self.broken(spot, position, &e.to_string());
            return Ok(Some(Batch::split_from(&mut bytes).map_err(bad)?));
        }
        Ok(None)
    }
}

fn spot(inner: &Inner, from: Offset, after: Option<Offset>) -> Option<Spot> {
    let at = match after {
        Some(base) => inner.segments.partition_point(|segment| segment.base <= base),
        None => inner.segments.partition_point(|segment| segment.base <= from).saturating_sub(1),
    };
    let segment = inner.segments.get(at)?;
    Some(Spot {
        file: Arc::clone(&segment.file),
        base: segment.base,
        position: segment.position_of(from),
        end: segment.end,
    })
}

/// The record of a batch that answers a time lookup.
fn within(batch: &Batch, time: Timestamp, start: Offset) -> TimeAnswer {
    let header = &batch.header;
    let first =
        TimeAnswer { offset: header.base_offset.max(start), timestamp: header.base_timestamp.max(time) };
    if header.time_type() == TimeType::LogAppend {
        return TimeAnswer { timestamp: header.max_timestamp, ..first };
    }
    if header.codec() != Codec::None {
        return first;
    }
    let records = records::walk(batch.body(), header.count).map_while(Result::ok);
    let found = records.map(|record| TimeAnswer {
        offset: Offset::clamped(header.base_offset.get().saturating_add(record.offset_delta)),
        timestamp: Timestamp(header.base_timestamp.0.saturating_add(record.timestamp_delta)),
    });
    found.into_iter().find(|it| it.timestamp >= time && it.offset >= start).unwrap_or(first)
}
