//! Opening a partition: its segments are read from the first to the last, and all that is known in memory follows from them.
//!
//! After an end that was not clean, what was written and not yet durable may be torn or missing: the log is cut behind its
//! last good batch. Whole batches behind a torn one, and segments behind a torn or missing one, are not thrown away but set
//! aside in `.cut` files. Each segment's page says where the log ended and what was durable when the segment was begun: a
//! crash explains nothing below the latter. What it does not explain, and after a clean end anything that is not as it was
//! written, is [`Damage`]: named, and nothing is changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batch, ControlKind, HEADER_LEN, Header, PREFIX_LEN, Stamped};
use carrick_sys::{Disk, File, Opening};
use carrick_types::{LeaderEpoch, Offset, Timestamp};
use tracing::warn;

use crate::page::{BadPage, Before, PAGE_LEN};
use crate::partition::{Damage, Inner, Partition, Role};
use crate::segment::{Segment, base_of, file_name};

/// Read at once while scanning.
const CHUNK: usize = 1 << 20;
/// A torn tail is searched for whole batches this far; as many bytes are summed for it at most.
const SEARCH_MAX: u64 = 256 << 20;

/// A segment file, as far as its first page tells.
struct Found {
    base: Offset,
    file: Arc<dyn File>,
    len: u64,
    page: Result<Before, BadPage>,
}

/// Where the log stops being what was written.
struct Torn {
    position: u64,
    what: String,
}

impl Partition {
    /// Reads what is on the disk. `clean` says that the last end left nothing torn. Blocking; before anyone shares it.
    pub(crate) fn recover(&self, clean: bool, now: Timestamp) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        let names = match disk.list(&self.place.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        let bases = names.iter().filter_map(|name| base_of(name));
        let found = bases.map(|base| self.look_at(base)).collect::<io::Result<Vec<_>>>()?;
        let pages = found.iter().filter_map(|segment| segment.page.as_ref().ok());
        let proven = pages.clone().map(|page| page.durable).max().unwrap_or_default();
        if let Some(first) = pages.clone().next() {
            let mut inner = self.lock();
            (inner.start, inner.end, inner.durable) = (first.start, first.start, first.start);
        }
        for (at, segment) in found.iter().enumerate() {
            let Some(torn) = self.recover_segment(segment, now)? else {
                continue;
            };
            let (end, later) = (self.lock().end, found.get(at + 1..).unwrap_or_default());
            let foreign = matches!(segment.page, Err(BadPage::Foreign(_) | BadPage::Newer { .. }));
            let overlaps = segment.page.as_ref().is_ok_and(|page| page.end < end && torn.position == 0);
            let damage = if clean || foreign || overlaps || end < proven {
                Some(self.damage_at(file_name(segment.base), torn.position, torn.what))
            } else {
                self.cut(segment, &torn, later)?
            };
            if let Some(damage) = damage {
                warn!(%damage, "partition is offline: restore the file and restart, or delete and re-mirror the topic");
                self.lock().damage = Some(damage);
                return Ok(());
            }
            break;
        }
        let mut inner = self.lock();
        if clean {
            inner.durable = inner.end;
            return Ok(());
        }
        if self.shared.doubtful
            && let Err((base, failed)) = self.write_again(&mut inner, proven)
        {
            let what = format!("a sync of it had failed, and it could not be written again: {failed}");
            inner.damage = Some(self.damage_at(file_name(base), 0, what));
            return Ok(());
        }
        self.mark_all(&mut inner, proven)
    }

    /// After a failed sync the page cache may show bytes that no later sync writes. What was not durable is copied to new
    /// files in the place of the old.
    fn write_again(&self, inner: &mut Inner, proven: Offset) -> Result<(), (Offset, io::Error)> {
        let disk = &self.shared.sys.disk;
        let sealed = inner.segments.iter().skip(1).filter(|next| next.base <= proven).count();
        for segment in inner.segments.iter_mut().skip(sealed) {
            let path = self.place.dir.join(file_name(segment.base));
            let fresh = path.with_extension("new");
            let _ = disk.remove_file(&fresh);
            let copied = copy(&**disk, &segment.file, 0, segment.end, &fresh);
            let renamed = copied.and_then(|file| disk.rename(&fresh, &path).map(|()| file));
            segment.file = renamed.map_err(|failed| (segment.base, failed))?;
            warn!(file = %path.display(), "written again: a sync of it may have failed");
        }
        Ok(())
    }

    /// What was found may stand in the page cache alone: made durable before anyone is told of it. What had been durable
    /// when a segment was begun still is.
    fn mark_all(&self, inner: &mut Inner, proven: Offset) -> io::Result<()> {
        inner.active_dirty = !inner.segments.is_empty();
        let followed = inner.segments.iter().zip(inner.segments.iter().skip(1));
        let files =
            followed.filter(|(_, next)| next.base > proven).map(|(it, _)| Arc::clone(&it.file).as_durable());
        let files: Vec<_> = files.collect();
        inner.dirty.extend(files);
        for dir in self.place.dir.ancestors().take(3) {
            inner.dirty.push(self.shared.sys.disk.dir(dir)?);
        }
        Ok(())
    }

    fn look_at(&self, base: Offset) -> io::Result<Found> {
        let file = self.shared.sys.disk.open(&self.place.dir.join(file_name(base)), Opening::Write)?;
        let len = file.len()?;
        let page = self.page(base).check(&file.read_at(PAGE_LEN, 0)?);
        Ok(Found { base, file, len, page })
    }

    /// Takes note of a segment up to where it is torn. Position 0: all of it, or what should stand before it.
    fn recover_segment(&self, segment: &Found, now: Timestamp) -> io::Result<Option<Torn>> {
        let torn = |what: String| Ok(Some(Torn { position: 0, what }));
        let page = match &segment.page {
            Ok(page) => page,
            Err(bad) => return torn(bad.to_string()),
        };
        {
            let mut inner = self.lock();
            if page.end != inner.end || segment.base < inner.end {
                return torn(format!(
                    "it was begun at {}, what stands before it ends at {}",
                    page.end, inner.end
                ));
            }
            inner.end = segment.base;
            inner.segments.push(Segment::new(segment.base, Arc::clone(&segment.file)));
        }
        self.scan(&segment.file, segment.len, now)
    }

    /// Ends the log where it is torn. What stands behind and is whole is set aside, durably, before anything is appended in
    /// its place. Damage if there is no room for that.
    fn cut(&self, segment: &Found, torn: &Torn, later: &[Found]) -> io::Result<Option<Damage>> {
        let disk = &self.shared.sys.disk;
        let path = self.place.dir.join(file_name(segment.base));
        let whole = torn.position == 0;
        if !whole && let Some(at) = self.find_batch(&segment.file, torn.position, segment.len)? {
            let aside = self.aside(&format!("{:020}-{}", segment.base.get(), torn.position));
            if let Err(failed) = copy(&**disk, &segment.file, torn.position, segment.len, &aside) {
                let what = format!("{}; what stands behind could not be set aside: {failed}", torn.what);
                return Ok(Some(self.damage_at(file_name(segment.base), torn.position, what)));
            }
            warn!(file = %path.display(), from = torn.position, whole_batch_at = at, aside = %aside.display(),
                "set aside what stood behind a torn batch");
        }
        let behind = if whole { Some(segment) } else { None };
        for segment in behind.into_iter().chain(later) {
            let path = self.place.dir.join(file_name(segment.base));
            let aside = self.aside(&format!("{:020}", segment.base.get()));
            warn!(file = %path.display(), what = torn.what, aside = %aside.display(), "set aside a segment behind a torn place");
            disk.rename(&path, &aside)?;
        }
        disk.dir(&self.place.dir)?.make_durable()?;
        if !whole {
            let bytes = segment.len - torn.position;
            warn!(file = %path.display(), from = torn.position, bytes, what = torn.what, "cut a torn tail");
            segment.file.set_len(torn.position)?;
        }
        Ok(None)
    }

    /// A name for what is set aside that nothing has yet.
    fn aside(&self, stem: &str) -> PathBuf {
        let mut path = self.place.dir.join(format!("{stem}.cut"));
        let mut again = 1;
        while self.shared.sys.disk.exists(&path) {
            path = self.place.dir.join(format!("{stem}-{again}.cut"));
            again += 1;
        }
        path
    }

    /// Takes note of every batch; ends at the first that is not what it should be.
    fn scan(&self, file: &Arc<dyn File>, len: u64, now: Timestamp) -> io::Result<Option<Torn>> {
        let mut position = PAGE_LEN as u64;
        let mut chunk = Bytes::new();
        let mut inner = self.lock();
        while position < len {
            let torn = |what: String| Ok(Some(Torn { position, what }));
            let left = usize::try_from(len - position).unwrap_or(usize::MAX);
            if chunk.len() < HEADER_LEN {
                chunk = file.read_at(CHUNK.min(left), position)?;
            }
            let header = match Header::parse(&chunk) {
                Ok(header) => header,
                Err(e) => return torn(e.to_string()),
            };
            if header.size() > left {
                return torn(format!("a batch of {} bytes has {left}", header.size()));
            }
            if chunk.len() < header.size() {
                chunk = file.read_at(header.size().max(CHUNK.min(left)), position)?;
            }
            let batch = match Batch::split_from(&mut chunk).and_then(|batch| batch.verify().map(|()| batch)) {
                Ok(batch) => batch,
                Err(e) => return torn(e.to_string()),
            };
            if header.base_offset < inner.end || (header.base_offset > inner.end && no_hole(&inner, &header))
            {
                return torn(format!("offset {} stands where {} should", header.base_offset, inner.end));
            }
            if let (Some(last), Some(epoch)) = (inner.epochs.last(), LeaderEpoch::new(header.leader_epoch))
                && epoch < last
            {
                return torn(format!("epoch {epoch} stands behind {last}"));
            }
            let control = if header.is_control() { ControlKind::of(&batch) } else { None };
            let after = inner.digest.plus(&Stamped::verbatim(&batch));
            inner.note(&header, control, after, now);
            position += header.size() as u64;
        }
        Ok(None)
    }

    /// The first whole batch in a torn tail: behind the torn one, or whole itself and in a wrong place.
    fn find_batch(&self, file: &Arc<dyn File>, from: u64, len: u64) -> io::Result<Option<u64>> {
        let expected = self.lock().end;
        let len = len.min(from + SEARCH_MAX);
        let mut summed = 0;
        let mut position = from;
        while position + (HEADER_LEN as u64) <= len {
            let want = usize::try_from(len - position).unwrap_or(usize::MAX).min(CHUNK + HEADER_LEN);
            let chunk = file.read_at(want, position)?;
            let starts = chunk.len().saturating_sub(HEADER_LEN);
            for at in 0..=starts {
                let Some(rest) = chunk.get(at..) else { break };
                if rest.get(PREFIX_LEN + 4) != Some(&2) {
                    continue;
                }
                let Ok(header) = Header::parse(rest) else { continue };
                let here = position + at as u64;
                if header.base_offset < expected || here + header.size() as u64 > len {
                    continue;
                }
                // Bytes that were made to look like many large batches: as good as a batch.
                summed += header.size() as u64;
                if summed > SEARCH_MAX {
                    return Ok(Some(here));
                }
                let mut bytes = file.read_at(header.size(), here)?;
                if Batch::split_from(&mut bytes).is_ok_and(|batch| batch.verify().is_ok()) {
                    return Ok(Some(here));
                }
            }
            position += starts as u64 + 1;
        }
        Ok(None)
    }
}

/// Whether the batch was appended by a client, here: only mirrored ones may follow a hole, and their generations are below.
fn no_hole(inner: &Inner, header: &Header) -> bool {
    let generation = LeaderEpoch::new(header.leader_epoch).map(LeaderEpoch::generation);
    matches!(inner.role, Role::Writable { epoch } if Some(epoch.generation()) == generation)
}

/// The bytes from `from` to `to` in a new file, durable but for its name; no file if that fails.
fn copy(disk: &dyn Disk, file: &Arc<dyn File>, from: u64, to: u64, path: &Path) -> io::Result<Arc<dyn File>> {
    let aside = disk.open(path, Opening::New)?;
    let copy = || {
        let mut position = from;
        while position < to {
            let want = usize::try_from(to - position).unwrap_or(usize::MAX).min(CHUNK);
            let chunk = file.read_at(want, position)?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            aside.write_at(&[&chunk], position - from)?;
            position += chunk.len() as u64;
        }
        aside.make_durable()
    };
    match copy() {
        Ok(()) => Ok(aside),
        Err(failed) => {
            let _ = disk.remove_file(path);
            Err(failed)
        }
    }
}

impl Role {
    /// A writable partition must not be given an epoch below its newest batch's.
    pub(crate) fn fits(self, newest: Option<LeaderEpoch>) -> bool {
        match self {
            Self::Writable { epoch } => newest.is_none_or(|newest| newest <= epoch),
            Self::Mirror { .. } | Self::Closed | Self::Superseded | Self::Gone => true,
        }
    }
}
