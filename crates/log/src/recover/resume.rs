//! Taking up a checkpoint. It spoke of durable bytes: a directory that has less is damaged, or an older copy.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{HEADER_LEN, Header, checksum_holds};
use carrick_sys::Opening;
use carrick_types::Offset;
use carrick_types::limits::REQUEST_BYTES_MAX;
use tracing::{info, warn};

use super::CHUNK;
use crate::checkpoint::{ActiveState, BadPiece, Checkpoint, SealedState};
use crate::page::PAGE_LEN;
use crate::partition::{Damage, DamageKind, IndexMaker, Partition, Step, kind_of};
use crate::segment::{Active, Index, Sealed, file_name};
use crate::sidecar;
use crate::transactions::Transactions;

/// What of the directory is known.
pub(super) struct Resumed {
    /// Segments that need not be read.
    pub known: usize,
    /// The first that has to be is read from here; None: from its beginning.
    pub from: Option<u64>,
    /// What was durable.
    pub proven: Offset,
}

impl Partition {
    /// None if there is no checkpoint that can be used: then all is read.
    pub(super) fn resume(&self, bases: &[Offset]) -> io::Result<Result<Option<Resumed>, Damage>> {
        let (topic, partition) = (self.place.topic, self.place.partition);
        let pieces = self.shared.checkpoints.load(topic, partition)?;
        let mut sealed = BTreeMap::new();
        let mut checkpoint = None;
        for (piece, value) in &pieces {
            let bad = match piece {
                0 => Checkpoint::decode(value, topic, partition).map(|it| checkpoint = Some(it)),
                _ => SealedState::decode(value).map(|it| drop(sealed.insert(it.base, it))),
            };
            match bad {
                Ok(()) => {}
                Err(newer @ BadPiece::Newer { .. }) => {
                    return Ok(Err(self.damage_at(
                        DamageKind::Foreign,
                        "its checkpoint".into(),
                        0,
                        newer.to_string(),
                    )));
                }
                Err(bad) => {
                    warn!(%topic, %partition, error = %bad, "a checkpoint cannot be used: all of the partition is read");
                    return Ok(Ok(None));
                }
            }
        }
        let Some(it) = checkpoint else { return Ok(Ok(None)) };
        self.take_up(it, sealed, bases)
    }

    fn take_up(
        &self,
        it: Checkpoint,
        pieces: BTreeMap<Offset, SealedState>,
        bases: &[Offset],
    ) -> io::Result<Result<Option<Resumed>, Damage>> {
        let newest = it.active.as_ref().map_or(it.end, |active| active.base);
        let missing = |base: Offset| {
            let what = "it is not there".to_owned();
            Ok(Err(self.damage_at(DamageKind::Missing, file_name(base), 0, what)))
        };
        // Below the start: removed by retention, but for a crash between.
        for base in pieces.values().filter(|it_| it_.next > it.start).map(|it| it.base) {
            if !bases.contains(&base) {
                return missing(base);
            }
        }
        let first =
            pieces.values().find(|piece| bases.contains(&piece.base)).map_or(newest, |piece| piece.base);
        let (leftovers, rest): (Vec<Offset>, Vec<_>) = bases.iter().partition(|base| **base < first);
        if !leftovers.is_empty() && first > it.start {
            return Ok(Ok(None));
        }
        if rest.iter().any(|base| *base < newest && !pieces.contains_key(base)) {
            warn!(topic = %self.place.topic, partition = %self.place.partition, "a segment is not in the checkpoint: all of the partition is read");
            return Ok(Ok(None));
        }
        for base in &leftovers {
            info!(topic = %self.place.topic, partition = %self.place.partition, segment = %base, "removed: it lies below the log's start");
            self.shared.sys.disk.remove_file(&self.place.dir.join(file_name(*base)))?;
            let _ = self.shared.sys.disk.remove_file(&self.sidecar_path(*base));
        }
        let known = leftovers.len() + rest.iter().filter(|base| **base < newest).count();
        let active = match &it.active {
            None => None,
            Some(active) if !bases.contains(&active.base) => return missing(active.base),
            Some(active) => match self.take_up_active(active)? {
                Ok(found) => Some(found),
                Err(damage) => return Ok(Err(damage)),
            },
        };
        let from = active.as_ref().map(|it| it.end);
        let mut inner = self.lock();
        let mut aborted = Vec::new();
        for piece in pieces.into_values() {
            if bases.contains(&piece.base) {
                let SealedState { base, next, end, max_time, digest, aborted: its } = piece;
                aborted.extend(its);
                inner.sealed.push(Sealed {
                    base,
                    next,
                    end,
                    max_time,
                    digest,
                    handle: std::sync::Weak::new(),
                });
            } else {
                inner.saving.segment(piece.base, false);
            }
        }
        aborted.extend(it.aborted);
        inner.newest =
            it.active.iter().flat_map(|it| it.newest.iter().map(|(at, p)| (*at, it.base, *p))).collect();
        inner.newest_crc = it.active.as_ref().map_or(0, |it| it.newest_crc);
        inner.active = active;
        (inner.start, inner.end, inner.durable) = (it.start, it.end, it.end);
        inner.digest = it.digest;
        inner.epochs = Arc::new(it.epochs);
        inner.transactions = Transactions::restored(it.open, aborted);
        inner.transactions.forget_below(it.start);
        inner.producers = it.producers;
        inner.saving.start = it.start;
        Ok(Ok(Some(Resumed { known, from, proven: it.end })))
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
            let header = Header::parse(&bytes);
            let same = |header: &Header| {
                header.base_offset == *offset && header.crc == it.newest_crc && header.size() == len
            };
            match header {
                Ok(header) if same(&header) && checksum_holds(&header, &bytes).is_ok() => {}
                _ => {
                    let what = format!("the batch at {offset} is not the one that was durable there");
                    return bad(DamageKind::Stale, *position, what);
                }
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
