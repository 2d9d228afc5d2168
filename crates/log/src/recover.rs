//! Opening a partition: its segments are read from the first to the last, and all that is known in memory follows from them.
//!
//! After an end that was not clean, what was written and not yet durable may be torn: the log is cut behind its last good
//! batch. Whole batches behind a torn one, and segments behind a torn one, are not thrown away but set aside in `.cut` files.
//! After a clean end anything that is not as it was written is [`Damage`]: named, and nothing is changed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batch, ControlKind, HEADER_LEN, Header, PREFIX_LEN, Stamped};
use carrick_sys::{File, Opening};
use carrick_types::{LeaderEpoch, Offset, Timestamp};
use tracing::warn;

use crate::page::{BadPage, PAGE_LEN};
use crate::partition::{Damage, Partition, Role};
use crate::segment::{Segment, base_of, file_name};

/// Read at once while scanning.
const CHUNK: usize = 1 << 20;
/// A torn tail is searched for whole batches this far.
const SEARCH_MAX: u64 = 256 << 20;

/// How a segment was found.
enum Tail {
    Whole,
    Cut,
}

/// Why a segment's scan ended before the file did.
struct Torn {
    position: u64,
    what: String,
}

impl Partition {
    /// Reads what is on the disk. `clean` says that the last end left nothing torn. Blocking; before anyone shares it.
    pub(crate) fn recover(&self, clean: bool, now: Timestamp) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        if !disk.exists(&self.place.dir) {
            return Ok(());
        }
        let names = disk.list(&self.place.dir)?;
        let bases: Vec<Offset> = names.iter().filter_map(|name| base_of(name)).collect();
        let mut bases = bases.into_iter();
        while let Some(base) = bases.next() {
            match self.recover_segment(base, !clean, now)? {
                Ok(Tail::Whole) => {}
                Ok(Tail::Cut) => {
                    for later in bases.by_ref() {
                        let path = self.place.dir.join(file_name(later));
                        warn!(file = %path.display(), "set aside a segment behind a torn one");
                        disk.rename(&path, &path.with_extension("cut"))?;
                    }
                }
                Err(damage) => {
                    warn!(%damage, "partition is offline: restore the file and restart, or delete and re-mirror the topic");
                    self.lock().damage = Some(damage);
                    return Ok(());
                }
            }
        }
        let mut inner = self.lock();
        if let Some(first) = inner.segments.first() {
            inner.start = first.base;
        }
        inner.end = inner.end.max(inner.start);
        if clean {
            inner.durable = inner.end;
        } else {
            // It may stand in the page cache alone: made durable before anyone is told of it.
            inner.durable = inner.start;
            inner.active_dirty = !inner.segments.is_empty();
            for dir in self.place.dir.ancestors().take(3) {
                inner.dirty.push(disk.dir(dir)?);
            }
        }
        Ok(())
    }

    fn recover_segment(
        &self,
        base: Offset,
        may_be_torn: bool,
        now: Timestamp,
    ) -> io::Result<Result<Tail, Damage>> {
        let disk = &self.shared.sys.disk;
        let name = file_name(base);
        let path = self.place.dir.join(&name);
        let file = disk.open(&path, Opening::Write)?;
        let len = file.len()?;
        if let Err(bad) = self.page(base).check(&file.read_at(PAGE_LEN, 0)?) {
            // The page is durable no later than the first batch behind it: a torn page has nothing told behind it.
            if may_be_torn && bad == BadPage::NotOurs {
                warn!(file = %path.display(), len, "set aside a segment whose beginning was torn");
                disk.rename(&path, &path.with_extension("cut"))?;
                return Ok(Ok(Tail::Cut));
            }
            return Ok(Err(self.damage_at(name, 0, bad.to_string())));
        }
        if base < self.lock().end {
            return Ok(Err(self.damage_at(name, 0, format!("it begins below {}", self.lock().end))));
        }
        {
            let mut inner = self.lock();
            inner.end = base;
            inner.segments.push(Segment::new(base, Arc::clone(&file)));
        }
        let Some(torn) = self.scan(&file, len, now)? else {
            return Ok(Ok(Tail::Whole));
        };
        if !may_be_torn {
            return Ok(Err(self.damage_at(name, torn.position, torn.what)));
        }
        let found = self.find_batch(&file, torn.position, len)?;
        if let Some(at) = found {
            let aside = self.place.dir.join(format!("{:020}-{}.cut", base.get(), torn.position));
            copy(&**disk, &file, torn.position, len, &aside)?;
            warn!(file = %path.display(), from = torn.position, whole_batch_at = at, aside = %aside.display(),
                "set aside what stood behind a torn batch");
        }
        warn!(file = %path.display(), from = torn.position, bytes = len - torn.position, what = torn.what, "cut a torn tail");
        file.set_len(torn.position)?;
        Ok(Ok(Tail::Cut))
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
            if header.base_offset < inner.end {
                return torn(format!("offset {} stands behind {}", header.base_offset, inner.end));
            }
            if let (Some(last), Some(epoch)) = (inner.epochs.last(), LeaderEpoch::new(header.leader_epoch))
                && epoch < last
            {
                return torn(format!("epoch {epoch} stands behind {last}"));
            }
            let control = if header.is_control() { ControlKind::of(&batch) } else { None };
            let after = inner.digest.plus(&Stamped::verbatim(&batch));
            let seen = header.max_timestamp.min(now);
            inner.note(&header, control, after, seen);
            position += header.size() as u64;
        }
        Ok(None)
    }

    /// The first whole batch behind a torn one.
    fn find_batch(&self, file: &Arc<dyn File>, from: u64, len: u64) -> io::Result<Option<u64>> {
        let expected = self.lock().end;
        let len = len.min(from + SEARCH_MAX);
        let mut position = from + 1;
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

fn copy(
    disk: &dyn carrick_sys::Disk,
    file: &Arc<dyn File>,
    from: u64,
    to: u64,
    path: &std::path::Path,
) -> io::Result<()> {
    if disk.exists(path) {
        disk.remove_file(path)?;
    }
    let aside = disk.open(path, Opening::New)?;
    let mut position = from;
    while position < to {
        let want = usize::try_from(to - position).unwrap_or(usize::MAX).min(CHUNK);
        let chunk = file.read_at(want, position)?;
        if chunk.is_empty() {
            break;
        }
        aside.write_at(&[&chunk], position - from)?;
        position += chunk.len() as u64;
    }
    aside.make_durable()
}

impl Role {
    /// A writable partition must not be given an epoch below its newest batch's.
    pub(crate) fn fits(self, newest: Option<LeaderEpoch>) -> bool {
        match self {
            Self::Writable { epoch } => newest.is_none_or(|newest| newest <= epoch),
            Self::Mirror { .. } | Self::Closed | Self::Gone => true,
        }
    }
}
