//! Every state that a power cut may leave, one by one, where [`cut`](super::cut) draws one.
//!
//! A disk that records keeps each moment it went through. At each, of the changes that no sync covers, these survive: none;
//! all; in order up to each; each alone, and all but each; names without bytes, and bytes without names; and the newest write
//! torn at each of its sectors' boundaries, the earlier or the later part of it being there.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::content::SECTOR_BYTES;
use super::faults::Faults;
use super::tree::Tree;
use super::{SimDisk, State};

/// A disk between two changes.
pub struct Moment {
    tree: Tree,
}

/// Which of a moment's un-synced changes reached the medium. Two of one recording are the same state if they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Survivors {
    /// The newest sync before the moment.
    synced: u64,
    /// Numbers of changes.
    kept: BTreeSet<u64>,
    /// A write of which only this part is there.
    torn: Option<(u64, Part)>,
}

/// A range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// A change that no sync covers.
pub(super) struct Pending {
    pub(super) seq: u64,
    pub(super) what: Unsynced,
}

pub(super) enum Unsynced {
    Name,
    Len,
    Write(Range<u64>),
}

impl SimDisk {
    /// From here on, keeps each moment that it goes through.
    pub fn record(&self) {
        self.inner.state.lock().recorded = Some(Vec::new());
    }

    /// The moments since [`SimDisk::record`], now being the last.
    pub fn recorded(&self) -> Vec<Arc<Moment>> {
        let mut state = self.inner.state.lock();
        state.keep_moment();
        state.recorded.clone().unwrap_or_default()
    }

    /// The number of the newest change or sync: that of the moment that is now.
    pub fn changes(&self) -> u64 {
        self.inner.state.lock().tree.changes()
    }
}

impl State {
    /// If it records, and anything has changed.
    pub(super) fn keep_moment(&mut self) {
        let Self { recorded: Some(recorded), tree, .. } = self else { return };
        if recorded.last().is_none_or(|last| last.at() != tree.changes()) {
            recorded.push(Arc::new(Moment { tree: tree.clone() }));
        }
    }
}

impl Moment {
    /// The number of the newest change or sync before it.
    pub fn at(&self) -> u64 {
        self.tree.changes()
    }

    /// What a power cut may leave of it, each once.
    pub fn states(&self) -> BTreeSet<Survivors> {
        let pending = self.tree.pending();
        let all: BTreeSet<u64> = pending.iter().map(|it| it.seq).collect();
        let synced = self.tree.synced();
        let whole = |kept: BTreeSet<u64>| Survivors { synced, kept, torn: None };
        let only = |names: bool| {
            let kept = pending.iter().filter(|it| matches!(it.what, Unsynced::Name) == names);
            whole(kept.map(|it| it.seq).collect())
        };
        let mut states = BTreeSet::from([whole(BTreeSet::new()), only(true), only(false)]);
        for seq in &all {
            states.insert(whole(all.range(..=seq).copied().collect()));
            states.insert(whole(BTreeSet::from([*seq])));
            states.insert(whole(all.iter().filter(|it| *it != seq).copied().collect()));
        }
        let newest = pending.iter().rev().find_map(|it| match &it.what {
            Unsynced::Write(at) => Some((it.seq, at.clone())),
            _ => None,
        });
        if let Some((seq, at)) = newest {
            for boundary in (at.start / SECTOR_BYTES + 1)..at.end.div_ceil(SECTOR_BYTES) {
                let at = boundary * SECTOR_BYTES;
                for part in [Part { end: at, ..Part::WHOLE }, Part { start: at, ..Part::WHOLE }] {
                    for kept in [all.clone(), all.range(..=seq).copied().collect()] {
                        states.insert(Survivors { synced, kept, torn: Some((seq, part)) });
                    }
                }
            }
        }
        states
    }

    /// A disk that has what survived, all of it durable.
    pub fn disk(&self, survivors: &Survivors, seed: u64) -> Arc<SimDisk> {
        SimDisk::of(self.tree.after(survivors), seed, Faults::default())
    }
}

impl Survivors {
    /// The part of the file within which a change is there; None if it is lost.
    pub(super) fn part(&self, seq: u64) -> Option<Part> {
        match self.torn {
            Some((torn, part)) if torn == seq => Some(part),
            _ => self.kept.contains(&seq).then_some(Part::WHOLE),
        }
    }
}

impl Part {
    const WHOLE: Self = Self { start: 0, end: u64::MAX };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use carrick_sys::{Disk as _, Opening};

    use super::*;
    use crate::DATA;

    type Seen = BTreeMap<String, Vec<u8>>;

    fn seen(disk: &SimDisk) -> Seen {
        let bytes = |path: &String| disk.file_bytes(Path::new(path)).unwrap();
        disk.paths().iter().map(|path| (path.clone(), bytes(path))).collect()
    }

    /// All that a power cut may leave now.
    fn left(disk: &SimDisk) -> BTreeSet<Seen> {
        let now = disk.recorded().pop().unwrap();
        now.states().iter().map(|it| seen(&now.disk(it, 1))).collect()
    }

    fn of<const N: usize>(files: [(&str, &[u8]); N]) -> Seen {
        files.into_iter().map(|(name, bytes)| (format!("{DATA}/{name}"), bytes.to_vec())).collect()
    }

    fn path(name: &str) -> std::path::PathBuf {
        Path::new(DATA).join(name)
    }

    fn sync_names(disk: &SimDisk) {
        disk.dir(Path::new(DATA)).unwrap().make_durable().unwrap();
    }

    #[test]
    fn writes_survive_in_any_order_and_none_after_a_sync() {
        let disk = SimDisk::new(1);
        let file = disk.open(&path("a"), Opening::New).unwrap();
        sync_names(&disk);
        disk.record();
        file.write_at(&[b"one"], 0).unwrap();
        file.write_at(&[b"two"], 3).unwrap();
        let all = [of([("a", b"")]), of([("a", b"one")]), of([("a", b"\0\0\0two")]), of([("a", b"onetwo")])];
        assert_eq!(left(&disk), BTreeSet::from(all));
        file.make_durable().unwrap();
        assert_eq!(left(&disk), BTreeSet::from([of([("a", b"onetwo")])]));
    }

    #[test]
    fn names_are_lost_without_their_bytes_and_renames_come_back() {
        let disk = SimDisk::new(1);
        disk.record();
        disk.open(&path("a"), Opening::New).unwrap().write_at(&[b"x"], 0).unwrap();
        assert_eq!(left(&disk), BTreeSet::from([of([]), of([("a", b"")]), of([("a", b"x")])]));
        sync_names(&disk);
        disk.rename(&path("a"), &path("b")).unwrap();
        let (empty, whole) = ([("a", b"".as_slice()), ("b", b"")], [("a", b"x".as_slice()), ("b", b"x")]);
        assert_eq!(left(&disk), empty.into_iter().chain(whole).map(|it| of([it])).collect());
    }

    #[test]
    fn the_newest_write_is_torn_at_each_sector() {
        let disk = SimDisk::new(1);
        let file = disk.open(&path("a"), Opening::New).unwrap();
        sync_names(&disk);
        disk.record();
        file.write_at(&[&[7; 1_200]], 100).unwrap();
        let found = left(&disk);
        let torn = |sevens: Range<usize>| {
            let mut bytes = vec![0; sevens.end];
            bytes[sevens].fill(7);
            of([("a", &bytes)])
        };
        let parts = [0..0, 100..1_300, 100..512, 100..1_024, 512..1_300, 1_024..1_300];
        assert_eq!(found, parts.into_iter().map(torn).collect());
    }

    #[test]
    fn what_was_written_behind_a_lost_cut_is_lost_with_it() {
        let disk = SimDisk::new(1);
        let file = disk.open(&path("a"), Opening::New).unwrap();
        file.write_at(&[b"long"], 0).unwrap();
        file.make_durable().unwrap();
        sync_names(&disk);
        disk.record();
        file.set_len(1).unwrap();
        file.write_at(&[b"!"], 1).unwrap();
        let all = [of([("a", b"long")]), of([("a", b"l")]), of([("a", b"l!")])];
        assert_eq!(left(&disk), BTreeSet::from(all));
    }

    #[test]
    fn each_change_and_each_sync_is_a_moment() {
        let disk = SimDisk::new(1);
        disk.record();
        let file = disk.open(&path("a"), Opening::New).unwrap();
        file.write_at(&[b"x"], 0).unwrap();
        file.len().unwrap();
        file.make_durable().unwrap();
        file.write_at(&[b"y"], 1).unwrap();
        let moments = disk.recorded();
        assert_eq!(moments.len(), 5, "as it was, and after each of four");
        assert!(moments.is_sorted_by(|one, other| one.at() < other.at()));
        assert_eq!(moments[4].at(), disk.changes());
    }
}
