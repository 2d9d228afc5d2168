//! Files looked into from outside: nothing is found that is not there, and nothing that is there is missed.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use carrick_log::LogSettings;
use carrick_log::inspect::{Finding, Found, Place, Segment, Summary, Then, check, check_syncs, find};
use carrick_record::Header;
use carrick_sim::{Cut, DATA, SimDisk, run};
use carrick_sys::{Disk, Opening};
use crc_fast::{CrcAlgorithm, checksum};

use crate::batches::{batch, marker};
use crate::cases::cases;
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, TOPIC, dir_of, name, offset, small, writable};

fn look_at(disk: &dyn Disk, place: &Place, running: bool) -> (Summary, Vec<Finding>) {
    let mut found = Vec::new();
    let summary = check(disk, place, running, &mut |finding| found.push(finding));
    assert_eq!(summary.findings, found.len() as u64);
    (summary, found)
}

fn partition() -> Place {
    Place { dir: dir_of(0), file: None }
}

fn look(disk: &SimDisk) -> (Summary, Vec<Finding>) {
    look_at(disk, &partition(), false)
}

/// What is found in files that lie on a fresh disk; none of them may be touched.
fn findings(files: &Files) -> Vec<Finding> {
    let site = files.boot(1);
    let (_, found) = look(&site.disk);
    assert!(Files::of(&site.disk) == *files, "something was written");
    found
}

fn codes(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|it| it.kind.code()).collect()
}

/// A finding's code, file, position and offsets.
type Told = (&'static str, String, Option<u64>, Option<(i64, Option<i64>)>);

/// The one finding.
fn one(files: &Files) -> Told {
    let found = findings(files);
    let [it] = &found[..] else { panic!("{found:#?}") };
    let offsets = it.offsets.map(|(first, last)| (first.get(), last.map(|it| it.get())));
    (it.kind.code(), name(&it.file), it.position, offsets)
}

/// Four segments of four batches of two records; the last one has three.
async fn filled() -> (Life, Files) {
    let (life, log) = Life::writing(1, four());
    for n in 0..15 {
        let appended = log.put(&batch(2).values(200).tag(n).producer(7, 0, n as i32 * 2).build());
        log.acknowledged(appended.end).await.unwrap();
    }
    let files = ended(&life).await;
    assert_eq!(files.segments(0).len(), 4);
    (life, files)
}

/// What a node leaves that ends as it should.
async fn ended(life: &Life) -> Files {
    life.store.close().await.unwrap();
    Files::of(&life.site.disk)
}

fn sidecar(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

fn four() -> LogSettings {
    small(size() * 4)
}

fn size() -> u64 {
    batch(2).values(200).producer(7, 0, 0).build().bytes.len() as u64
}

#[test]
fn a_log_as_it_was_written_is_all_well() {
    run(1, async {
        let (life, files) = filled().await;
        let (summary, found) = look(&life.site.disk);
        assert_eq!(found, []);
        let wanted =
            Summary { segments: 4, batches: 15, records: 30, bytes: 15 * size(), ..Summary::default() };
        assert_eq!(summary, wanted);
        assert!(Files::of(&life.site.disk) == files);
    });
}

#[test]
fn a_mirror_with_holes_markers_and_epochs_is_all_well_also_from_where_retention_left_it() {
    run(2, async {
        let (life, log) = Life::mirroring(2, small(400));
        let mut at = 5;
        for n in 0..40 {
            let epoch = LeaderEpochs::of(n);
            let next = match n % 5 {
                4 => marker(9, 0, n % 2 == 0, at),
                _ => batch(2).at(at).epoch(epoch).tag(n as u64).producer(9, 0, n * 2).transactional().build(),
            };
            at = log
                .append_mirrored(&next, (n % 5 == 4).then(|| LeaderEpochs::epoch(n)), life.now())
                .unwrap()
                .get();
            at += i64::from(n % 7 == 0) * 10;
        }
        let files = ended(&life).await;
        let (summary, found) = look(&life.site.disk);
        assert_eq!(found, []);
        assert_eq!((summary.batches, summary.holes), (40, 6));
        let mut less = files.clone();
        for gone in &files.segments(0)[..3] {
            less.0.remove(gone);
        }
        assert_eq!(findings(&less), [], "indexes below the start are leftovers");
    });
}

struct LeaderEpochs;

impl LeaderEpochs {
    fn of(n: i32) -> i32 {
        n / 10 * 3
    }

    fn epoch(n: i32) -> carrick_types::LeaderEpoch {
        carrick_types::LeaderEpoch::new(Self::of(n)).unwrap()
    }
}

#[test]
fn after_a_power_cut_nothing_is_found_but_what_it_explains_and_after_a_start_only_what_it_left() {
    for seed in cases(300, 300) {
        run(seed, async {
            let mut chance = Chance::new(seed);
            let (life, log) = Life::writing(seed, small(chance.within(300..2_000)));
            let mut durable = 0;
            for n in 0..chance.within(1..30) {
                let appended = log.put(&batch(2).values(chance.within(1..900) as usize).tag(n).build());
                if chance.one_in(4) {
                    log.acknowledged(appended.end).await.unwrap();
                    durable = appended.end.get();
                }
            }
            drop(log);
            let life = life.reboot(Cut::Power).await;
            if !life.site.disk.exists(&dir_of(0)) {
                return;
            }
            let (_, found) = look(&life.site.disk);
            for it in &found {
                let torn = ["LOG_TORN", "LOG_CORRUPT", "LOG_INDEX"].contains(&it.kind.code());
                assert!(
                    torn && it.offsets.is_none_or(|(first, _)| first.get() >= durable),
                    "{it:?} {durable}"
                );
            }
            life.open(writable(1), false);
            life.store.flush().await.unwrap();
            let (_, found) = look(&life.site.disk);
            for it in &found {
                let alone = it.what.contains("its segment is not there");
                assert!(it.kind.code() == "LOG_SET_ASIDE" || alone, "{it:?}");
            }
        });
    }
}

/// Base offset and leader epoch stand outside the checksum: a higher one in the last batch of all is not to be told from a
/// hole, or from a later epoch.
#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    run(3, async {
        let (_, files) = filled().await;
        let segments = files.segments(0);
        for (at, path) in segments.iter().enumerate() {
            let len = files.get(path).len();
            for byte in (0..4_200).chain((4_200..len).step_by(5)) {
                let in_last = at + 1 == segments.len() && byte >= len - size() as usize;
                let outside = [0..8, 12..16]
                    .iter()
                    .any(|it| it.contains(&(byte.wrapping_sub(4_096) % size() as usize)));
                if in_last && outside && byte >= 4_096 {
                    continue;
                }
                let mut bad = files.clone();
                bad.get_mut(path)[byte] ^= 1 << (byte % 8);
                let found = findings(&bad);
                assert!(!found.is_empty(), "{} byte {byte}", path.display());
                assert!(found.len() <= 4, "{found:#?}");
            }
        }
        for path in &segments[..3] {
            let path = sidecar(path);
            for byte in 0..files.get(&path).len() {
                let mut bad = files.clone();
                bad.get_mut(&path)[byte] ^= 1;
                // Without its end it is one that is still written to.
                let code = one_or_none(&bad);
                assert!(matches!(code, None | Some("LOG_INDEX")), "{code:?} byte {byte}");
                assert!(code.is_some() || byte >= files.get(&path).len() - 32, "byte {byte}");
            }
        }
    });
}

fn one_or_none(files: &Files) -> Option<&'static str> {
    let found = findings(files);
    assert!(found.len() <= 1, "{found:#?}");
    found.first().map(|it| it.kind.code())
}

#[test]
fn damage_in_the_middle_is_told_from_a_torn_tail() {
    run(4, async {
        let (_, files) = filled().await;
        let segments = files.segments(0);
        let (second, newest) = (&segments[1], &segments[3]);
        let place = |n: u64| 4_096 + n * size();
        let with = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
            let mut files = files.clone();
            change(files.get_mut(path));
            files
        };

        let middle = with(second, &|it| it[place(1) as usize + 80] ^= 1);
        let told = ("LOG_CORRUPT", name(second), Some(place(1)), Some((10, Some(11))));
        assert_eq!(one(&middle), told);
        let found = findings(&middle);
        assert!(
            found[0].what.contains(&format!("the next good batch is that of offset 12 at byte {}", place(2)))
        );
        assert!(found[0].what.contains("durable up to 24"), "{found:?}");

        let at_the_end = with(second, &|it| it[place(3) as usize + 80] ^= 1);
        assert_eq!(one(&at_the_end), ("LOG_CORRUPT", name(second), Some(place(3)), Some((14, None))));

        let torn = with(newest, &|it| it.truncate(place(2) as usize + 100));
        assert_eq!(one(&torn), ("LOG_TORN", name(newest), Some(place(2)), Some((28, None))));
        let zeros = with(newest, &|it| it.resize(it.len() + 5_000, 0));
        assert_eq!(one(&zeros), ("LOG_TORN", name(newest), Some(place(3)), Some((30, None))));
        let site = torn.boot(1);
        let (summary, found) = look_at(&*site.disk, &partition(), true);
        assert_eq!((summary.unfinished, found), (1, vec![]), "a node that runs is about to write it");
        let hurt = with(newest, &|it| it[place(1) as usize + 80] ^= 1);
        let (_, found) = look_at(&*hurt.boot(1).disk, &partition(), true);
        assert_eq!(codes(&found), ["LOG_CORRUPT"]);

        let page = with(newest, &|it| it[100] ^= 1);
        assert_eq!(one(&page), ("LOG_CORRUPT", name(newest), Some(0), None));
        let page = with(newest, &|it| it.truncate(100));
        assert_eq!(one(&page), ("LOG_TORN", name(newest), Some(0), None));
    });
}

#[test]
fn segments_that_are_missing_short_old_or_foreign_are_told_apart() {
    run(5, async {
        let (_, files) = filled().await;
        let segments = files.segments(0);
        let place = |n: u64| 4_096 + n * size();

        let mut gone = files.clone();
        gone.0.remove(&segments[1]);
        let found = findings(&gone);
        assert_eq!(codes(&found), ["LOG_MISSING", "LOG_INDEX"]);
        assert_eq!(
            (name(&found[0].file), found[0].offsets),
            (name(&segments[2]), Some((offset(8), Some(offset(15)))))
        );
        assert_eq!(name(&found[1].file), name(&sidecar(&segments[1])), "its index is there");
        gone.0.remove(&sidecar(&segments[1]));
        assert_eq!(codes(&findings(&gone)), ["LOG_MISSING"]);

        let mut short = files.clone();
        short.get_mut(&segments[1]).truncate(place(3) as usize);
        let told = ("LOG_STALE", name(&segments[1]), Some(place(3)), Some((14, Some(15))));
        assert_eq!(one(&short), told);
        short.0.remove(&sidecar(&segments[1]));
        assert_eq!(one(&short), ("LOG_MISSING", name(&segments[2]), Some(0), Some((14, Some(15)))));

        let mut newer = files.clone();
        let more = files.get(&segments[2])[4_096..].to_vec();
        newer.get_mut(&segments[1]).extend(&more);
        newer.0.remove(&sidecar(&segments[1]));
        assert_eq!(one(&newer), ("LOG_STALE", name(&segments[2]), Some(0), Some((16, Some(23)))));

        let mut swapped = files.clone();
        let third = files.get(&segments[2]).to_vec();
        *swapped.get_mut(&segments[1]) = third;
        assert_eq!(one(&swapped), ("LOG_FOREIGN", name(&segments[1]), Some(0), None));

        // The directory's names say whose they should be.
        let mut moved = Files(Default::default());
        for (path, bytes) in &files.0 {
            moved.0.insert(dir_of(1).join(name(path)), bytes.clone());
        }
        let (_, found) = look_at(&*moved.boot(1).disk, &Place { dir: dir_of(1), file: None }, false);
        assert_eq!(codes(&found), ["LOG_FOREIGN"; 4]);

        let mut odd = files.clone();
        odd.0.insert(dir_of(0).join("7.seg"), vec![1; 10]);
        odd.0.insert(
            dir_of(0).join("00000000000000000008-5000.cut"),
            files.get(&segments[1])[4_090..].to_vec(),
        );
        odd.0.insert(dir_of(0).join("00000000000000000016.cut"), files.get(&segments[2]).to_vec());
        let found = findings(&odd);
        assert_eq!(codes(&found), ["LOG_FOREIGN", "LOG_SET_ASIDE", "LOG_SET_ASIDE"]);
        let first_offsets: Vec<_> = found.iter().map(|it| it.offsets.map(|(first, _)| first.get())).collect();
        assert_eq!(first_offsets, [None, Some(8), Some(16)]);
    });
}

#[test]
fn an_index_that_is_whole_and_wrong_is_found() {
    run(6, async {
        let (life, log) = Life::writing(6, small(1 << 20));
        for n in 0..40 {
            log.put(&batch(1).values(70_000).tag(n).build());
        }
        let files = ended(&life).await;
        assert_eq!((files.segments(0).len(), findings(&files)), (3, vec![]));
        let path = sidecar(&files.segments(0)[0]);
        let entries = (files.get(&path).len() - 64 - 32) / 40;
        assert!(entries > 10);
        for byte in (0..40).map(|at| 64 + 40 + at).chain((0..40).map(|at| 64 + (entries - 1) * 40 + at)) {
            let mut bad = files.clone();
            bad.get_mut(&path)[byte] ^= 1;
            seal(bad.get_mut(&path));
            assert_eq!(one_or_none(&bad), Some("LOG_INDEX"), "byte {byte}");
        }
        // That all its sums are wrong by the same is told by the next segment's index alone.
        let mut bad = files.clone();
        for entry in bad.get_mut(&path)[64..64 + entries * 40].chunks_exact_mut(40) {
            let sum = u128::from_be_bytes(entry[24..].try_into().unwrap());
            entry[24..].copy_from_slice(&sum.wrapping_add(1).to_be_bytes());
        }
        seal(bad.get_mut(&path));
        assert_eq!(one(&bad).1, name(&sidecar(&files.segments(0)[1])));
        let mut bad = files.clone();
        bad.get_mut(&path).drain(64..104);
        let count = (entries as u32 - 1).to_be_bytes();
        let footer = bad.get(&path).len() - 32;
        bad.get_mut(&path)[footer..footer + 4].copy_from_slice(&count);
        seal(bad.get_mut(&path));
        assert_eq!(one_or_none(&bad), Some("LOG_INDEX"), "an entry is missing");

        let mut none = files.clone();
        none.0.remove(&path);
        let (summary, found) = look(&none.boot(1).disk);
        assert_eq!((summary.without_index, found), (1, vec![]), "it is made when it is needed");
    });
}

/// The checksum in a sidecar's footer, made right again.
fn seal(sidecar: &mut [u8]) {
    let covered = sidecar.len() - 4;
    let sum = checksum(CrcAlgorithm::Crc32Iscsi, &sidecar[..covered]) as u32;
    sidecar[covered..].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn one_file_is_looked_at_alone() {
    run(7, async {
        let (life, files) = filled().await;
        for path in files.segments(0) {
            let target = find(&*life.site.disk, &path).unwrap();
            let [place] = &target.places[..] else { panic!("{target:?}") };
            let (summary, found) = look_at(&*life.site.disk, place, false);
            assert_eq!((summary.segments, found), (1, vec![]), "{}", path.display());
        }
        let mut short = files.clone();
        let second = &files.segments(0)[1];
        short.get_mut(second).truncate(4_096 + 2 * size() as usize);
        let site = short.boot(1);
        let (_, found) = look_at(&*site.disk, &find(&*site.disk, second).unwrap().places[0], false);
        assert_eq!(codes(&found), ["LOG_STALE"]);
    });
}

#[test]
fn a_path_names_a_file_a_partition_a_topic_or_a_node() {
    run(8, async {
        let life = Life::first(8, FSYNC);
        life.try_open(12, writable(0), true).unwrap();
        for index in 0..12 {
            life.partition(index).put(&batch(1).build());
        }
        life.store.flush().await.unwrap();
        let disk = &*life.site.disk;
        let topics = Path::new(DATA).join("topics");
        let dirs =
            |path: &Path| find(disk, path).unwrap().places.into_iter().map(|it| it.dir).collect::<Vec<_>>();
        let all: Vec<PathBuf> = (0..12).map(dir_of).collect();
        assert_eq!(dirs(Path::new(DATA)), all, "in the order of their numbers");
        assert_eq!(find(disk, Path::new(DATA)).unwrap().data, Some(DATA.into()));
        assert_eq!((dirs(&topics), dirs(&topics.join(TOPIC.to_string()))), (all.clone(), all));
        assert_eq!(dirs(&dir_of(3)), [dir_of(3)]);
        let file = dir_of(3).join("00000000000000000000.seg");
        let one = Place { dir: dir_of(3), file: Some(name(&file)) };
        assert_eq!(find(disk, &file).unwrap().places, [one]);
        disk.create_dir_all(Path::new("/data/other")).unwrap();
        disk.open(Path::new("/data/other/file"), Opening::New).unwrap();
        for path in ["/data/other", "/data/other/file", "/nowhere"] {
            assert!(find(disk, Path::new(path)).is_err(), "{path}");
        }
    });
}

/// All batches and all bad places of bytes that stand behind a first page, or of a file that was set aside.
fn walk(bytes: &[u8]) -> Vec<Found> {
    let disk = SimDisk::new(1);
    let path = Path::new("/data/x.cut");
    disk.open(path, Opening::New).unwrap().write_at(&[bytes], 0).unwrap();
    let segment = Segment::open(&*disk, path).unwrap();
    assert_eq!(segment.first_page(), Ok(None));
    segment.batches().map(Result::unwrap).collect()
}

#[test]
fn a_batch_inside_of_a_damaged_ones_records_is_not_taken_for_the_next() {
    let inner = batch(1).at(500).build();
    let mut outer = batch(3).at(10).values(inner.bytes.len()).build().bytes.to_vec();
    let place = outer.len() - inner.bytes.len() - 2;
    outer[place..place + inner.bytes.len()].copy_from_slice(&inner.bytes);
    let next = batch(2).at(13).build();
    let found = walk(&[&outer[..], &next.bytes].concat());
    let [Found::Bad(bad), Found::Batch(seen)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(bad.then, Then::Batch { base: offset(13), position: outer.len() as u64 });
    assert_eq!((seen.position, &seen.batch.bytes), (outer.len() as u64, &next.bytes));
    // If the damaged one does not say where it ends, it is searched byte by byte.
    outer[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    let found = walk(&[&outer[..], &next.bytes].concat());
    let Found::Bad(bad) = &found[0] else { panic!("{found:?}") };
    assert_eq!(bad.then, Then::Batch { base: offset(500), position: place as u64 });
}

#[test]
fn made_up_files_come_to_an_end() {
    let mut chance = Chance::new(9);
    for _ in 0..200 {
        let len = chance.within(0..3_000) as usize;
        let bytes: Vec<u8> = (0..len).map(|_| chance.within(0..256) as u8).collect();
        assert!(walk(&bytes).len() <= 1 + len / 61);
    }
    // Every header is plausible, and claims all that is left of the file.
    let len = 4 << 20;
    let header = |left: usize| {
        let mut it = batch(1).build().bytes[..61].to_vec();
        it[8..12].copy_from_slice(&(left as i32 - 12).to_be_bytes());
        it
    };
    let many: Vec<u8> = (0..len / 61).flat_map(|n| header(len - n * 61)).collect();
    let many = [many, vec![0; len % 61]].concat();
    let found = walk(&many);
    let [Found::Bad(bad)] = &found[..] else { panic!("{} found", found.len()) };
    assert!(matches!(bad.then, Then::Unknown { .. }), "{:?}", bad.then);
    assert!(bad.header.is_some_and(|it: Header| it.size() == len));
    // Every second batch is damaged.
    let good = batch(1).values(1).build().bytes;
    let mut bad = good.to_vec();
    bad[60] ^= 1;
    let pair = |n: i64| [standing(&bad, 2 * n), standing(&good, 2 * n + 1)].concat();
    let found = walk(&(0..20_000).flat_map(pair).collect::<Vec<_>>());
    assert_eq!(found.len(), 40_000);
    // A header that claims the largest batch of all, of a file that has it not.
    let mut claims = good.to_vec();
    claims[8..12].copy_from_slice(&(100_i32 << 20).to_be_bytes());
    assert!(matches!(&walk(&claims)[..], [Found::Bad(bad)] if bad.then == Then::Nothing));
}

fn standing(batch: &[u8], base: i64) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes.into()
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at() {
    run(10, async {
        let (life, _) = filled().await;
        let disk = &*life.site.disk;
        disk.crash();
        let (summary, found) = look(disk);
        assert_eq!((codes(&found), summary.segments), (vec!["LOG_UNREADABLE"], 0));
    });
}

#[test]
fn a_sync_that_failed_is_told_until_a_node_has_written_again_what_may_be_lost() {
    run(11, async {
        let (life, log) = Life::writing(11, FSYNC);
        let data = Path::new(DATA);
        assert_eq!(check_syncs(&*life.site.disk, data), None);
        life.site.disk.fail_sync_after(1);
        let appended = log.put(&batch(1).build());
        log.acknowledged(appended.end).await.unwrap_err();
        let told = check_syncs(&*life.site.disk, data).unwrap();
        assert_eq!(
            (told.kind.code(), told.kind.next_step().contains("start carrickd")),
            ("LOG_UNWRITTEN", true)
        );
        drop(log);
        let life = life.reboot(Cut::Kill).await;
        life.open(writable(1), false);
        life.store.flush().await.unwrap();
        assert_eq!(check_syncs(&*life.site.disk, data), None);
    });
}
