//! One segment file and what is known of it in memory: an entry per 64 KiB and the places of the newest batches.

use std::collections::VecDeque;
use std::sync::Arc;

use carrick_record::Header;
use carrick_sys::File;
use carrick_types::{Offset, Timestamp};

use crate::digest::Digest;
use crate::page::PAGE_LEN;

/// Bytes between two index entries.
const ENTRY_EVERY: u64 = 64 * 1024;
/// Newest batches whose places are remembered, so that a reader at the tail reads no more than it needs.
const TAIL_MAX: usize = 64;

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

pub(crate) struct Segment {
    pub base: Offset,
    pub file: Arc<dyn File>,
    /// Where the next batch goes.
    pub end: u64,
    /// The largest time of its batches.
    pub max_time: Timestamp,
    index: Vec<Entry>,
    tail: VecDeque<(Offset, u64)>,
}

impl Segment {
    pub(crate) fn new(base: Offset, file: Arc<dyn File>) -> Self {
        let end = PAGE_LEN as u64;
        Self { base, file, end, max_time: Timestamp::NONE, index: Vec::new(), tail: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes note of a batch written at the end; `digest` is the sum before it.
    pub(crate) fn note(&mut self, header: &Header, digest: Digest) {
        if self.index.last().is_none_or(|last| self.end - last.position >= ENTRY_EVERY) {
            let entry =
                Entry { offset: header.base_offset, position: self.end, max_time: self.max_time, digest };
            self.index.push(entry);
        }
        if self.tail.len() == TAIL_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back((header.base_offset, self.end));
        self.max_time = self.max_time.max(header.max_timestamp);
        self.end += header.size() as u64;
    }

    /// The last known batch boundary at or before the batch that holds `offset`.
    pub(crate) fn position_of(&self, offset: Offset) -> u64 {
        if self.tail.front().is_some_and(|(first, _)| *first <= offset) {
            let after = self.tail.partition_point(|(base, _)| *base <= offset);
            if let Some((_, position)) = after.checked_sub(1).and_then(|at| self.tail.get(at)) {
                return *position;
            }
        }
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).and_then(|at| self.index.get(at)).map_or(PAGE_LEN as u64, |entry| entry.position)
    }

    /// Base offsets of the newest batches, oldest first.
    pub(crate) fn newest(&self) -> impl DoubleEndedIterator<Item = Offset> {
        self.tail.iter().map(|(base, _)| *base)
    }

    /// The last boundary before which every batch is older than `time`; None if all of the segment is.
    pub(crate) fn position_of_time(&self, time: Timestamp) -> Option<u64> {
        if self.max_time < time {
            return None;
        }
        let after = self.index.partition_point(|entry| entry.max_time < time);
        Some(self.index.get(after.saturating_sub(1)).map_or(PAGE_LEN as u64, |entry| entry.position))
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
