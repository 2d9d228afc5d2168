//! The disk as a node calls it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_sys::{Disk, Durable, File, Opening};
use futures::future::BoxFuture;
use rand::Rng as _;
use rand::rngs::SmallRng;

use super::handle::{Group, SimDir, SimFile, SimLock, input_output};
use super::tree::Ino;
use super::{Inner, SimDisk, dead};

/// Awaited calls yield up to so many times, so that interleavings vary.
const YIELDS_MAX: u32 = 3;

impl Disk for SimDisk {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn File>> {
        let mut state = self.inner.enter()?;
        let ino = match opening {
            Opening::Read | Opening::Write => state.tree.find(path)?,
            Opening::New => {
                if state.tree.find(path).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                state.check_room()?;
                state.tree.create_file(path)?
            }
        };
        state.tree.content(ino)?;
        Ok(Arc::new(SimFile::new(&self.inner, &mut state, ino, opening != Opening::Read)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.inner.enter()?;
        if state.tree.find(path).is_err() {
            state.check_room()?;
        }
        state.tree.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.inner.enter()?;
        let dir = state.tree.find(path)?;
        Ok(state.tree.names_in(dir)?.keys().cloned().collect())
    }

    /// False once the disk has crashed.
    fn exists(&self, path: &Path) -> bool {
        self.inner.enter().is_ok_and(|state| state.tree.find(path).is_ok())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.enter()?.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.enter()?.tree.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.enter()?.tree.remove_dir_all(path)
    }

    fn dir(&self, path: &Path) -> io::Result<Arc<dyn Durable>> {
        let mut state = self.inner.enter()?;
        let ino = state.tree.find(path)?;
        state.tree.names_in(ino)?;
        Ok(Arc::new(SimDir::new(&self.inner, &mut state, ino)))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.inner.enter()?;
        Ok(state.free_bytes())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut state = self.inner.enter()?;
        let ino = match state.tree.find(path) {
            Ok(ino) => ino,
            Err(_) => {
                state.check_room()?;
                state.tree.create_file(path)?
            }
        };
        Ok(Box::new(SimLock::take(&self.inner, &mut state, ino)?))
    }

    /// Covers what was written before this call, not what comes while the future waits. Dropped before its end, it has
    /// made nothing durable.
    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        let begun = self.inner.begin_sync(&what);
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let begun = begun?;
            yield_times(begun.yields).await;
            if !begun.stall.is_zero() {
                tokio::time::sleep(begun.stall).await;
            }
            inner.end_sync(begun)
        })
    }

    fn read_cold(&self, file: Arc<dyn File>, len: usize, at: u64) -> BoxFuture<'static, io::Result<Bytes>> {
        let yields = draw_yields(&mut self.inner.state.lock().rng);
        Box::pin(async move {
            yield_times(yields).await;
            file.read_at(len, at)
        })
    }
}

/// A sync under way.
struct Begun {
    yields: u32,
    stall: Duration,
    /// Its changes are below this number.
    mark: u64,
    /// What it covers, each with the failures it had seen.
    targets: Vec<(Ino, u32)>,
    failure: Option<io::Error>,
}

impl Inner {
    /// Asks each of `what`, which name themselves if they are of this disk. If the sync is to fail, the harm is done here:
    /// nobody may be left to hear of it.
    fn begin_sync(&self, what: &[Arc<dyn Durable>]) -> io::Result<Begun> {
        let mut guard = self.enter()?;
        let state = &mut *guard;
        let (yields, stall) = (draw_yields(&mut state.rng), state.faults.stall(&mut state.rng));
        let fails = !what.is_empty() && state.faults.sync_fails();
        state.faults.failed_syncs += u64::from(fails);
        state.group = Some(Group::default());
        drop(guard);

        // All are asked, also after a refusal: the harm is to all.
        let mut refused = None;
        for it in what {
            refused = it.make_durable().err().or(refused);
        }

        let mut state = self.state.lock();
        let targets = state.group.take().unwrap_or_default().targets;
        let failure = refused.or_else(|| fails.then(input_output));
        if failure.is_some() {
            targets.iter().for_each(|ino| state.tree.doom(*ino));
        }
        let stall = stall.max(state.faults.stuck(!targets.is_empty()));
        let targets = targets.into_iter().map(|ino| (ino, state.tree.dooms(ino))).collect();
        Ok(Begun { yields, stall, mark: state.tree.mark(), targets, failure })
    }

    fn end_sync(&self, begun: Begun) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.crashed {
            return Err(dead());
        }
        if let Some(failure) = begun.failure {
            return Err(failure);
        }
        if state.faults.lies {
            return Ok(());
        }
        // Another sync of the same file failed meanwhile: the medium tells both.
        if begun.targets.iter().any(|(ino, dooms)| state.tree.dooms(*ino) != *dooms) {
            return Err(input_output());
        }
        for (ino, _) in begun.targets {
            state.tree.commit(ino, begun.mark);
        }
        Ok(())
    }
}

fn draw_yields(rng: &mut SmallRng) -> u32 {
    rng.random_range(0..=YIELDS_MAX)
}

async fn yield_times(times: u32) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
