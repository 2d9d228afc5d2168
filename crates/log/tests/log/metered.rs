//! A disk that counts what is read from which file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use carrick_sim::SimDisk;
use carrick_sys::{Disk, Durable, File, Opening};
use futures::future::BoxFuture;
use parking_lot::Mutex;

type Counts = Arc<Mutex<BTreeMap<PathBuf, u64>>>;

pub struct Metered {
    disk: Arc<SimDisk>,
    read: Counts,
}

struct MeteredFile {
    file: Arc<dyn File>,
    path: PathBuf,
    read: Counts,
}

impl Metered {
    pub fn new(disk: &Arc<SimDisk>) -> Arc<Self> {
        Arc::new(Self { disk: Arc::clone(disk), read: Counts::default() })
    }

    /// Bytes read of files that end so, since this was asked last.
    pub fn take(&self, ending: &str) -> u64 {
        let mut read = self.read.lock();
        let of = |path: &&PathBuf| path.to_str().unwrap().ends_with(ending);
        let found = read.iter().filter(|(path, _)| of(path)).map(|(_, bytes)| bytes).sum();
        read.retain(|path, _| !of(&path));
        found
    }
}

impl MeteredFile {
    fn count(&self, bytes: &Bytes) {
        *self.read.lock().entry(self.path.clone()).or_default() += bytes.len() as u64;
    }
}

impl Disk for Metered {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(path, opening)?;
        Ok(Arc::new(MeteredFile { file, path: path.into(), read: Arc::clone(&self.read) }))
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

    fn dir(&self, path: &Path) -> io::Result<Arc<dyn Durable>> {
        self.disk.dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }

    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        self.disk.sync(what)
    }

    fn read_cold(&self, file: Arc<dyn File>, len: usize, at: u64) -> BoxFuture<'static, io::Result<Bytes>> {
        self.disk.read_cold(file, len, at)
    }
}

impl Durable for MeteredFile {
    fn make_durable(&self) -> io::Result<()> {
        self.file.make_durable()
    }
}

impl File for MeteredFile {
    fn read_at(&self, len: usize, at: u64) -> io::Result<Bytes> {
        let bytes = self.file.read_at(len, at)?;
        self.count(&bytes);
        Ok(bytes)
    }

    fn read_cached(&self, len: usize, at: u64) -> io::Result<Option<Bytes>> {
        let bytes = self.file.read_cached(len, at)?;
        bytes.iter().for_each(|bytes| self.count(bytes));
        Ok(bytes)
    }

    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()> {
        self.file.write_at(parts, at)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn as_durable(self: Arc<Self>) -> Arc<dyn Durable> {
        self
    }
}
