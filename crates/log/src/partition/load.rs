//! Opening segment files when they are needed, and finding their entries again.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batch, HEADER_LEN, Header, Stamped};
use carrick_sys::{File, Opening};
use carrick_types::limits::REQUEST_BYTES_MAX;
use carrick_types::{Offset, Timestamp};
use tracing::warn;

use super::read::sealed_at;
use super::{Damage, DamageKind, Inner, Partition, ReadError, Role};
use crate::digest::Digest;
use crate::handles::Handle;
use crate::page::{BadPage, PAGE_LEN};
use crate::segment::{Index, Sealed, file_name};
use crate::sidecar;

/// Read at once while an index is made again.
const CHUNK: usize = 1 << 20;

impl Partition {
    /// Puts an open file among the node's handles.
    pub(crate) fn keep(&self, base: Offset, file: Arc<dyn File>) -> Arc<Handle> {
        let handle = Handle::new(self.place.topic, self.place.partition, base, file);
        self.shared.handles.keep(&handle);
        handle
    }

    /// The active segment's file; opened again if it was closed meanwhile.
    pub(crate) fn active_handle(&self, inner: &mut Inner) -> io::Result<Arc<Handle>> {
        let active = inner.active.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let handle = match active.handle.upgrade() {
            Some(handle) => handle,
            None => {
                let path = self.place.dir.join(file_name(active.base));
                let handle = self.keep(active.base, self.shared.sys.disk.open(&path, Opening::Write)?);
                active.handle = Arc::downgrade(&handle);
                handle
            }
        };
        handle.touch();
        Ok(handle)
    }

    /// A sealed segment's file and entries.
    pub(crate) async fn loaded(&self, sealed: &Sealed) -> Result<Arc<Handle>, ReadError> {
        let handle = match sealed.handle.upgrade() {
            Some(handle) => handle,
            None => {
                let file = self.open_sealed(sealed).await?;
                let mut inner = self.lock();
                sealed_at(&inner, sealed.base)?;
                let handle = self.keep(sealed.base, file);
                if let Some(known) = inner.sealed.iter_mut().find(|it| it.base == sealed.base) {
                    known.handle = Arc::downgrade(&handle);
                }
                handle
            }
        };
        handle.touch();
        if handle.index.get().is_none() {
            let index = self.load_index(sealed, &handle.file).await?;
            let _ = handle.index.set(index);
            self.shared.handles.trim();
        }
        Ok(handle)
    }

    async fn open_sealed(&self, sealed: &Sealed) -> Result<Arc<dyn File>, ReadError> {
        let disk = &self.shared.sys.disk;
        let name = file_name(sealed.base);
        let bad =
            |kind, position, what: String| self.wound(self.damage_at(kind, name.clone(), position, what));
        let file = match disk.open(&self.place.dir.join(&name), Opening::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if self.role() == Role::Gone {
                    return Err(ReadError::Gone);
                }
                sealed_at(&self.lock(), sealed.base)?;
                return Err(bad(DamageKind::Missing, 0, "it is not there".into()).into());
            }
            opened => opened?,
        };
        let page = disk.read(&file, PAGE_LEN, 0).await?;
        self.page(sealed.base).check(&page).map_err(|e| bad(kind_of(&e), 0, e.to_string()))?;
        let len = file.len()?;
        if len != sealed.end {
            let what = format!("it has {len} bytes, it was sealed with {}", sealed.end);
            return Err(bad(DamageKind::Stale, len.min(sealed.end), what).into());
        }
        Ok(file)
    }

    /// From the sidecar, or from the segment itself.
    async fn load_index(&self, sealed: &Sealed, file: &Arc<dyn File>) -> Result<Index, ReadError> {
        let disk = &self.shared.sys.disk;
        let page = self.page(sealed.base);
        let read = async {
            let sidecar = disk.open(&self.sidecar_path(sealed.base), Opening::Read).ok()?;
            let len = sidecar::len_max(sidecar.len().ok()?)?;
            let bytes = disk.read(&sidecar, len, 0).await.ok()?;
            sidecar::read_whole(&bytes, &page, sealed.end)
        };
        if let Some(index) = read.await {
            return Ok(index);
        }
        warn!(topic = %self.place.topic, partition = %self.place.partition, segment = %sealed.base,
            "the segment's index is missing or damaged: made again");
        let mut maker = IndexMaker::new(sealed.digest);
        let mut chunk = Bytes::new();
        while maker.position < sealed.end {
            let left = usize::try_from(sealed.end - maker.position).unwrap_or(usize::MAX);
            match maker.take(&mut chunk) {
                Step::Taken => {}
                // What is behind a damaged batch is out of reach.
                Step::Bad(_) => return Ok(maker.index),
                Step::Wants(len) if len > left.min(REQUEST_BYTES_MAX) => return Ok(maker.index),
                Step::Wants(len) => {
                    chunk = disk.read(file, len.max(CHUNK).min(left), maker.position).await?;
                    if chunk.len() < len {
                        return Ok(maker.index);
                    }
                }
            }
        }
        if let Err(failed) = self.write_sidecar(sealed.base, &sidecar::whole(&page, &maker.index, sealed.end))
        {
            warn!(error = %failed, "the index could not be written");
        }
        Ok(maker.index)
    }

    /// Keeps a damaged place in mind for the operator, and says it once.
    pub(crate) fn wound(&self, damage: Damage) -> Damage {
        const WOUNDS_MAX: usize = 16;
        let mut inner = self.lock();
        if inner.wounds.len() < WOUNDS_MAX && !inner.wounds.contains(&damage) {
            warn!(%damage, "records cannot be read; all around them can: restore the file from a copy, or mirror the topic again");
            inner.wounds.push(damage.clone());
        }
        damage
    }
}

pub(crate) fn kind_of(bad: &BadPage) -> DamageKind {
    match bad {
        BadPage::NotOurs => DamageKind::Corrupt,
        BadPage::Newer { .. } | BadPage::Foreign(_) => DamageKind::Foreign,
    }
}

/// Makes a segment's index from its batches.
pub(crate) struct IndexMaker {
    pub index: Index,
    pub position: u64,
    max_time: Timestamp,
    digest: Digest,
}

pub(crate) enum Step {
    Taken,
    /// So many bytes from the position.
    Wants(usize),
    Bad(String),
}

impl IndexMaker {
    /// `digest` is the sum before the segment.
    pub(crate) fn new(digest: Digest) -> Self {
        Self { index: Index::default(), position: PAGE_LEN as u64, max_time: Timestamp::NONE, digest }
    }

    /// Takes the batch at the front of `chunk`, which begins at the position.
    pub(crate) fn take(&mut self, chunk: &mut Bytes) -> Step {
        if chunk.len() < HEADER_LEN {
            return Step::Wants(HEADER_LEN);
        }
        let header = match Header::parse(chunk) {
            Ok(header) if header.size() > chunk.len() => return Step::Wants(header.size()),
            Ok(header) => header,
            Err(bad) => return Step::Bad(bad.to_string()),
        };
        match Batch::split_from(chunk).and_then(|batch| batch.verify().map(|()| batch)) {
            Ok(batch) => {
                self.index.note(&header, self.position, self.max_time, self.digest);
                self.digest = self.digest.plus(&Stamped::verbatim(&batch));
                self.max_time = self.max_time.max(header.max_timestamp);
                self.position += header.size() as u64;
                Step::Taken
            }
            Err(bad) => Step::Bad(bad.to_string()),
        }
    }
}
