//! A disk in memory that remembers what was synced and draws what survives of the rest.
//!
//! What a caller did and has not synced is a list of changes beside the durable image: [`content`] for the bytes of one
//! file, [`tree`] for names. Reads see all of it. A sync moves changes into the image; [`cut`] draws which of them a power
//! cut leaves, [`states`] names all that it may leave.

mod calls;
mod content;
mod cut;
mod faults;
mod handle;
#[cfg(test)]
mod model;
mod states;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use tokio::sync::Semaphore;

pub use content::SECTOR_BYTES;
pub use cut::Cut;
pub use states::{Moment, Survivors};

use faults::Faults;
use handle::Group;
use tree::{Ino, Tree};

/// The data directory, there and durable on every new disk.
pub const DATA: &str = "/data";

/// One disk from one boot to one crash. Paths are absolute; `/a` and `a` are one.
pub struct SimDisk {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Closed by the crash, for those who wait for it.
    up: Semaphore,
}

struct State {
    tree: Tree,
    rng: SmallRng,
    calls: u64,
    crashed: bool,
    faults: Faults,
    locks: BTreeSet<Ino>,
    /// The sync that is just collecting what it is to cover.
    group: Option<Group>,
    recorded: Option<Vec<Arc<Moment>>>,
}

impl SimDisk {
    /// Empty but for [`DATA`].
    pub fn new(seed: u64) -> Arc<Self> {
        Self::of(Tree::new(), seed, Faults::default())
    }

    fn of(tree: Tree, seed: u64, faults: Faults) -> Arc<Self> {
        let rng = SmallRng::seed_from_u64(seed);
        let locks = BTreeSet::new();
        let state = State { tree, rng, calls: 0, crashed: false, faults, locks, group: None, recorded: None };
        Arc::new(Self { inner: Arc::new(Inner { state: Mutex::new(state), up: Semaphore::new(0) }) })
    }

    /// Calls of the disk and its files so far, which [`SimDisk::crash_at`] counts. A sync of many is one.
    pub fn calls(&self) -> u64 {
        self.inner.state.lock().calls
    }

    /// One more call, made elsewhere: for a twin (the `Line`) that is to fall silent with this disk.
    pub fn count_call(&self) -> io::Result<()> {
        self.inner.enter().map(drop)
    }

    /// From here on nothing reaches the medium and every call is refused.
    pub fn crash(&self) {
        self.inner.crash(&mut self.inner.state.lock());
    }

    pub fn crashed(&self) -> bool {
        self.inner.state.lock().crashed
    }

    pub async fn until_crashed(&self) {
        // No permit is ever given out: it ends when the semaphore is closed.
        let _ = self.inner.up.acquire().await;
    }

    /// The disk after a crash, which happens now if it has not. Asked again it draws again: another disk that this crash
    /// may leave. Stalls and the size stay as set; the other faults are gone. Handles of the old disk stay dead.
    pub fn reboot(&self, cut: Cut) -> Arc<Self> {
        let mut guard = self.inner.state.lock();
        self.inner.crash(&mut guard);
        let state = &mut *guard;
        let tree = match cut {
            Cut::Kill => state.tree.after_kill(),
            Cut::Power => state.tree.after_power_cut(&mut state.rng),
        };
        let seed = state.rng.next_u64();
        Self::of(tree, seed, state.faults.after_reboot())
    }

    /// Flips one bit (0 to 7) on the medium and in the cache. Not a call; a crashed disk can be damaged, too.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = self.inner.state.lock();
        let ino = state.tree.find(path)?;
        let content = state.tree.content_mut(ino)?;
        if byte >= content.len() || bit > 7 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        content.flip(byte, 1 << bit);
        Ok(())
    }

    /// None if there is no such file. Not a call, as are those below.
    pub fn file_len(&self, path: &Path) -> Option<u64> {
        self.peek(path, |content| content.len())
    }

    /// A file's bytes as reads see them.
    pub fn file_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        self.peek(path, |content| content.bytes().to_vec())
    }

    /// All files, with full paths, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.inner.state.lock().tree.paths()
    }

    /// Bytes that files hold: those with a name and those still open. A hole counts as if it were written.
    pub fn allocated_bytes(&self) -> u64 {
        self.inner.state.lock().tree.allocated_bytes()
    }

    fn peek<T>(&self, path: &Path, look: impl FnOnce(&content::Content) -> T) -> Option<T> {
        let state = self.inner.state.lock();
        let ino = state.tree.find(path).ok()?;
        state.tree.content(ino).ok().map(look)
    }
}

impl Inner {
    /// Counts a call, and refuses it if the disk has crashed or this is where it does.
    fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.keep_moment();
        if !state.crashed {
            state.calls += 1;
            if state.faults.crash_is_due(state.calls) {
                self.crash(&mut state);
            }
        }
        if state.crashed { Err(dead()) } else { Ok(state) }
    }

    fn crash(&self, state: &mut State) {
        state.crashed = true;
        self.up.close();
    }
}

fn dead() -> io::Error {
    io::Error::other("the site has crashed")
}
