//! The batches of one file, one after the other, and the places that are none.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batch, Codec, ControlKind, HEADER_LEN, Header, PREFIX_LEN, TimeType, checksum_holds};
use carrick_sys::File;
use carrick_types::Offset;
use carrick_types::limits::REQUEST_BYTES_MAX;

/// Read at once.
const CHUNK: usize = 1 << 20;
/// For all searches in one file, over its own length: bytes whose checksums are taken.
const SEARCH_MAX: u64 = 256 << 20;

/// A whole batch whose checksum holds.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its first byte in the file.
    pub position: u64,
    pub batch: Batch,
}

/// A place that holds no batch, or one whose checksum does not hold.
#[derive(Clone, Debug)]
pub struct Bad {
    pub position: u64,
    /// The offset that should stand there, at least.
    pub expected: Offset,
    /// What it says of itself, if that can be read; none of it need be true.
    pub header: Option<Header>,
    pub why: String,
    pub then: Then,
}

/// What stands behind a bad place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next good batch.
    Batch { base: Offset, position: u64 },
    /// None to the file's end.
    Nothing,
    /// Nobody looked past this byte: what looks like batches there is too much.
    Unknown { position: u64 },
}

#[derive(Clone, Debug)]
pub enum Found {
    Batch(Seen),
    Bad(Bad),
}

/// Goes over a file; ends at its end, or at the first read that fails.
pub struct Walk {
    file: Arc<dyn File>,
    len: u64,
    position: u64,
    /// What stands at the position.
    chunk: Bytes,
    /// Behind the last good batch.
    expected: Offset,
    search_left: u64,
}

impl Seen {
    pub fn header(&self) -> &Header {
        &self.batch.header
    }

    /// The word for a marker; None for a batch of records.
    pub fn control(&self) -> Option<String> {
        let kind = || match ControlKind::of(&self.batch) {
            Some(ControlKind::Abort) => "abort".into(),
            Some(ControlKind::Commit) => "commit".into(),
            Some(ControlKind::Other(kind)) => format!("control {kind}"),
            None => "control".into(),
        };
        self.header().is_control().then(kind)
    }
}

/// Kafka's word.
pub fn codec_name(header: &Header) -> &'static str {
    match header.codec() {
        Codec::None => "none",
        Codec::Gzip => "gzip",
        Codec::Snappy => "snappy",
        Codec::Lz4 => "lz4",
        Codec::Zstd => "zstd",
    }
}

/// Kafka's word.
pub fn time_type_name(header: &Header) -> &'static str {
    match header.time_type() {
        TimeType::Create => "CreateTime",
        TimeType::LogAppend => "LogAppendTime",
    }
}

impl Walk {
    /// From byte `position` of `len`; the first batch has `expected` or a higher offset.
    pub(super) fn new(file: Arc<dyn File>, len: u64, position: u64, expected: Offset) -> Self {
        let search_left = len.saturating_add(SEARCH_MAX);
        Self { file, len, position, chunk: Bytes::new(), expected, search_left }
    }

    fn left(&self, position: u64) -> usize {
        usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX)
    }

    fn step(&mut self) -> io::Result<Found> {
        let left = self.left(self.position);
        if self.chunk.len() < HEADER_LEN {
            self.chunk = self.file.read_at(CHUNK.min(left), self.position)?;
        }
        let header = match Header::parse(&self.chunk) {
            Ok(header) => header,
            Err(bad) => return self.bad(None, bad.to_string()),
        };
        let size = header.size();
        if size > left.min(REQUEST_BYTES_MAX) {
            return self.bad(Some(header), format!("a batch of {size} bytes has {left}"));
        }
        if self.chunk.len() < size {
            // What was read before is let go first.
            self.chunk = Bytes::new();
            self.chunk = self.file.read_at(size.max(CHUNK.min(left)), self.position)?;
        }
        let mut chunk = self.chunk.clone();
        match Batch::split_from(&mut chunk).and_then(|batch| batch.verify().map(|()| batch)) {
            Ok(batch) => {
                let seen = Seen { position: self.position, batch };
                self.chunk = chunk;
                self.position += size as u64;
                self.expected = self.expected.max(header.next_offset());
                Ok(Found::Batch(seen))
            }
            Err(bad) => self.bad(Some(header), bad.to_string()),
        }
    }

    fn bad(&mut self, header: Option<Header>, why: String) -> io::Result<Found> {
        let (position, expected) = (self.position, self.expected);
        let then = self.search(header.as_ref())?;
        self.position = match then {
            Then::Batch { position, .. } => position,
            Then::Nothing | Then::Unknown { .. } => self.len,
        };
        Ok(Found::Bad(Bad { position, expected, header, why, then }))
    }

    /// The next good batch; first where the bad one says that it ends, so that no batch inside of its records is taken for
    /// one. What was read is kept, so that a file full of bad places is still read once.
    fn search(&mut self, header: Option<&Header>) -> io::Result<Then> {
        let mut chunk = std::mem::take(&mut self.chunk);
        if self.search_left == 0 {
            return Ok(Then::Unknown { position: self.position + 1 });
        }
        if let Some(header) = header
            && let Some(next) = self.position.checked_add(header.size() as u64)
            && next < self.len
        {
            let rest = chunk.get(header.size()..).filter(|it| it.len() >= HEADER_LEN);
            let rest = match rest {
                Some(rest) => chunk.slice_ref(rest),
                None => self.file.read_at(HEADER_LEN, next)?,
            };
            if let Some(base) = self.good(&rest, next)? {
                self.chunk = rest;
                return Ok(Then::Batch { base, position: next });
            }
        }
        let (mut position, mut from) = (self.position, 1);
        loop {
            for at in from..=chunk.len().saturating_sub(HEADER_LEN) {
                if chunk.get(at + PREFIX_LEN + 4) != Some(&2) {
                    continue;
                }
                let here = position + at as u64;
                if self.search_left == 0 {
                    return Ok(Then::Unknown { position: here });
                }
                let rest = chunk.slice(at..);
                if let Some(base) = self.good(&rest, here)? {
                    self.chunk = rest;
                    return Ok(Then::Batch { base, position: here });
                }
            }
            let looked = (chunk.len() + 1).saturating_sub(HEADER_LEN).max(from);
            position += looked as u64;
            from = 0;
            chunk = self.file.read_at(self.left(position).min(CHUNK), position)?;
            if chunk.len() < HEADER_LEN {
                return Ok(Then::Nothing);
            }
        }
    }

    /// The offset of the batch at `position`, whose first bytes are `head`, if it is good.
    fn good(&mut self, head: &Bytes, position: u64) -> io::Result<Option<Offset>> {
        let Ok(header) = Header::parse(head) else { return Ok(None) };
        let size = header.size();
        if header.base_offset < self.expected || size > self.left(position).min(REQUEST_BYTES_MAX) {
            return Ok(None);
        }
        self.search_left = self.search_left.saturating_sub(size as u64);
        let whole = if head.len() < size { self.file.read_at(size, position)? } else { head.clone() };
        Ok(checksum_holds(&header, &whole).is_ok().then_some(header.base_offset))
    }
}

impl Iterator for Walk {
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.len {
            return None;
        }
        let found = self.step();
        if found.is_err() {
            self.position = self.len;
        }
        Some(found)
    }
}
