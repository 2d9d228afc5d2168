//! Checkpoints: taken where a sync begins, saved where it has succeeded.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_sys::{Durable, Opening, Wake};
use carrick_types::Offset;

use super::{Inner, Partition, Role};
use crate::checkpoint::{ActiveState, Change, Checkpoint, SealedState, crc, piece_of};
use crate::segment::{Active, Sealed};
use crate::sidecar;

/// Bytes appended after which the next sync takes a checkpoint.
const EVERY_BYTES: u64 = 1 << 20;
/// A large checkpoint is taken after so many times its own size.
const EVERY_SIZES: u64 = 16;
/// Newest batches whose places it keeps.
const NEWEST_KEPT: usize = 8;

/// How far a partition is saved.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// Appended since the last checkpoint was taken.
    pub bytes: u64,
    /// The last one's size.
    size: u64,
    /// The next sync takes one.
    pub wanted: bool,
    /// Sealed segments that came (true) or went since, each with its number.
    pub segments: Vec<(u64, Offset, bool)>,
    /// The next such number.
    turn: u64,
    /// The log start that is saved.
    pub start: Offset,
    /// One was taken and has not reached its home.
    on_its_way: bool,
    /// The home did not take the last one.
    pub failed: bool,
    /// In the store's list of those that have something to save.
    pub listed: bool,
}

/// A checkpoint on its way.
pub(crate) struct Snapshot {
    pub changes: Vec<Change>,
    start: Offset,
    /// Those of the segments that it holds have smaller numbers.
    turn: u64,
}

/// What a checkpoint rests on of the active segment's sidecar: to be made durable, and summed.
struct Entries {
    written: Vec<Arc<dyn Durable>>,
    count: usize,
    /// Of its header and entries.
    crc: u32,
}

impl Saving {
    pub(crate) fn segment(&mut self, base: Offset, there: bool) {
        self.segments.retain(|(_, of, _)| *of != base);
        self.segments.push((self.turn, base, there));
        self.turn += 1;
    }

    /// Whether the segment's coming is saved.
    pub(crate) fn knows(&self, base: Offset) -> bool {
        self.segments.iter().all(|(_, of, _)| *of != base)
    }
}

impl Inner {
    /// Whether a checkpoint would say something new.
    pub(crate) fn unsaved(&self) -> bool {
        self.saving.bytes > 0 || !self.saving.segments.is_empty() || self.saving.start != self.start
    }
}

impl Partition {
    /// What the next sync has to make durable, and what that will have made so: the end, bytes, a checkpoint.
    pub(crate) fn take_dirty(&self, into: &mut Vec<Arc<dyn Durable>>) -> (Offset, u64, Option<Snapshot>) {
        let due = {
            let inner = self.lock();
            self.is_checkpoint_due(&inner)
        };
        // Not with the memory's lock held: who has the turn takes that.
        let turn = due.then(|| self.files.lock());
        let written = turn.as_ref().map(|_| self.write_entries());
        let mut inner = self.lock();
        (inner.queued, inner.syncing) = (false, true);
        let snapshot = match written {
            Some(Ok(entries)) if self.is_checkpoint_due(&inner) => self.snapshot(&mut inner, entries),
            Some(Err(failed)) => {
                tracing::warn!(topic = %self.place.topic, partition = %self.place.partition, error = %failed,
                    "the index could not be written: the next start reads more");
                (inner.saving.wanted, inner.saving.failed) = (false, true);
                inner.waiters.wake_all();
                None
            }
            _ => None,
        };
        into.append(&mut inner.dirty);
        into.extend(inner.active_dirty.take());
        (inner.end, std::mem::take(&mut inner.unsynced), snapshot)
    }

    fn is_checkpoint_due(&self, inner: &Inner) -> bool {
        let due = inner.saving.bytes >= EVERY_BYTES.max(inner.saving.size * EVERY_SIZES);
        let able = inner.damage.is_none() && inner.role != Role::Gone && self.shared.halted().is_none();
        (due || inner.saving.wanted) && able && inner.unsaved()
    }

    fn snapshot(&self, inner: &mut Inner, entries: Option<Entries>) -> Option<Snapshot> {
        inner.saving.wanted = false;
        let mut active = None;
        if let Some((it, entries)) = inner.active.as_ref().zip(entries) {
            active = Some(self.active_state(inner, it, u32::try_from(entries.count).ok()?, entries.crc));
            inner.dirty.extend(entries.written);
            if let Some(it) = &mut inner.active {
                it.written = entries.count;
            }
        }
        inner.saving.on_its_way = true;
        let from = active.as_ref().map_or(inner.end, |it: &ActiveState| it.base);
        let checkpoint = Checkpoint {
            start: inner.start,
            end: inner.end,
            digest: inner.digest,
            active,
            epochs: inner.epochs.as_ref().clone(),
            open: inner.transactions.open(),
            aborted: inner.transactions.aborted_in(from, Offset::MAX),
            producers: inner.producers.clone(),
        };
        let value = checkpoint.encode(self.place.topic, self.place.partition);
        inner.saving.bytes = 0;
        inner.saving.size = value.len() as u64;
        let mut changes = vec![self.change(0, Some(value))];
        let segments = inner.saving.segments.iter();
        changes.extend(segments.map(|(_, base, there)| {
            let sealed = inner.sealed.iter().find(|it| *there && it.base == *base);
            self.change(piece_of(*base), sealed.map(|it| sealed_state(inner, it).encode()))
        }));
        Some(Snapshot { changes, start: inner.start, turn: inner.saving.turn })
    }

    fn change(&self, piece: u64, value: Option<Bytes>) -> Change {
        Change { topic: self.place.topic, partition: self.place.partition, piece, value }
    }

    fn active_state(&self, inner: &Inner, it: &Active, entries: u32, entries_crc: u32) -> ActiveState {
        let here = inner.newest.iter().filter(|(_, base, _)| *base == it.base);
        let newest: Vec<_> = here.map(|(offset, _, position)| (*offset, *position)).collect();
        let skip = newest.len().saturating_sub(NEWEST_KEPT);
        ActiveState {
            base: it.base,
            position: it.end,
            first_time: it.first_time,
            max_time: it.max_time,
            digest: it.digest,
            entries,
            entries_crc,
            newest: newest.get(skip..).unwrap_or_default().to_vec(),
            newest_crc: inner.newest_crc,
        }
    }

    /// Brings the active segment's sidecar up to the index's end, with the turn at the files. None without one.
    fn write_entries(&self) -> io::Result<Option<Entries>> {
        let (base, from, entries) = {
            let inner = self.lock();
            let Some(active) = &inner.active else { return Ok(None) };
            (active.base, active.written, sidecar::entries(&active.index.entries))
        };
        let header = sidecar::header(&self.page(base));
        let crc = crc(&[header.as_slice(), &entries].concat());
        let disk = &self.shared.sys.disk;
        let path = self.sidecar_path(base);
        let mut written = Vec::new();
        let file = match disk.open(&path, Opening::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                written.push(disk.dir(&self.place.dir)?);
                disk.open(&path, Opening::New)?
            }
            opened => opened?,
        };
        let at = from * sidecar::ENTRY_LEN;
        match from {
            0 => file.write_at(&[&header, &entries], 0)?,
            _ => {
                file.write_at(&[entries.get(at..).unwrap_or_default()], (sidecar::HEADER_LEN + at) as u64)?
            }
        }
        written.push(file.as_durable());
        Ok(Some(Entries { written, count: entries.len() / sidecar::ENTRY_LEN, crc }))
    }

    /// A checkpoint reached its home, or did not.
    pub(crate) fn saved(&self, snapshot: &Snapshot, done: bool) {
        let mut inner = self.lock();
        if done {
            inner.saving.start = snapshot.start;
            inner.saving.segments.retain(|(turn, ..)| *turn >= snapshot.turn);
        } else {
            // The next one says it all again.
            inner.saving.bytes += 1;
        }
        inner.saving.on_its_way = false;
        inner.saving.failed = !done;
        inner.waiters.wake_all();
    }

    /// Returns once all that is in memory now is saved, or cannot be.
    pub(crate) async fn checkpointed(&self) {
        let wake = Wake::new();
        let mut asked = false;
        loop {
            {
                let mut inner = self.lock();
                let done = !inner.unsaved() && !inner.saving.on_its_way;
                let failed = asked && inner.saving.failed && !inner.saving.on_its_way;
                if done || failed || inner.damage.is_some() || self.shared.halted().is_some() {
                    return;
                }
                inner.waiters.register(&wake);
                if !inner.saving.on_its_way {
                    inner.saving.failed = false;
                    inner.saving.wanted = true;
                    self.mark_dirty(&mut inner, 0);
                    asked = true;
                }
            }
            wake.woken().await;
        }
    }

    /// Ends the active segment, with the turn at the files: its sidecar whole, the files in the next sync.
    pub(crate) fn seal(&self) {
        let whole = self
            .lock()
            .active
            .as_ref()
            .map(|it| (it.base, sidecar::whole(&self.page(it.base), &it.index, it.end)));
        let Some((base, whole)) = whole else { return };
        let written = self.write_sidecar(base, &whole);
        let mut inner = self.lock();
        let Some(active) = inner.active.take() else { return };
        match written {
            Ok(file) => inner.dirty.push(file.as_durable()),
            // It is made again when it is looked for.
            Err(failed) => {
                tracing::warn!(topic = %self.place.topic, partition = %self.place.partition, error = %failed,
                    "the index of a segment could not be written");
            }
        }
        let dirty = inner.active_dirty.take();
        inner.dirty.extend(dirty);
        if let Some(handle) = active.handle.upgrade() {
            let _ = handle.index.set(active.index);
        }
        inner.saving.segment(active.base, true);
        let next = inner.end;
        inner.sealed.push(Sealed {
            base: active.base,
            next,
            end: active.end,
            max_time: active.max_time,
            digest: active.digest,
            handle: active.handle,
        });
    }

    /// Writes a sidecar whole, in the place of what is there.
    pub(crate) fn write_sidecar(&self, base: Offset, bytes: &[u8]) -> io::Result<Arc<dyn carrick_sys::File>> {
        let disk = &self.shared.sys.disk;
        let path = self.sidecar_path(base);
        let file = match disk.open(&path, Opening::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => disk.open(&path, Opening::New)?,
            opened => opened?,
        };
        file.write_at(&[bytes], 0)?;
        file.set_len(bytes.len() as u64)?;
        Ok(file)
    }

    pub(crate) fn sidecar_path(&self, base: Offset) -> std::path::PathBuf {
        self.place.dir.join(format!("{:020}.idx", base.get()))
    }
}

fn sealed_state(inner: &Inner, it: &Sealed) -> SealedState {
    SealedState {
        base: it.base,
        next: it.next,
        end: it.end,
        max_time: it.max_time,
        digest: it.digest,
        aborted: inner.transactions.aborted_in(it.base, it.next),
    }
}
