#![expect(clippy::disallowed_methods, reason = "the tests harm the store's files from outside")]

use std::fs;
use std::path::{Path, PathBuf};

use carrick_catalog::conformance;
use tempfile::TempDir;

use super::*;

fn open(dir: &Path) -> RocksStore {
    RocksStore::open(dir, StoreBudget::default()).unwrap()
}

/// A commit over both families.
fn commit(store: &RocksStore, n: u32) {
    let [key, value] = [n.to_be_bytes().to_vec(), vec![b'v'; 100]];
    let put = |family| Write::Put { family, key: key.clone(), value: value.clone() };
    store.commit(Family::ALL.map(put).to_vec()).unwrap();
}

/// How many commits are there: the same number in both families, and the first ones.
fn commits(store: &RocksStore) -> usize {
    let [catalog, progress] = Family::ALL.map(|family| store.scan(family, b"").unwrap());
    assert_eq!(catalog, progress, "commits are atomic over the families");
    for (n, (key, _)) in (0_u32..).zip(&catalog) {
        assert_eq!(key[..], n.to_be_bytes(), "commits are lost from the end only");
    }
    catalog.len()
}

/// What a kill of the process would leave of an open store, with its write-ahead log.
fn killed(dir: &Path) -> (TempDir, PathBuf) {
    let copy = TempDir::new().unwrap();
    let mut logs = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let from = entry.unwrap().path();
        let to = copy.path().join(from.file_name().unwrap());
        fs::copy(&from, &to).unwrap();
        logs.extend(to.extension().is_some_and(|e| e == "log").then_some(to));
    }
    logs.sort();
    let log = logs.pop().unwrap();
    (copy, log)
}

#[test]
fn rocksdb_is_a_store() {
    let mut dirs = Vec::new();
    conformance::run(&mut || {
        dirs.push(TempDir::new().unwrap());
        Box::new(open(dirs.last().unwrap().path()))
    });
}

#[test]
fn what_was_committed_is_there_after_a_clean_close() {
    let dir = TempDir::new().unwrap();
    let inner = dir.path().join("made/by/open");
    let store = open(&inner);
    (0..10).for_each(|n| commit(&store, n));
    drop(store);
    assert_eq!(commits(&open(&inner)), 10);
}

#[test]
fn what_was_committed_survives_a_kill_without_a_sync() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..10).for_each(|n| commit(&store, n));
    let (copy, _) = killed(dir.path());
    assert_eq!(commits(&open(copy.path())), 10);
}

#[test]
fn a_log_torn_anywhere_leaves_a_prefix_of_the_commits() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..10).for_each(|n| commit(&store, n));
    let whole = fs::metadata(killed(dir.path()).1).unwrap().len();
    let mut last = 10;
    for len in (0..whole).rev().step_by(61) {
        let (copy, log) = killed(dir.path());
        fs::OpenOptions::new().write(true).open(log).unwrap().set_len(len).unwrap();
        let left = commits(&open(copy.path()));
        assert!(left <= last, "a shorter log held more");
        last = left;
    }
    assert_eq!(last, 0);
}

/// The reason for the catalog's commit count: nothing is said here.
#[test]
fn damage_in_the_middle_of_the_log_drops_all_after_it_in_silence() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..10).for_each(|n| commit(&store, n));
    store.sync().unwrap();
    let (copy, log) = killed(dir.path());
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let left = commits(&open(copy.path()));
    assert!((1..10).contains(&left), "{left} commits");
}

#[test]
fn a_damaged_table_is_named() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..1000).for_each(|n| commit(&store, n));
    store.db.flush_cf(store.family(Family::Catalog).unwrap()).unwrap();
    drop(store);
    let is_table = |path: &PathBuf| path.extension().is_some_and(|e| e == "sst");
    let table = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(is_table).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[1000] ^= 1;
    fs::write(&table, bytes).unwrap();
    let error = open(dir.path()).scan(Family::Catalog, b"").unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_second_open_of_one_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path());
    let refused = RocksStore::open(dir.path(), StoreBudget::default());
    assert!(matches!(refused, Err(StoreError::InUse)));
    drop(first);
    open(dir.path());
}

#[test]
fn many_commits_to_one_family_leave_few_files_and_all_readable() {
    let dir = TempDir::new().unwrap();
    let store =
        RocksStore::open(dir.path(), StoreBudget { write_buffer_bytes: 64 << 10, cache_bytes: 64 << 10 })
            .unwrap();
    commit(&store, 0);
    for n in 0_u32..5_000 {
        let write =
            Write::Put { family: Family::Progress, key: n.to_be_bytes().to_vec(), value: vec![0; 300] };
        store.commit(vec![write]).unwrap();
    }
    assert_eq!(store.scan(Family::Progress, b"").unwrap().len(), 5_000);
    drop(store);
    assert!(fs::read_dir(dir.path()).unwrap().count() < 40);
    assert_eq!(open(dir.path()).scan(Family::Catalog, b"").unwrap().len(), 1);
}

#[test]
fn after_a_failed_sync_nothing_more_is_taken() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    commit(&store, 0);
    store.failed.store(true, Ordering::Release);
    assert!(matches!(store.commit(Vec::new()), Err(StoreError::Io { doing: "syncing", .. })));
    assert!(matches!(store.sync(), Err(StoreError::Io { doing: "syncing", .. })));
    assert_eq!(commits(&store), 1, "reads go on");
}
