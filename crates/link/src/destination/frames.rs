//! Putting parts together, and knowing how much of a session was seen.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use carrick_proto::v1::Data;
use carrick_types::limits::REQUEST_BYTES_MAX;

use crate::envelope::{End, FRAME_BYTES, protocol};

/// One attempt's frames, in order.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    sequence: u64,
    part: u32,
    parts: u32,
    bytes: BytesMut,
}

impl Assembly {
    /// Whole batches, once their last part is here.
    pub(crate) fn take(&mut self, data: Data) -> Result<Option<Bytes>, End> {
        if data.sequence != self.sequence || data.part != self.part {
            let what = format!(
                "frame {} part {} came where {} part {} is next",
                data.sequence, data.part, self.sequence, self.part
            );
            return Err(protocol(what));
        }
        let parts_max = REQUEST_BYTES_MAX.div_ceil(FRAME_BYTES) as u32;
        if data.parts == 0 || data.parts > parts_max || (self.part > 0 && data.parts != self.parts) {
            return Err(protocol(format!("a frame of {} parts", data.parts)));
        }
        if data.records.len() > FRAME_BYTES {
            return Err(protocol(format!("a part of {} bytes", data.records.len())));
        }
        if data.parts == 1 {
            self.sequence += 1;
            return Ok(Some(data.records));
        }
        // Grows with what has arrived.
        self.bytes.extend_from_slice(&data.records);
        self.parts = data.parts;
        self.part += 1;
        if self.part < data.parts {
            return Ok(None);
        }
        self.part = 0;
        self.sequence += 1;
        Ok(Some(std::mem::take(&mut self.bytes).freeze()))
    }
}

/// Which of a session's numbered messages were seen; they may cross on different connections.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    upto: u64,
    ahead: BTreeSet<u64>,
}

/// Messages that may be seen before one that was sent earlier.
const AHEAD_MAX: usize = 65_536;

impl Seen {
    pub(crate) fn note(&mut self, change: u64) -> Result<(), End> {
        if change <= self.upto || self.ahead.len() >= AHEAD_MAX || !self.ahead.insert(change) {
            return Err(protocol(format!("change {change} came twice or much too early")));
        }
        while self.ahead.first() == Some(&(self.upto + 1)) {
            self.ahead.pop_first();
            self.upto += 1;
        }
        Ok(())
    }

    /// Whether everything up to `change` was seen.
    pub(crate) fn all_to(&self, change: u64) -> bool {
        change <= self.upto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(sequence: u64, part: u32, parts: u32, records: &'static str) -> Data {
        Data { sequence, part, parts, records: records.into(), ..Data::default() }
    }

    #[test]
    fn parts_become_the_frame_they_were() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(data(0, 0, 1, "whole")).unwrap().unwrap(), "whole");
        assert_eq!(assembly.take(data(1, 0, 3, "a")).unwrap(), None);
        assert_eq!(assembly.take(data(1, 1, 3, "b")).unwrap(), None);
        assert_eq!(assembly.take(data(1, 2, 3, "c")).unwrap().unwrap(), "abc");
        assert_eq!(assembly.take(data(2, 0, 1, "")).unwrap().unwrap(), "");
    }

    #[test]
    fn what_is_not_next_breaks_the_protocol() {
        for wrong in [data(1, 0, 1, ""), data(0, 1, 2, ""), data(0, 0, 0, ""), data(0, 0, 100_000, "")] {
            assert!(Assembly::default().take(wrong).is_err());
        }
        let mut assembly = Assembly::default();
        assembly.take(data(0, 0, 3, "a")).unwrap();
        assert!(assembly.take(data(0, 1, 2, "b")).is_err());
    }

    #[test]
    fn all_is_seen_once_the_gaps_are_filled() {
        let mut seen = Seen::default();
        for change in [2, 3, 5] {
            seen.note(change).unwrap();
            assert!(!seen.all_to(1));
        }
        seen.note(1).unwrap();
        assert!(seen.all_to(3) && !seen.all_to(4));
        assert!(seen.note(3).is_err() && seen.note(5).is_err());
        seen.note(4).unwrap();
        assert!(seen.all_to(5));
    }
}
