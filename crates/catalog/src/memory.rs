//! The store's twin in memory. After a power cut it loses un-synced commits from the end, as RocksDB does.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::store::{Family, Pair, Store, StoreError, Write};

type Pairs = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

#[derive(Default)]
struct Inner {
    durable: Pairs,
    unsynced: Vec<Vec<Write>>,
    current: Pairs,
}

#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits that a power cut could take.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().unsynced.len()
    }

    /// What a power cut leaves when the first `kept` of the un-synced commits reached the medium.
    #[must_use]
    pub fn after_power_cut(&self, kept: usize) -> Self {
        let inner = self.inner.lock();
        let mut pairs = inner.durable.clone();
        inner.unsynced.iter().take(kept).for_each(|writes| apply(&mut pairs, writes));
        Self { inner: Mutex::new(Inner { durable: pairs.clone(), unsynced: Vec::new(), current: pairs }) }
    }
}

fn apply(pairs: &mut Pairs, writes: &[Write]) {
    for write in writes {
        match write {
            Write::Put { family, key, value } => {
                pairs.insert((*family, key.clone()), value.clone());
            }
            Write::Delete { family, key } => {
                pairs.remove(&(*family, key.clone()));
            }
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.lock().current.get(&(family, key.to_vec())).cloned())
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let inner = self.inner.lock();
        let from = (family, prefix.to_vec());
        Ok(inner
            .current
            .range(from..)
            .take_while(|((of, key), _)| *of == family && key.starts_with(prefix))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        apply(&mut inner.current, &writes);
        inner.unsynced.push(writes);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut inner = self.inner.lock();
        inner.durable = inner.current.clone();
        inner.unsynced.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_is_a_store() {
        crate::conformance::run(&mut || Box::new(MemoryStore::new()));
    }

    #[test]
    fn a_power_cut_takes_unsynced_commits_from_the_end() {
        let put = |n: u8| vec![Write::Put { family: Family::Catalog, key: vec![n], value: vec![n] }];
        let store = MemoryStore::new();
        store.commit(put(1)).unwrap();
        store.sync().unwrap();
        store.commit(put(2)).unwrap();
        store.commit(put(3)).unwrap();
        for kept in 0..=2 {
            let left = store.after_power_cut(kept).scan(Family::Catalog, b"").unwrap();
            assert_eq!(left.len(), 1 + kept);
        }
    }
}
