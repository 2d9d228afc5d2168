//! One partition's files, each for itself and all together, as a recovery would judge them.

mod one;

use std::io;
use std::path::{Path, PathBuf};

use carrick_sys::Disk;
use carrick_types::{LeaderEpoch, Offset};

use super::finding::{Finding, Kind};
use super::place::{Owner, Place, SEGMENT, SET_ASIDE, SIDECAR};
use super::segment::Segment;
use super::walk::Found;
use crate::digest::Digest;
use crate::partition::DamageKind;
use crate::segment::{base_of, file_name};

/// What `LogStore` leaves in the data directory when a sync fails.
const SYNC_FAILED: &str = "SYNC-FAILED";

const CORRUPT: Kind = Kind::Damage(DamageKind::Corrupt);
const FOREIGN: Kind = Kind::Damage(DamageKind::Foreign);
const MISSING: Kind = Kind::Damage(DamageKind::Missing);
const STALE: Kind = Kind::Damage(DamageKind::Stale);

/// Offsets from a first to a last, both included; an end that is not known is None.
type Range = (Offset, Option<Offset>);

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub segments: u64,
    /// Good ones.
    pub batches: u64,
    /// In them, by their headers.
    pub records: u64,
    /// Of the segments, without their first pages.
    pub bytes: u64,
    /// Places between batches where offsets are left out: of a mirror whose source has them, too.
    pub holes: u64,
    /// Segments that no batch is added to any more and whose index is made when it is needed.
    pub without_index: u64,
    /// Places that a running node was about to write.
    pub unfinished: u64,
    pub findings: u64,
}

impl Summary {
    pub fn add(&mut self, more: &Self) {
        self.segments += more.segments;
        self.batches += more.batches;
        self.records += more.records;
        self.bytes += more.bytes;
        self.holes += more.holes;
        self.without_index += more.without_index;
        self.unfinished += more.unfinished;
        self.findings += more.findings;
    }
}

/// Looks at all files of a place, and hands on what is not as it should be, file by file. `running` says that a node has
/// them open: then the newest batches may be half-written, and files may go. Blocking; reads every byte.
pub fn check(disk: &dyn Disk, place: &Place, running: bool, report: &mut dyn FnMut(Finding)) -> Summary {
    let mut it = Check {
        disk,
        dir: place.dir.clone(),
        running,
        whole: place.file.is_none(),
        report,
        owner: Owner::of(disk, &place.dir),
        summary: Summary::default(),
        before: None,
        epoch: None,
        sum: None,
        proven: Offset::ZERO,
    };
    match &place.file {
        Some(name) => it.files(std::slice::from_ref(name)),
        None => match disk.list(&place.dir) {
            Ok(names) => it.files(&names),
            Err(e) if running && e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => it.unreadable("", &e),
        },
    }
    it.summary
}

/// Whether a sync failed in a node's last life: then the page cache may show what is not on the disk.
pub fn check_syncs(disk: &dyn Disk, data: &Path) -> Option<Finding> {
    let file = data.join(SYNC_FAILED);
    let what = "a sync failed, and carrickd was not started since: what is read here may not be on the disk";
    let kind = Kind::Damage(DamageKind::Unwritten);
    disk.exists(&file).then(|| Finding { kind, file, position: None, offsets: None, what: what.into() })
}

/// A segment, when its follower is looked at.
struct Before {
    name: String,
    end: Offset,
    /// It ends in the middle of a batch, or nobody knows where.
    broken: bool,
    /// The length that its index says and the one it has, where they differ.
    sealed_with: Option<(u64, u64)>,
}

struct Check<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    running: bool,
    /// All files of the partition are looked at.
    whole: bool,
    report: &'a mut dyn FnMut(Finding),
    owner: Owner,
    summary: Summary,
    before: Option<Before>,
    epoch: Option<LeaderEpoch>,
    /// Over all batches before the next segment, as the last index has it.
    sum: Option<Digest>,
    /// What was durable when the newest segment was begun: a crash takes nothing below.
    proven: Offset,
}

impl Check<'_> {
    fn files(&mut self, names: &[String]) {
        let with = |extension: &str| {
            let dot = format!(".{extension}");
            names.iter().filter(move |name| name.ends_with(&dot))
        };
        let bases: Vec<Offset> = with(SEGMENT).filter_map(|name| base_of(name)).collect();
        for name in with(SEGMENT).filter(|name| base_of(name).is_none()) {
            self.find(
                FOREIGN,
                name,
                None,
                None,
                "its name is no offset of 20 digits: no node reads it".into(),
            );
        }
        self.look_ahead(&bases);
        for (at, base) in bases.iter().enumerate() {
            let newest = at + 1 == bases.len();
            if let Err(e) = self.segment(*base, newest) {
                if !(self.running && e.kind() == io::ErrorKind::NotFound) {
                    self.unreadable(&file_name(*base), &e);
                }
                (self.before, self.sum) = (None, None);
            }
        }
        if let Some(Before { name, sealed_with: Some((sealed, len)), .. }) = self.before.take()
            && !self.whole
        {
            let what = format!("it has {len} bytes, it was sealed with {sealed}");
            self.find(STALE, &name, Some(len.min(sealed)), None, what);
        }
        if self.whole && !self.running {
            self.indexes_alone(names, &bases);
        }
        for name in with(SET_ASIDE) {
            if let Err(e) = self.set_aside(name) {
                self.unreadable(name, &e);
            }
        }
    }

    /// What the segments' first pages prove, and whose they are if no directory tells.
    fn look_ahead(&mut self, bases: &[Offset]) {
        for base in bases {
            // What cannot be read is named when it is its turn.
            let Ok(segment) = Segment::open(self.disk, &self.dir.join(file_name(*base))) else { continue };
            let Some(Ok(page)) = segment.page else { continue };
            let (cluster, partition) = (page.cluster, (page.topic, page.partition));
            self.owner.cluster.get_or_insert(cluster);
            self.owner.partition.get_or_insert(partition);
            if self.owner.cluster == Some(cluster) && self.owner.partition == Some(partition) {
                self.proven = self.proven.max(page.log_durable);
            }
        }
    }

    /// Whether a crash may have taken what stands at `offset`.
    fn explained(&self, offset: Offset) -> bool {
        offset >= self.proven
    }

    /// An index without its segment. One below all segments was left by retention.
    fn indexes_alone(&mut self, names: &[String], bases: &[Offset]) {
        let lowest = bases.first();
        for name in names {
            let stem = name.strip_suffix(SIDECAR).and_then(|it| base_of(&format!("{it}{SEGMENT}")));
            if let Some(base) = stem.filter(|base| bases.binary_search(base).is_err())
                && lowest.is_none_or(|lowest| base > *lowest)
            {
                let what = "its segment is not there: a power cut leaves that where none of the segment was durable; else \
                            the segment is lost, and carrickd says so when it starts";
                self.find(Kind::Index, name, None, Some((base, None)), what.into());
            }
        }
    }

    fn set_aside(&mut self, name: &str) -> io::Result<()> {
        let segment = Segment::open(self.disk, &self.dir.join(name))?;
        let (mut batches, mut offsets) = (0_u64, None::<Range>);
        for found in segment.batches() {
            if let Found::Batch(seen) = found? {
                batches += 1;
                let header = seen.header();
                let first = offsets.map_or(header.base_offset, |(first, _)| first);
                offsets = Some((first, Some(header.last_offset())));
            }
        }
        let what =
            format!("{} bytes with {batches} whole batches, which are not part of the log", segment.len);
        self.find(Kind::SetAside, name, None, offsets, what);
        Ok(())
    }

    fn unreadable(&mut self, name: &str, e: &io::Error) {
        self.find(Kind::Unreadable, name, None, None, e.to_string());
    }

    fn find(&mut self, kind: Kind, name: &str, position: Option<u64>, offsets: Option<Range>, what: String) {
        self.summary.findings += 1;
        let file = if name.is_empty() { self.dir.clone() } else { self.dir.join(name) };
        (self.report)(Finding { kind, file, position, offsets, what });
    }
}
