use std::path::Path;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use carrick_sys::{Entropy, File, Opening};
use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::BoxFuture;

use super::*;
use crate::store::{Family, Pair, Write};
use crate::{GroupRecord, MemoryStore, StoreError};

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed) as u8;
        }
    }
}

/// A store that counts its syncs.
#[derive(Default)]
struct CountingStore {
    inner: MemoryStore,
    syncs: AtomicUsize,
}

impl Store for CountingStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(family, key)
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(family, prefix)
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.inner.commit(writes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }
}

type Job = (Vec<Arc<dyn Durable>>, oneshot::Sender<io::Result<()>>);

/// A disk whose sync thread runs when it is told to.
#[derive(Default)]
struct Queue(Mutex<Vec<Job>>);

impl Queue {
    fn run(&self) {
        for (what, done) in self.0.lock().drain(..) {
            let _ = done.send(what.iter().try_for_each(|it| it.make_durable()));
        }
    }
}

impl Disk for Queue {
    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        let (done, answer) = oneshot::channel();
        self.0.lock().push((what, done));
        async move { answer.await.unwrap() }.boxed()
    }

    fn open(&self, _: &Path, _: Opening) -> io::Result<Arc<dyn File>> {
        unreachable!()
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        unreachable!()
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        unreachable!()
    }

    fn exists(&self, _: &Path) -> bool {
        unreachable!()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!()
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        unreachable!()
    }

    fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        unreachable!()
    }

    fn dir(&self, _: &Path) -> io::Result<Arc<dyn Durable>> {
        unreachable!()
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send + Sync>> {
        unreachable!()
    }

    fn read_cold(&self, _: Arc<dyn File>, _: usize, _: u64) -> BoxFuture<'static, io::Result<Bytes>> {
        unreachable!()
    }
}

fn world() -> (Arc<CountingStore>, Queue, Catalog) {
    let store = Arc::new(CountingStore::default());
    let catalog = Catalog::open(Arc::clone(&store) as _, &Counting(AtomicU64::new(1))).unwrap();
    catalog.begin().unwrap();
    store.syncs.store(0, Ordering::Relaxed);
    (store, Queue::default(), catalog)
}

fn put(catalog: &Catalog, id: &str) -> Commit {
    catalog.put_group(id, GroupRecord::default()).unwrap()
}

#[test]
fn those_who_wait_for_the_sync_thread_share_a_sync() {
    let (store, disk, catalog) = world();
    let syncs = || store.syncs.load(Ordering::Relaxed);
    let commits: Vec<_> = (0..50).map(|at| put(&catalog, &format!("g{at}"))).collect();
    let mut waiting: Vec<_> = commits.iter().map(|it| catalog.durable_to(*it, &disk).boxed()).collect();
    assert!(waiting.iter_mut().all(|it| it.now_or_never().is_none()));
    disk.run();
    assert!(waiting.into_iter().all(|it| it.now_or_never().unwrap().is_ok()));
    assert_eq!((syncs(), store.inner.unsynced()), (1, 0));

    assert!(catalog.durable(&disk).now_or_never().unwrap().is_ok(), "nothing new, no sync");
    let late = put(&catalog, "late");
    let mut waits = catalog.durable_to(late, &disk).boxed();
    assert!((&mut waits).now_or_never().is_none());
    disk.run();
    assert!(waits.now_or_never().unwrap().is_ok());
    assert_eq!(syncs(), 2);
}

#[test]
fn one_who_is_not_polled_any_more_holds_up_nobody() {
    let (_, disk, catalog) = world();
    let mut forgotten = catalog.durable_to(put(&catalog, "a"), &disk).boxed();
    assert!((&mut forgotten).now_or_never().is_none());
    let mut waits = catalog.durable_to(put(&catalog, "b"), &disk).boxed();
    assert!((&mut waits).now_or_never().is_none());
    disk.run();
    assert!(waits.now_or_never().unwrap().is_ok());
    drop(forgotten);
}

#[test]
fn what_is_committed_while_a_sync_runs_is_not_covered_by_it() {
    let (store, disk, catalog) = world();
    let mut first = catalog.durable_to(put(&catalog, "a"), &disk).boxed();
    assert!((&mut first).now_or_never().is_none());
    disk.run();
    let second = put(&catalog, "b");
    assert!(first.now_or_never().unwrap().is_ok());
    assert!(catalog.durable_to(second, &disk).now_or_never().is_none());
    assert_eq!(store.inner.unsynced(), 1);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    carrick_sim::run(2, async {
        let (disk, (.., catalog)) = (carrick_sim::SimDisk::new(2), world());
        put(&catalog, "a");
        catalog.durable(&*disk).await.unwrap();
        disk.fail_sync_after(1);
        for name in ["b", "c", "d"] {
            put(&catalog, name);
            let refused = catalog.durable(&*disk).await;
            assert!(matches!(refused, Err(CatalogError::NotDurable { .. })));
        }
    });
}
