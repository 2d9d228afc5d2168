//! Reading whole batches. What is handed out is what was written: each batch's checksum, offset and epoch are looked at,
//! and one that is not what it was is named, while its neighbours are served.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use carrick_record::{Batches, HEADER_LEN, Header, Stamped, checksum_holds};
use carrick_types::limits::REQUEST_BYTES_MAX;
use carrick_types::{LeaderEpoch, Offset};

use super::{Damage, DamageKind, Inner, Partition, Role};
use crate::digest::Digest;
use crate::epochs::{Epochs, NO_EPOCH};
use crate::handles::Handle;
use crate::segment::{Entry, Index, Sealed, file_name};

/// How far a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    LastStable,
    HighWatermark,
    LogEnd,
}

/// Whole batches, one after the other; the first holds the offset asked for, or is the next after it.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub bytes: Bytes,
    /// The offset after the last batch; the one asked for if there is none.
    pub next: Offset,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {asked} is not within {start} to {end}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("the topic was deleted")]
    Gone,
    #[error("the disk could not be read")]
    Disk(#[from] io::Error),
}

/// Read ahead of the batch asked for, to find it from the last known boundary.
pub(crate) const SCAN_BYTES: usize = 64 * 1024;

/// Readers of a partition whose places are remembered.
pub(crate) const HINTS: usize = 4;

/// Where a reader will go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    offset: Offset,
    base: Offset,
    position: u64,
}

/// Where to read, taken under the lock and used without it.
pub(crate) struct Spot {
    pub handle: Arc<Handle>,
    pub base: Offset,
    /// A batch boundary, and the offset of the batch there.
    pub position: u64,
    pub offset: Offset,
    pub end: u64,
    /// The log's.
    pub start: Offset,
    pub epochs: Arc<Epochs>,
}

/// The segment that a reader needs next.
pub(crate) enum Next {
    Active(Spot),
    Sealed(Sealed),
    None,
}

impl Partition {
    /// Whole batches from the one that holds `from`, at most `max` bytes, but one batch always; empty at the bound.
    pub async fn read(&self, from: Offset, max: usize, bound: Bound) -> Result<Slice, ReadError> {
        let mut after = None;
        loop {
            let (next, limit) = {
                let mut inner = self.lock();
                let limit = self.bound(&inner, from, bound)?;
                if from >= limit {
                    return Ok(Slice { bytes: Bytes::new(), next: from });
                }
                let next = self.next_segment(&mut inner, from, after);
                (next.map_err(|failed| not_there(&inner, failed))?, limit)
            };
            let spot = match next {
                Next::None => return Ok(Slice { bytes: Bytes::new(), next: from }),
                Next::Active(spot) => spot,
                Next::Sealed(sealed) => {
                    let handle = self.loaded(&sealed).await?;
                    self.spot_in(&sealed, handle, from)?
                }
            };
            if let Some(slice) = self.read_segment(&spot, from, max, limit).await? {
                return Ok(slice);
            }
            // A hole reaches to the segment's end: the next one goes on.
            after = Some(spot.base);
        }
    }

    /// The end that readers see, if `from` may be asked for.
    pub(crate) fn bound(&self, inner: &Inner, from: Offset, bound: Bound) -> Result<Offset, ReadError> {
        if let Some(damage) = &inner.damage
            && from >= inner.end
        {
            return Err(damage.clone().into());
        }
        if from < inner.start || from > inner.end {
            return Err(ReadError::OutOfRange { asked: from, start: inner.start, end: inner.end });
        }
        let offsets = self.offsets_of(inner);
        Ok(match bound {
            Bound::LastStable => offsets.last_stable.at(),
            Bound::HighWatermark => offsets.high_watermark.at(),
            Bound::LogEnd => offsets.log_end.at(),
        })
    }

    /// The segment that holds `from` or what comes after it; behind the segment at `after`.
    fn next_segment(&self, inner: &mut Inner, from: Offset, after: Option<Offset>) -> io::Result<Next> {
        let at = match after {
            Some(base) => inner.sealed.partition_point(|it| it.base <= base),
            None => inner.sealed.partition_point(|it| it.next <= from),
        };
        if let Some(sealed) = inner.sealed.get(at) {
            return Ok(Next::Sealed(sealed.clone()));
        }
        let Some(active) = inner.active.as_ref().filter(|it| after.is_none_or(|base| it.base > base)) else {
            return Ok(Next::None);
        };
        let (base, end) = (active.base, active.end);
        let known =
            inner.newest_at(from).filter(|(_, of, _)| *of == base).map(|(offset, _, at)| (offset, at));
        let entry = || active.index.at(from).map(|it| (it.offset, it.position));
        let Some((offset, position)) = hinted(inner, from, base).or(known).or_else(entry) else {
            return Ok(Next::None);
        };
        let (start, epochs) = (inner.start, Arc::clone(&inner.epochs));
        Ok(Next::Active(Spot {
            handle: self.active_handle(inner)?,
            base,
            position,
            offset,
            end,
            start,
            epochs,
        }))
    }

    /// Where to begin in a sealed segment.
    pub(crate) fn spot_in(&self, sealed: &Sealed, handle: Arc<Handle>, from: Offset) -> Result<Spot, Damage> {
        let inner = self.lock();
        let entry = || handle.index.get().and_then(|index| index.at(from)).map(|it| (it.offset, it.position));
        let found = hinted(&inner, from, sealed.base).or_else(entry);
        let (start, epochs) = (inner.start, Arc::clone(&inner.epochs));
        drop(inner);
        let Some((offset, position)) = found else {
            return Err(self.broken(sealed.base, crate::page::PAGE_LEN as u64, "its first batch is damaged"));
        };
        Ok(Spot { handle, base: sealed.base, position, offset, end: sealed.end, start, epochs })
    }

    /// None if the segment holds nothing from `from` on.
    async fn read_segment(
        &self,
        spot: &Spot,
        from: Offset,
        max: usize,
        limit: Offset,
    ) -> Result<Option<Slice>, ReadError> {
        let mut position = spot.position;
        let mut expected = spot.offset;
        let mut want = max.saturating_add(SCAN_BYTES);
        while position < spot.end {
            let len = usize::try_from(spot.end - position).unwrap_or(usize::MAX).min(want);
            let bytes = self.shared.sys.disk.read(&spot.handle.file, len, position).await?;
            if bytes.len() < len {
                let end = position + bytes.len() as u64;
                return Err(self.broken(spot.base, end, "the file ends before its last batch").into());
            }
            let mut at = 0;
            let mut first: Option<usize> = None;
            let mut next = from;
            let mut bad = None;
            while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_LEN) {
                let header = match self.checked(spot, position + at as u64, expected, rest).await? {
                    Ok(header) => header,
                    Err(damage) => {
                        bad = Some(damage);
                        break;
                    }
                };
                let after = at + header.size();
                if header.last_offset() < from {
                    (at, expected) = (after, header.next_offset());
                    continue;
                }
                if header.base_offset >= limit {
                    break;
                }
                let begin = *first.get_or_insert(at);
                if (after - begin > max && begin != at) || after > bytes.len() {
                    break;
                }
                if let Err(e) = checksum_holds(&header, rest) {
                    bad = Some(self.broken(spot.base, position + at as u64, &e.to_string()));
                    break;
                }
                (at, next, expected) = (after, header.next_offset(), header.next_offset());
                if at - begin >= max {
                    break;
                }
            }
            match (first, bad) {
                (Some(begin), _) if at > begin => {
                    self.remember(Hint { offset: next, base: spot.base, position: position + at as u64 });
                    return Ok(Some(Slice { bytes: bytes.slice(begin..at), next }));
                }
                (_, Some(damage)) => return Err(damage.into()),
                // The wanted batch begins here and is longer than what was read.
                (Some(begin), None) => {
                    position += begin as u64;
                    let header = Header::parse(bytes.get(begin..).unwrap_or_default());
                    let size = header.map_or(HEADER_LEN, |it| it.size());
                    let short = bytes.len() - begin >= size || position + size as u64 > spot.end;
                    if short || size > REQUEST_BYTES_MAX {
                        return Err(self
                            .broken(spot.base, position, "a batch ends behind its segment")
                            .into());
                    }
                    want = size;
                }
                (None, None) if at == 0 && len < HEADER_LEN => {
                    return Err(self.broken(spot.base, position, "the segment ends inside a header").into());
                }
                // The bound.
                (None, None) if at == 0 => return Ok(Some(Slice { bytes: Bytes::new(), next: from })),
                (None, None) => position += at as u64,
            }
        }
        Ok(None)
    }

    /// The header at `position`, where a batch at `expected` should stand or, past a hole, one behind it.
    pub(crate) async fn checked(
        &self,
        spot: &Spot,
        position: u64,
        expected: Offset,
        bytes: &[u8],
    ) -> Result<Result<Header, Damage>, ReadError> {
        let broken = |what: &str| Ok(Err(self.broken(spot.base, position, what)));
        let header = match Header::parse(bytes) {
            Ok(header) => header,
            Err(e) => return broken(&e.to_string()),
        };
        if position + header.size() as u64 > spot.end {
            return broken("a batch ends behind its segment");
        }
        let hole = header.base_offset > expected;
        if header.base_offset < expected || (hole && !self.sums_up(spot, position).await?) {
            return broken(&format!("offset {} stands where {expected} should", header.base_offset));
        }
        // Outside of the checksum, like the offset.
        let epoch = spot.epochs.at(header.base_offset).map_or(NO_EPOCH, LeaderEpoch::get);
        let known = header.last_offset() >= spot.start || spot.epochs.knows(header.base_offset);
        if known && header.leader_epoch != epoch {
            return broken(&format!("epoch {} stands where {epoch} should", header.leader_epoch));
        }
        Ok(Ok(header))
    }

    /// Whether the batches around `position` are those that were written, holes between them and all: by their sum.
    async fn sums_up(&self, spot: &Spot, position: u64) -> Result<bool, ReadError> {
        let Some((from, to, digest)) = self.stretch(spot, position).await? else {
            return Ok(false);
        };
        let len = usize::try_from(to - from.position).unwrap_or(usize::MAX);
        if len > REQUEST_BYTES_MAX + SCAN_BYTES {
            return Ok(false);
        }
        let bytes = self.shared.sys.disk.read(&spot.handle.file, len, from.position).await?;
        let mut sum = from.digest;
        for batch in Batches::new(bytes) {
            let Ok(batch) = batch else { return Ok(false) };
            sum = sum.plus(&Stamped::verbatim(&batch));
        }
        Ok(sum == digest)
    }

    /// The boundaries around `position`: the entry before, the position behind, and the sum there.
    async fn stretch(&self, spot: &Spot, position: u64) -> Result<Option<Stretch>, ReadError> {
        let sealed = {
            let inner = self.lock();
            match &inner.active {
                Some(it) if it.base == spot.base => {
                    return Ok(around(&it.index, position, it.end, inner.digest));
                }
                _ => sealed_at(&inner, spot.base)?.0,
            }
        };
        // It may have been sealed, and its handle closed, since the spot was taken: that one has no entries.
        let handle = self.loaded(&sealed).await?;
        let behind = sealed_at(&self.lock(), spot.base)?.1;
        Ok(handle.index.get().and_then(|index| around(index, position, sealed.end, behind)))
    }

    fn remember(&self, hint: Hint) {
        let mut inner = self.lock();
        let at = inner.next_hint;
        if let Some(place) = inner.hints.get_mut(at) {
            *place = Some(hint);
        }
        inner.next_hint = (at + 1) % HINTS;
    }

    pub(crate) fn broken(&self, base: Offset, position: u64, what: &str) -> Damage {
        self.wound(self.damage_at(DamageKind::Corrupt, file_name(base), position, what.into()))
    }
}

type Stretch = (Entry, u64, Digest);

/// `end` is where the segment ends, `digest` the sum there.
fn around(index: &Index, position: u64, end: u64, digest: Digest) -> Option<Stretch> {
    let behind = index.entries.partition_point(|entry| entry.position <= position);
    let before = index.entries.get(behind.checked_sub(1)?)?;
    let (to, digest) = index.after(position).map_or((end, digest), |it| (it.position, it.digest));
    Some((*before, to, digest))
}

/// A sealed segment and the sum at its end, if it was not removed meanwhile.
pub(crate) fn sealed_at(inner: &Inner, base: Offset) -> Result<(Sealed, Digest), ReadError> {
    let mut from = inner.sealed.iter().skip_while(|it| it.base != base);
    let Some(it) = from.next() else {
        return Err(ReadError::OutOfRange { asked: base, start: inner.start, end: inner.end });
    };
    let behind = from.next().map(|it| it.digest).or(inner.active.as_ref().map(|it| it.digest));
    Ok((it.clone(), behind.unwrap_or(inner.digest)))
}

/// A deleted topic's files are not there.
pub(crate) fn not_there(inner: &Inner, failed: io::Error) -> ReadError {
    let gone = failed.kind() == io::ErrorKind::NotFound && inner.role == Role::Gone;
    if gone { ReadError::Gone } else { ReadError::Disk(failed) }
}

/// Takes the place of a reader that stopped at `from`.
fn hinted(inner: &Inner, from: Offset, base: Offset) -> Option<(Offset, u64)> {
    let mut hints = inner.hints.iter().flatten();
    hints.find(|hint| hint.offset == from && hint.base == base).map(|hint| (hint.offset, hint.position))
}
