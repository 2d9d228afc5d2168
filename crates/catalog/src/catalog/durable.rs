//! Making commits durable: a sync covers all that was committed when it began, so that those who wait while one runs share
//! the next. Nobody waits for another's future, which nobody may be polling.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carrick_sys::{Disk, Durable};
use parking_lot::Mutex;

use super::{Catalog, CatalogError};
use crate::store::Store;

/// A commit's number. Durable once all up to it are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit(pub(super) u64);

/// How far the store is written, and how far synced.
#[derive(Default)]
pub(super) struct Synced {
    written: AtomicU64,
    durable: AtomicU64,
    /// Why a sync failed. It is never tried again: a second one could succeed without what the first one lost.
    failed: Mutex<Option<String>>,
}

impl Synced {
    /// Everything up to `commit` is in the store.
    pub(super) fn wrote(&self, commit: Commit) {
        self.written.fetch_max(commit.0, Ordering::AcqRel);
    }

    pub(super) fn made_durable(&self, commit: Commit) {
        self.durable.fetch_max(commit.0, Ordering::AcqRel);
    }

    fn written(&self) -> Commit {
        Commit(self.written.load(Ordering::Acquire))
    }

    fn covers(&self, commit: Commit) -> bool {
        self.durable.load(Ordering::Acquire) >= commit.0
    }

    fn fail(&self, why: &dyn std::error::Error) {
        self.failed.lock().get_or_insert_with(|| why.to_string());
    }

    /// After a failed sync nothing is acknowledged any more.
    fn check(&self) -> io::Result<()> {
        match &*self.failed.lock() {
            Some(why) => Err(io::Error::other(why.clone())),
            None => Ok(()),
        }
    }
}

/// The store's log, up to a commit.
struct StoreLog {
    store: Arc<dyn Store>,
    synced: Arc<Synced>,
    commit: Commit,
}

impl Durable for StoreLog {
    fn make_durable(&self) -> io::Result<()> {
        self.synced.check()?;
        // One that began after this commit may have ended while this one waited for its turn.
        if self.synced.covers(self.commit) {
            return Ok(());
        }
        let covered = self.synced.written();
        self.store.sync().map_err(|failed| {
            self.synced.fail(&failed);
            io::Error::other(failed)
        })?;
        self.synced.made_durable(covered);
        Ok(())
    }
}

impl Catalog {
    /// The last commit that is durable.
    pub fn durable_commits(&self) -> u64 {
        self.synced.durable.load(Ordering::Acquire)
    }

    /// Has each sync told, with the last commit that is durable. Once.
    pub fn on_durable(&self, tell: Box<dyn Fn(u64) + Send + Sync>) {
        // Who told first goes on.
        let _ = self.on_durable.set(tell);
    }

    /// The last commit so far.
    pub fn committed(&self) -> Commit {
        self.synced.written()
    }

    /// Returns once every commit before the call is durable; at once if all are.
    pub async fn durable(&self, disk: &dyn Disk) -> Result<(), CatalogError> {
        self.durable_to(self.committed(), disk).await
    }

    /// Returns once `commit` and all before it are durable; at once if they are. Many may wait at a time.
    pub async fn durable_to(&self, commit: Commit, disk: &dyn Disk) -> Result<(), CatalogError> {
        let not_durable = |source| CatalogError::NotDurable { source };
        self.synced.check().map_err(not_durable)?;
        if self.synced.covers(commit) {
            return Ok(());
        }
        let (store, synced) = (Arc::clone(&self.store), Arc::clone(&self.synced));
        let log: Arc<dyn Durable> = Arc::new(StoreLog { store, synced, commit });
        let synced = disk.sync(vec![log]).await;
        // A disk may sync without asking the store's log: then the outcome is known here only.
        match synced {
            Ok(()) => {
                self.synced.made_durable(commit);
                if let Some(tell) = self.on_durable.get() {
                    tell(self.durable_commits());
                }
            }
            Err(source) => {
                self.synced.fail(&source);
                return Err(not_durable(source));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
