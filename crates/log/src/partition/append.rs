//! Appending: a client's batch gets its offset here; a mirror's batch brings it.

use std::io;
use std::sync::Arc;

use carrick_record::{Batch, ControlKind, Stamped};
use carrick_sys::Opening;
use carrick_types::{Generation, LeaderEpoch, Offset, Timestamp};

use super::{Damage, DamageKind, Inner, Partition, Role};
use crate::digest::Digest;
use crate::epochs::NO_EPOCH;
use crate::page::{Before, Page};
use crate::producers::{ProducerRefusal, Verdict};
use crate::segment::{Active, file_name};

/// Where a client's batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base: Offset,
    /// The offset after it: what has to be durable before it is acknowledged.
    pub end: Offset,
    /// It stood there before.
    pub duplicate: bool,
    /// Its largest time, as it stands in the log.
    pub max_time: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the partition takes no writes: it is {role:?}")]
    NotWritable { role: Role },
    /// `known_end`: what has to be durable before the refusal is told.
    #[error("{refusal}")]
    Producer { refusal: ProducerRefusal, known_end: Offset },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("a sync of the data directory failed ({what}): restart carrickd once the disk is well")]
    Halted { what: String },
    #[error("the disk refused the batch")]
    Disk(#[from] io::Error),
    #[error("the partition has no offset left for the batch")]
    Full,
}

#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("a batch at {found} came where the log ends at {end}")]
    Order { found: Offset, end: Offset },
    #[error("a batch of epoch {found} came after one of {last}")]
    EpochBack { found: i32, last: LeaderEpoch },
    #[error("a batch of generation {found} came to a mirror of generation {generation}")]
    Generation { found: Generation, generation: Generation },
}

impl Partition {
    /// Appends a client's batch, whose checksum was verified, at the log's end. `append_time` re-stamps it as LogAppendTime.
    pub fn append(
        &self,
        batch: &Batch,
        append_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let _turn = self.files.lock();
        let inner = self.lock();
        self.writable(&inner)?;
        let Role::Writable { epoch } = inner.role else {
            return Err(AppendError::NotWritable { role: inner.role });
        };
        match inner.producers.check(&batch.header) {
            Ok(Verdict::Append) => {}
            Ok(Verdict::Duplicate { base, end, append_time: max_time }) => {
                return Ok(Appended { base, end, duplicate: true, max_time });
            }
            Err(refusal) => return Err(AppendError::Producer { refusal, known_end: inner.end }),
        }
        let base = inner.end;
        drop(inner);
        let length = batch.header.last_offset_delta;
        if base.get().checked_add(i64::from(length) + 1).is_none() {
            return Err(AppendError::Full);
        }
        let mut stamped = Stamped::verbatim(batch).at(base, epoch);
        if let Some(time) = append_time {
            stamped = stamped.with_append_time(time);
        }
        let end = self.write(&stamped, None, control_of(batch), now)?;
        Ok(Appended { base, end, duplicate: false, max_time: stamped.header.max_timestamp })
    }

    /// Appends a marker of this node's own, before clients may write.
    pub fn append_marker(
        &self,
        batch: &Batch,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let _turn = self.files.lock();
        let base = {
            let inner = self.lock();
            self.writable(&inner)?;
            if inner.role != Role::Closed {
                return Err(AppendError::NotWritable { role: inner.role });
            }
            inner.end
        };
        let stamped = Stamped::verbatim(batch).at(base, epoch);
        let end = self.write(&stamped, None, control_of(batch), now)?;
        Ok(Appended { base, end, duplicate: false, max_time: stamped.header.max_timestamp })
    }

    /// Appends a source's batch, whose checksum was verified, at its own offset: at the log's end or, past a hole that the
    /// source has too, above it. `epoch` re-stamps the leader epoch. Returns the log's end.
    pub fn append_mirrored(
        &self,
        batch: &Batch,
        epoch: Option<LeaderEpoch>,
        now: Timestamp,
    ) -> Result<Offset, MirrorError> {
        let _turn = self.files.lock();
        let inner = self.lock();
        self.writable(&inner)?;
        let Role::Mirror { generation } = inner.role else {
            return Err(AppendError::NotWritable { role: inner.role }.into());
        };
        let mut stamped = Stamped::verbatim(batch);
        if let Some(epoch) = epoch {
            stamped = stamped.with_epoch(epoch);
        }
        let header = &stamped.header;
        if header.base_offset < inner.end {
            return Err(MirrorError::Order { found: header.base_offset, end: inner.end });
        }
        let epoch = LeaderEpoch::new(header.leader_epoch);
        if epoch < inner.epochs.last() || (epoch.is_none() && header.leader_epoch != NO_EPOCH) {
            let last = inner.epochs.last().unwrap_or_default();
            return Err(MirrorError::EpochBack { found: header.leader_epoch, last });
        }
        if let Some(found) = epoch.map(LeaderEpoch::generation)
            && found > generation
        {
            return Err(MirrorError::Generation { found, generation });
        }
        let begins = (inner.end == Offset::ZERO).then_some(header.base_offset);
        drop(inner);
        Ok(self.write(&stamped, begins, control_of(batch), now)?)
    }

    /// On a mirror: how far the source's readers may read.
    pub fn set_source_high(&self, high: Offset) {
        let mut inner = self.lock();
        if matches!(inner.role, Role::Mirror { .. }) && inner.source_high.is_none_or(|was| was < high) {
            inner.source_high = Some(high);
            self.moved(&mut inner);
            self.begin_where_source_does(&mut inner);
        }
    }

    /// On an empty mirror: where its source begins. Saved with the next sync: groups stand there, and a failover goes on there.
    pub fn start_at(&self, start: Offset) {
        let mut inner = self.lock();
        let empty = inner.sealed.is_empty() && inner.active.is_none() && inner.epochs.last().is_none();
        if empty && matches!(inner.role, Role::Mirror { .. }) {
            (inner.start, inner.end, inner.durable) = (start, start, start);
            self.moved(&mut inner);
            inner.saving.wanted = true;
            self.mark_dirty(&mut inner, 0);
        }
    }

    /// Whether the home of checkpoints has the log's start, or its first batch says it.
    pub fn start_saved(&self) -> bool {
        let inner = self.lock();
        inner.saving.start == inner.start || inner.epochs.last().is_some()
    }

    fn writable(&self, inner: &Inner) -> Result<(), AppendError> {
        if let Some(damage) = &inner.damage {
            return Err(damage.clone().into());
        }
        match self.shared.halted() {
            Some(what) => Err(AppendError::Halted { what }),
            None => Ok(()),
        }
    }

    /// With the turn at the files. `begins`: an empty log begins there. Returns the log's end.
    fn write(
        &self,
        stamped: &Stamped,
        begins: Option<Offset>,
        control: Option<ControlKind>,
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        let size = stamped.size() as u64;
        if self.is_full(stamped.header.max_timestamp, size) {
            self.begin_segment(stamped.header.base_offset, begins)?;
        }
        let (handle, position) = {
            let mut inner = self.lock();
            (self.active_handle(&mut inner)?, inner.active.as_ref().map_or(0, |it| it.end))
        };
        if let Err(failed) = handle.file.write_at(&[&stamped.head, &stamped.body], position) {
            // What was written of it must not be found by a recovery behind a later, shorter batch.
            let undone = handle.file.set_len(position);
            let empty = self.lock().active.as_ref().is_some_and(Active::is_empty);
            if empty {
                // The next batch may be another one, and begin elsewhere. A start that finds the file passes it over.
                let _ = self.shared.sys.disk.remove_file(&self.place.dir.join(file_name(handle.base)));
                // Its room is free once nobody has it open, and there is none to spare.
                self.shared.handles.forget(|it| std::ptr::eq(it, &raw const *handle));
            }
            let mut inner = self.lock();
            if empty {
                inner.active = None;
                return Err(failed.into());
            }
            if let Err(e) = undone {
                let what = format!("a failed write was not undone: {e}");
                inner.damage =
                    Some(self.damage_at(DamageKind::Corrupt, file_name(handle.base), position, what));
            }
            // Nor may a power cut bring it back once the next segment is begun: the undoing is made durable with what follows.
            inner.active_dirty = Some(Arc::clone(&handle.file).as_durable());
            return Err(failed.into());
        }
        let sum = Digest::of(stamped);
        let mut inner = self.lock();
        if let Some(begin) = begins {
            (inner.start, inner.end, inner.durable) = (begin, begin, begin);
        }
        let after = inner.digest.and(sum);
        inner.note(&stamped.header, control, after, now);
        if inner.active_dirty.is_none() {
            inner.active_dirty = Some(Arc::clone(&handle.file).as_durable());
        }
        self.moved(&mut inner);
        self.mark_dirty(&mut inner, size);
        Ok(inner.end)
    }

    /// Whether a batch of that time and size goes to a new segment.
    fn is_full(&self, time: Timestamp, size: u64) -> bool {
        let inner = self.lock();
        let limit = inner.settings.segment_bytes.unwrap_or(self.shared.settings.segment_bytes);
        let full = |it: &Active| {
            !it.is_empty() && (it.end + size > limit || time.since(it.first_time) > inner.settings.segment_ms)
        };
        inner.active.as_ref().is_none_or(full)
    }

    pub(crate) fn damage_at(&self, kind: DamageKind, file: String, position: u64, what: String) -> Damage {
        Damage { kind, topic: self.place.topic, partition: self.place.partition, file, position, what }
    }

    /// The file is named and stamped before anything is written to it, and durable with the first batch in it.
    fn begin_segment(&self, base: Offset, begins: Option<Offset>) -> io::Result<()> {
        let disk = &self.shared.sys.disk;
        let dir = &self.place.dir;
        let (first, before) = {
            let inner = self.lock();
            let before = Before { start: inner.start, end: inner.end, durable: inner.durable };
            let before = begins.map_or(before, |at| Before { start: at, end: at, durable: at });
            (inner.sealed.is_empty() && inner.active.is_none(), before)
        };
        if first {
            disk.create_dir_all(dir)?;
        }
        // Before the file is there: one that stayed behind would be in the way of the next try.
        let ancestors = if first { 3 } else { 1 };
        let dirs =
            dir.ancestors().take(ancestors).map(|dir| disk.dir(dir)).collect::<io::Result<Vec<_>>>()?;
        let path = dir.join(file_name(base));
        let file = disk.open(&path, Opening::New)?;
        if let Err(failed) = file.write_at(&[&self.page(base).encode(before)], 0) {
            // A start removes it too: nothing in it was ever told.
            let _ = disk.remove_file(&path);
            return Err(failed);
        }
        self.seal();
        let handle = self.keep(base, file);
        let mut inner = self.lock();
        inner.dirty.extend(dirs);
        inner.active = Some(Active::new(base, inner.digest, Arc::downgrade(&handle)));
        Ok(())
    }

    pub(crate) fn page(&self, base: Offset) -> Page {
        Page { cluster: self.shared.cluster, topic: self.place.topic, partition: self.place.partition, base }
    }
}

fn control_of(batch: &Batch) -> Option<ControlKind> {
    if batch.header.is_control() { ControlKind::of(batch) } else { None }
}
