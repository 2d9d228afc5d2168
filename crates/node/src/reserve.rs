//! Space put by for the day when the disk is full: a failover has to write a few records then.
//!
//! The file `RESERVE` is given up when a failover, or a start, finds less room than it needs, and made again once there is
//! enough. Whoever frees space by hand may remove it too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carrick_catalog::Catalog;
use carrick_sys::{Disk, Opening, Sys};
use tracing::{info, warn};

const NAME: &str = "RESERVE";
/// Less room than this, and the reserve is given up.
const LOW_BYTES: u64 = 8 << 20;
/// It is made again when this many times its size is free.
const AMPLE: u64 = 4;
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// For the catalog's store to notice that there is room again: RocksDB looks every five seconds.
const HEAL_MAX: Duration = Duration::from_secs(15);
const HEAL_EVERY: Duration = Duration::from_millis(100);
const CHUNK: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    bytes: u64,
}

/// Gives the reserve up if the disk is full: before a start opens the store. Blocking.
pub(crate) fn give_up(disk: &dyn Disk, root: &Path) -> bool {
    let path = root.join(NAME);
    if disk.free_bytes(root).unwrap_or(u64::MAX) >= LOW_BYTES || !disk.exists(&path) {
        return false;
    }
    match disk.remove_file(&path) {
        Ok(()) => {
            warn!(data = %root.display(), "the disk is full: the reserve is given up; free space, it is made again then");
            true
        }
        Err(failed) => {
            warn!(data = %root.display(), error = %failed, "the disk is full, and the reserve could not be given up");
            false
        }
    }
}

impl Reserve {
    /// `bytes` of 0: none is kept.
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path, bytes: u64) -> Self {
        Self { disk, root: root.to_path_buf(), bytes }
    }

    /// Makes it if it is not there and space is ample. Blocking.
    fn make(&self) -> io::Result<()> {
        let path = self.root.join(NAME);
        let ample = self.disk.free_bytes(&self.root)? >= self.bytes.saturating_mul(AMPLE);
        if self.bytes == 0 || !ample || self.disk.exists(&path) {
            return Ok(());
        }
        let beside = self.root.join("RESERVE.new");
        let _ = self.disk.remove_file(&beside);
        let file = self.disk.open(&beside, Opening::New)?;
        let chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < self.bytes {
            let len = usize::try_from(self.bytes - at).unwrap_or(CHUNK).min(CHUNK);
            let written = file.write_at(&[chunk.get(..len).unwrap_or_default()], at);
            if let Err(failed) = written {
                let _ = self.disk.remove_file(&beside);
                return Err(failed);
            }
            at += len as u64;
        }
        self.disk.rename(&beside, &path)?;
        info!(bytes = self.bytes, "space is put by for a failover on a full disk");
        Ok(())
    }

    /// Makes it, and makes it again after it was given up.
    pub(crate) async fn keep(self, sys: Sys) {
        if self.bytes == 0 {
            return;
        }
        loop {
            if let Err(failed) = self.make() {
                warn!(error = %failed, "no space could be put by for a failover on a full disk");
            }
            sys.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Before a failover: room for what it writes, and a catalog that takes it.
    pub(crate) async fn make_room(&self, sys: &Sys, catalog: &Catalog) {
        give_up(&*self.disk, &self.root);
        let began = sys.clock.now();
        while let Err(failed) = catalog.probe() {
            if sys.clock.now().since(began) > HEAL_MAX {
                warn!(error = %failed, "the catalog takes no changes");
                return;
            }
            sys.clock.sleep(HEAL_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use carrick_catalog::MemoryStore;
    use carrick_sim::{DATA, SimSite, run};

    use super::*;

    #[test]
    fn it_is_given_up_on_a_full_disk_and_made_again_when_space_is_ample() {
        run(1, async {
            let site = SimSite::new(1);
            let sys = site.sys();
            let root = Path::new(DATA);
            let reserve = Reserve::new(Arc::clone(&sys.disk), root, 1 << 20);
            let catalog = Catalog::open(Arc::new(MemoryStore::new()), &*sys.entropy).unwrap();
            let _task = sys.spawn.spawn("reserve", Box::pin(reserve.clone().keep(sys.clone())));
            let kept = || sys.disk.exists(&root.join(NAME));
            sys.clock.sleep(Duration::from_secs(1)).await;
            assert!(kept());
            reserve.make_room(&sys, &catalog).await;
            assert!(kept(), "there was room");
            site.disk.full_at(site.disk.allocated_bytes());
            reserve.make_room(&sys, &catalog).await;
            assert!(!kept() && sys.disk.free_bytes(root).unwrap() >= 1 << 20);
            sys.clock.sleep(Duration::from_secs(60)).await;
            assert!(!kept(), "space is short still");
            site.disk.full_at(u64::MAX);
            sys.clock.sleep(Duration::from_secs(60)).await;
            assert!(kept());
        });
    }
}
