//! Opening a partition: what its checkpoint says, and what stands behind it, which is read batch by batch. Without a
//! checkpoint its segments are read from the first to the last.
//!
//! After an end that was not clean, what was written and not yet durable may be torn or missing: the log is cut behind its
//! last good batch. Whole batches behind a torn one, and segments behind a torn or missing one, are not thrown away but set
//! aside in `.cut` files. Each segment's page says where the log ended and what was durable when the segment was begun: a
//! crash explains nothing below the latter. What it does not explain, and after a clean end anything that is not as it was
//! written, is [`Damage`]: named, and nothing is changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use carrick_record::{Batch, ControlKind, HEADER_LEN, Header, PREFIX_LEN, Stamped, checksum_holds};
use carrick_sys::{Disk, File, Opening};
use carrick_types::limits::REQUEST_BYTES_MAX;
use carrick_types::{LeaderEpoch, Offset, Timestamp};
use tracing::{debug, warn};

use crate::epochs::NO_EPOCH;
use crate::handles::Handle;
use crate::page::{BadPage, Before, PAGE_LEN};
use crate::partition::{Damage, DamageKind, Inner, Partition, Role, kind_of};
use crate::segment::{Active, Sealed, base_of, file_name};
use crate::sidecar;

mod resume;

use resume::Resumed;

/// Read at once while scanning.
const CHUNK: usize = 1 << 20;
/// A torn tail is searched for whole batches this far; as many bytes are summed for it at most.
const SEARCH_MAX: u64 = 256 << 20;

/// What a segment's file is called between two renames that make its name new.
const RENAMED: &str = "renamed";

/// A segment file, as far as its first page tells.
struct Found {
    base: Offset,
    file: Arc<dyn File>,
    len: u64,
    page: Result<Before, BadPage>,
}

/// Where the log stops being what was written.
struct Torn {
    kind: DamageKind,
    position: u64,
    what: String,
}

impl Partition {
    /// Takes the checkpoint, and reads what stands behind it. `clean` says that the last end left nothing torn. Blocking;
    /// before anyone shares it.
    pub(crate) fn recover(&self, clean: bool, now: Timestamp) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        let mut names = match disk.list(&self.place.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        self.name_back(&mut names)?;
        let bases: Vec<_> = names.iter().filter_map(|name| base_of(name)).collect();
        let resumed = match self.resume(&names, &bases)? {
            Ok(resumed) => resumed,
            Err(damage) => {
                self.go_offline(damage);
                return Ok(());
            }
        };
        let Resumed { known, from, mut proven, floor } = resumed;
        let found =
            bases.iter().skip(known).map(|base| self.look_at(*base)).collect::<io::Result<Vec<_>>>()?;
        let pages = found.iter().filter_map(|segment| segment.page.as_ref().ok());
        proven = pages.clone().map(|page| page.durable).max().unwrap_or_default().max(proven);
        if known == 0
            && from.is_none()
            && self.lock().end == Offset::ZERO
            && let Some(first) = pages.clone().next()
        {
            let mut inner = self.lock();
            // What stood before the first segment is gone, if the log is known to begin behind it.
            let begin = if first.end <= floor { first.end } else { first.start };
            (inner.start, inner.end, inner.durable) = (begin, begin, begin);
        }
        for (at, segment) in found.iter().enumerate() {
            let later = found.get(at + 1..).unwrap_or_default();
            if self.is_of_a_refused_batch(segment, later) {
                disk.remove_file(&self.place.dir.join(file_name(segment.base)))?;
                continue;
            }
            let torn = match from {
                Some(position) if at == 0 => self.scan(&segment.file, segment.len, position, now)?,
                _ => self.recover_segment(segment, now)?,
            };
            let Some(torn) = torn else {
                continue;
            };
            let end = self.lock().end;
            let foreign = matches!(segment.page, Err(BadPage::Foreign(_) | BadPage::Newer { .. }));
            let overlaps = segment.page.as_ref().is_ok_and(|page| page.end < end && torn.position == 0);
            let damage = if clean || foreign || overlaps || end < proven {
                Some(self.damage_at(torn.kind, file_name(segment.base), torn.position, torn.what))
            } else {
                self.cut(segment, &torn, later)?
            };
            if let Some(damage) = damage {
                self.go_offline(damage);
                return Ok(());
            }
            break;
        }
        let mut inner = self.lock();
        if inner.end < proven {
            let file = inner.active.as_ref().map_or_else(String::new, |it| file_name(it.base));
            let what = format!("the log ends at {}, it was durable to {proven}", inner.end);
            let position = inner.active.as_ref().map_or(0, |it| it.end);
            let damage = self.damage_at(DamageKind::Stale, file, position, what);
            drop(inner);
            self.go_offline(damage);
            return Ok(());
        }
        inner.start_at_least(floor);
        if clean {
            inner.durable = inner.end;
            return Ok(());
        }
        inner.durable = inner.durable.max(proven);
        let again = match self.write_again(&mut inner, proven) {
            Ok(again) => again,
            Err((base, failed)) => {
                self.shared.mark_failed(&failed);
                let what = format!("a sync of it had failed, and it could not be written again: {failed}");
                inner.damage = Some(self.damage_at(DamageKind::Unwritten, file_name(base), 0, what));
                return Ok(());
            }
        };
        self.mark_all(&mut inner, proven, again)?;
        self.shared.doubts.lock().settle(self.place.topic, self.place.partition);
        Ok(())
    }

    fn go_offline(&self, damage: Damage) {
        warn!(%damage, "partition takes no writes: restore the file and restart, or delete and mirror the topic again");
        let mut inner = self.lock();
        inner.durable = inner.end;
        inner.damage = Some(damage);
    }

    /// After a failed sync the page cache may show bytes that no later sync writes. What was not durable is copied to new
    /// files in the place of the old, if there is room. Where a kill left it unknown whether a sync failed, which is nearly never, it is
    /// written over itself, and named anew where its name is as doubtful: neither needs room.
    fn write_again(&self, inner: &mut Inner, proven: Offset) -> Result<bool, (Offset, io::Error)> {
        let failed = self.shared.doubtful;
        let doubt = self.shared.doubts.lock().of(self.place.topic, self.place.partition);
        let Some(from) = doubt.or(failed.then_some(proven)).map(|it| it.max(proven)) else {
            return Ok(false);
        };
        if failed {
            let ours = (self.place.topic, self.place.partition);
            self.shared.handles.forget(|it| (it.topic, it.partition) == ours);
        }
        let again = |base: Offset, position: u64, end: u64, handle: &mut Weak<Handle>| {
            let copied = if failed { self.copy_again(base, end) } else { Ok(None) };
            let written = match copied {
                Ok(Some(file)) => {
                    *handle = Arc::downgrade(&self.keep(base, file));
                    Ok(())
                }
                Ok(None) => self.write_over(base, (base < from).then_some(position), end),
                // Where the disk may be bad, but there is room nowhere else.
                Err(full) if full.kind() == io::ErrorKind::StorageFull => self.write_over(base, None, end),
                Err(failed) => Err(failed),
            };
            written.map_err(|failed| (base, failed))
        };
        for it in inner.sealed.iter_mut().filter(|it| it.next > from) {
            let known = it.handle.upgrade();
            let entry = known.as_ref().and_then(|it| it.index.get()).and_then(|index| index.at(from));
            let position = entry.map_or(PAGE_LEN as u64, |entry| entry.position);
            again(it.base, position, it.end, &mut it.handle)?;
        }
        if let Some(it) = &mut inner.active
            && (failed || inner.end > from || it.base >= from)
        {
            let position = it.index.at(from).map_or(PAGE_LEN as u64, |entry| entry.position);
            again(it.base, position, it.end, &mut it.handle)?;
        }
        Ok(true)
    }

    /// A crash between the two renames of [`Partition::write_over`] leaves the name between.
    fn name_back(&self, names: &mut Vec<String>) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        let renamed =
            names.extract_if(.., |name| Path::new(name).extension().is_some_and(|it| it == RENAMED));
        for name in renamed.collect::<Vec<_>>() {
            let from = self.place.dir.join(&name);
            let to = from.with_extension("seg");
            if disk.exists(&to) {
                disk.remove_file(&from)?;
            } else {
                disk.rename(&from, &to)?;
                names.extend(to.file_name().and_then(|it| it.to_str()).map(str::to_owned));
            }
        }
        names.sort();
        Ok(())
    }

    fn copy_again(&self, base: Offset, end: u64) -> io::Result<Option<Arc<dyn File>>> {
        let disk = &self.shared.sys.disk;
        let path = self.place.dir.join(file_name(base));
        let fresh = path.with_extension("new");
        let _ = disk.remove_file(&fresh);
        let file = copy(&**disk, &disk.open(&path, Opening::Read)?, 0, end, &fresh)?;
        disk.rename(&fresh, &path)?;
        warn!(file = %path.display(), "written again: a sync of it may have failed");
        Ok(Some(file))
    }

    /// From `position`, or all of it and its name.
    fn write_over(&self, base: Offset, position: Option<u64>, end: u64) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        let path = self.place.dir.join(file_name(base));
        if position.is_none() {
            let aside = path.with_extension(RENAMED);
            disk.rename(&path, &aside)?;
            disk.rename(&aside, &path)?;
        }
        let mut position = position.unwrap_or_default();
        let file = disk.open(&path, Opening::Write)?;
        debug!(file = %path.display(), from = position, to = end, "written again: a sync of it was under way");
        while position < end {
            let len = usize::try_from(end - position).unwrap_or(CHUNK).min(CHUNK);
            let chunk = file.read_at(len, position)?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_at(&[&chunk], position)?;
            position += chunk.len() as u64;
        }
        Ok(())
    }

    /// What was found may stand in the page cache alone: made durable before anyone is told of it. What had been durable
    /// when a segment was begun still is.
    fn mark_all(&self, inner: &mut Inner, proven: Offset, again: bool) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        // What was written again stands under its name in the page cache alone. So may a segment without a batch: it was begun
        // a moment before the crash, and the first one's directories with it.
        let names = inner.active.as_ref().is_some_and(|it| again || it.is_empty());
        if inner.end <= proven && !names {
            return Ok(());
        }
        for it in inner.sealed.iter().filter(|it| it.next > proven) {
            let file = disk.open(&self.place.dir.join(file_name(it.base)), Opening::Write)?;
            inner.dirty.push(file.as_durable());
        }
        if inner.active.is_some() {
            let file = Arc::clone(&self.active_handle(inner)?.file);
            inner.active_dirty = Some(file.as_durable());
        }
        for dir in self.place.dir.ancestors().take(3) {
            inner.dirty.push(disk.dir(dir)?);
        }
        Ok(())
    }

    /// A segment was begun for a batch that found no room, and others were begun since.
    fn is_of_a_refused_batch(&self, it: &Found, later: &[Found]) -> bool {
        let Some(page) = it.page.as_ref().ok().filter(|_| it.len <= PAGE_LEN as u64) else { return false };
        let again = |it: &Found| it.page.as_ref().is_ok_and(|other| other.end <= page.end);
        page.end < self.lock().end || later.iter().any(again)
    }

    fn look_at(&self, base: Offset) -> io::Result<Found> {
        let file = self.shared.sys.disk.open(&self.place.dir.join(file_name(base)), Opening::Write)?;
        let len = file.len()?;
        let page = self.page(base).check(&file.read_at(PAGE_LEN, 0)?);
        Ok(Found { base, file, len, page })
    }

    /// Takes note of a segment up to where it is torn. The one before it is sealed. Position 0: all of it, or what should stand before it.
    fn recover_segment(&self, segment: &Found, now: Timestamp) -> io::Result<Option<Torn>> {
        let torn = |kind, what: String| Ok(Some(Torn { kind, position: 0, what }));
        let page = match &segment.page {
            Ok(page) => page,
            Err(bad) => return torn(kind_of(bad), bad.to_string()),
        };
        {
            let mut inner = self.lock();
            if page.end != inner.end || segment.base < inner.end {
                let what =
                    format!("it was begun at {}, what stands before it ends at {}", page.end, inner.end);
                return torn(DamageKind::Missing, what);
            }
            self.seal_found(&mut inner);
            inner.end = segment.base;
            let handle = self.keep(segment.base, Arc::clone(&segment.file));
            inner.active = Some(Active::new(segment.base, inner.digest, Arc::downgrade(&handle)));
        }
        self.scan(&segment.file, segment.len, PAGE_LEN as u64, now)
    }

    /// The active segment has a follower. The sidecar that stands may be of what a crash took of it: written again.
    fn seal_found(&self, inner: &mut Inner) {
        let next = inner.end;
        if let Some(it) = inner.active.take() {
            let sidecar = sidecar::whole(&self.page(it.base), &it.index, it.end);
            match self.write_sidecar(it.base, &sidecar) {
                Ok(file) => inner.dirty.push(file.as_durable()),
                Err(e) => {
                    warn!(segment = %it.base, error = %e, "the index of a segment could not be written");
                    let _ = self.shared.sys.disk.remove_file(&self.sidecar_path(it.base));
                }
            }
            if let Some(handle) = it.handle.upgrade() {
                let _ = handle.index.set(it.index);
            }
            inner.saving.segment(it.base, true);
            let (base, end, max_time, digest) = (it.base, it.end, it.max_time, it.digest);
            inner.sealed.push(Sealed { base, next, end, max_time, digest, handle: it.handle });
        }
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
                return Ok(Some(self.damage_at(torn.kind, file_name(segment.base), torn.position, what)));
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
            // A power cut would bring it back, and after a clean end it would be damage.
            segment.file.make_durable()?;
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
    fn scan(
        &self,
        file: &Arc<dyn File>,
        len: u64,
        mut position: u64,
        now: Timestamp,
    ) -> io::Result<Option<Torn>> {
        let mut chunk = Bytes::new();
        let mut inner = self.lock();
        while position < len {
            let torn = |what: String| Ok(Some(Torn { kind: DamageKind::Corrupt, position, what }));
            let left = usize::try_from(len - position).unwrap_or(usize::MAX);
            if chunk.len() < HEADER_LEN {
                chunk = file.read_at(CHUNK.min(left), position)?;
            }
            let header = match Header::parse(&chunk) {
                Ok(header) => header,
                Err(e) => return torn(e.to_string()),
            };
            if header.size() > left.min(REQUEST_BYTES_MAX) {
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
            let epoch = LeaderEpoch::new(header.leader_epoch);
            if epoch < inner.epochs.last() || (epoch.is_none() && header.leader_epoch != NO_EPOCH) {
                let last = inner.epochs.last().map_or(NO_EPOCH, LeaderEpoch::get);
                return torn(format!("epoch {} stands behind {last}", header.leader_epoch));
            }
            let behind = position + header.size() as u64;
            if let Some(next) =
                leaps(&inner, &header).then(|| whole_at(file, behind, len)).transpose()?.flatten()
                && stands_before(&inner, &next, &header)
            {
                let (offset, epoch) = (header.base_offset, header.leader_epoch);
                return torn(format!("offset {offset} of epoch {epoch} stands before {}", next.base_offset));
            }
            let control = if header.is_control() { ControlKind::of(&batch) } else { None };
            let after = inner.digest.plus(&Stamped::verbatim(&batch));
            inner.note(&header, control, after, now);
            position = behind;
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

/// Whether the batch stands behind a hole or begins an epoch. So it seems as well where a bit of its offset or its epoch
/// flipped, which its checksum leaves out.
fn leaps(inner: &Inner, header: &Header) -> bool {
    header.base_offset > inner.end || LeaderEpoch::new(header.leader_epoch) > inner.epochs.last()
}

/// Whether `next` goes on where the log ends, and not behind the batch of `header`, which is before it in the file.
fn stands_before(inner: &Inner, next: &Header, header: &Header) -> bool {
    let epoch = LeaderEpoch::new(next.leader_epoch);
    let lower = epoch >= inner.epochs.last() && next.leader_epoch < header.leader_epoch;
    let before = next.base_offset >= inner.end && next.base_offset < header.next_offset();
    lower || before
}

/// The header of a whole batch at `position`.
fn whole_at(file: &Arc<dyn File>, position: u64, len: u64) -> io::Result<Option<Header>> {
    let Ok(header) = Header::parse(&file.read_at(HEADER_LEN, position)?) else { return Ok(None) };
    if header.size() as u64 > len.saturating_sub(position).min(REQUEST_BYTES_MAX as u64) {
        return Ok(None);
    }
    let bytes = file.read_at(header.size(), position)?;
    Ok(checksum_holds(&header, &bytes).is_ok().then_some(header))
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
