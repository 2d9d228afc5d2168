//! The bytes of one file: a durable image, what reads see, and the changes between the two.

use std::io;

use bytes::Bytes;

use super::states::{Pending, Survivors, Unsynced};

/// What the medium writes whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// Larger files are refused, so that a wild position does not become an allocation.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Clone, Default)]
pub(super) struct Content {
    now: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<Change>,
}

/// Something done to the file and not (wholly) synced.
#[derive(Clone)]
pub(super) struct Change {
    /// Its place among all changes of the disk.
    seq: u64,
    /// A sync that was to cover it has failed.
    doomed: bool,
    pub(super) deed: Deed,
}

#[derive(Clone)]
pub(super) enum Deed {
    Write { at: u64, bytes: Bytes },
    Len(u64),
}

impl Content {
    /// A file whose bytes are all durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { now: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.now.len() as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn read(&self, len: usize, at: u64) -> Bytes {
        let start = self.now.len().min(usize::try_from(at).unwrap_or(usize::MAX));
        let end = self.now.len().min(start.saturating_add(len));
        Bytes::copy_from_slice(&self.now[start..end])
    }

    pub(super) fn write(&mut self, seq: u64, at: u64, bytes: Bytes) -> io::Result<()> {
        if at.saturating_add(bytes.len() as u64) > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !bytes.is_empty() {
            put(&mut self.now, at, &bytes);
            self.pending.push(Change { seq, doomed: false, deed: Deed::Write { at, bytes } });
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, seq: u64, len: u64) -> io::Result<()> {
        if len > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if len != self.len() {
            self.now.resize(index(len), 0);
            self.pending.push(Change { seq, doomed: false, deed: Deed::Len(len) });
        }
        Ok(())
    }

    /// A sync that began before change number `before` has succeeded. Doomed bytes stay pending but where later ones were
    /// written over them; the length is written whole with any fresh change.
    pub(super) fn commit(&mut self, before: u64) {
        let covered = self.pending.partition_point(|change| change.seq < before);
        if self.pending[..covered].iter().all(|change| change.doomed) {
            return;
        }
        let mut doomed: Vec<(u64, u64, Bytes)> = Vec::new();
        for Change { seq, doomed: is_doomed, deed } in self.pending.drain(..covered) {
            match deed {
                Deed::Write { at, bytes } if is_doomed => {
                    cut_out(&mut doomed, at, at + bytes.len() as u64);
                    let end = self.durable.len().max(index(at) + bytes.len());
                    self.durable.resize(end, 0);
                    doomed.push((seq, at, bytes));
                }
                Deed::Write { at, bytes } => {
                    cut_out(&mut doomed, at, at + bytes.len() as u64);
                    put(&mut self.durable, at, &bytes);
                }
                Deed::Len(len) => {
                    cut_out(&mut doomed, len, u64::MAX);
                    self.durable.resize(index(len), 0);
                }
            }
        }
        let kept = doomed.into_iter().map(|(seq, at, bytes)| {
            let deed = Deed::Write { at, bytes };
            Change { seq, doomed: true, deed }
        });
        self.pending.splice(..0, kept);
    }

    /// The bytes that a power cut leaves which these changes survive. Behind a cut of the file that was lost nothing is.
    pub(super) fn after(&self, survivors: &Survivors) -> Vec<u8> {
        let mut image = self.durable.clone();
        for Change { seq, deed, .. } in &self.pending {
            match (deed, survivors.part(*seq)) {
                (Deed::Write { at, bytes }, Some(part)) => {
                    let (start, end) = (part.start.max(*at), part.end.min(at + bytes.len() as u64));
                    put(&mut image, start, &bytes[index(start - at)..index(end - at)]);
                }
                (Deed::Len(len), Some(_)) => image.resize(index(*len), 0),
                (Deed::Len(len), None) if index(*len) < image.len() => break,
                _ => {}
            }
        }
        image
    }

    /// What no sync covers.
    pub(super) fn pending(&self) -> impl Iterator<Item = Pending> {
        self.pending.iter().map(|Change { seq, deed, .. }| {
            let what = match deed {
                Deed::Write { at, bytes } => Unsynced::Write(*at..at + bytes.len() as u64),
                Deed::Len(_) => Unsynced::Len,
            };
            Pending { seq: *seq, what }
        })
    }

    /// A sync has failed.
    pub(super) fn doom(&mut self) {
        for change in &mut self.pending {
            change.doomed = true;
        }
    }

    /// In the cache, on the medium and in what is on its way there.
    pub(super) fn flip(&mut self, byte: u64, mask: u8) {
        for image in [&mut self.now, &mut self.durable] {
            if let Some(b) = image.get_mut(index(byte)) {
                *b ^= mask;
            }
        }
        for change in &mut self.pending {
            if let Deed::Write { at, bytes } = &mut change.deed
                && *at <= byte
                && byte < *at + bytes.len() as u64
            {
                let mut flipped = bytes.to_vec();
                flipped[index(byte - *at)] ^= mask;
                *bytes = flipped.into();
            }
        }
    }
}

/// Positions are below [`FILE_BYTES_MAX`] here.
pub(super) fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn put(image: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (start, end) = (index(at), index(at) + bytes.len());
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

/// Takes `start..end` out of what the pieces (number, position, bytes) cover.
fn cut_out(pieces: &mut Vec<(u64, u64, Bytes)>, start: u64, end: u64) {
    let mut left = Vec::with_capacity(pieces.len());
    for (seq, at, bytes) in pieces.drain(..) {
        let piece_end = at + bytes.len() as u64;
        if at < start {
            left.push((seq, at, bytes.slice(..index(start.min(piece_end) - at))));
        }
        if piece_end > end {
            let from = end.max(at);
            left.push((seq, from, bytes.slice(index(from - at)..)));
        }
    }
    *pieces = left;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(at: u64, bytes: &'static [u8]) -> (u64, u64, Bytes) {
        (0, at, Bytes::from_static(bytes))
    }

    #[test]
    fn a_range_is_cut_out_of_the_pieces_that_cover_it() {
        for (start, end, left) in [
            (0, 2, vec![piece(2, b"abcd")]),
            (0, 3, vec![piece(3, b"bcd")]),
            (3, 5, vec![piece(2, b"a"), piece(5, b"d")]),
            (4, u64::MAX, vec![piece(2, b"ab")]),
            (2, 6, vec![]),
            (6, 9, vec![piece(2, b"abcd")]),
        ] {
            let mut pieces = vec![piece(2, b"abcd")];
            cut_out(&mut pieces, start, end);
            assert_eq!(pieces, left, "{start}..{end}");
        }
    }

    #[test]
    fn bytes_of_a_failed_sync_are_not_carried_along_by_the_next() {
        let mut file = Content::default();
        file.write(1, 0, Bytes::from_static(b"lost")).unwrap();
        file.doom();
        file.write(2, 4, Bytes::from_static(b"kept")).unwrap();
        file.commit(3);
        assert_eq!(file.durable, b"\0\0\0\0kept");
        assert_eq!(file.bytes(), b"lostkept");
        file.write(4, 0, Bytes::from_static(b"anew")).unwrap();
        file.commit(5);
        assert_eq!(file.durable, b"anewkept");
        assert!(file.pending.is_empty());
    }
}
