//! One segment: its page, what stands before it, its batches, its index.

use std::io;

use carrick_record::Header;
use carrick_types::{LeaderEpoch, Offset};

use super::{Before, CORRUPT, Check, FOREIGN, MISSING, Range, STALE};
use crate::inspect::finding::Kind;
use crate::inspect::place::SIDECAR;
use crate::inspect::segment::{FirstPage, Segment};
use crate::inspect::sidecar::{self, Compare, Sidecar};
use crate::inspect::walk::{Bad, Found, Then};
use crate::page::{BadPage, PAGE_LEN};
use crate::partition::kind_of;
use crate::segment::{Index, file_name};

impl Check<'_> {
    pub(super) fn segment(&mut self, base: Offset, newest: bool) -> io::Result<()> {
        let name = file_name(base);
        let segment = Segment::open(self.disk, &self.dir.join(&name))?;
        self.summary.segments += 1;
        self.summary.bytes += segment.len.saturating_sub(PAGE_LEN as u64);
        let page = match self.page(&name, base, &segment, newest) {
            Some(page) => page,
            None => {
                // Nobody knows where it ends.
                self.before = Some(Before { name, end: base, broken: true, sealed_with: None });
                self.sum = None;
                return Ok(());
            }
        };
        self.follows(&name, base, page.as_ref());
        let index = page.and_then(|page| self.index(base, &page, newest));
        let sealed_with = index.as_ref().map(|(_, end)| (*end, segment.len)).filter(|(end, len)| end != len);
        let mut compare = index.filter(|_| sealed_with.is_none()).map(|(index, _)| Compare::new(index));
        if let Some(compare) = &compare
            && self.sum.is_some_and(|sum| sum != compare.first_digest())
        {
            let what = "its sum over all batches before the segment is not the one behind the segment before";
            self.find(Kind::Index, &sidecar_name(base), None, None, what.into());
        }
        let (end, broken) = self.batches(&name, base, &segment, newest, &mut compare)?;
        self.sum = None;
        if let Some(mut compare) = compare {
            self.sum = Some(compare.finish());
            if let Some(what) = compare.wrong {
                self.find(Kind::Index, &sidecar_name(base), None, None, what);
                self.sum = None;
            }
        }
        self.before = Some(Before { name, end, broken, sealed_with });
        Ok(())
    }

    /// The first page; one that is damaged is None, and what stands behind it is looked at all the same. None at all: the
    /// file has no place here.
    fn page(
        &mut self,
        name: &str,
        base: Offset,
        segment: &Segment,
        newest: bool,
    ) -> Option<Option<FirstPage>> {
        let bad = match &segment.page {
            Some(Ok(page)) if self.ours(page, base) => return Some(Some(*page)),
            Some(Ok(page)) => {
                let FirstPage { cluster, topic, partition, base, .. } = page;
                let whose = format!("cluster {cluster} topic {topic} partition {partition} at offset {base}");
                self.find(FOREIGN, name, Some(0), None, format!("it belongs to {whose}"));
                return None;
            }
            Some(Err(bad)) => bad,
            None => return Some(None),
        };
        let any = || segment.batches_from(base).any(|found| matches!(found, Ok(Found::Batch(_))));
        let kind = match bad {
            // A crash took the file before a batch was durable in it.
            BadPage::NotOurs if newest && self.explained(base) && !any() => Kind::Torn,
            _ => Kind::Damage(kind_of(bad)),
        };
        if kind == Kind::Torn && self.running {
            self.summary.unfinished += 1;
        } else {
            self.find(kind, name, Some(0), None, bad.to_string());
        }
        if matches!(bad, BadPage::NotOurs) { Some(None) } else { None }
    }

    fn ours(&self, page: &FirstPage, base: Offset) -> bool {
        page.base == base
            && self.owner.cluster.is_none_or(|it| it == page.cluster)
            && self.owner.partition.is_none_or(|it| it == (page.topic, page.partition))
    }

    /// Whether a segment begins where the one before it ends. Where two files disagree, the index of the first is the judge.
    fn follows(&mut self, name: &str, base: Offset, page: Option<&FirstPage>) {
        let (Some(before), Some(page)) = (self.before.take(), page) else { return };
        let (end, begun_at) = (before.end, page.log_end);
        if before.broken {
            return;
        }
        if begun_at == end && end <= base {
            self.summary.holes += u64::from(end < base);
            if let Some((sealed, len)) = before.sealed_with {
                let what = format!("it is of a segment of {sealed} bytes, which has {len} and is whole");
                self.find(Kind::Index, &before.name.replace(".seg", ".idx"), None, None, what);
            }
            return;
        }
        self.sum = None;
        let begun = format!("{name} was begun when the log ended at {begun_at}");
        let crash = self.explained(end);
        let behind = if crash { "; a start sets aside the segments behind it" } else { "" };
        if let Some((sealed, len)) = before.sealed_with {
            let kind = if crash { Kind::Torn } else { STALE };
            let what =
                format!("it has {len} bytes, it was sealed with {sealed}; it ends at {end}, {begun}{behind}");
            self.find(kind, &before.name, Some(len.min(sealed)), between(end, begun_at), what);
        } else if begun_at > end {
            let kind = if crash { Kind::Torn } else { MISSING };
            let what = format!("{begun}, what stands before it, {}, ends at {end}{behind}", before.name);
            self.find(kind, name, Some(0), between(end, begun_at), what);
        } else {
            let what = format!("{begun}, what stands before it, {}, ends at {end}", before.name);
            self.find(STALE, name, Some(0), between(begun_at.min(base), end), what);
        }
    }

    /// The index, and the length of the segment that it was made for.
    fn index(&mut self, base: Offset, page: &FirstPage, newest: bool) -> Option<(Index, u64)> {
        // A crash leaves the newest segment an index that it had before, or parts of one. No start trusts it.
        if newest && self.whole {
            return None;
        }
        let name = sidecar_name(base);
        match sidecar::read(self.disk, &self.dir.join(&name), &page.page()) {
            Ok(Sidecar::Whole { index, segment_end }) => return Some((index, segment_end)),
            Ok(Sidecar::Absent) => self.summary.without_index += u64::from(!newest),
            Ok(Sidecar::Damaged(why)) => self.find(Kind::Index, &name, None, None, why.into()),
            Err(e) => self.unreadable(&name, &e),
        }
        None
    }

    /// Returns where the segment ends, and whether that is in doubt.
    fn batches(
        &mut self,
        name: &str,
        base: Offset,
        segment: &Segment,
        newest: bool,
        compare: &mut Option<Compare>,
    ) -> io::Result<(Offset, bool)> {
        let (mut expected, mut broken, mut first) = (base, false, true);
        for found in segment.batches_from(base) {
            let seen = match found? {
                Found::Batch(seen) => seen,
                Found::Bad(bad) => {
                    self.bad(name, &bad, segment.len, newest);
                    // What comes next may begin higher up.
                    (*compare, first) = (None, false);
                    match bad.then {
                        Then::Batch { base, .. } => expected = expected.max(base),
                        Then::Nothing | Then::Unknown { .. } => broken = true,
                    }
                    continue;
                }
            };
            let header = seen.header();
            if let Some(what) = self.out_of_order(header, expected, first) {
                let offsets = Some((header.base_offset, Some(header.last_offset())));
                self.find(CORRUPT, name, Some(seen.position), offsets, what);
                (*compare, broken) = (None, true);
            } else if header.base_offset > expected {
                self.summary.holes += 1;
            }
            self.summary.batches += 1;
            self.summary.records += u64::from(header.count);
            expected = header.next_offset();
            first = false;
            if let Some(compare) = compare {
                compare.take(&seen.batch);
            }
        }
        Ok((expected, broken))
    }

    fn out_of_order(&mut self, header: &Header, expected: Offset, first: bool) -> Option<String> {
        let found = header.base_offset;
        if found < expected || (first && found != expected) {
            return Some(format!("offset {found} stands where {expected} should"));
        }
        let epoch = LeaderEpoch::new(header.leader_epoch)?;
        // A lower one is named once; what follows is measured by it.
        let last = self.epoch.replace(epoch).filter(|last| epoch < *last)?;
        Some(format!("epoch {epoch} stands behind {last}"))
    }

    fn bad(&mut self, name: &str, bad: &Bad, len: u64, newest: bool) {
        let (why, expected) = (&bad.why, bad.expected);
        let explained = self.explained(expected);
        let durable =
            if explained { String::new() } else { format!("; the log was durable up to {}", self.proven) };
        let (kind, offsets, what) = match bad.then {
            Then::Batch { base, position } => {
                let maybe = match explained && newest {
                    true => "; after a crash, a start cuts the log here and sets aside what stands behind",
                    false => "",
                };
                let next = format!("the next good batch is that of offset {base} at byte {position}");
                (CORRUPT, between(expected, base), format!("{why}; {next}{durable}{maybe}"))
            }
            Then::Nothing if explained && newest && self.running => {
                self.summary.unfinished += 1;
                return;
            }
            Then::Nothing => {
                let behind = match explained && !newest {
                    true => "; a start sets aside the segments behind it, too",
                    false => "",
                };
                let bytes = len.saturating_sub(bad.position);
                let rest = format!("no good batch stands in the {bytes} bytes to the file's end");
                let kind = if explained { Kind::Torn } else { CORRUPT };
                (kind, Some((expected, None)), format!("{why}; {rest}{durable}{behind}"))
            }
            Then::Unknown { position } => {
                let rest = format!("behind byte {position} too much looks like batches to be looked at");
                (CORRUPT, Some((expected, None)), format!("{why}; {rest}"))
            }
        };
        self.find(kind, name, Some(bad.position), offsets, what);
    }
}

fn sidecar_name(base: Offset) -> String {
    format!("{:020}.{SIDECAR}", base.get())
}

/// The offsets from `from` up to and without `to`.
fn between(from: Offset, to: Offset) -> Option<Range> {
    (from < to).then(|| (from, Offset::new(to.get() - 1)))
}
