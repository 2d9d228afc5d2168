//! The disk against a simple model: random calls, then a cut, for many seeds and several lives each.
//!
//! The model keeps, per file, all contents since its last sync, and per name, all that stood there since its directory's.
//! What a power cut leaves must be made of these, sector by sector and name by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use carrick_sys::{Disk, Durable, File, Opening};
use rand::Rng as _;

use super::*;
use crate::run;

const DIRS: [&str; 2] = ["/data/a", "/data/b"];
const NAMES: [&str; 4] = ["w", "x", "y", "z"];
const CALLS_PER_LIFE: usize = 60;
const LIVES: usize = 4;

struct Model {
    disk: Arc<SimDisk>,
    rng: SmallRng,
    things: BTreeMap<Ino, Thing>,
    /// Per path: what stood there since its directory was synced, the last being there now.
    slots: BTreeMap<PathBuf, Vec<Option<Ino>>>,
    /// Directories of which a sync failed.
    doomed_dirs: BTreeSet<&'static str>,
}

struct Thing {
    file: Arc<dyn File>,
    /// Since the last sync, the last being now.
    contents: Vec<Vec<u8>>,
    doomed: bool,
    /// Its name was synced, and it was not removed since.
    stays: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        for dir in DIRS {
            disk.create_dir_all(Path::new(dir)).unwrap();
        }
        disk.dir(Path::new(DATA)).unwrap().make_durable().unwrap();
        let paths = DIRS.iter().flat_map(|dir| NAMES.map(|name| Path::new(dir).join(name)));
        let slots = paths.map(|path| (path, vec![None])).collect();
        let (things, doomed_dirs) = (BTreeMap::new(), BTreeSet::new());
        Self { disk, rng: SmallRng::seed_from_u64(!seed), things, slots, doomed_dirs }
    }

    fn path(&mut self) -> PathBuf {
        let (dir, name) = (self.rng.random_range(0..DIRS.len()), self.rng.random_range(0..NAMES.len()));
        Path::new(DIRS[dir]).join(NAMES[name])
    }

    fn at(&self, path: &Path) -> Option<Ino> {
        *self.slots[path].last().unwrap()
    }

    fn set(&mut self, path: &Path, ino: Option<Ino>) {
        self.slots.get_mut(path).unwrap().push(ino);
    }

    async fn call(&mut self) {
        let path = self.path();
        match (self.rng.random_range(0..20), self.at(&path)) {
            (_, None) => self.create(&path),
            (0..9, Some(ino)) => self.write(ino),
            (9, Some(ino)) => self.set_len(ino),
            (10 | 11, Some(ino)) => self.sync_file(ino),
            (12 | 13, Some(ino)) => self.sync_awaited(ino).await,
            (14 | 15, Some(_)) => self.sync_dir(),
            (16 | 17, Some(ino)) => self.rename(&path, ino),
            (_, Some(ino)) => {
                self.disk.remove_file(&path).unwrap();
                self.set(&path, None);
                self.things.get_mut(&ino).unwrap().stays = false;
            }
        }
    }

    fn create(&mut self, path: &Path) {
        let file = self.disk.open(path, Opening::New).unwrap();
        let ino = self.disk.inner.state.lock().tree.find(path).unwrap();
        self.things.insert(ino, Thing { file, contents: vec![vec![]], doomed: false, stays: false });
        self.set(path, Some(ino));
    }

    fn write(&mut self, ino: Ino) {
        let thing = self.things.get_mut(&ino).unwrap();
        let mut now = thing.contents.last().unwrap().clone();
        let at = if self.rng.random() { now.len() } else { self.rng.random_range(0..=now.len() + 300) };
        let bytes: Vec<u8> = (0..self.rng.random_range(1..1500)).map(|_| self.rng.random()).collect();
        let middle = self.rng.random_range(0..=bytes.len());
        thing.file.write_at(&[&bytes[..middle], &bytes[middle..]], at as u64).unwrap();
        now.resize(now.len().max(at + bytes.len()), 0);
        now[at..at + bytes.len()].copy_from_slice(&bytes);
        thing.contents.push(now);
    }

    fn set_len(&mut self, ino: Ino) {
        let thing = self.things.get_mut(&ino).unwrap();
        let mut now = thing.contents.last().unwrap().clone();
        let len = self.rng.random_range(0..=now.len() + 600);
        thing.file.set_len(len as u64).unwrap();
        now.resize(len, 0);
        thing.contents.push(now);
    }

    /// True if the next sync was told to fail.
    fn may_fail(&mut self) -> bool {
        let fails = self.rng.random_ratio(1, 20);
        if fails {
            self.disk.fail_sync_after(1);
        }
        fails
    }

    fn sync_file(&mut self, ino: Ino) {
        let fails = self.may_fail();
        let thing = self.things.get_mut(&ino).unwrap();
        assert_eq!(thing.file.make_durable().is_err(), fails);
        let seen = thing.contents.len();
        thing.synced(seen, fails);
    }

    /// Several at once, with writes while it runs.
    async fn sync_awaited(&mut self, ino: Ino) {
        let fails = self.may_fail();
        let others: Vec<Ino> = self.named().into_keys().filter(|_| self.rng.random()).collect();
        let seen: BTreeMap<Ino, usize> =
            others.into_iter().chain([ino]).map(|ino| (ino, self.things[&ino].contents.len())).collect();
        let what: Vec<Arc<dyn Durable>> =
            seen.keys().map(|ino| Arc::clone(&self.things[ino].file).as_durable()).collect();
        let sync = self.disk.sync(what);
        self.write(ino);
        assert_eq!(sync.await.is_err(), fails);
        for (ino, seen) in seen {
            self.things.get_mut(&ino).unwrap().synced(seen, fails);
        }
    }

    fn sync_dir(&mut self) {
        let dir = DIRS[self.rng.random_range(0..DIRS.len())];
        let fails = self.may_fail();
        assert_eq!(self.disk.dir(Path::new(dir)).unwrap().make_durable().is_err(), fails);
        if fails {
            self.doomed_dirs.insert(dir);
        }
        if self.doomed_dirs.contains(dir) {
            return;
        }
        for (_, stood) in self.slots.iter_mut().filter(|(path, _)| path.starts_with(dir)) {
            stood.drain(..stood.len() - 1);
            if let [Some(ino)] = stood[..] {
                self.things.get_mut(&ino).unwrap().stays = true;
            }
        }
    }

    fn rename(&mut self, from: &Path, ino: Ino) {
        let to = self.path();
        self.disk.rename(from, &to).unwrap();
        if to == from {
            return;
        }
        if let Some(displaced) = self.at(&to) {
            self.things.get_mut(&displaced).unwrap().stays = false;
        }
        self.set(from, None);
        self.set(&to, Some(ino));
    }

    /// What has a name now. The others nobody calls any more, but a power cut may bring their names back.
    fn named(&self) -> BTreeMap<Ino, PathBuf> {
        let now =
            |(path, stood): (&PathBuf, &Vec<Option<Ino>>)| Some(((*stood.last().unwrap())?, path.clone()));
        self.slots.iter().filter_map(now).collect()
    }

    /// What reads and lists see now.
    fn check_live(&self) {
        for (path, stood) in &self.slots {
            let now = stood.last().unwrap().map(|ino| self.things[&ino].contents.last().unwrap().clone());
            assert_eq!(self.disk.file_bytes(path), now, "{}", path.display());
        }
        assert_eq!(self.disk.paths().len(), self.named().len());
    }

    fn after_kill(&mut self) {
        self.disk = self.disk.reboot(Cut::Kill);
        self.check_live();
        for (ino, path) in self.named() {
            self.things.get_mut(&ino).unwrap().file = self.disk.open(&path, Opening::Write).unwrap();
        }
    }

    fn after_power_cut(&mut self) {
        let after = self.disk.reboot(Cut::Power);
        let find = |path: &Path| after.inner.state.lock().tree.find(path).ok();
        let mut found = BTreeMap::new();
        for (path, stood) in &self.slots {
            let there = find(path);
            assert!(stood.contains(&there), "{}: {there:?} of {stood:?}", path.display());
            if let Some(ino) = there {
                assert!(found.insert(ino, path.clone()).is_none(), "{} has two names", path.display());
                self.things[&ino].check(&after.file_bytes(path).unwrap());
            }
        }
        for (ino, thing) in &self.things {
            assert!(!thing.stays || found.contains_key(ino), "{ino} has lost its name");
        }
        self.disk = after;
        self.things.clear();
        self.doomed_dirs.clear();
        for (path, stood) in &mut self.slots {
            *stood = vec![None];
            if let Some(bytes) = self.disk.file_bytes(path) {
                let ino = self.disk.inner.state.lock().tree.find(path).unwrap();
                let file = self.disk.open(path, Opening::Write).unwrap();
                self.things.insert(ino, Thing { file, contents: vec![bytes], doomed: false, stays: true });
                *stood = vec![Some(ino)];
            }
        }
    }
}

impl Thing {
    /// A sync of the first `seen` contents has ended.
    fn synced(&mut self, seen: usize, failed: bool) {
        self.doomed |= failed;
        if !self.doomed {
            self.contents.drain(..seen - 1);
        }
    }

    /// Could a power cut leave these bytes?
    fn check(&self, after: &[u8]) {
        let lens: Vec<usize> = self.contents.iter().map(Vec::len).collect();
        let (shortest, longest) = (lens.iter().min().unwrap(), lens.iter().max().unwrap());
        assert!((shortest..=longest).contains(&&after.len()), "{} bytes of {lens:?}", after.len());
        // A doomed file's sectors are mixed by bytes: fresh ones are synced without their doomed neighbours.
        let unit = if self.doomed { 1 } else { SECTOR_BYTES as usize };
        for (i, sector) in after.chunks(unit).enumerate() {
            let same = |content: &Vec<u8>| {
                let at = |j: usize| content.get(i * unit + j).copied().unwrap_or(0);
                sector.iter().enumerate().all(|(j, byte)| *byte == at(j))
            };
            assert!(self.contents.iter().any(same), "unit {i} of {unit} bytes was never so");
        }
    }
}

#[test]
fn what_a_cut_leaves_is_made_of_what_was_there_since_the_last_sync() {
    for seed in 0..200 {
        run(seed, async {
            let mut model = Model::new(seed);
            for _ in 0..LIVES {
                for _ in 0..CALLS_PER_LIFE {
                    model.call().await;
                    model.check_live();
                }
                if model.rng.random_ratio(1, 3) { model.after_kill() } else { model.after_power_cut() }
            }
        });
    }
}
