//! Files in the place of another's, with the checkpoint of that place: refused by name, and nothing of them is removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carrick_log::{Bound, DamageKind, ReadError, TopicLog};
use carrick_sim::run;
use carrick_sys::Clock as _;
use carrick_types::TopicId;

use crate::batches::batch;
use crate::life::{Files, Life, Look as _, TOPIC, dir_of, name, offset, small, writable};
use crate::stale::{Day, day, opened, two_days, with_directory};

const OTHER: TopicId = TopicId::from_bytes([7; 16]);

#[test]
fn swapped_segments_of_one_partition_are_refused() {
    run(1, async {
        let (_, today) = two_days().await;
        let segments = today.files.segments(0);
        for (one, other) in [(0, 1), (1, 3), (2, 4)] {
            let mut files = today.files.clone();
            swap(&mut files, &segments[one], &segments[other]);
            let life = Life::over(&files, small(600), &today.saved);
            life.try_open(2, writable(0), true).unwrap();
            let log = life.partition(0);
            for it in &today.batches {
                match log.read(it.header.base_offset, 1, Bound::LogEnd).await {
                    Ok(slice) => assert_eq!(slice.bytes, it.bytes),
                    Err(ReadError::Damaged(damage)) => assert_eq!(damage.kind, DamageKind::Foreign),
                    Err(e) => panic!("{e}"),
                }
            }
            let wounded: Vec<_> = log.wounds().into_iter().map(|it| it.file).collect();
            assert_eq!(wounded, [name(&segments[one]), name(&segments[other])]);
        }
        // The one that is written to and one that is not.
        let mut files = today.files.clone();
        swap(&mut files, segments.last().unwrap(), &segments[1]);
        opened(&files, &today, true, async |life, log| {
            // Its own file is refused already: what stands before is read as far as it is whole.
            let damage = log.damage().expect("damage");
            assert_eq!((damage.kind, &damage.file), (DamageKind::Foreign, &name(segments.last().unwrap())));
            assert!(log.append(&batch(1).build(), None, life.now()).is_err());
            assert_eq!(log.read(offset(0), 1, Bound::LogEnd).await.unwrap().bytes, today.batches[0].bytes);
        })
        .await;
    });
}

fn swap(files: &mut Files, one: &Path, other: &Path) {
    let was = files.get(one).to_vec();
    *files.get_mut(one) = files.get(other).to_vec();
    *files.get_mut(other) = was;
}

/// Batches of one size: segments of all partitions and topics begin at the same offsets. Records of partition 0 below
/// `start` were deleted, and its segments with them.
async fn alike(topic: TopicId, start: Option<i64>) -> Day {
    let life = Life::first(1, small(600));
    life.store.open_topic(topic, 2, writable(0), true, TopicLog::FOR_EVER).unwrap();
    go_on(&life, topic, start).await;
    let mut day = day(&life).await;
    // Under the name of the tests' topic.
    let parent = dir_of(0).parent().unwrap().to_path_buf();
    let renamed = |path: PathBuf| {
        let end: PathBuf = path.iter().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect();
        parent.join(end)
    };
    day.files = Files(day.files.0.into_iter().map(|(path, bytes)| (renamed(path), bytes)).collect());
    day
}

async fn go_on(life: &Life, topic: TopicId, start: Option<i64>) {
    let logs = life.store.topic(topic);
    for n in 0..40 {
        logs[n % 2].put(&batch(2).values(60).tag(n as u64).build());
    }
    life.store.flush().await.unwrap();
    if let Some(start) = start {
        logs[0].delete_records(Some(offset(start))).await.unwrap();
        life.site.clock.sleep(Duration::from_secs(301)).await;
    }
}

#[test]
fn swapped_partitions_and_topics_are_refused_and_nothing_of_them_is_removed() {
    run(1, async {
        for start in [None, Some(17), Some(40)] {
            let today = alike(TOPIC, start).await;
            for (clean, topic) in [(true, TOPIC), (false, TOPIC), (true, OTHER), (false, OTHER)] {
                let other = if topic == TOPIC { None } else { Some(alike(topic, None).await) };
                let (other, partition) = other.as_ref().map_or((&today, 1), |it| (it, 0));
                let files = with_directory(&today.files, &other.files, partition);
                opened(&files, &today, clean, async |life, log| {
                    let damage = log.damage().expect("damage");
                    assert_eq!(damage.kind, DamageKind::Foreign, "{damage}");
                    assert!(log.append(&batch(1).build(), None, life.now()).is_err());
                })
                .await;
            }
        }
    });
}

/// Yesterday's directory has segments that were removed since.
#[test]
fn an_older_copy_with_what_was_removed_since_is_refused_and_kept() {
    run(1, async {
        let yesterday = alike(TOPIC, None).await;
        for start in [17, 30, 40] {
            let today = {
                let life = Life::over(&yesterday.files, small(600), &yesterday.saved);
                life.try_open(2, writable(0), true).unwrap();
                go_on(&life, TOPIC, Some(start)).await;
                day(&life).await
            };
            let files = with_directory(&today.files, &yesterday.files, 0);
            opened(&files, &today, true, async |_, log| {
                let damage = log.damage().expect("damage");
                assert!(matches!(damage.kind, DamageKind::Stale | DamageKind::Missing), "{damage}");
            })
            .await;
        }
    });
}
