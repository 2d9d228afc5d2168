//! Files by pread and pwrite.

use std::fs::{File as StdFile, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::sync::Semaphore;

use super::sync::{SyncMode, SyncThread};
use crate::{Disk, Durable, File, Opening};

/// Cold reads under way at once.
const COLD_READS_MAX: usize = 4;

pub struct RealDisk {
    syncer: SyncThread,
    cold: Arc<Semaphore>,
}

impl RealDisk {
    /// For a data directory, which must be there and is one file system.
    pub fn open(data: &Path, mode: SyncMode) -> io::Result<Self> {
        let dir = StdFile::open(data)?;
        Ok(Self {
            syncer: SyncThread::start(dir.into(), mode)?,
            cold: Arc::new(Semaphore::new(COLD_READS_MAX)),
        })
    }
}

struct RealFile(StdFile);

impl Durable for RealFile {
    fn make_durable(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl File for RealFile {
    fn read_at(&self, len: usize, at: u64) -> io::Result<Bytes> {
        // A length from damaged bytes must not become an allocation: the file bounds it.
        let len = len.min(usize::try_from(self.len()?.saturating_sub(at)).unwrap_or(usize::MAX));
        let mut bytes = vec![0; len];
        let mut have = 0;
        while have < len {
            match self.0.read_at(&mut bytes[have..], at + have as u64) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(have);
        Ok(bytes.into())
    }

    fn read_cached(&self, len: usize, at: u64) -> io::Result<Option<Bytes>> {
        let len = len.min(usize::try_from(self.len()?.saturating_sub(at)).unwrap_or(usize::MAX));
        let mut bytes = vec![0; len];
        let mut have = 0;
        while have < len {
            let into = &mut [IoSliceMut::new(&mut bytes[have..])];
            match rustix::io::preadv2(&self.0, into, at + have as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                // Not in the page cache, or a file system that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
        bytes.truncate(have);
        Ok(Some(bytes.into()))
    }

    fn write_at(&self, parts: &[&[u8]], mut at: u64) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match rustix::io::pwritev(&self.0, left, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n as u64;
                    IoSlice::advance_slices(&mut left, n);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn as_durable(self: Arc<Self>) -> Arc<dyn Durable> {
        self
    }
}

struct RealDir(StdFile);

impl Durable for RealDir {
    fn make_durable(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match opening {
            Opening::Read => &mut options,
            Opening::Write => options.write(true),
            Opening::New => options.write(true).create_new(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn dir(&self, path: &Path) -> io::Result<Arc<dyn Durable>> {
        Ok(Arc::new(RealDir(StdFile::open(path)?)))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let it = rustix::fs::statvfs(path)?;
        Ok(it.f_bavail.saturating_mul(it.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        self.syncer.sync(what)
    }

    fn read_cold(&self, file: Arc<dyn File>, len: usize, at: u64) -> BoxFuture<'static, io::Result<Bytes>> {
        let cold = Arc::clone(&self.cold);
        Box::pin(async move {
            // The semaphore is never closed; it bounds the threads that wait for the medium.
            let _turn = cold.acquire_owned().await;
            tokio::task::spawn_blocking(move || file.read_at(len, at)).await.map_err(io::Error::other)?
        })
    }
}
