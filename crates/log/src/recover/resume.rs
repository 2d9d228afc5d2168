//! Taking up a checkpoint. It spoke of durable bytes: a directory that has less is damaged, or an older copy.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use carrick_record::HEADER_LEN;
use carrick_sys::Opening;
use carrick_types::limits::REQUEST_BYTES_MAX;
use carrick_types::{Offset, ProducerId};
use tracing::{info, warn};

use super::CHUNK;
use crate::checkpoint::{ActiveState, BadPiece, Checkpoint, SealedState, crc};
use crate::page::{BadPage, PAGE_LEN};
use crate::partition::{Damage, DamageKind, IndexMaker, Inner, Partition, Step, kind_of};
use crate::segment::{Active, Index, Sealed, file_name};
use crate::sidecar;
use crate::transactions::{Aborted, Transactions};

/// Where a batch states its checksum, which covers what comes behind.
const CRC_AT: usize = 17;

/// What is known of the directory without reading its segments.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// Segments that need not be read.
    pub known: usize,
    /// The first that has to be is read from here; None: from its beginning.
    pub from: Option<u64>,
    /// What was durable.
    pub proven: Offset,
    /// The log does not begin below.
    pub floor: Offset,
}

impl Partition {
    /// Where there is no checkpoint that can be used, all is read. `names`: all files; `bases`: of the segments, rising.
    pub(super) fn resume(&self, names: &[String], bases: &[Offset]) -> io::Result<Result<Resumed, Damage>> {
        let (topic, partition) = (self.place.topic, self.place.partition);
        let pieces = self.shared.checkpoints.load(topic, partition)?;
        let damage = |kind, what: String| Ok(Err(self.damage_at(kind, "its checkpoint".into(), 0, what)));
        let mut sealed = BTreeMap::new();
        let (mut checkpoint, mut bad) = (None, None);
        for (piece, value) in &pieces {
            let taken = match piece {
                0 => Checkpoint::decode(value, topic, partition).map(|it| checkpoint = Some(it)),
                _ => SealedState::decode(value).map(|it| drop(sealed.insert(it.base, it))),
            };
            match taken {
                Ok(()) => {}
                Err(newer @ BadPiece::Newer { .. }) => return damage(DamageKind::Foreign, newer.to_string()),
                Err(found) => bad = Some(found),
            }
        }
        match (checkpoint, bad) {
            (Some(it), None) => self.take_up(it, sealed, names, bases),
            // All went by its age, and where the log goes on stood in the checkpoint alone.
            (None, bad) if bases.is_empty() && !pieces.is_empty() => {
                damage(DamageKind::Corrupt, bad.map_or("a part of it is missing".into(), |it| it.to_string()))
            }
            (checkpoint, bad) => {
                if let Some(error) = bad {
                    warn!(%topic, %partition, %error, "a checkpoint cannot be used: all of the partition is read");
                }
                let known =
                    |it: Checkpoint| Resumed { proven: it.end, floor: it.start, ..Resumed::default() };
                Ok(Ok(checkpoint.map(known).unwrap_or_default()))
            }
        }
    }

    fn take_up(
        &self,
        it: Checkpoint,
        pieces: BTreeMap<Offset, SealedState>,
        names: &[String],
        bases: &[Offset],
    ) -> io::Result<Result<Resumed, Damage>> {
        let newest = it.active.as_ref().map_or(it.end, |active| active.base);
        let there = |base: &Offset| bases.contains(base);
        let first = pieces.keys().copied().find(there).unwrap_or(newest);
        let (leftovers, rest): (Vec<Offset>, Vec<_>) = bases.iter().partition(|base| **base < first);
        let known = leftovers.len() + rest.iter().filter(|base| **base < newest).count();
        let all = Resumed { proven: it.end, floor: it.start, ..Resumed::default() };
        if rest.iter().any(|base| *base < newest && !pieces.contains_key(base)) {
            warn!(topic = %self.place.topic, partition = %self.place.partition, "a segment is not in the checkpoint: all of the partition is read");
            return Ok(Ok(all));
        }
        // Below the start: removed by retention, but for a crash between.
        let mut wanted = pieces.values().filter(|piece| piece.next > it.start).map(|piece| piece.base);
        let active = match (wanted.find(|base| !there(base)), &it.active) {
            (Some(base), _) => Err((base, self.missing(base))),
            (None, None) => Ok(None),
            (None, Some(active)) if !there(&active.base) => Err((active.base, self.missing(active.base))),
            (None, Some(active)) => {
                self.take_up_active(active)?.map(Some).map_err(|damage| (active.base, damage))
            }
        };
        let active = match active {
            Ok(active) => active,
            Err((base, damage)) => {
                self.take_up_before(base, it, pieces, bases);
                return Ok(Err(damage));
            }
        };
        if !leftovers.is_empty() && self.begun_at(first)? > it.start {
            return Ok(Ok(all));
        }
        if let Err(damage) = self.remove(&leftovers, names, bases)? {
            self.take_up_before(first, it, pieces, bases);
            return Ok(Err(damage));
        }
        let (from, proven) = (active.as_ref().map(|it| it.end), it.end);
        let mut inner = self.lock();
        inner.newest =
            it.active.iter().flat_map(|it| it.newest.iter().map(|(at, p)| (*at, it.base, *p))).collect();
        inner.newest_crc = it.active.as_ref().map_or(0, |it| it.newest_crc);
        inner.active = active;
        inner.digest = it.digest;
        inner.epochs = Arc::new(it.epochs);
        inner.producers = it.producers;
        (inner.start, inner.end, inner.durable) = (it.start, it.end, it.end);
        inner.saving.start = it.start;
        take_up_sealed(&mut inner, pieces, bases, it.open, it.aborted);
        Ok(Ok(Resumed { known, from, proven, floor: it.start }))
    }

    /// What stands before a damaged segment is read; nothing is written.
    fn take_up_before(
        &self,
        base: Offset,
        it: Checkpoint,
        mut pieces: BTreeMap<Offset, SealedState>,
        bases: &[Offset],
    ) {
        let sum = pieces.get(&base).map(|it| it.digest).or(it.active.as_ref().map(|it| it.digest));
        pieces.retain(|of, _| *of < base);
        let mut inner = self.lock();
        inner.digest = sum.unwrap_or(it.digest);
        (inner.start, inner.end) = (it.start, it.start);
        inner.epochs = Arc::new(it.epochs);
        take_up_sealed(&mut inner, pieces, bases, it.open, Vec::new());
        if let Some(last) = inner.sealed.last() {
            inner.end = last.next.max(it.start);
        }
    }

    fn missing(&self, base: Offset) -> Damage {
        self.damage_at(DamageKind::Missing, file_name(base), 0, "it is not there".to_owned())
    }

    /// Where the log ended when the segment was begun: below its base where a mirror's source has a hole.
    fn begun_at(&self, base: Offset) -> io::Result<Offset> {
        let found = match self.look_at(base) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(base),
            found => found?,
        };
        Ok(found.page.map_or(base, |page| page.end))
    }

    /// Removes what a retention that a crash cut short has left: segments, only if they are the partition's own, and
    /// sidecars without one.
    fn remove(
        &self,
        leftovers: &[Offset],
        names: &[String],
        bases: &[Offset],
    ) -> io::Result<Result<(), Damage>> {
        for base in leftovers {
            if let Err(foreign @ (BadPage::Foreign(_) | BadPage::Newer { .. })) = self.look_at(*base)?.page {
                return Ok(Err(self.damage_at(kind_of(&foreign), file_name(*base), 0, foreign.to_string())));
            }
        }
        let disk = &self.shared.sys.disk;
        for base in leftovers {
            info!(topic = %self.place.topic, partition = %self.place.partition, segment = %base, "removed: it lies below the log's start");
            disk.remove_file(&self.place.dir.join(file_name(*base)))?;
        }
        let sidecars = names.iter().filter_map(|name| sidecar::base_of(name));
        for base in sidecars.filter(|base| leftovers.contains(base) || !bases.contains(base)) {
            disk.remove_file(&self.sidecar_path(base))?;
        }
        Ok(Ok(()))
    }

    /// The segment that was written to: it has to have what was durable of it.
    fn take_up_active(&self, it: &ActiveState) -> io::Result<Result<Active, Damage>> {
        let name = file_name(it.base);
        let bad = |kind, position, what: String| Ok(Err(self.damage_at(kind, name.clone(), position, what)));
        let found = self.look_at(it.base)?;
        if let Err(e) = &found.page {
            return bad(kind_of(e), 0, e.to_string());
        }
        if found.len < it.position {
            let what = format!("it has {} bytes, {} were durable", found.len, it.position);
            return bad(DamageKind::Stale, found.len, what);
        }
        if let Some((offset, position)) = it.newest.last() {
            let len = usize::try_from(it.position.saturating_sub(*position)).unwrap_or(usize::MAX);
            let bytes = found.file.read_at(len.min(REQUEST_BYTES_MAX), *position)?;
            // Whatever became of a bit of it, it states its checksum or has it.
            let stated = bytes.get(CRC_AT..CRC_AT + 4).is_some_and(|it_| it_ == it.newest_crc.to_be_bytes());
            let has =
                bytes.len() == len && bytes.get(CRC_AT + 4..).is_some_and(|of| crc(of) == it.newest_crc);
            if !stated && !has {
                let what = format!("the batch at {offset} is not the one that was durable there");
                return bad(DamageKind::Stale, *position, what);
            }
        }
        let handle = self.keep(it.base, Arc::clone(&found.file));
        let mut active = Active::new(it.base, it.digest, Arc::downgrade(&handle));
        (active.end, active.first_time, active.max_time) = (it.position, it.first_time, it.max_time);
        match self.read_entries(it)? {
            Some(index) => {
                active.written = index.entries.len();
                active.index = index;
            }
            None => match self.make_entries(it, &found.file)? {
                Ok(index) => active.index = index,
                Err((position, what)) => return bad(DamageKind::Corrupt, position, what),
            },
        }
        Ok(Ok(active))
    }

    fn read_entries(&self, it: &ActiveState) -> io::Result<Option<Index>> {
        let path = self.sidecar_path(it.base);
        let file = match self.shared.sys.disk.open(&path, Opening::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let Some(len) = sidecar::len_max(file.len()?) else { return Ok(None) };
        Ok(sidecar::read_first(&file.read_at(len, 0)?, &self.page(it.base), it.entries, it.entries_crc))
    }

    fn make_entries(
        &self,
        it: &ActiveState,
        file: &Arc<dyn carrick_sys::File>,
    ) -> io::Result<Result<Index, (u64, String)>> {
        warn!(topic = %self.place.topic, partition = %self.place.partition, segment = %it.base,
            "the segment's index is missing or damaged: made again");
        let mut maker = IndexMaker::new(it.digest);
        let mut chunk = Bytes::new();
        debug_assert!(it.position >= PAGE_LEN as u64 && CHUNK > HEADER_LEN, "positions lie behind the page");
        while maker.position < it.position {
            let left = usize::try_from(it.position - maker.position).unwrap_or(usize::MAX);
            match maker.take(&mut chunk) {
                Step::Taken => {}
                Step::Bad(what) => return Ok(Err((maker.position, what))),
                Step::Wants(len) if len > left.min(REQUEST_BYTES_MAX) => {
                    return Ok(Err((maker.position, format!("a batch of {len} bytes has {left}"))));
                }
                Step::Wants(len) => {
                    chunk = file.read_at(len.max(CHUNK).min(left), maker.position)?;
                    if chunk.len() < len {
                        return Ok(Err((maker.position, "the file ends here".into())));
                    }
                }
            }
        }
        Ok(Ok(maker.index))
    }
}

/// The segments of `pieces` that are there, and the transactions that ended in them or, as `open` and `aborted` say, behind.
fn take_up_sealed(
    inner: &mut Inner,
    pieces: BTreeMap<Offset, SealedState>,
    bases: &[Offset],
    open: Vec<(ProducerId, Offset)>,
    behind: Vec<Aborted>,
) {
    let mut aborted = Vec::new();
    for SealedState { base, next, end, max_time, digest, aborted: its } in pieces.into_values() {
        if bases.contains(&base) {
            aborted.extend(its);
            inner.sealed.push(Sealed { base, next, end, max_time, digest, handle: Weak::new() });
        } else {
            inner.saving.segment(base, false);
        }
    }
    aborted.extend(behind);
    inner.transactions = Transactions::restored(open, aborted);
    inner.transactions.forget_below(inner.start);
}
