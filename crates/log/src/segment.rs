//! Segment files and what is known of them in memory: an entry per 64 KiB.

use std::sync::Weak;

use carrick_record::Header;
use carrick_types::{Offset, Timestamp};

use crate::digest::Digest;
use crate::handles::Handle;
use crate::page::PAGE_LEN;

/// Bytes between two index entries.
const ENTRY_EVERY: u64 = 64 * 1024;

/// A batch boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Base offset of the batch at `position`.
    pub offset: Offset,
    pub position: u64,
    /// The largest time of the segment's batches before this one.
    pub max_time: Timestamp,
    /// The partition's sum before this batch.
    pub digest: Digest,
}

/// A segment's entries; the first is its first batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub entries: Vec<Entry>,
}

impl Index {
    /// Takes note of a batch at `position`, if it is time for an entry.
    pub(crate) fn note(&mut self, header: &Header, position: u64, max_time: Timestamp, digest: Digest) {
        if self.entries.last().is_none_or(|last| position - last.position >= ENTRY_EVERY) {
            self.entries.push(Entry { offset: header.base_offset, position, max_time, digest });
        }
    }

    /// The last known boundary at or before the batch that holds `offset`; the first if all are behind it.
    pub(crate) fn at(&self, offset: Offset) -> Option<&Entry> {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        self.entries.get(after.saturating_sub(1))
    }

    /// The last known boundary before which every batch is older than `time` or lies below `start`.
    pub(crate) fn at_time(&self, time: Timestamp, start: Offset) -> Option<&Entry> {
        let older = self.entries.partition_point(|entry| entry.max_time < time);
        let below = self.entries.partition_point(|entry| entry.offset <= start);
        self.entries.get(older.max(below).saturating_sub(1))
    }

    /// The boundary behind `position`.
    pub(crate) fn after(&self, position: u64) -> Option<&Entry> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        self.entries.get(after)
    }
}

/// A segment that no batch is added to any more.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub base: Offset,
    /// The offset after its last batch.
    pub next: Offset,
    /// The file's length.
    pub end: u64,
    pub max_time: Timestamp,
    /// The partition's sum before its first batch.
    pub digest: Digest,
    pub handle: Weak<Handle>,
}

/// The segment that batches are added to.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub base: Offset,
    /// Where the next batch goes.
    pub end: u64,
    /// The largest time of its first batch.
    pub first_time: Timestamp,
    /// The largest time of its batches.
    pub max_time: Timestamp,
    /// The partition's sum before its first batch.
    pub digest: Digest,
    pub index: Index,
    /// Entries that its sidecar has.
    pub written: usize,
    pub handle: Weak<Handle>,
}

impl Active {
    pub(crate) fn new(base: Offset, digest: Digest, handle: Weak<Handle>) -> Self {
        Self {
            base,
            end: PAGE_LEN as u64,
            first_time: Timestamp::NONE,
            max_time: Timestamp::NONE,
            digest,
            index: Index::default(),
            written: 0,
            handle,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.entries.is_empty()
    }

    /// Takes note of a batch written at the end; `digest` is the sum before it.
    pub(crate) fn note(&mut self, header: &Header, digest: Digest) {
        if self.is_empty() {
            self.first_time = header.max_timestamp;
        }
        self.index.note(header, self.end, self.max_time, digest);
        self.max_time = self.max_time.max(header.max_timestamp);
        self.end += header.size() as u64;
    }
}

/// `base` as its file's name: 20 digits, so that names sort as offsets do.
pub(crate) fn file_name(base: Offset) -> String {
    format!("{:020}.seg", base.get())
}

pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 20 { digits.parse().ok().and_then(Offset::new) } else { None }
}
