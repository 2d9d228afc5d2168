//! Names: what stands where, on the medium and as calls see it, and the directory operations between the two.

mod durable;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use super::content::Content;
use super::states::{Pending, Unsynced};

/// A file or directory, whatever its name. Never given twice; the same after a reboot.
pub(super) type Ino = u64;

const ROOT: Ino = 1;

#[derive(Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<Ino, Node>,
    pending: Vec<NameChange>,
    next_ino: Ino,
    /// Of the newest change or sync, and of the newest sync.
    seq: u64,
    synced: u64,
}

#[derive(Clone)]
struct Node {
    kind: Kind,
    /// Its name; a thing has at most one.
    home: Option<Slot>,
    durable_home: Option<Slot>,
    /// Handles on it.
    open: u32,
    /// Syncs of it that failed.
    dooms: u32,
}

#[derive(Clone)]
enum Kind {
    File(Content),
    Dir { now: BTreeMap<String, Ino>, durable: BTreeMap<String, Ino> },
}

/// A place for a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    dir: Ino,
    name: String,
}

/// A directory operation that is not synced.
#[derive(Clone)]
struct NameChange {
    seq: u64,
    /// Directories of which a sync failed that was to cover it.
    doomed_in: BTreeSet<Ino>,
    ino: Ino,
    deed: NameDeed,
}

#[derive(Clone)]
enum NameDeed {
    Link(Slot),
    Unlink(Slot),
    /// Over `displaced`, if that stood at `to`.
    Rename {
        from: Slot,
        to: Slot,
        displaced: Option<Ino>,
    },
}

impl Tree {
    /// The root and the data directory, durable.
    pub(super) fn new() -> Self {
        let root = Node { kind: Kind::dir(), home: None, durable_home: None, open: 0, dooms: 0 };
        let mut tree =
            Self { nodes: BTreeMap::new(), pending: Vec::new(), next_ino: ROOT, seq: 0, synced: 0 };
        tree.nodes.insert(ROOT, root);
        // The root is there and empty: this cannot fail.
        let _ = tree.create_dir_all(Path::new(super::DATA));
        tree.commit(ROOT, u64::MAX);
        tree
    }

    /// The number of the next change.
    pub(super) fn tick(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn changes(&self) -> u64 {
        self.seq
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// What no sync covers, in order.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let names = self.pending.iter().map(|change| Pending { seq: change.seq, what: Unsynced::Name });
        let contents = self.nodes.values().filter_map(|node| match &node.kind {
            Kind::File(content) => Some(content.pending()),
            Kind::Dir { .. } => None,
        });
        let mut pending: Vec<_> = names.chain(contents.flatten()).collect();
        pending.sort_by_key(|it| it.seq);
        pending
    }

    /// The number that all changes to come are at or above.
    pub(super) fn mark(&self) -> u64 {
        self.seq + 1
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Ino> {
        let mut at = ROOT;
        for name in names(path)? {
            at = self.names_in(at)?.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    pub(super) fn names_in(&self, dir: Ino) -> io::Result<&BTreeMap<String, Ino>> {
        match &self.node(dir)?.kind {
            Kind::Dir { now, .. } => Ok(now),
            Kind::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn content(&self, ino: Ino) -> io::Result<&Content> {
        match &self.node(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn content_mut(&mut self, ino: Ino) -> io::Result<&mut Content> {
        match &mut self.nodes.get_mut(&ino).ok_or(io::ErrorKind::NotFound)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<Ino> {
        let at = self.slot(path)?;
        if self.names_in(at.dir)?.contains_key(&at.name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.create(at, Kind::File(Content::default()))
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path)? {
            dir = match self.names_in(dir)?.get(name) {
                Some(ino) => *ino,
                None => self.create(Slot { dir, name: name.into() }, Kind::dir())?,
            };
        }
        self.names_in(dir).map(drop)
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let ino = self.find(path)?;
        self.content(ino)?;
        self.unlink(ino)
    }

    /// From the leaves up, each name an operation of its own.
    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.find(path)?;
        if dir == ROOT {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let mut found = vec![dir];
        let mut looked_at = 0;
        self.names_in(dir)?;
        while let Some(ino) = found.get(looked_at) {
            if let Ok(names) = self.names_in(*ino) {
                found.extend(names.values().copied().collect::<Vec<_>>());
            }
            looked_at += 1;
        }
        found.into_iter().rev().try_for_each(|ino| self.unlink(ino))
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (ino, from, to) = (self.find(from)?, self.slot(from)?, self.slot(to)?);
        let target = self.names_in(to.dir)?.get(&to.name).copied();
        if target == Some(ino) {
            return Ok(());
        }
        let is_dir = self.names_in(ino).is_ok();
        if is_dir && self.is_within(to.dir, ino) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match target.map(|target| self.names_in(target)) {
            Some(Ok(_)) if !is_dir => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Ok(names)) if !names.is_empty() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(Err(_)) if is_dir => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        self.set_name(&from, None);
        self.set_name(&to, Some(ino));
        self.did(ino, NameDeed::Rename { from, to, displaced: target });
        Ok(())
    }

    pub(super) fn opened(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.open += 1;
        }
    }

    pub(super) fn closed(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.open = node.open.saturating_sub(1);
        }
    }

    pub(super) fn allocated_bytes(&self) -> u64 {
        let held = self.nodes.values().filter(|node| node.home.is_some() || node.open > 0);
        held.map(|node| if let Kind::File(content) = &node.kind { content.len() } else { 0 }).sum()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut dirs = vec![(String::new(), ROOT)];
        while let Some((path, dir)) = dirs.pop() {
            for (name, ino) in self.names_in(dir).into_iter().flatten() {
                let path = format!("{path}/{name}");
                if self.names_in(*ino).is_ok() { dirs.push((path, *ino)) } else { paths.push(path) }
            }
        }
        paths.sort();
        paths
    }

    fn node(&self, ino: Ino) -> io::Result<&Node> {
        self.nodes.get(&ino).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where a path's last name stands or would stand; the directory is there.
    fn slot(&self, path: &Path) -> io::Result<Slot> {
        let name = names(path)?.last().copied().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names_in(dir)?;
        Ok(Slot { dir, name })
    }

    fn is_within(&self, mut ino: Ino, dir: Ino) -> bool {
        while ino != dir {
            match self.nodes.get(&ino).and_then(|node| node.home.as_ref()) {
                Some(home) => ino = home.dir,
                None => return false,
            }
        }
        true
    }

    fn create(&mut self, at: Slot, kind: Kind) -> io::Result<Ino> {
        self.next_ino += 1;
        let ino = self.next_ino;
        self.nodes.insert(ino, Node { kind, home: None, durable_home: None, open: 0, dooms: 0 });
        self.set_name(&at, Some(ino));
        self.did(ino, NameDeed::Link(at));
        Ok(ino)
    }

    fn unlink(&mut self, ino: Ino) -> io::Result<()> {
        let at = self.node(ino)?.home.clone().ok_or(io::ErrorKind::NotFound)?;
        self.set_name(&at, None);
        self.did(ino, NameDeed::Unlink(at));
        Ok(())
    }

    fn did(&mut self, ino: Ino, deed: NameDeed) {
        let seq = self.tick();
        self.pending.push(NameChange { seq, doomed_in: BTreeSet::new(), ino, deed });
    }

    /// What calls see at a slot; who stood there has no name any more.
    fn set_name(&mut self, at: &Slot, ino: Option<Ino>) {
        let Some(Node { kind: Kind::Dir { now, .. }, .. }) = self.nodes.get_mut(&at.dir) else { return };
        let before = match ino {
            Some(ino) => now.insert(at.name.clone(), ino),
            None => now.remove(&at.name),
        };
        for (ino, home) in [(before, None), (ino, Some(at.clone()))] {
            if let Some(node) = ino.and_then(|ino| self.nodes.get_mut(&ino)) {
                node.home = home;
            }
        }
    }
}

impl Kind {
    fn dir() -> Self {
        Self::Dir { now: BTreeMap::new(), durable: BTreeMap::new() }
    }
}

fn names(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(io::ErrorKind::InvalidFilename)?),
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}

#[cfg(test)]
impl Tree {
    /// Things and operations that are remembered.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.pending.len())
    }
}
