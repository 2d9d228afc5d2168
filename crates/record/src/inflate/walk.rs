//! The records, read as their bytes come in. What is kept between two runs fits in a few words.

use carrick_types::{Offset, Timestamp};

use super::{Found, InflateError};
use crate::header::{Header, TimeType};

/// Where the next byte belongs. Records are laid out as KIP-98 has them: length, attributes, timestamp delta, offset delta,
/// key, value, headers.
#[derive(Clone, Copy, Debug)]
enum At {
    Length,
    Attributes,
    Time,
    Offset,
    /// Key, value and headers, which nobody asks for.
    Rest,
}

pub(super) struct Walk<'a> {
    header: &'a Header,
    time: Timestamp,
    start: Offset,
    records_left: u32,
    at: At,
    number: Varint,
    /// Of the current record.
    bytes_left: u32,
    time_delta: i64,
    walked: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(header: &'a Header, time: Timestamp, start: Offset) -> Self {
        Self {
            header,
            time,
            start,
            records_left: header.count,
            at: At::Length,
            number: Varint::default(),
            bytes_left: 0,
            time_delta: 0,
            walked: 0,
        }
    }

    /// Records that have not yet been walked to their ends.
    pub(super) fn records_left(&self) -> u32 {
        self.records_left
    }

    /// Goes over the next bytes, to their end, the last record's end or the record asked for. To be called no more once it
    /// has been found.
    pub(super) fn feed(&mut self, run: &[u8]) -> Result<Option<Found>, InflateError> {
        let mut rest = run;
        let found = self.advance(&mut rest);
        self.walked += (run.len() - rest.len()) as u64;
        found.map_err(|Misfit| InflateError::Record { at: self.walked })
    }

    fn advance(&mut self, rest: &mut &[u8]) -> Result<Option<Found>, Misfit> {
        while self.records_left > 0 {
            if let At::Rest = self.at {
                let skipped = rest.len().min(self.bytes_left as usize);
                *rest = rest.get(skipped..).unwrap_or_default();
                self.bytes_left -= skipped as u32;
                if self.bytes_left > 0 {
                    return Ok(None);
                }
                self.records_left -= 1;
                self.at = At::Length;
                continue;
            }
            let Some((&byte, after)) = rest.split_first() else { return Ok(None) };
            *rest = after;
            if let At::Length = self.at {
                if let Some(length) = self.number.push(byte, Varint::INT)? {
                    self.bytes_left = u32::try_from(length).map_err(|_| Misfit)?;
                    self.at = At::Attributes;
                }
                continue;
            }
            self.bytes_left = self.bytes_left.checked_sub(1).ok_or(Misfit)?;
            match self.at {
                At::Time => {
                    if let Some(delta) = self.number.push(byte, Varint::LONG)? {
                        self.time_delta = delta;
                        self.at = At::Offset;
                    }
                }
                At::Offset => {
                    if let Some(delta) = self.number.push(byte, Varint::INT)? {
                        if let Some(found) = self.answer(delta)? {
                            return Ok(Some(found));
                        }
                        self.at = At::Rest;
                    }
                }
                At::Attributes | At::Length | At::Rest => self.at = At::Time,
            }
        }
        Ok(None)
    }

    /// The current record, if it is the one asked for.
    fn answer(&self, offset_delta: i64) -> Result<Option<Found>, Misfit> {
        let delta = u32::try_from(offset_delta).ok().filter(|it| *it <= self.header.last_offset_delta);
        let offset = self.header.base_offset.plus(delta.ok_or(Misfit)?);
        let timestamp = match self.header.time_type() {
            TimeType::LogAppend => self.header.max_timestamp,
            // As Java adds.
            TimeType::Create => Timestamp(self.header.base_timestamp.0.wrapping_add(self.time_delta)),
        };
        let wanted = timestamp >= self.time && offset >= self.start;
        Ok(wanted.then_some(Found { offset, timestamp }))
    }
}

/// The bytes are no record, or none of this batch.
struct Misfit;

/// A zigzag base-128 number, of which some bytes have come in.
#[derive(Default)]
struct Varint {
    raw: u64,
    bits: u32,
}

impl Varint {
    /// Most bits in the groups of an `int32` and of an `int64`.
    const INT: u32 = 35;
    const LONG: u32 = 70;

    /// The number, when this was its last byte.
    fn push(&mut self, byte: u8, bits_max: u32) -> Result<Option<i64>, Misfit> {
        if self.bits >= bits_max {
            return Err(Misfit);
        }
        self.raw |= u64::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        let raw = std::mem::take(self).raw;
        Ok(Some((raw >> 1) as i64 ^ -((raw & 1) as i64)))
    }
}
