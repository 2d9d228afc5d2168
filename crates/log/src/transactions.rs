//! Open and aborted transactions, as far as readers need them: the first open offset bounds the last stable offset, an
//! aborted range is told to read_committed readers.

use std::collections::BTreeMap;

use carrick_types::{Offset, ProducerId};

/// A transaction that was aborted: its producer's records from `first` to the marker are not for read_committed readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    pub producer_id: ProducerId,
    pub first: Offset,
    /// The marker's offset.
    pub last: Offset,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    open: BTreeMap<ProducerId, Offset>,
    /// In order of their markers.
    aborted: Vec<Aborted>,
    /// Ended, with a marker that may not be readable yet: (marker, first).
    ended: Vec<(Offset, Offset)>,
}

impl Transactions {
    /// As after a start: `aborted` in order of their markers.
    pub(crate) fn restored(open: Vec<(ProducerId, Offset)>, aborted: Vec<Aborted>) -> Self {
        Self { open: open.into_iter().collect(), aborted, ended: Vec::new() }
    }

    /// Aborted ones with their marker in `from..to`.
    pub(crate) fn aborted_in(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let first = self.aborted.partition_point(|it| it.last < from);
        self.aborted.iter().skip(first).take_while(|it| it.last < to).copied().collect()
    }

    /// Nobody reads below `start` any more.
    pub(crate) fn forget_below(&mut self, start: Offset) {
        let gone = self.aborted.partition_point(|it| it.last < start);
        self.aborted.drain(..gone);
    }

    pub(crate) fn data(&mut self, producer_id: ProducerId, base: Offset) {
        self.open.entry(producer_id).or_insert(base);
    }

    pub(crate) fn end(&mut self, producer_id: ProducerId, marker: Offset, commit: bool) {
        if let Some(first) = self.open.remove(&producer_id) {
            self.ended.push((marker, first));
            if !commit {
                self.aborted.push(Aborted { producer_id, first, last: marker });
            }
        }
    }

    /// The first offset of the oldest transaction whose end is not below `high`.
    pub(crate) fn first_unstable(&self, high: Offset) -> Option<Offset> {
        let ended = self.ended.iter().filter(|(marker, _)| *marker >= high).map(|(_, first)| *first);
        self.open.values().copied().chain(ended).min()
    }

    /// Ends below `high` need not be remembered.
    pub(crate) fn settle(&mut self, high: Offset) {
        self.ended.retain(|(marker, _)| *marker >= high);
    }

    pub(crate) fn open(&self) -> Vec<(ProducerId, Offset)> {
        self.open.iter().map(|(id, first)| (*id, *first)).collect()
    }

    /// Those that touch `from..to`.
    pub(crate) fn aborted_within(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let first = self.aborted.partition_point(|it| it.last < from);
        self.aborted.iter().skip(first).filter(|it| it.first < to).copied().collect()
    }
}
