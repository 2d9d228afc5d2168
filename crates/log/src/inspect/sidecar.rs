//! A segment's sidecar, held against the segment.

use std::io;
use std::path::Path;

use carrick_record::Batch;
use carrick_sys::{Disk, Opening};
use carrick_types::Timestamp;

use crate::checkpoint::{Reader, crc};
use crate::digest::Digest;
use crate::page::{PAGE_LEN, Page};
use crate::segment::{Entry, Index};
use crate::sidecar::{ENTRY_LEN, HEADER_LEN, len_max, read_whole};

/// Count, the segment's length, zeros, magic, checksum: see `crate::sidecar`.
const FOOTER_LEN: usize = 32;
const END: &[u8] = b"CEND";

/// What a sidecar is.
pub(super) enum Sidecar {
    /// Not there, or without its end: its segment is still written to, or its node crashed. It is made again when needed.
    Absent,
    /// It ends as a whole one does, and is not what was written.
    Damaged(&'static str),
    /// Whole, of this segment as it was when it had so many bytes.
    Whole { index: Index, segment_end: u64 },
}

pub(super) fn read(disk: &dyn Disk, path: &Path, page: &Page) -> io::Result<Sidecar> {
    let file = match disk.open(path, Opening::Read) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Sidecar::Absent),
        opened => opened?,
    };
    let Some(len) = len_max(file.len()?) else { return Ok(Sidecar::Damaged("it is larger than any index")) };
    let bytes = file.read_at(len, 0)?;
    let Some(segment_end) = ended(&bytes) else { return Ok(Sidecar::Absent) };
    Ok(match read_whole(&bytes, page, segment_end) {
        Some(index) => Sidecar::Whole { index, segment_end },
        None => match bytes.split_last_chunk::<4>() {
            Some((covered, sum)) if crc(covered) == u32::from_be_bytes(*sum) => {
                Sidecar::Damaged("it belongs to another segment, or is of a newer layout")
            }
            _ => Sidecar::Damaged("it does not match its checksum"),
        },
    })
}

/// The segment's length that stands in its footer, if it has one where it should be.
fn ended(bytes: &[u8]) -> Option<u64> {
    let (front, footer) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER_LEN)?)?;
    let mut footer = Reader(footer);
    let (count, end) = (footer.u32().ok()?, footer.u64().ok()?);
    let entries = usize::try_from(count).ok()?.checked_mul(ENTRY_LEN)?;
    let whole = front.len() == HEADER_LEN.checked_add(entries)? && footer.0.get(12..)?.starts_with(END);
    whole.then_some(end)
}

/// Follows a segment's batches as its index was made, and says where the two part.
pub(super) struct Compare {
    wanted: Index,
    at: usize,
    /// The newest entry made.
    made: Index,
    position: u64,
    max_time: Timestamp,
    digest: Digest,
    /// What the index says that does not stand there.
    pub wrong: Option<String>,
}

impl Compare {
    pub(super) fn new(wanted: Index) -> Self {
        // Sums count from the partition's first batch: what stood before this segment is taken from the index.
        let digest = wanted.entries.first().map_or(Digest::default(), |it| it.digest);
        let position = PAGE_LEN as u64;
        Self {
            wanted,
            at: 0,
            made: Index::default(),
            position,
            max_time: Timestamp::NONE,
            digest,
            wrong: None,
        }
    }

    /// The sum before the segment's first batch.
    pub(super) fn first_digest(&self) -> Digest {
        self.wanted.entries.first().map_or(Digest::default(), |it| it.digest)
    }

    pub(super) fn take(&mut self, batch: &Batch) {
        let header = &batch.header;
        let had = self.made.entries.len();
        self.made.note(header, self.position, self.max_time, self.digest);
        if self.made.entries.len() > had {
            self.made.entries.drain(..had);
            self.compare();
        }
        self.digest = Digest(self.digest.0.wrapping_add(batch.hash()));
        self.max_time = self.max_time.max(header.max_timestamp);
        self.position += header.size() as u64;
    }

    fn compare(&mut self) {
        let (made, wanted) = (self.made.entries.first(), self.wanted.entries.get(self.at));
        if made != wanted {
            let shown = |it: Option<&Entry>| {
                it.map_or("nothing".into(), |it| {
                    format!("offset {} at byte {}, time {} before it", it.offset, it.position, it.max_time)
                })
            };
            let same = matches!((made, wanted), (Some(made), Some(wanted)) if shown(Some(made)) == shown(Some(wanted)));
            let what = if same {
                format!("the sum over all batches before {} is not what it says", shown(made))
            } else {
                format!("it says {} where the segment has {}", shown(wanted), shown(made))
            };
            self.wrong.get_or_insert(what);
        }
        self.at += 1;
    }

    /// After the last batch: the sum behind it.
    pub(super) fn finish(&mut self) -> Digest {
        if let Some(more) = self.wanted.entries.get(self.at) {
            let what = format!(
                "it says offset {} at byte {}, where the segment has nothing",
                more.offset, more.position
            );
            self.wrong.get_or_insert(what);
        }
        self.digest
    }
}
