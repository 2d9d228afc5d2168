//! The catalog's store on a site's disk: it falls silent with the disk, and takes nothing when there is no room.

use std::io;
use std::path::Path;
use std::sync::Arc;

use carrick_catalog::store::Pair;
use carrick_catalog::{Family, MemoryStore, Store, StoreError, Write};
use carrick_sim::{DATA, SimDisk};
use carrick_sys::Disk as _;

/// Less room than this, and a commit is refused.
const ROOM_BYTES: u64 = 16 << 10;

pub struct SimStore {
    memory: MemoryStore,
    disk: Arc<SimDisk>,
}

impl SimStore {
    pub fn new(disk: &Arc<SimDisk>) -> Self {
        Self { memory: MemoryStore::new(), disk: Arc::clone(disk) }
    }

    /// Commits that a power cut could take.
    pub fn unsynced(&self) -> usize {
        self.memory.unsynced()
    }

    /// What a power cut leaves when the first `kept` of the un-synced commits reached the medium, on the disk that it left.
    pub fn after_power_cut(&self, kept: usize, disk: &Arc<SimDisk>) -> Self {
        Self { memory: self.memory.after_power_cut(kept), disk: Arc::clone(disk) }
    }
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io { doing, source: source.into() }
}

impl Store for SimStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(family, key)
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.memory.scan(family, prefix)
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let failed = failed("to commit");
        let room = self.disk.free_bytes(Path::new(DATA)).map_err(&failed)?;
        if room < ROOM_BYTES {
            return Err(failed(io::ErrorKind::StorageFull.into()));
        }
        self.memory.commit(writes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.disk.count_call().map_err(failed("to sync"))?;
        self.memory.sync()
    }
}
