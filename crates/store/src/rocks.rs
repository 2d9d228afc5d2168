//! The store over RocksDB.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use carrick_catalog::store::{Family, Pair, Store, StoreError, Write};
use rocksdb::{ColumnFamily, DB, ErrorKind, IteratorMode, PrefixRange, ReadOptions, WriteBatch};

use crate::options::{self, StoreBudget};

/// An open store. Dropping it waits for RocksDB's threads and gives the directory free; it does not sync.
pub struct RocksStore {
    db: DB,
    /// A sync failed: what it covered may be lost, though a second sync could succeed without it.
    failed: AtomicBool,
}

impl RocksStore {
    /// Opens the store in `dir`, or makes it there; blocking, reads the write-ahead log (about 16 MiB at most by
    /// default). Making the name of `dir` itself durable is the caller's.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while it is open elsewhere, in this process or another; [`StoreError::Damaged`] where RocksDB
    /// sees damage itself (what it does not see, the catalog's commit count does).
    pub fn open(dir: &Path, budget: StoreBudget) -> Result<Self, StoreError> {
        let opened = DB::open_cf_descriptors(&options::of_store(budget), dir, options::of_families(budget));
        let db = opened.map_err(|e| if is_lock(&e) { StoreError::InUse } else { failure("opening", e) })?;
        Ok(Self { db, failed: AtomicBool::new(false) })
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        let what = || StoreError::Damaged { what: format!("it has no family {}", family.name()) };
        self.db.cf_handle(family.name()).ok_or_else(what)
    }

    fn refuse_after_failed_sync(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            let source = "an earlier sync failed, and what it covered may be lost".into();
            return Err(StoreError::Io { doing: "syncing", source });
        }
        Ok(())
    }
}

impl Store for RocksStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(family)?, key).map_err(|e| failure("reading", e))
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let mut reading = ReadOptions::default();
        reading.set_iterate_range(PrefixRange(prefix));
        let pairs = self.db.iterator_cf_opt(self.family(family)?, reading, IteratorMode::Start);
        pairs
            .map(|pair| pair.map(|(key, value)| (key.into_vec(), value.into_vec())))
            .collect::<Result<_, _>>()
            .map_err(|e| failure("scanning", e))
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.refuse_after_failed_sync()?;
        let mut batch = WriteBatch::default();
        for write in writes {
            match write {
                Write::Put { family, key, value } => batch.put_cf(self.family(family)?, key, value),
                Write::Delete { family, key } => batch.delete_cf(self.family(family)?, key),
            }
        }
        self.db.write(batch).map_err(|e| failure("writing", e))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.refuse_after_failed_sync()?;
        self.db.flush_wal(true).map_err(|e| {
            self.failed.store(true, Ordering::Release);
            failure("syncing", e)
        })
    }
}

/// RocksDB's bindings hand errors over as text.
fn is_lock(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::IOError && error.as_ref().contains("/LOCK:")
}

fn failure(doing: &'static str, source: rocksdb::Error) -> StoreError {
    match source.kind() {
        ErrorKind::Corruption => StoreError::Damaged { what: source.into_string() },
        _ => StoreError::Io { doing, source: source.into() },
    }
}

#[cfg(test)]
mod tests;
