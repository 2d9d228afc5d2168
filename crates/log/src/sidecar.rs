//! A segment's sidecar: its index entries, so that nobody has to read the segment to find a place in it. It can be made
//! again from the segment alone.
//!
//! `<base offset, 20 digits>.idx`, big-endian. While the segment is written to, entries are added before each checkpoint,
//! which says how many there are; the footer comes when it is sealed.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `CARRKIDX` |
//! | 8..10 | version, 1 |
//! | 10..26, 26..42 | cluster id, topic id |
//! | 42..46, 46..54 | partition, base offset |
//! | 54..64 | zeros |
//! | 64.. | entries of 40 bytes: offset, position, largest time before, sum before (16) |
//! | footer, 32 | u32 entries, u64 the segment's length, 12 zeros, magic `CEND`, CRC-32C of all before |

use bytes::BufMut as _;
use carrick_types::{Offset, Timestamp};

use crate::checkpoint::{BadPiece, Reader, crc};
use crate::digest::Digest;
use crate::page::Page;
use crate::segment::{Entry, Index};

pub(crate) const HEADER_LEN: usize = 64;
pub(crate) const ENTRY_LEN: usize = 40;
const FOOTER_LEN: usize = 32;
const MAGIC: &[u8; 8] = b"CARRKIDX";
const END: &[u8; 4] = b"CEND";
const VERSION: u16 = 1;
/// The largest sidecar: many times that of a segment of 2 GiB.
const BYTES_MAX: u64 = 16 << 20;

pub(crate) fn header(page: &Page) -> Vec<u8> {
    let mut to = Vec::with_capacity(HEADER_LEN);
    to.put_slice(MAGIC);
    to.put_u16(VERSION);
    to.put_slice(&page.cluster.bytes());
    to.put_slice(&page.topic.bytes());
    to.put_u32(page.partition.0);
    to.put_i64(page.base.get());
    to.resize(HEADER_LEN, 0);
    to
}

pub(crate) fn entries(entries: &[Entry]) -> Vec<u8> {
    let mut to = Vec::with_capacity(entries.len() * ENTRY_LEN);
    for entry in entries {
        to.put_i64(entry.offset.get());
        to.put_u64(entry.position);
        to.put_i64(entry.max_time.0);
        to.put_u128(entry.digest.0);
    }
    to
}

/// A sealed segment's sidecar whole.
pub(crate) fn whole(page: &Page, index: &Index, segment_end: u64) -> Vec<u8> {
    let mut to = header(page);
    to.extend(entries(&index.entries));
    to.put_u32(u32::try_from(index.entries.len()).unwrap_or(u32::MAX));
    to.put_u64(segment_end);
    to.put_bytes(0, 12);
    to.put_slice(END);
    let sum = crc(&to);
    to.put_u32(sum);
    to
}

/// The base offset in a sidecar's name.
pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".idx")?;
    if digits.len() == 20 { digits.parse().ok().and_then(Offset::new) } else { None }
}

/// How long a sidecar file may be that is read at all.
pub(crate) fn len_max(len: u64) -> Option<usize> {
    if len <= BYTES_MAX { usize::try_from(len).ok() } else { None }
}

/// Reads a sealed segment's sidecar: None if it is not that of `page` with `segment_end` bytes, or damaged.
pub(crate) fn read_whole(bytes: &[u8], page: &Page, segment_end: u64) -> Option<Index> {
    let (covered, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc(covered) != u32::from_be_bytes(sum.try_into().ok()?) {
        return None;
    }
    let (front, footer) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER_LEN)?)?;
    let mut footer = Reader(footer);
    let (count, end) = (footer.u32().ok()?, footer.u64().ok()?);
    if end != segment_end || !footer.0.get(12..)?.starts_with(END) {
        return None;
    }
    parse(front, page, count)
}

/// Reads the first `count` entries of a sidecar that is still written to, if they match `sum`.
pub(crate) fn read_first(bytes: &[u8], page: &Page, count: u32, sum: u32) -> Option<Index> {
    let front = bytes.get(..HEADER_LEN + usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)?)?;
    if crc(front) == sum { parse(front, page, count) } else { None }
}

fn parse(front: &[u8], page: &Page, count: u32) -> Option<Index> {
    let rest = front.strip_prefix(header(page).as_slice())?;
    if rest.len() != usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)? {
        return None;
    }
    let entry = |bytes: &[u8]| -> Result<Entry, BadPiece> {
        let mut from = Reader(bytes);
        let (offset, position, max_time) =
            (from.offset()?, from.u64()?, Timestamp(from.u64()?.cast_signed()));
        Ok(Entry { offset, position, max_time, digest: Digest(u128::from_be_bytes(from.array()?)) })
    };
    let entries = rest.chunks_exact(ENTRY_LEN).map(entry).collect::<Result<Vec<_>, _>>().ok()?;
    Some(Index { entries })
}

#[cfg(test)]
mod tests {
    use carrick_types::{ClusterId, Partition, TopicId};

    use super::*;

    fn page() -> Page {
        Page {
            cluster: ClusterId::from_bytes([1; 16]),
            topic: TopicId::from_bytes([2; 16]),
            partition: Partition(3),
            base: Offset::clamped(4),
        }
    }

    fn index() -> Index {
        let entry = |n: i64| Entry {
            offset: Offset::clamped(4 + n * 10),
            position: 4096 + n.unsigned_abs() * 70_000,
            max_time: Timestamp(n * 3 - 1),
            digest: Digest(n.unsigned_abs().into()),
        };
        Index { entries: (0..5).map(entry).collect() }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes = whole(&page(), &index(), 999_999);
        assert_eq!(read_whole(&bytes, &page(), 999_999), Some(index()));
        assert_eq!(read_whole(&bytes, &page(), 999_998), None);
        let other = Page { base: Offset::clamped(5), ..page() };
        assert_eq!(read_whole(&bytes, &other, 999_999), None);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(read_whole(&bad, &page(), 999_999), None, "byte {at}");
            assert_eq!(read_whole(&bytes[..at], &page(), 999_999), None, "cut at {at}");
        }
    }

    #[test]
    fn the_first_entries_are_read_while_more_are_added() {
        let all = [header(&page()), entries(&index().entries)].concat();
        for count in 0..=5u32 {
            let end = HEADER_LEN + count as usize * ENTRY_LEN;
            let found = read_first(&all, &page(), count, crc(&all[..end])).unwrap();
            assert_eq!(found.entries, index().entries[..count as usize]);
            assert_eq!(read_first(&all[..end], &page(), count + 1, crc(&all[..end])), None);
        }
    }

    #[test]
    fn the_first_version_is_read_for_ever() {
        let golden = include_bytes!("sidecar/golden-1.idx");
        assert!(whole(&page(), &index(), 999_999) == golden);
        assert_eq!(read_whole(golden, &page(), 999_999), Some(index()));
    }
}
