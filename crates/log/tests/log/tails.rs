//! Torn and strange tails of the active segment: an unclean start cuts to the last good batch, a clean one names them.
//!
//! What cannot be told apart: a whole batch with a right checksum that stands exactly where the next one would, at the
//! offset that the next one would have. Base offset and leader epoch stand outside the checksum. On a mirror, whose source
//! may have holes, any higher offset will do as well.

use carrick_log::{Bound, Partition};
use carrick_record::Batch;
use carrick_sim::run;

use crate::batches::{batch, standing};
use crate::cases::{cases, hold, own_share};
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, TOPIC, dir_of, mirror, name, writable};

/// Ends of a file that are tried, and tails behind it.
const CUTS: u64 = 64 * 1024;
const STRANGE: u64 = 2_000;

/// A partition of `batches` batches in one segment, and a neighbour.
async fn filled(batches: u64, values: usize) -> (Files, Vec<Batch>) {
    let life = Life::first(1, FSYNC);
    life.try_open(2, writable(3), true).unwrap();
    for n in 0..batches {
        life.partition(0).put(&batch(2).values(values).tag(n).producer(7, 0, n as i32 * 2).build());
        life.partition(1).put(&batch(2).values(values).tag(n + 1_000).build());
    }
    let files = life.files().await;
    (files, life.partition(0).all(Bound::LogEnd).await)
}

fn active(files: &Files) -> std::path::PathBuf {
    files.segments(0).pop().unwrap()
}

fn end_of(batches: &[Batch]) -> u64 {
    4_096 + batches.iter().map(|it| it.bytes.len() as u64).sum::<u64>()
}

async fn works_on(life: &Life, log: &Partition, stands: &[Batch]) {
    assert_eq!(log.damage(), None);
    assert_eq!(log.all(Bound::LogEnd).await, stands);
    let appended = log.put(&batch(1).tag(77).build());
    assert_eq!(appended.base.get(), stands.len() as i64 * 2);
    log.acknowledged(appended.end).await.unwrap();
    assert_eq!(log.all(Bound::HighWatermark).await.len(), stands.len() + 1);
    assert_eq!(life.partition(1).damage(), None);
}

/// Down to nothing: the page itself is torn.
#[test]
fn a_segment_cut_within_its_first_page_is_set_aside_by_an_unclean_start() {
    run(1, async {
        let (files, _) = filled(3, 40).await;
        let path = active(&files);
        for cut in (0..4_096).step_by(61).chain([1, 4_095]) {
            let mut files = files.clone();
            files.get_mut(&path).truncate(cut);
            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), false).unwrap();
            works_on(&life, &life.partition(0), &[]).await;

            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), true).unwrap();
            let damage = life.partition(0).damage().unwrap();
            assert_eq!((damage.file, damage.position), (name(&path), 0));
        }
    });
}

fn has_cut_file(life: &Life) -> bool {
    cut_files(life).next().is_some()
}

fn cut_files(life: &Life) -> impl Iterator<Item = (String, Vec<u8>)> {
    let files = Files::of(&life.site.disk);
    files.0.into_iter().filter(|(path, _)| path.parent() == Some(&dir_of(0))).filter_map(|(path, bytes)| {
        path.extension().is_some_and(|it| it == "cut").then(|| (name(&path), bytes))
    })
}

/// A log of more than 64 KiB in one segment, and a neighbour that has as much and more, in the same places.
struct Whole {
    files: Files,
    path: std::path::PathBuf,
    batches: Vec<Batch>,
}

impl Whole {
    fn of(round: u64) -> Self {
        let (batches, values) = (150 + round, 220 + 7 * round as usize);
        let (files, batches) = run(1, async {
            let (files, batches) = filled(batches, values).await;
            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), true).unwrap();
            for n in 0..40 {
                life.partition(1).put(&batch(2).values(values).tag(n).build());
            }
            (life.files().await, batches)
        });
        assert!(end_of(&batches) > 4_096 + CUTS);
        Self { path: active(&files), files, batches }
    }

    /// Starts on another end of the file: an unclean start keeps the first `stand` batches and goes on, a clean one names what
    /// follows them and changes nothing. `torn`: there is no whole batch behind them.
    async fn starts(&self, files: Files, stand: usize, torn: bool) {
        let life = Life::on(files.boot(1), FSYNC);
        life.try_open(2, writable(3), false).unwrap();
        works_on(&life, &life.partition(0), &self.batches[..stand]).await;
        assert!(!torn || !has_cut_file(&life), "a torn batch alone is set aside");

        let end = end_of(&self.batches[..stand]);
        if end != files.get(&self.path).len() as u64 {
            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), true).unwrap();
            let damage = life.partition(0).damage().unwrap();
            assert_eq!((damage.file, damage.position), (name(&self.path), end));
            assert!(Files::of(&life.site.disk) == files);
            life.partition(1).put(&batch(1).build());
            life.store.flush().await.unwrap();
        }
    }

    async fn cut(&self, bytes: u64) {
        let mut files = self.files.clone();
        let len = files.get(&self.path).len() as u64 - bytes;
        files.get_mut(&self.path).truncate(len as usize);
        let stand = (0..=self.batches.len()).rev().find(|n| end_of(&self.batches[..*n]) <= len).unwrap();
        self.starts(files, stand, true).await;
    }

    /// What a strange tail is, and whether it is told from this log's own next batch.
    fn tail(&self, kind: u64, chance: &mut Chance) -> (Vec<u8>, bool) {
        let end = self.batches.len() as i64 * 2;
        let size = 1 << chance.below(21);
        let noise = chance.within(size / 2 + 1..size + 2) as usize;
        let foreign =
            batch(chance.within(1..5) as usize).tag(chance.u64()).values(chance.below(900) as usize).build();
        let neighbour = &self.files.get(&self.files.segments(1)[0]);
        let bytes = match kind {
            0 => vec![0; noise],
            1 => vec![chance.u64() as u8; noise],
            2 | 3 => chance.bytes(noise),
            // This partition's own, from before.
            4 => self.batches[chance.below(self.batches.len() as u64) as usize].bytes.to_vec(),
            // All of another partition's.
            5 => neighbour[4_096..].to_vec(),
            // One that begins before this log's end and reaches past it.
            6 => standing(&batch(5).build(), end - 1, 3).to_vec(),
            // One whose offset is far ahead, of this log's epoch: a writable log has no holes.
            7 => standing(&foreign, end + chance.within(1..1 << 40) as i64, 3).to_vec(),
            // One of an epoch that this log has left behind, where the next would stand.
            8 => standing(&foreign, end, chance.below(3) as i32).to_vec(),
            // What another partition has at this very place, as a block of it would hold. Nothing in a batch tells whose it is.
            _ => return (neighbour[end_of(&self.batches) as usize..].to_vec(), false),
        };
        (bytes, true)
    }

    /// True if it was taken for this log's own.
    async fn strange(&self, case: u64) -> bool {
        let (tail, told_apart) = self.tail(case % 10, &mut Chance::new(case));
        let mut files = self.files.clone();
        files.get_mut(&self.path).extend(&tail);
        if told_apart {
            self.starts(files, self.batches.len(), case % 10 < 4).await;
            return false;
        }
        let life = Life::on(files.boot(1), FSYNC);
        life.try_open(2, writable(3), false).unwrap();
        let found = life.partition(0).all(Bound::LogEnd).await;
        assert!(found.starts_with(&self.batches));
        found.len() > self.batches.len()
    }
}

/// Each byte of the last 64 KiB is where the file ends, then strange tails; then both again of another log.
#[test]
fn whatever_the_end_of_a_segment_is_the_whole_batches_before_it_stand() {
    let mut whole = (0, Whole::of(0));
    let (mut foreign, mut taken) = (0, 0);
    let mut try_one = |case: u64| {
        let (round, case) = (case / (CUTS + STRANGE), case % (CUTS + STRANGE));
        if whole.0 != round {
            whole = (round, Whole::of(round));
        }
        run(case, async {
            if case < CUTS {
                whole.1.cut(case + 1).await;
            } else {
                foreign += u64::from(case % 10 == 9);
                taken += u64::from(whole.1.strange(case).await);
            }
        });
    };
    hold(cases(4_096, CUTS + STRANGE), &mut try_one);
    if own_share() {
        hold(CUTS..CUTS + 200, &mut try_one);
    }
    println!("counted tails of another partition's next batches: {foreign}");
    println!("counted of these taken for its own: {taken}");
}

/// The one that cannot be told from this log's own next batch.
#[test]
fn a_whole_batch_at_the_very_offset_that_comes_next_is_taken_for_the_next() {
    run(1, async {
        let (mut files, all) = filled(5, 100).await;
        let path = active(&files);
        let next = standing(&batch(2).tag(9).build(), 10, 3);
        files.get_mut(&path).extend(&next);
        let life = Life::on(files.boot(1), FSYNC);
        life.try_open(2, writable(3), false).unwrap();
        let found = life.partition(0).all(Bound::LogEnd).await;
        assert_eq!((&found[..5], &found[5].bytes), (&all[..], &next));
    });
}

#[test]
fn whole_batches_behind_a_torn_one_are_set_aside() {
    run(1, async {
        let (files, all) = filled(30, 100).await;
        let path = active(&files);
        let mut chance = Chance::new(3);
        for _ in 0..100 {
            let torn = chance.below(29) as usize;
            let position = end_of(&all[..torn]);
            let mut files = files.clone();
            // Any byte but those that nothing vouches for.
            let byte = position + chance.within(16..all[torn].bytes.len() as u64);
            files.get_mut(&path)[byte as usize] ^= 1 << chance.below(8);
            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), false).unwrap();
            let aside: Vec<_> = cut_files(&life).collect();
            let [(_, bytes)] = &aside[..] else { panic!("{} files are set aside", aside.len()) };
            assert!(*bytes == files.get(&path)[position as usize..]);
            works_on(&life, &life.partition(0), &all[..torn]).await;

            let life = Life::on(files.boot(1), FSYNC);
            life.try_open(2, writable(3), true).unwrap();
            let damage = life.partition(0).damage().unwrap();
            assert_eq!((damage.file, damage.position), (name(&path), position));
            assert!(Files::of(&life.site.disk) == files);
        }
    });
}

#[test]
fn a_tail_that_finds_no_room_to_be_set_aside_is_not_thrown_away() {
    run(1, async {
        let (mut files, all) = filled(30, 100).await;
        let path = active(&files);
        let position = end_of(&all[..10]);
        files.get_mut(&path)[position as usize + 30] ^= 1;
        let site = files.boot(1);
        site.disk.full_at(site.disk.allocated_bytes() + 1_000);
        let life = Life::on(site, FSYNC);
        life.try_open(2, writable(3), false).unwrap();
        let damage = life.partition(0).damage().expect("damage");
        assert_eq!((&damage.file, damage.position), (&name(&path), position), "{damage}");
        assert!(damage.what.contains("could not be set aside"), "{damage}");
        assert!(Files::of(&life.site.disk).get(&path) == files.get(&path));
        life.site.disk.full_at(u64::MAX);
        life.partition(1).put(&batch(1).build());
        life.store.flush().await.unwrap();

        let life = life.reboot(carrick_sim::Cut::Kill).await;
        life.try_open(2, writable(3), false).unwrap();
        works_on(&life, &life.partition(0), &all[..10]).await;
    });
}

/// Damage at one place in one life after the other.
#[test]
fn what_was_set_aside_is_not_overwritten_by_what_is_set_aside_later() {
    run(1, async {
        let (mut files, all) = filled(4, 100).await;
        let path = active(&files);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for life in 0..4 {
            let position = end_of(&all[..1]) as usize;
            files.get_mut(&path)[position + 70] ^= 1;
            kept.push(files.get(&path)[position..].to_vec());
            let life_on = Life::on(files.boot(1), FSYNC);
            life_on.try_open(2, writable(3), false).unwrap();
            let log = life_on.partition(0);
            for n in 0..3 {
                log.put(&batch(2).values(100).tag(life * 10 + n + 500).build());
            }
            let mut aside: Vec<_> = cut_files(&life_on).map(|(_, bytes)| bytes).collect();
            aside.sort();
            kept.sort();
            assert!(aside == kept, "life {life}: {} are set aside of {}", aside.len(), kept.len());
            files = life_on.files().await;
        }
    });
}

/// The same for segments whose first page is torn, and in the sight of a power cut.
#[test]
fn a_segment_that_was_set_aside_does_not_displace_an_earlier_one() {
    run(1, async {
        let (mut files, _) = filled(3, 100).await;
        let path = active(&files);
        for life in 1..5 {
            files.get_mut(&path)[0] ^= 1;
            let next = Life::on(files.boot(1), FSYNC);
            next.try_open(2, writable(3), false).unwrap();
            next.partition(0).put(&batch(2).tag(life).build());
            files = next.files().await;
            assert_eq!(cut_files(&next).count(), life as usize);
        }
    });
}

/// A producer can put into its values what looks like the heads of many large batches: a start must not check each of them.
#[test]
fn a_torn_tail_full_of_headers_is_searched_in_bounded_time() {
    run(1, async {
        let (mut files, all) = filled(2, 100).await;
        let path = active(&files);
        let mut head = batch(1).at(1 << 40).epoch(3).build().bytes[..61].to_vec();
        head[8..12].copy_from_slice(&(6_i32 << 20).to_be_bytes());
        let tail: Vec<u8> = std::iter::repeat_n(head, (16 << 20) / 61).flatten().collect();
        files.get_mut(&path).extend([0; 10]);
        files.get_mut(&path).extend(tail);
        let began = std::time::Instant::now();
        let life = Life::on(files.boot(1), FSYNC);
        life.try_open(2, writable(3), false).unwrap();
        works_on(&life, &life.partition(0), &all).await;
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    });
}

#[test]
fn a_mirrors_torn_tail_is_cut_as_well() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        for n in 0..10 {
            log.append_mirrored(&batch(2).at(n * 7).epoch(0).tag(n as u64).build(), None, life.now())
                .unwrap();
        }
        let files = life.files().await;
        let all = log.all(Bound::LogEnd).await;
        let path = active(&files);
        let len = files.get(&path).len();
        for cut in end_of(&[]) as usize..len {
            let mut files = files.clone();
            files.get_mut(&path).truncate(cut);
            let whole = (0..=all.len()).rev().find(|n| end_of(&all[..*n]) <= cut as u64).unwrap();
            let life = Life::on(files.boot(1), FSYNC);
            let log = life.open(mirror(), false);
            assert_eq!((log.damage(), log.topic()), (None, TOPIC));
            assert_eq!(log.all(Bound::LogEnd).await, all[..whole]);
        }
    });
}
