//! Since when readers could read what somebody does not have yet.

use std::collections::VecDeque;

use carrick_types::{Offset, Timestamp};

/// Marks kept; at one per 100 ms, and coarser the longer somebody is behind.
const MARKS_MAX: usize = 128;
const EVERY_MS_MIN: u64 = 100;

/// What somebody who has everything below an offset is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    pub offsets: u64,
    /// At most that many: counted from a known boundary at or before the offset.
    pub bytes: u64,
    /// When the first of it became readable.
    pub since: Timestamp,
    /// It may have been earlier: this node did not run then.
    pub or_before: bool,
}

/// When the high watermark passed which offset.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    marks: VecDeque<(Offset, Timestamp)>,
    every_ms: u64,
    /// Where readers could read to when this node began.
    known_from: Offset,
}

impl Readable {
    /// At a start, before anyone is behind.
    pub(crate) fn begin(&mut self, high: Offset) {
        self.known_from = high;
    }

    /// The high watermark is at `high` now. A mark keeps the time of its first byte.
    pub(crate) fn note(&mut self, high: Offset, now: Timestamp) {
        let every = self.every_ms.max(EVERY_MS_MIN);
        match self.marks.back_mut() {
            Some((end, _)) if *end >= high => {}
            Some((end, at)) if now.since(*at) < every => *end = high,
            _ => self.marks.push_back((high, now)),
        }
        if self.marks.len() > MARKS_MAX {
            // Two become one that begins with the first: what is told is never too little.
            self.every_ms = every * 2;
            let pairs: Vec<_> = self.marks.drain(..).collect();
            self.marks = pairs.chunks(2).filter_map(|pair| Some((pair.last()?.0, pair.first()?.1))).collect();
        }
    }

    /// When the byte at `offset` became readable, and whether it may have been earlier.
    pub(crate) fn since(&self, offset: Offset) -> Option<(Timestamp, bool)> {
        let found = self.marks.partition_point(|(end, _)| *end <= offset);
        self.marks.get(found).map(|(_, at)| (*at, offset < self.known_from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_readable_since_its_mark_or_a_little_before() {
        let mut readable = Readable::default();
        let at = |n: i64| Offset::clamped(n);
        readable.begin(at(10));
        for n in 0..10_000i64 {
            readable.note(at(10 + n + 1), Timestamp(n * 10));
        }
        assert!(readable.marks.len() <= MARKS_MAX);
        for n in [0, 1, 500, 5_000, 9_999] {
            let (since, before) = readable.since(at(10 + n)).unwrap();
            let early = n * 10 - since.0;
            assert!(
                !before && (0..=readable.every_ms.max(EVERY_MS_MIN) as i64 * 2).contains(&early),
                "{n}: {since}"
            );
        }
        assert_eq!(readable.since(at(3)).map(|(_, before)| before), Some(true));
        assert_eq!(readable.since(at(10_010)), None);
    }
}
