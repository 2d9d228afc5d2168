//! Names on the medium: what a sync of a directory carries there, and what a crash leaves.

use std::collections::BTreeSet;

use rand::Rng as _;
use rand::rngs::SmallRng;

use super::super::content::Content;
use super::super::cut::Temper;
use super::super::states::Survivors;
use super::{Ino, Kind, NameChange, NameDeed, Node, ROOT, Slot, Tree};

impl Tree {
    /// A sync of a file or directory that began before change number `before` has succeeded.
    pub(in super::super) fn commit(&mut self, ino: Ino, before: u64) {
        self.synced = self.tick();
        match self.nodes.get_mut(&ino).map(|node| &mut node.kind) {
            Some(Kind::File(content)) => content.commit(before),
            Some(Kind::Dir { .. }) => self.commit_names(ino, before),
            None => {}
        }
    }

    /// A sync of it has failed.
    pub(in super::super) fn doom(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        node.dooms += 1;
        if let Kind::File(content) = &mut node.kind {
            content.doom();
        }
        for change in self.pending.iter_mut().filter(|change| change.touches(ino)) {
            change.doomed_in.insert(ino);
        }
    }

    pub(in super::super) fn dooms(&self, ino: Ino) -> u32 {
        self.nodes.get(&ino).map_or(0, |node| node.dooms)
    }

    /// All that was done is there; nobody holds it open.
    pub(in super::super) fn after_kill(&self) -> Self {
        let mut tree = self.clone();
        tree.nodes.values_mut().for_each(|node| node.open = 0);
        tree.sweep();
        tree
    }

    /// Only what survives is there, and all of it is durable.
    pub(in super::super) fn after_power_cut(&self, rng: &mut SmallRng) -> Self {
        let overall = Temper::draw(rng);
        let overall = rng.random::<bool>().then_some(overall);
        let survives = overall.unwrap_or_else(|| Temper::draw(rng)).names(self.pending.len(), rng);
        self.left(&survives, |content| {
            let temper = overall.unwrap_or_else(|| Temper::draw(rng));
            content.after_power_cut(temper, rng)
        })
    }

    /// As after a power cut that these changes survive.
    pub(in super::super) fn after(&self, survivors: &Survivors) -> Self {
        let survives: Vec<bool> =
            self.pending.iter().map(|change| survivors.part(change.seq).is_some()).collect();
        self.left(&survives, |content| content.after(survivors))
    }

    /// With those names, and of each file what is left of it.
    fn left(&self, survives: &[bool], mut bytes_of: impl FnMut(&Content) -> Vec<u8>) -> Self {
        let mut tree = self.clone();
        let pending = std::mem::take(&mut tree.pending);
        for (change, survives) in pending.iter().zip(survives) {
            if *survives {
                tree.make_durable(change);
            }
        }
        for node in tree.nodes.values_mut() {
            (node.open, node.dooms) = (0, 0);
            match &mut node.kind {
                Kind::File(content) => *content = Content::durable(bytes_of(content)),
                Kind::Dir { now, durable } => now.clone_from(durable),
            }
        }
        let there: BTreeSet<Ino> =
            tree.nodes.keys().copied().filter(|ino| tree.is_rooted(*ino, None)).collect();
        tree.nodes.retain(|ino, _| there.contains(ino));
        tree.nodes.values_mut().for_each(|node| node.home.clone_from(&node.durable_home));
        tree
    }

    /// A sync of a directory covers the operations on its names, and with each what it rests on: earlier ones on the same
    /// name or thing; for a rename, those that gave its target directory a name; for a directory's removal, those that
    /// emptied it. A directory's own name is its parent's matter.
    fn commit_names(&mut self, dir: Ino, before: u64) {
        let mut covered = BTreeSet::new();
        let mut things: BTreeSet<Ino> = BTreeSet::new();
        let mut slots: BTreeSet<&Slot> = BTreeSet::new();
        let mut rooted: BTreeSet<Ino> = BTreeSet::new();
        let mut emptied: BTreeSet<Ino> = BTreeSet::new();
        for (i, change) in self.pending.iter().enumerate().rev() {
            let asked = change.seq < before && !change.doomed_in.contains(&dir) && change.touches(dir);
            let same = things.contains(&change.ino) || change.slots().any(|slot| slots.contains(slot));
            let empties = change.slots().any(|slot| emptied.contains(&slot.dir));
            let roots = rooted.contains(&change.ino);
            if !(asked || same || empties || roots) {
                continue;
            }
            covered.insert(i);
            things.insert(change.ino);
            slots.extend(change.slots());
            match &change.deed {
                NameDeed::Link(at) if roots => drop(rooted.insert(at.dir)),
                NameDeed::Link(_) => {}
                NameDeed::Unlink(_) => drop(emptied.insert(change.ino)),
                NameDeed::Rename { to, displaced, .. } => {
                    rooted.insert(to.dir);
                    emptied.extend(displaced);
                }
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for (i, change) in pending.into_iter().enumerate() {
            if covered.contains(&i) { self.make_durable(&change) } else { self.pending.push(change) }
        }
        self.sweep();
    }

    /// An operation whose ground is missing on the medium, since an earlier one was lost, is lost as well. So a thing
    /// loses its last name only by its own removal, or by a rename that was told to take its place.
    fn make_durable(&mut self, change: &NameChange) {
        match &change.deed {
            NameDeed::Link(at) => self.place(change.ino, at, None),
            NameDeed::Unlink(at) => {
                if self.durable_home(change.ino) == Some(at) && self.is_bare(change.ino) {
                    self.set_durable_name(at, None);
                }
            }
            NameDeed::Rename { to, displaced, .. } => {
                if self.is_rooted(to.dir, Some(change.ino)) {
                    self.place(change.ino, to, *displaced);
                }
            }
        }
    }

    fn place(&mut self, ino: Ino, at: &Slot, over: Option<Ino>) {
        let Some(Kind::Dir { durable, .. }) = self.nodes.get(&at.dir).map(|node| &node.kind) else { return };
        if durable.get(&at.name).is_some_and(|there| Some(*there) != over || !self.is_bare(*there)) {
            return;
        }
        if let Some(old) = self.durable_home(ino).cloned() {
            self.set_durable_name(&old, None);
        }
        self.set_durable_name(at, Some(ino));
    }

    /// A file, or a directory that is empty on the medium.
    fn is_bare(&self, ino: Ino) -> bool {
        match self.nodes.get(&ino).map(|node| &node.kind) {
            Some(Kind::Dir { durable, .. }) => durable.is_empty(),
            Some(Kind::File(_)) | None => true,
        }
    }

    fn durable_home(&self, ino: Ino) -> Option<&Slot> {
        self.nodes.get(&ino).and_then(|node| node.durable_home.as_ref())
    }

    fn set_durable_name(&mut self, at: &Slot, ino: Option<Ino>) {
        let Some(Node { kind: Kind::Dir { durable, .. }, .. }) = self.nodes.get_mut(&at.dir) else { return };
        let before = match ino {
            Some(ino) => durable.insert(at.name.clone(), ino),
            None => durable.remove(&at.name),
        };
        for (ino, home) in [(before, None), (ino, Some(at.clone()))] {
            if let Some(node) = ino.and_then(|ino| self.nodes.get_mut(&ino)) {
                node.durable_home = home;
            }
        }
    }

    /// Is it found from the root on the medium, by a way that does not lead through `without`?
    fn is_rooted(&self, mut ino: Ino, without: Option<Ino>) -> bool {
        while ino != ROOT {
            match self.durable_home(ino) {
                Some(home) if Some(ino) != without => ino = home.dir,
                _ => return false,
            }
        }
        true
    }

    /// Forgets what has no name, on the medium or off it, no handle, and no operation that could bring it back.
    fn sweep(&mut self) {
        let pending: BTreeSet<Ino> = self.pending.iter().map(|change| change.ino).collect();
        self.nodes.retain(|ino, node| {
            let named = node.home.is_some() || node.durable_home.is_some();
            *ino == ROOT || named || node.open > 0 || pending.contains(ino)
        });
    }
}

impl NameChange {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let (one, other) = match &self.deed {
            NameDeed::Link(at) | NameDeed::Unlink(at) => (at, None),
            NameDeed::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }

    fn touches(&self, dir: Ino) -> bool {
        self.slots().any(|slot| slot.dir == dir)
    }
}
