//! A disk on which the first failed sync is the last that is tried: what it was about may be lost, and a second one that
//! succeeds would say nothing of it. Logs and catalog stop acknowledging together.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use carrick_sys::{Disk, Durable, File, Opening, Spawn, Waiters, Wake};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use parking_lot::Mutex;

pub(crate) struct Halting {
    disk: Arc<dyn Disk>,
    spawn: Arc<dyn Spawn>,
    failed: Arc<Mutex<Failed>>,
}

#[derive(Default)]
struct Failed {
    why: Option<String>,
    waiters: Waiters,
}

impl Halting {
    pub(crate) fn over(disk: Arc<dyn Disk>, spawn: Arc<dyn Spawn>) -> Arc<Self> {
        Arc::new(Self { disk, spawn, failed: Arc::default() })
    }

    /// Returns once a sync has failed, and why.
    pub(crate) fn failed(&self) -> impl Future<Output = io::Error> + Send + 'static {
        let failed = Arc::clone(&self.failed);
        async move {
            let wake = Wake::new();
            loop {
                {
                    let mut failed = failed.lock();
                    if let Some(why) = &failed.why {
                        return io::Error::other(why.clone());
                    }
                    failed.waiters.register(&wake);
                }
                wake.woken().await;
            }
        }
    }
}

impl Disk for Halting {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, opening)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn dir(&self, path: &Path) -> io::Result<Arc<dyn Durable>> {
        self.disk.dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }

    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        let failed = Arc::clone(&self.failed);
        if let Some(why) = failed.lock().why.clone() {
            return Box::pin(async move { Err(io::Error::other(why)) });
        }
        let syncing = self.disk.sync(what);
        let (done, waits) = oneshot::channel();
        // Who waits may give up; that the sync failed must not be lost with him.
        let syncing = async move {
            let synced = syncing.await;
            if let Err(e) = &synced {
                let mut failed = failed.lock();
                failed.why.get_or_insert_with(|| e.to_string());
                failed.waiters.wake_all();
            }
            let _ = done.send(synced);
        };
        self.spawn.spawn("sync", Box::pin(syncing)).detach();
        Box::pin(async move { waits.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())) })
    }

    fn read_cold(&self, file: Arc<dyn File>, len: usize, at: u64) -> BoxFuture<'static, io::Result<Bytes>> {
        self.disk.read_cold(file, len, at)
    }
}
