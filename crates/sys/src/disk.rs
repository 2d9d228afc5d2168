//! Files. Names and bytes are durable only after they were synced; the simulated disk forgets the rest.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

/// How [`Disk::open`] treats a name that is or is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It must be there; for reading only.
    Read,
    /// It must be there; for reading and writing.
    Write,
    /// It must not be there.
    New,
}

/// Something written whose durability can be asked for. Blocking: called by the sync thread.
pub trait Durable: Send + Sync + 'static {
    fn make_durable(&self) -> io::Result<()>;
}

/// An open file, read and written at positions.
pub trait File: Durable {
    /// Up to `len` bytes from `at`; fewer only at the file's end. May wait for the medium.
    fn read_at(&self, len: usize, at: u64) -> io::Result<Bytes>;

    /// As [`File::read_at`], but None where it would have to wait.
    fn read_cached(&self, len: usize, at: u64) -> io::Result<Option<Bytes>>;

    /// Writes all of `parts`, one after the other, from `at`.
    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()>;

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    fn set_len(&self, len: u64) -> io::Result<()>;

    /// For handing the file to [`Disk::sync`] beside things that are not files.
    fn as_durable(self: Arc<Self>) -> Arc<dyn Durable>;
}

pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn File>>;

    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    fn exists(&self, path: &Path) -> bool;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove_file(&self, path: &Path) -> io::Result<()>;

    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Bytes that can still be written to the file system of `path`; `u64::MAX` where nobody can tell.
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Ok(u64::MAX)
    }

    /// A directory whose names can be made durable.
    fn dir(&self, path: &Path) -> io::Result<Arc<dyn Durable>>;

    /// Held until dropped; refused with `WouldBlock` while another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Makes all of `what` durable. An error says that any of it may be lost, and is never cured by asking again.
    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>>;

    /// A read that may wait for the medium without holding up the caller's thread.
    fn read_cold(&self, file: Arc<dyn File>, len: usize, at: u64) -> BoxFuture<'static, io::Result<Bytes>>;
}

impl dyn Disk {
    /// From the page cache where possible, else through the bounded pool of cold reads.
    pub async fn read(&self, file: &Arc<dyn File>, len: usize, at: u64) -> io::Result<Bytes> {
        match file.read_cached(len, at)? {
            Some(bytes) => Ok(bytes),
            None => self.read_cold(Arc::clone(file), len, at).await,
        }
    }

    /// Replaces a small file whole: written beside it, synced, renamed, the directory synced. Blocking; for boot and
    /// shutdown.
    pub fn replace(&self, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = dir.join(format!("{name}.new"));
        match self.remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.open(&beside, Opening::New)?;
        file.write_at(&[bytes], 0)?;
        file.make_durable()?;
        self.rename(&beside, &dir.join(name))?;
        self.dir(dir)?.make_durable()
    }

    /// A small file whole, at most `max` bytes; None if there is none.
    pub fn read_small(&self, path: &Path, max: usize) -> io::Result<Option<Bytes>> {
        match self.open(path, Opening::Read) {
            Ok(file) => file.read_at(max, 0).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}
