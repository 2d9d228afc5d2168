//! A bounded walk over the records of a body that a codec wrote, for the one question that needs it: which record is the
//! first at or after a time.
//!
//! A body comes from a client and may be anything. What it says of its own size is believed nowhere: it is inflated run by
//! run, the records are read as the runs come in, keys and values are passed over, and all ends at the record asked for,
//! at the end of the body or at a limit.
//!
//! | codec | read | refused |
//! |---|---|---|
//! | gzip | members one after the other (RFC 1952) | |
//! | snappy | xerial's frames, as Java writes them; else one raw block, as librdkafka and Go write it | a block of more than 24 MiB |
//! | lz4 | one frame, blocks linked or not | legacy and skippable frames, dictionaries, as Kafka does |
//! | zstd | frames one after the other, skippable ones passed over (RFC 8878) | dictionaries; a match that reaches back more than 8 MiB |
//!
//! **Memory**: at most [`MEMORY_BYTES_MAX`] whatever the input says, which is not copied. **Time**: some nanoseconds for each
//! byte walked, some microseconds for each step, and, for gzip, which has no blocks to count from outside, up to 200 ns for
//! each byte of input.

mod gzip;
mod lz4;
mod snappy;
mod walk;
mod zstd;

use carrick_types::{Offset, Timestamp};

use crate::header::{Batch, Codec, Header, TimeType};
use walk::Walk;

/// What a walk may allocate at its worst; a usual one takes less than 1 MiB and the window of its zstd frame.
pub const MEMORY_BYTES_MAX: usize = 32 << 20;

/// Bytes handed to the walk at once, by codecs that let us choose.
const RUN_BYTES: usize = 64 << 10;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: Offset,
    pub timestamp: Timestamp,
}

/// How far a walk goes before it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflateLimits {
    /// Inflated bytes that are walked.
    pub bytes_max: u64,
    /// Blocks, frames, members and runs of 64 KiB that are begun, whatever they inflate to: thousands of empty ones fit into
    /// a small batch. An honest 128 MiB takes at most 4,096, those of xerial's frames.
    pub steps_max: u64,
}

impl Default for InflateLimits {
    fn default() -> Self {
        Self { bytes_max: 128 << 20, steps_max: 1 << 16 }
    }
}

/// Why a walk came to no answer. All but the limits say that the batch's own readers cannot read it either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("the body is not what its codec writes")]
    Broken,
    #[error("the body ends with {missing} records missing")]
    Ended { missing: u32 },
    #[error("a record is broken {at} bytes into the inflated body")]
    Record { at: u64 },
    #[error("the wanted record is not among the first {max} inflated bytes")]
    Bytes { max: u64 },
    #[error("the wanted record is not in the first {max} blocks of the body")]
    Steps { max: u64 },
    #[error("the body needs {needed} bytes at once, of which a lookup may have {max}")]
    Memory { needed: u64, max: u64 },
}

impl InflateError {
    /// Stable: for logs, metrics and operators.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Broken => "inflate-broken",
            Self::Ended { .. } => "inflate-ended",
            Self::Record { .. } => "inflate-record",
            Self::Bytes { .. } => "inflate-bytes",
            Self::Steps { .. } => "inflate-steps",
            Self::Memory { .. } => "inflate-memory",
        }
    }

    /// The batch may be sound, and a reader with more patience or memory could tell.
    pub const fn is_limit(&self) -> bool {
        matches!(self, Self::Bytes { .. } | Self::Steps { .. } | Self::Memory { .. })
    }
}

/// A body on its way out of its codec.
trait Inflate {
    /// The next run of bytes, which may be empty: one step of bounded work. None at the end, and from then on.
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError>;
}

/// The first record of `batch`, in its own order, with a timestamp of at least `time` and an offset of at least `start`, as
/// Kafka answers ListOffsets. None if there is none, which a compacted batch or one that straddles `start` may come to
/// though its header promises otherwise.
///
/// Computes, without awaiting anything, for a second or so before it comes to a limit. The checksum is not looked at.
pub fn first_at(
    batch: &Batch,
    time: Timestamp,
    start: Offset,
    limits: InflateLimits,
) -> Result<Option<Found>, InflateError> {
    let header = &batch.header;
    if header.max_timestamp < time || header.last_offset() < start || header.count == 0 {
        return Ok(None);
    }
    if header.time_type() == TimeType::LogAppend && has_no_holes(header) {
        let offset = header.base_offset.max(start);
        return Ok(Some(Found { offset, timestamp: header.max_timestamp }));
    }
    let mut body = open(header.codec(), batch.body());
    let mut walk = Walk::new(header, time, start);
    let mut bytes_left = limits.bytes_max;
    for _ in 0..limits.steps_max {
        let Some(run) = body.run()? else {
            return Err(InflateError::Ended { missing: walk.records_left() });
        };
        let within = usize::try_from(bytes_left).map_or(run, |left| run.get(..left).unwrap_or(run));
        if let Some(found) = walk.feed(within)? {
            return Ok(Some(found));
        }
        if walk.records_left() == 0 {
            return Ok(None);
        }
        if within.len() < run.len() {
            return Err(InflateError::Bytes { max: limits.bytes_max });
        }
        bytes_left -= within.len() as u64;
    }
    Err(InflateError::Steps { max: limits.steps_max })
}

/// Every offset has its record, so none needs to be looked at to know them.
fn has_no_holes(header: &Header) -> bool {
    u64::from(header.count) == u64::from(header.last_offset_delta) + 1
}

fn open(codec: Codec, body: &[u8]) -> Box<dyn Inflate + '_> {
    match codec {
        Codec::None => Box::new(Plain(Some(body))),
        Codec::Gzip => Box::new(gzip::Gzip::new(body)),
        Codec::Snappy => Box::new(snappy::Snappy::new(body)),
        Codec::Lz4 => Box::new(lz4::Lz4::new(body)),
        Codec::Zstd => Box::new(zstd::Zstd::new(body)),
    }
}

/// No codec: one run.
struct Plain<'a>(Option<&'a [u8]>);

impl Inflate for Plain<'_> {
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError> {
        Ok(self.0.take())
    }
}
