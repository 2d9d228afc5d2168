//! One flipped bit anywhere in a partition's files, under a checkpoint: no wrong byte is served, the place is named, all that
//! lies around it is served, no file but a sidecar is written to, neighbours work.

use std::ops::Range;
use std::path::{Path, PathBuf};

use carrick_log::{Bound, Damage, DamageKind, LogSettings, MemoryCheckpoints, Partition, ReadError, Role};
use carrick_record::Batch;
use carrick_sim::run;

use crate::batches::batch;
use crate::cases::{cases, hold};
use crate::chance::Chance;
use crate::home::{altered, flipped, pieces};
use crate::life::{Files, Life, Look as _, joined, mirror, name, offset, small, writable};

const STRETCH: u64 = 64 * 1024;
const PAGE: u64 = 4_096;

/// A site whose partition 0 is damaged, and what it should hold.
struct Site {
    files: Files,
    saved: MemoryCheckpoints,
    settings: LogSettings,
    role: Role,
    clean: bool,
    batches: Vec<Placed>,
}

struct Placed {
    path: PathBuf,
    at: Range<u64>,
    batch: Batch,
    /// Behind the checkpoint: a start reads it, and takes what is damaged for torn.
    tail: bool,
}

/// Partitions of `bytes` or more in segments of `segment_bytes`; `tail` batches are behind the checkpoint.
async fn site(role: Role, segment_bytes: u64, values: Range<u64>, batches: u64, tail: u64) -> Site {
    let settings = small(segment_bytes);
    let life = Life::first(1, settings);
    life.try_open(2, role, true).unwrap();
    let mut chance = Chance::new(batches);
    let mirrors = matches!(role, Role::Mirror { .. });
    let mut at = 0;
    for n in 0..batches + tail {
        let times: Vec<_> =
            (0..chance.within(1..4)).map(|_| 1_000 + n as i64 * 5 + chance.below(40) as i64).collect();
        let count = times.len() as i64;
        let sent = batch(times.len()).times(times).tag(n).values(chance.within(values.clone()) as usize);
        for log in [life.partition(0), life.partition(1)] {
            if mirrors {
                let sent = sent.clone().at(at).epoch((n / 12) as i32 - 1).build();
                let end = log.append_mirrored(&sent, None, life.now()).unwrap();
                log.set_source_high(end);
            } else {
                log.put(&sent.clone().build());
            }
        }
        at += count + if chance.one_in(3) { chance.below(20) as i64 } else { 0 };
        if n + 1 == batches {
            life.store.close().await.unwrap();
        }
    }
    let (files, saved) = life.left();
    life.store.flush().await.unwrap();
    let all = life.partition(0).all(Bound::LogEnd).await;
    let mut places = files.segments(0).into_iter();
    let (mut path, mut position) = (places.next().unwrap(), PAGE);
    let placed = all.into_iter().enumerate().map(|(n, batch)| {
        if position == files.get(&path).len() as u64 {
            (path, position) = (places.next().unwrap(), PAGE);
        }
        let at = position..position + batch.bytes.len() as u64;
        position = at.end;
        Placed { path: path.clone(), at, batch, tail: n as u64 >= batches }
    });
    let batches = placed.collect();
    Site { files: files.clone(), saved, settings, role, clean: tail == 0, batches }
}

impl Site {
    fn sealed(&self, path: &Path) -> bool {
        self.files.segments(0).last().is_some_and(|last| last != path)
    }

    /// Whether a reader may be refused this batch for a flip at `byte`: it is the one, or shares its stretch of the index.
    fn near(&self, it: &Placed, path: &Path, byte: u64) -> bool {
        it.path == path
            && (byte < PAGE || it.at.end + STRETCH + 10_000 > byte && it.at.start < byte + STRETCH + 10_000)
    }

    /// A start cannot tell: the offset or the epoch of the newest batch of all, behind the checkpoint, outside of its checksum.
    fn hidden(&self, path: &Path, byte: u64) -> bool {
        let last = self.batches.last().unwrap();
        let at = byte.wrapping_sub(last.at.start);
        last.tail && last.path == path && ((0..8).contains(&at) || (12..16).contains(&at))
    }

    async fn with_flip(&self, path: &Path, byte: u64, bit: u8) {
        let what = format!("{} byte {byte} bit {bit} clean {}", name(path), self.clean);
        let mut files = self.files.clone();
        files.get_mut(path)[byte as usize] ^= 1 << bit;
        let life = Life::over(&files, self.settings, &self.saved);
        life.try_open(2, self.role, self.clean).unwrap_or_else(|e| panic!("{what}: {e}"));
        let log = life.partition(0);
        // The batch, or the first of its segment.
        let hit = self.batches.iter().find(|it| it.path == path && it.at.end > byte);
        let is_segment = path.extension().is_some_and(|it| it == "seg");
        let torn = hit.filter(|it| it.tail).map(|it| it.batch.header.base_offset.get());
        let mut refused = self.read_each(&log, &what).await;
        refused.extend(self.read_long(&log, &what).await);
        refused.extend(self.look_up_times(&log, &what).await);
        if !is_segment {
            assert_eq!((log.damage(), log.wounds(), refused.len()), (None, vec![], 0), "{what}");
        } else if let Some(stands) = torn {
            assert!(
                refused.is_empty() && log.damage().is_none() && log.end() <= stands,
                "{what}: {}",
                log.end()
            );
        } else {
            assert!(!refused.is_empty(), "{what}: nobody noticed");
            let near = self.batches.iter().position(|it| self.near(it, path, byte)).unwrap();
            for (at, damage) in &refused {
                let behind = log.damage().is_some() && *at >= near;
                let it = &self.batches[*at];
                assert!(behind || self.near(it, path, byte), "{what}: {damage} of {:?}", it.at);
                assert_eq!((damage.kind, &damage.file), (DamageKind::Corrupt, &name(path)), "{what}");
                let stretch = STRETCH + 10_000;
                assert!(byte < PAGE || damage.position.abs_diff(byte) < stretch, "{what}: {damage}");
            }
            let told = log.damage().into_iter().chain(log.wounds());
            assert!(told.filter(|it| it.file == name(path)).count() > 0, "{what}");
        }
        self.goes_on(&life, &files, path, &what).await;
    }

    /// It costs a reading of the log, and no more.
    async fn with_flipped_piece(&self, piece: u64, at: usize) {
        let what = format!("piece {piece} byte {at} clean {}", self.clean);
        let saved =
            altered(&self.saved, 0, |it, value| Some(if it == piece { flipped(&value, at) } else { value }));
        let life = Life::over(&self.files, self.settings, &saved);
        life.try_open(2, self.role, self.clean).unwrap_or_else(|e| panic!("{what}: {e}"));
        let log = life.partition(0);
        let mut refused = self.read_each(&log, &what).await;
        refused.extend(self.read_long(&log, &what).await);
        refused.extend(self.look_up_times(&log, &what).await);
        assert_eq!((log.damage(), log.wounds(), refused.len()), (None, vec![], 0), "{what}");
        assert_eq!(log.end(), life.partition(1).end(), "{what}");
        self.goes_on(&life, &self.files, Path::new(""), &what).await;
    }

    /// Each batch by its own offset.
    async fn read_each(&self, log: &Partition, what: &str) -> Vec<(usize, Damage)> {
        let mut refused = Vec::new();
        for (at, it) in self.batches.iter().enumerate() {
            let from = it.batch.header.last_offset();
            if from.get() >= log.end() && log.damage().is_none() {
                assert!(it.tail, "{what}: {from} is gone");
                continue;
            }
            match log.read(from, 1, Bound::LogEnd).await {
                Ok(slice) => assert!(slice.bytes == it.batch.bytes, "{what}: wrong bytes at {from}"),
                Err(ReadError::Damaged(damage)) => refused.push((at, damage)),
                Err(e) => panic!("{what}: {e}"),
            }
        }
        refused
    }

    /// As a consumer reads, who steps over what is refused.
    async fn read_long(&self, log: &Partition, what: &str) -> Vec<(usize, Damage)> {
        let mut refused = Vec::new();
        let mut at = 0;
        while let Some(it) = self.batches.get(at) {
            let from = it.batch.header.base_offset;
            if from.get() >= log.end() {
                break;
            }
            match log.read(from, 100_000, Bound::LogEnd).await {
                Ok(slice) => {
                    let next = self.batches.iter().position(|it| it.batch.header.base_offset >= slice.next);
                    let next = next.unwrap_or(self.batches.len());
                    let should = joined(self.batches[at..next].iter().map(|it| &it.batch));
                    assert!(slice.bytes == should, "{what}: wrong bytes from {from}");
                    assert!(next > at, "{what}: no way on from {from}");
                    at = next;
                }
                Err(ReadError::Damaged(damage)) => {
                    refused.push((at, damage));
                    at += 1;
                }
                Err(e) => panic!("{what}: {e}"),
            }
        }
        refused
    }

    async fn look_up_times(&self, log: &Partition, what: &str) -> Vec<(usize, Damage)> {
        let mut refused = Vec::new();
        let end = log.end();
        for it in self.batches.iter().step_by(3) {
            let time = it.batch.header.max_timestamp;
            let late = |it: &&Placed| {
                it.batch.header.max_timestamp >= time && it.batch.header.base_offset.get() < end
            };
            match log.first_at(time, Bound::LogEnd).await {
                Ok(found) => {
                    let should = self.batches.iter().find(late).map(|it| it.batch.header);
                    let within = |at: carrick_types::Offset| {
                        should.is_some_and(|it| (it.base_offset..=it.last_offset()).contains(&at))
                    };
                    let right =
                        found.map_or(should.is_none(), |it| within(it.offset) && it.timestamp >= time);
                    // The record itself is times.rs's to find.
                    assert!(right, "{what}: {time} is found at {found:?}, not in {should:?}");
                }
                Err(ReadError::Damaged(damage)) => {
                    let of_it = |it: &Placed| name(&it.path) == damage.file && it.at.end > damage.position;
                    refused.push((self.batches.iter().position(of_it).unwrap(), damage));
                }
                Err(e) => panic!("{what}: {e}"),
            }
        }
        refused
    }

    /// Nothing of it is deleted, a sidecar is right again, and both partitions take batches.
    async fn goes_on(&self, life: &Life, files: &Files, path: &Path, what: &str) {
        let neighbour = life.partition(1);
        assert_eq!((neighbour.damage(), neighbour.wounds()), (None, vec![]), "{what}");
        assert_eq!(neighbour.end(), self.batches.last().unwrap().batch.header.next_offset().get(), "{what}");
        let left = Files::of(&life.site.disk);
        let tail = files.segments(0).pop().unwrap();
        for (path, bytes) in files.within(0) {
            let now = left.0.get(path).map_or(&[][..], Vec::as_slice);
            if path.extension().is_some_and(|it| it == "seg") && (self.clean || path != tail) {
                assert!(now == bytes, "{what}: {} was changed", path.display());
            }
        }
        let sealed =
            path.extension().is_some_and(|it| it == "idx") && self.sealed(&path.with_extension("seg"));
        assert!(!sealed || left.get(path) == self.files.get(path), "{what}: the sidecar is not made again");
        for log in [life.partition(0), life.partition(1)] {
            if log.damage().is_none() {
                let sent = batch(1).at(log.end()).epoch(90).build();
                let end = match self.role {
                    Role::Mirror { .. } => log.append_mirrored(&sent, None, life.now()).unwrap(),
                    _ => log.put(&sent).end,
                };
                log.durable(end).await.unwrap();
                let slice = log.read(offset(end.get() - 1), 1, Bound::LogEnd).await.unwrap();
                assert_eq!(slice.next, end, "{what}");
            }
        }
    }
}

/// Small sites, and those whose index has more than one stretch; each role, after a clean end and after a kill.
fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for role in [writable(0), mirror()] {
        sites.push(run(1, site(role, 2_500, 10..200, 40, 0)));
        sites.push(run(1, site(role, 2_500, 10..200, 40, 7)));
        sites.push(run(1, site(role, 400_000, 300..6_000, 150, 9)));
    }
    for large in [&sites[2], &sites[5]] {
        assert!(large.files.segments(0).len() > 2);
    }
    sites
}

/// A bit of each byte of a site's files and checkpoint, before another bit of any.
async fn flip(sites: &[Site], case: u64) {
    let (site, nth) = (&sites[case as usize % sites.len()], case / sites.len() as u64);
    let files = site.files.within(0).into_iter().map(|(path, bytes)| (Place::File(path), bytes.len()));
    let pieces = pieces(&site.saved, 0).into_iter().map(|(piece, value)| (Place::Piece(piece), value.len()));
    let places: Vec<_> = files.chain(pieces).collect();
    let bytes: u64 = places.iter().map(|(_, len)| *len as u64).sum();
    // From all over the site, whatever range is asked for.
    let step = [7_919, 6_007].into_iter().find(|step| !bytes.is_multiple_of(*step)).unwrap();
    let (mut byte, bit) = (nth * step % bytes, ((nth + nth / bytes) % 8) as u8);
    for (place, len) in places {
        if byte < len as u64 {
            return match place {
                Place::File(path) if site.hidden(path, byte) => {}
                Place::File(path) => site.with_flip(path, byte, bit).await,
                Place::Piece(piece) => site.with_flipped_piece(piece, byte as usize).await,
            };
        }
        byte -= len as u64;
    }
}

enum Place<'a> {
    File(&'a Path),
    /// Of the checkpoint.
    Piece(u64),
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let sites = sites();
    hold(cases(2_000, 100_000), |case| run(case, flip(&sites, case)));
}
