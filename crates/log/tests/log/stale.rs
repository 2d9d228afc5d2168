//! Files that are older than what the node knows of them, missing, or another's, while the checkpoint is the newest: the
//! partition names the file, deletes nothing, and its neighbours work. Segments that are not written to any more are looked
//! at when somebody reads them.

use std::path::Path;

use carrick_log::{AppendError, Bound, Damage, DamageKind, MemoryCheckpoints, Partition, ReadError};
use carrick_record::Batch;
use carrick_sim::run;

use crate::batches::{batch, standing};
use crate::life::{Files, Life, Look as _, TOPIC, dir_of, mirror, name, offset, small, writable};

/// Two partitions of several segments each, on one of two days.
pub struct Day {
    pub files: Files,
    pub saved: MemoryCheckpoints,
    pub batches: Vec<Batch>,
}

/// Yesterday and today of one site.
pub async fn two_days() -> (Day, Day) {
    let life = Life::first(1, small(600));
    life.try_open(2, writable(0), true).unwrap();
    let put = |from: u64, to: u64| {
        for n in from..to {
            life.partition((n % 2) as u32).put(&batch(2).values(50 + n as usize % 20).tag(n).build());
        }
    };
    put(0, 17);
    let yesterday = day(&life).await;
    put(17, 41);
    (yesterday, day(&life).await)
}

pub async fn day(life: &Life) -> Day {
    let (files, saved) = life.close().await;
    let log = life.store.partition(TOPIC, carrick_types::Partition(0));
    let batches = match log {
        Some(log) => log.all(Bound::LogEnd).await,
        None => Vec::new(),
    };
    Day { files, saved, batches }
}

/// Opens `files` with today's checkpoints; whatever became of partition 0, its neighbour works and no file was changed.
pub async fn opened(files: &Files, today: &Day, clean: bool, look: impl AsyncFnOnce(&Life, &Partition)) {
    let life = Life::over(files, small(600), &today.saved);
    life.try_open(2, writable(0), clean).unwrap();
    let (log, neighbour) = (life.partition(0), life.partition(1));
    look(&life, &log).await;
    let end = neighbour.put(&batch(1).build()).end;
    neighbour.acknowledged(end).await.unwrap();
    life.store.close().await.unwrap();
    assert_eq!((neighbour.damage(), neighbour.wounds()), (None, vec![]));
    let left = Files::of(&life.site.disk);
    let gone = files.within(0).into_iter().filter(|it| left.within(0).get(it.0) != Some(&it.1));
    // A sidecar is made again at its place, and the log may go on; all else stays as it was found.
    let written = log.damage().is_none().then(|| files.segments(0).pop().unwrap());
    let kept =
        |path: &Path| written.as_deref() != Some(path) && path.extension().is_some_and(|it| it != "idx");
    let gone: Vec<_> = gone.filter(|it| kept(it.0)).collect();
    assert!(gone.is_empty(), "changed: {:?}", gone.iter().map(|it| it.0).collect::<Vec<_>>());
}

/// The partition is offline. What stands before the damage is read.
pub async fn offline(life: &Life, log: &Partition, batches: &[Batch]) -> Damage {
    let damage = log.damage().expect("damage");
    assert!(matches!(log.append(&batch(1).build(), None, life.now()), Err(AppendError::Damaged(_))));
    assert!(log.offsets().ordered(true), "{:?}", log.offsets());
    let stands = before_damage(log).await;
    assert_eq!(stands, batches[..stands.len()]);
    let at = log.end();
    let refused = log.read(offset(at), 1, Bound::LogEnd).await;
    assert!(matches!(&refused, Err(ReadError::Damaged(it)) if *it == damage), "{refused:?}");
    damage
}

/// The partition works; the segment of `path` alone is refused.
async fn wounded(life: &Life, log: &Partition, batches: &[Batch], path: &Path) -> Damage {
    assert_eq!(log.damage(), None);
    let mut found = None;
    for it in batches {
        let base = it.header.base_offset;
        match log.read(base, 1, Bound::LogEnd).await {
            Ok(slice) => assert_eq!(slice.bytes, it.bytes),
            Err(ReadError::Damaged(damage)) => {
                assert_eq!(damage.file, name(path));
                assert!(found.is_none_or(|it| it == damage));
                found = Some(damage);
            }
            Err(e) => panic!("{e}"),
        }
    }
    let end = log.put(&batch(1).build()).end;
    log.acknowledged(end).await.unwrap();
    assert_eq!(life.store.halted(), None);
    let found = found.expect("a damaged segment");
    assert_eq!(log.wounds(), std::slice::from_ref(&found));
    found
}

/// Up to a sealed segment that is refused as well.
async fn before_damage(log: &Partition) -> Vec<Batch> {
    let mut found = Vec::new();
    let mut from = log.five()[0];
    while from < log.end() {
        let (mut bytes, next) = match log.try_read(from, 1, Bound::LogEnd).await {
            Ok(read) => read,
            Err(e) => {
                assert!(matches!(&e, ReadError::Damaged(it) if log.wounds().contains(it)), "{e}");
                break;
            }
        };
        found.push(Batch::split_from(&mut bytes).unwrap());
        from = next;
    }
    found
}

/// `files`, but of partition 0 what other files have of one.
pub fn with_directory(files: &Files, other: &Files, partition: u32) -> Files {
    let kept = files.0.iter().filter(|it| it.0.parent() != Some(&dir_of(0)));
    let kept = kept.map(|(path, bytes)| (path.clone(), bytes.clone()));
    let put = other.within(partition);
    Files(
        kept.chain(put.into_iter().map(|(path, bytes)| (dir_of(0).join(name(path)), bytes.into()))).collect(),
    )
}

#[test]
fn an_older_copy_of_the_whole_directory_is_refused() {
    run(1, async {
        let (yesterday, today) = two_days().await;
        for clean in [true, false] {
            let files = with_directory(&today.files, &yesterday.files, 0);
            let last = yesterday.files.segments(0).len() - 1;
            opened(&files, &today, clean, async |life, log| {
                let damage = offline(life, log, &today.batches).await;
                // What was begun since is missing; the first such segment is named.
                assert_eq!(damage.kind, DamageKind::Missing);
                assert_eq!(damage.file, name(&today.files.segments(0)[last + 1]));
            })
            .await;
        }
    });
}

#[test]
fn an_older_copy_of_the_segment_that_is_written_to_is_refused() {
    run(1, async {
        let (_, today) = two_days().await;
        let path = today.files.segments(0).pop().unwrap();
        let len = today.files.get(&path).len();
        for clean in [true, false] {
            for keep in (4_096..len).step_by(13) {
                let mut files = today.files.clone();
                files.get_mut(&path).truncate(keep);
                opened(&files, &today, clean, async |life, log| {
                    let damage = offline(life, log, &today.batches).await;
                    assert_eq!((damage.kind, damage.file), (DamageKind::Stale, name(&path)));
                    assert_eq!(damage.position, keep as u64);
                    // All segments before it are served.
                    assert!(log.end() > 0);
                })
                .await;
            }
            // As long as it should be, and not what was written last.
            let mut files = today.files.clone();
            let last = today.batches.last().unwrap();
            let other = batch(2).values(50).tag(999).build();
            let other = standing(&other, last.header.base_offset.get(), 0);
            assert_eq!(other.len(), last.bytes.len());
            files.get_mut(&path)[len - other.len()..].copy_from_slice(&other);
            opened(&files, &today, clean, async |life, log| {
                assert_eq!(offline(life, log, &today.batches).await.kind, DamageKind::Stale);
            })
            .await;
        }
    });
}

#[test]
fn an_older_copy_of_a_sealed_segment_is_refused_and_all_others_are_served() {
    run(1, async {
        let (yesterday, today) = two_days().await;
        let path = yesterday.files.segments(0).pop().unwrap();
        assert!(yesterday.files.get(&path).len() < today.files.get(&path).len());
        for clean in [true, false] {
            let mut files = today.files.clone();
            *files.get_mut(&path) = yesterday.files.get(&path).to_vec();
            opened(&files, &today, clean, async |life, log| {
                let damage = wounded(life, log, &today.batches, &path).await;
                assert_eq!(damage.kind, DamageKind::Stale);
                assert_eq!(damage.position, yesterday.files.get(&path).len() as u64);
            })
            .await;
        }
    });
}

#[test]
fn a_missing_segment_is_named_wherever_it_stood() {
    run(1, async {
        let (_, today) = two_days().await;
        let segments = today.files.segments(0);
        assert!(segments.len() > 5);
        for clean in [true, false] {
            for (i, gone) in segments.iter().enumerate() {
                let mut files = today.files.clone();
                files.0.remove(gone);
                opened(&files, &today, clean, async |life, log| {
                    let damage = offline(life, log, &today.batches).await;
                    assert_eq!((damage.kind, &damage.file), (DamageKind::Missing, &name(gone)));
                    let stands = segments.get(i).map_or(0, |path| name(path)[..20].parse().unwrap());
                    assert_eq!(log.end(), stands);
                })
                .await;
            }
            let mut files = today.files.clone();
            files.0.retain(|path, _| path.parent() != Some(&dir_of(0)));
            opened(&files, &today, clean, async |life, log| {
                let damage = offline(life, log, &today.batches).await;
                assert_eq!((damage.kind, &damage.file), (DamageKind::Missing, &name(&segments[0])));
            })
            .await;
        }
    });
}

#[test]
fn a_mirrors_older_copy_or_missing_segment_is_not_taken_for_a_hole() {
    run(1, async {
        let (life, log) = Life::mirroring(1, small(200));
        for n in 0..8 {
            let sent = batch(2).at(n * 10).epoch(0).values(60).build();
            log.append_mirrored(&sent, None, life.now()).unwrap();
        }
        let (files, saved) = life.close().await;
        for clean in [true, false] {
            for gone in files.segments(0) {
                let mut damaged = files.clone();
                damaged.0.remove(&gone);
                let life = Life::over(&damaged, small(200), &saved);
                let damage = life.open(mirror(), clean).damage().expect("damage");
                assert_eq!((damage.kind, damage.file), (DamageKind::Missing, name(&gone)));
            }
        }
    });
}
