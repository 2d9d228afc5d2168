//! Where each leader epoch began (KIP-101).

use carrick_types::{LeaderEpoch, Offset};

/// What a batch states that has none.
pub(crate) const NO_EPOCH: i32 = -1;

/// The end of an epoch: the largest known epoch at or below the one asked for, and the offset after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

/// Epochs in rising order, each with its first offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Epochs {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl Epochs {
    /// In rising order, as they were told by [`Epochs::starts`].
    pub(crate) fn from_starts(starts: Vec<(LeaderEpoch, Offset)>) -> Self {
        Self { starts }
    }

    pub(crate) fn starts(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }

    /// Forgets epochs that end at or below `start`.
    pub(crate) fn forget_below(&mut self, start: Offset) {
        let begun = self.starts.partition_point(|(_, at)| *at <= start);
        self.starts.drain(..begun.saturating_sub(1));
    }

    pub(crate) fn note(&mut self, epoch: LeaderEpoch, at: Offset) {
        if self.starts.last().is_none_or(|(last, _)| *last < epoch) {
            self.starts.push((epoch, at));
        }
    }

    pub(crate) fn last(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// None below the first known epoch.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let after = self.starts.partition_point(|(start, _)| *start <= epoch);
        let (found, _) = self.starts.get(after.checked_sub(1)?)?;
        let end = self.starts.get(after).map_or(log_end, |(_, start)| *start);
        Some(EpochEnd { epoch: *found, end })
    }

    /// Whether the epoch of the record at `offset` is still known: what lies below the log's start is forgotten.
    pub(crate) fn knows(&self, offset: Offset) -> bool {
        self.starts.first().is_none_or(|(_, first)| *first <= offset)
    }

    /// The epoch of the record at `offset`.
    pub(crate) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        self.starts.get(after.checked_sub(1)?).map(|(epoch, _)| *epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(n: i32) -> LeaderEpoch {
        LeaderEpoch::new(n).unwrap()
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut epochs = Epochs::default();
        for (n, at) in [(0, 0), (0, 5), (2, 10), (2, 12), (5, 20)] {
            epochs.note(epoch(n), Offset::clamped(at));
        }
        let end = Offset::clamped(30);
        let ends = |n| epochs.end_of(epoch(n), end).map(|e| (e.epoch.get(), e.end.get()));
        assert_eq!((ends(0), ends(1), ends(2)), (Some((0, 10)), Some((0, 10)), Some((2, 20))));
        assert_eq!((ends(4), ends(5), ends(9)), (Some((2, 20)), Some((5, 30)), Some((5, 30))));
        assert_eq!(Epochs::default().end_of(epoch(3), end), None);
        assert_eq!(epochs.at(Offset::clamped(11)), Some(epoch(2)));
    }
}
