//! Files that are not as they were written, where no crash can have made them so: the partition takes no writes and says
//! where, what stands before the place is read, its neighbours work on, and nothing is deleted.

use std::path::{Path, PathBuf};

use carrick_log::{AppendError, Bound, Damage, MirrorError, ReadError};
use carrick_sim::run;

use crate::batches::batch;
use crate::chance::Chance;
use crate::life::{FSYNC, Files, Life, Look as _, TOPIC, dir_of, mirror, name, offset, small, writable};

/// Two partitions of several segments each.
async fn two(seed: u64) -> Files {
    let life = Life::first(seed, small(600));
    life.try_open(2, writable(0), true).unwrap();
    for n in 0..24 {
        life.partition(n % 2).put(&batch(2).values(60).tag(u64::from(n)).build());
        if n % 3 == 0 {
            life.store.flush().await.unwrap();
        }
    }
    life.files().await
}

/// Boots from `files`; partition 0 is damaged, partition 1 works, and the files are as they were.
async fn damage_of(files: &Files, clean: bool) -> Damage {
    let life = Life::on(files.boot(1), small(600));
    life.try_open(2, writable(1), clean).unwrap();
    let (log, neighbour) = (life.partition(0), life.partition(1));
    let damage = log.damage().expect("damage");
    assert_eq!((damage.topic, damage.partition.0), (TOPIC, 0));
    assert!(matches!(log.append(&batch(1).build(), None, life.now()), Err(AppendError::Damaged(_))));
    log.set_role(mirror());
    let mirrored = log.append_mirrored(&batch(1).at(90).epoch(0).build(), None, life.now());
    assert!(matches!(mirrored, Err(MirrorError::Append(AppendError::Damaged(_)))));
    let mut from = log.five()[0];
    while from < log.end() {
        from = log.try_read(from, 1, Bound::LogEnd).await.expect("what stands before is read").1;
    }
    assert!(matches!(log.read(offset(log.end()), 1, Bound::LogEnd).await, Err(ReadError::Damaged(_))));
    assert!(log.offsets().ordered(true), "{:?}", log.offsets());
    let end = neighbour.put(&batch(1).build()).end;
    neighbour.acknowledged(end).await.unwrap();
    life.store.flush().await.unwrap();
    assert_eq!(neighbour.all(Bound::HighWatermark).await.len(), 13);
    assert!(Files::of(&life.site.disk).within(0) == files.within(0), "a file was changed");
    damage
}

#[test]
fn any_flipped_bit_is_found_by_a_clean_start_and_named() {
    run(1, async {
        let files = two(1).await;
        let mut chance = Chance::new(1);
        for path in files.segments(0) {
            let len = files.get(&path).len() as u64;
            let drawn: Vec<_> = (0..60).map(|_| chance.within(4_096..len)).collect();
            for byte in (0..4_096).step_by(97).chain(drawn) {
                if is_unchecked(files.get(&path), byte as usize) {
                    continue;
                }
                let mut damaged = files.clone();
                damaged.get_mut(&path)[byte as usize] ^= 1 << chance.below(8);
                let damage = damage_of(&damaged, true).await;
                assert_eq!(damage.file, name(&path), "byte {byte}");
                assert!(damage.position <= byte && (byte < 4_096 || damage.position >= 4_096), "{damage}");
            }
        }
    });
}

/// Whether `byte` is of a batch's base offset or leader epoch, which its checksum leaves out.
fn is_unchecked(bytes: &[u8], byte: usize) -> bool {
    let mut at = 4_096;
    while at < bytes.len() {
        let size = 12 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        if (at..at + 8).contains(&byte) || (at + 12..at + 16).contains(&byte) {
            return true;
        }
        at += size;
    }
    false
}

#[test]
fn a_segment_in_the_middle_is_checked_by_an_unclean_start_as_well() {
    run(2, async {
        let files = two(2).await;
        let segments = files.segments(0);
        assert!(segments.len() > 3);
        for path in &segments[..segments.len() - 2] {
            for byte in [0, 20, 5_000.min(files.get(path).len() - 1), 4_096 + 30] {
                let mut damaged = files.clone();
                damaged.get_mut(path)[byte] ^= 4;
                let damage = damage_of(&damaged, false).await;
                assert_eq!(damage.file, name(path), "byte {byte}");
            }
            let mut shorter = files.clone();
            let len = shorter.get(path).len();
            shorter.get_mut(path).truncate(len - 10);
            assert_eq!(damage_of(&shorter, false).await.file, name(path));
        }
    });
}

#[test]
fn a_segment_that_is_missing_before_others_is_damage() {
    run(3, async {
        let files = two(3).await;
        let segments = files.segments(0);
        for clean in [true, false] {
            for (i, gone) in segments[..segments.len() - 2].iter().enumerate() {
                let mut damaged = files.clone();
                damaged.0.remove(gone);
                let damage = damage_of(&damaged, clean).await;
                assert_eq!(damage.file, name(&segments[i + 1]), "{damage}");
            }
        }
    });
}

/// As after a restore of one file from yesterday's copy: whole batches, too few of them.
#[test]
fn an_older_copy_of_a_segment_that_is_followed_by_others_is_damage() {
    run(4, async {
        let files = two(4).await;
        let segments = files.segments(0);
        for clean in [true, false] {
            for path in &segments[..segments.len() - 2] {
                let mut damaged = files.clone();
                let bytes = damaged.get_mut(path);
                let first = 12 + u32::from_be_bytes(bytes[4_104..4_108].try_into().unwrap()) as usize;
                assert!(bytes.len() > 4_096 + first);
                bytes.truncate(4_096 + first);
                damage_of(&damaged, clean).await;
            }
        }
    });
}

#[test]
fn a_mirrors_missing_segment_is_not_taken_for_a_hole() {
    run(5, async {
        let (life, log) = Life::mirroring(5, small(200));
        for n in 0..8 {
            let sent = batch(2).at(n * 10).epoch(0).values(60).build();
            log.append_mirrored(&sent, None, life.now()).unwrap();
            life.store.flush().await.unwrap();
        }
        let files = life.files().await;
        let segments = files.segments(0);
        assert!(segments.len() > 3);
        for clean in [true, false] {
            for gone in 0..segments.len() - 1 {
                let mut damaged = files.clone();
                damaged.0.remove(&segments[gone]);
                let life = Life::on(damaged.boot(1), small(200));
                let log = life.open(mirror(), clean);
                let damage = log.damage().expect("damage");
                assert_eq!(damage.file, name(&segments[gone + 1]), "{damage}");
            }
        }
    });
}

#[test]
fn another_partitions_file_in_the_place_of_ones_own_is_refused() {
    run(6, async {
        let files = two(6).await;
        let (own, other) = (files.segments(0), files.segments(1));
        for clean in [true, false] {
            for (to, from) in
                [(&own[0], &other[0]), (own.last().unwrap(), other.last().unwrap()), (&own[1], &own[2])]
            {
                let mut swapped = files.clone();
                *swapped.get_mut(to) = files.get(from).to_vec();
                let damage = damage_of(&swapped, clean).await;
                assert_eq!((damage.file.clone(), damage.position), (name(to), 0), "{damage}");
                assert!(damage.what.contains("it belongs to"), "{damage}");
            }
        }
    });
}

#[test]
fn another_clusters_file_is_refused() {
    run(7, async {
        let site = carrick_sim::SimSite::new(7);
        let other = carrick_types::ClusterId::from_bytes([9; 16]);
        let store = carrick_log::LogStore::open(
            site.sys(),
            Path::new(carrick_sim::DATA),
            other,
            FSYNC,
            std::sync::Arc::new(carrick_log::MemoryCheckpoints::default()),
        )
        .unwrap();
        store.open_topic(TOPIC, 1, writable(0), true, carrick_log::TopicLog::FOR_EVER).unwrap();
        store.partition(TOPIC, carrick_types::Partition(0)).unwrap().put(&batch(1).build());
        store.flush().await.unwrap();
        let life = Life::on(Files::of(&site.disk).boot(1), FSYNC);
        let damage = life.open(writable(0), false).damage().unwrap();
        assert!(damage.what.contains(&other.to_string()), "{damage}");
    });
}

#[test]
fn a_file_that_is_not_a_segment_is_not_looked_at() {
    run(8, async {
        let mut files = two(8).await;
        for stray in ["note.txt", "1.seg", "x.seg", "00000000000000000000.cut", "99999999999999999999.seg"] {
            let path: PathBuf = dir_of(0).join(stray);
            files.0.insert(path, b"stray".to_vec());
        }
        let life = Life::on(files.boot(1), small(600));
        life.try_open(2, writable(0), true).unwrap();
        assert_eq!((life.partition(0).damage(), life.partition(0).end()), (None, 24));
    });
}

#[test]
fn a_read_of_bytes_that_changed_since_the_start_says_where() {
    run(9, async {
        let (life, log) = Life::writing(9, FSYNC);
        for n in 0..5 {
            log.put(&batch(1).tag(n).build());
        }
        life.store.flush().await.unwrap();
        let path = dir_of(0).join(format!("{:020}.seg", 0));
        // The magic byte of the first batch.
        life.site.disk.flip_bit(&path, 4_096 + 16, 3).unwrap();
        let read = log.read(offset(0), 1 << 20, Bound::HighWatermark).await;
        assert!(matches!(&read, Err(ReadError::Damaged(it)) if it.position == 4_096), "{read:?}");
        assert!(log.read(offset(3), 1 << 20, Bound::HighWatermark).await.is_ok());
    });
}
