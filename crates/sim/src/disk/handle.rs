//! Open files, directories and locks. Each call is refused once the disk has crashed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_sys::{Durable, File};
use rand::Rng as _;

use super::tree::Ino;
use super::{Inner, State, dead};

/// Reads in so many, of which one finds the page cache empty.
const CACHED_READS_PER_MISS: u32 = 16;

/// What one call of `Disk::sync` is to cover.
#[derive(Default)]
pub(super) struct Group {
    pub(super) targets: Vec<Ino>,
}

/// A file or directory that is held open.
struct Open {
    inner: Arc<Inner>,
    ino: Ino,
}

pub(super) struct SimFile {
    open: Open,
    writable: bool,
}

pub(super) struct SimDir(Open);

pub(super) struct SimLock {
    inner: Arc<Inner>,
    ino: Ino,
}

impl Open {
    fn new(inner: &Arc<Inner>, state: &mut State, ino: Ino) -> Self {
        state.tree.opened(ino);
        Self { inner: Arc::clone(inner), ino }
    }

    /// Within `Disk::sync` it only says what is to be covered: the sync is one call and one chance to fail.
    fn make_durable(&self) -> io::Result<()> {
        let mut guard = self.inner.state.lock();
        let state = &mut *guard;
        if let Some(group) = &mut state.group {
            group.targets.push(self.ino);
            return if state.crashed { Err(dead()) } else { Ok(()) };
        }
        drop(guard);
        let mut state = self.inner.enter()?;
        if state.faults.sync_fails() {
            state.tree.doom(self.ino);
            return Err(input_output());
        }
        let mark = state.tree.mark();
        state.tree.commit(self.ino, mark);
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.inner.state.lock().tree.closed(self.ino);
    }
}

impl SimFile {
    pub(super) fn new(inner: &Arc<Inner>, state: &mut State, ino: Ino, writable: bool) -> Self {
        Self { open: Open::new(inner, state, ino), writable }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(bad_descriptor()) }
    }
}

impl Durable for SimFile {
    fn make_durable(&self) -> io::Result<()> {
        self.open.make_durable()
    }
}

impl File for SimFile {
    fn read_at(&self, len: usize, at: u64) -> io::Result<Bytes> {
        Ok(self.open.inner.enter()?.tree.content(self.open.ino)?.read(len, at))
    }

    fn read_cached(&self, len: usize, at: u64) -> io::Result<Option<Bytes>> {
        let mut state = self.open.inner.enter()?;
        let missed = state.rng.random_ratio(1, CACHED_READS_PER_MISS);
        let content = state.tree.content(self.open.ino)?;
        Ok((!missed).then(|| content.read(len, at)))
    }

    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()> {
        let mut guard = self.open.inner.enter()?;
        self.check_writable()?;
        let state = &mut *guard;
        let mut bytes = Bytes::from(parts.concat());
        let fits = state.fits(self.open.ino, at, bytes.len() as u64)?;
        let full = fits < bytes.len() as u64;
        if full {
            bytes.truncate(usize::try_from(state.rng.random_range(0..=fits)).unwrap_or_default());
        }
        let seq = state.tree.tick();
        state.tree.content_mut(self.open.ino)?.write(seq, at, bytes)?;
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.open.inner.enter()?.tree.content(self.open.ino)?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.open.inner.enter()?;
        self.check_writable()?;
        if state.fits(self.open.ino, 0, len)? < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let seq = state.tree.tick();
        state.tree.content_mut(self.open.ino)?.set_len(seq, len)
    }

    fn as_durable(self: Arc<Self>) -> Arc<dyn Durable> {
        self
    }
}

impl SimDir {
    pub(super) fn new(inner: &Arc<Inner>, state: &mut State, ino: Ino) -> Self {
        Self(Open::new(inner, state, ino))
    }
}

impl Durable for SimDir {
    fn make_durable(&self) -> io::Result<()> {
        self.0.make_durable()
    }
}

impl SimLock {
    pub(super) fn take(inner: &Arc<Inner>, state: &mut State, ino: Ino) -> io::Result<Self> {
        if !state.locks.insert(ino) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Self { inner: Arc::clone(inner), ino })
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.inner.state.lock().locks.remove(&self.ino);
    }
}

impl State {
    /// How many of `len` bytes at `at` the medium has room for.
    fn fits(&mut self, ino: Ino, at: u64, len: u64) -> io::Result<u64> {
        let have = self.tree.content(ino)?.len();
        let grows = at.saturating_add(len).saturating_sub(have);
        if grows > 0 && self.faults.fills() {
            self.faults.bytes_max = self.tree.allocated_bytes() + self.rng.random_range(0..grows);
        }
        if self.faults.bytes_max == u64::MAX || grows == 0 {
            return Ok(len);
        }
        let free = self.faults.bytes_max.saturating_sub(self.tree.allocated_bytes());
        Ok(have.saturating_add(free).saturating_sub(at).min(len))
    }

    pub(super) fn free_bytes(&self) -> u64 {
        match self.faults.bytes_max {
            u64::MAX => u64::MAX,
            max => max.saturating_sub(self.tree.allocated_bytes()),
        }
    }

    /// A name needs room as well.
    pub(super) fn check_room(&mut self) -> io::Result<()> {
        if self.faults.fills() {
            self.faults.bytes_max = self.tree.allocated_bytes();
        }
        if self.faults.bytes_max != u64::MAX && self.tree.allocated_bytes() >= self.faults.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// EIO, which has no kind of its own.
pub(super) fn input_output() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// EBADF: a write through a handle that was opened for reading.
fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(9)
}
