//! Making commits durable: those who wait while a sync runs share the next one.

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

/// How far the store is synced, and whose turn it is to sync it.
#[derive(Default)]
pub(super) struct Synced {
    up_to: AtomicU64,
    turn: tokio::sync::Mutex<()>,
    /// Why a sync failed. It is never tried again: a second one could succeed without what the first one lost.
    failed: Mutex<Option<String>>,
}

impl Synced {
    pub(super) fn covers(&self, commit: Commit) -> bool {
        self.up_to.load(Ordering::Acquire) >= commit.0
    }

    pub(super) fn raise(&self, commit: Commit) {
        self.up_to.fetch_max(commit.0, Ordering::AcqRel);
    }
}

struct StoreLog(Arc<dyn Store>);

impl Durable for StoreLog {
    fn make_durable(&self) -> io::Result<()> {
        self.0.sync().map_err(io::Error::other)
    }
}

impl Catalog {
    /// The last commit so far.
    pub fn committed(&self) -> Commit {
        Commit(self.state.read().node.commits)
    }

    /// Returns once every commit before the call is durable; at once if all are.
    pub async fn durable(&self, disk: &dyn Disk) -> Result<(), CatalogError> {
        self.durable_to(self.committed(), disk).await
    }

    /// Returns once `commit` and all before it are durable; at once if they are.
    pub async fn durable_to(&self, commit: Commit, disk: &dyn Disk) -> Result<(), CatalogError> {
        if self.synced.covers(commit) {
            return Ok(());
        }
        let _turn = self.synced.turn.lock().await;
        // A sync that began after this commit may have ended while this one waited for its turn.
        if self.synced.covers(commit) {
            return Ok(());
        }
        if let Some(why) = &*self.synced.failed.lock() {
            return Err(CatalogError::NotDurable { source: io::Error::other(why.clone()) });
        }
        let covered = self.committed();
        let log: Arc<dyn Durable> = Arc::new(StoreLog(Arc::clone(&self.store)));
        match disk.sync(vec![log]).await {
            Ok(()) => {
                self.synced.raise(covered);
                Ok(())
            }
            Err(source) => {
                *self.synced.failed.lock() = Some(source.to_string());
                Err(CatalogError::NotDurable { source })
            }
        }
    }
}
