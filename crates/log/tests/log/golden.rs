//! A partition's directory of layout 1 and its checkpoint, made once by the code that brought them: they are read for ever.
//! `golden/layout-1/README.md` says what is in them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use carrick_log::{Aborted, Bound, Change, Checkpoints as _, MemoryCheckpoints, Partition, Role};
use carrick_record::Batch;
use carrick_sim::run;
use carrick_types::{LeaderEpoch, Partition as Index, ProducerId, Timestamp};

use crate::batches::{batch, marker, of_clients, standing};
use crate::home::pieces;
use crate::known::known;
use crate::life::{Files, Life, Look as _, TOPIC, dir_of, offset, small, writable};

/// The first epoch after its promotion.
const PROMOTED: i32 = 1 << 16;

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/layout-1"))
}

/// Every batch as it stands: a mirror's, with holes, then, promoted, a writable partition's.
fn history() -> Vec<Batch> {
    let mut all = Vec::new();
    let mut at = 12;
    let mut put = |batch: Batch, hole: i64, epoch: i32| {
        let mut bytes = standing(&batch, at + hole, epoch);
        at += hole + i64::from(batch.header.last_offset_delta) + 1;
        all.push(Batch::split_from(&mut bytes).unwrap());
    };
    for n in 0..12 {
        let data =
            batch(1 + n as usize % 3).tag(n).values(100).times(vec![1_000 + n as i64; 1 + n as usize % 3]);
        put(data.build(), [0, 0, 7][n as usize % 3], n as i32 / 5);
    }
    // An idempotent producer, and transactions: committed, aborted, open until the promotion.
    for n in 0..4 {
        put(batch(2).tag(20 + n).producer(7, 1, n as i32 * 2).build(), 0, 2);
        put(batch(2).tag(30 + n).producer(8, 0, n as i32 * 2).transactional().build(), 0, 2);
        put(marker(8, 0, n % 2 == 0, 0), 3, 2);
    }
    put(batch(1).tag(40).producer(9, 4, 0).transactional().build(), 0, 3);
    put(marker(9, 4, false, 0), 0, PROMOTED);
    let clients = of_clients(5_000).into_iter().map(|it| it.0).filter(|it| it.header.count == 12);
    for (n, batch) in clients.enumerate() {
        put(batch, 0, PROMOTED + n as i32 / 12);
    }
    put(batch(3).tag(50).producer(7, 1, 8).build(), 0, PROMOTED + 1);
    put(batch(1).tag(51).producer(10, 0, 0).transactional().build(), 0, PROMOTED + 1);
    all
}

/// Appends the history, and deletes records to within its second batch.
async fn written() -> (Life, Arc<Partition>) {
    let (life, log) = Life::mirroring(1, small(3_000));
    log.start_at(offset(5));
    for it in history() {
        let epoch = LeaderEpoch::new(it.header.leader_epoch).unwrap();
        if epoch.get() < PROMOTED {
            let end = log.append_mirrored(&it, None, life.now()).unwrap();
            log.set_source_high(end);
        } else if it.header.is_control() {
            log.set_role(Role::Closed);
            log.append_marker(&it, epoch, life.now()).unwrap();
        } else {
            log.set_role(writable(epoch.get()));
            assert_eq!(log.put(&it).base, it.header.base_offset);
        }
        // Each page says what was durable: all.
        life.store.flush().await.unwrap();
    }
    log.delete_records(Some(offset(14))).await.unwrap();
    life.store.close().await.unwrap();
    (life, log)
}

/// The files by their names, and the pieces as `piece-<number>`.
fn left(life: &Life) -> BTreeMap<String, Vec<u8>> {
    let files = Files::of(&life.site.disk);
    let files = files.within(0).into_iter().map(|(path, bytes)| (crate::life::name(path), bytes.to_vec()));
    let saved = pieces(&life.checkpoints, 0).into_iter();
    files.chain(saved.map(|(piece, value)| (format!("piece-{piece:020}"), value.to_vec()))).collect()
}

fn stored() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none_or(|it| it != "md"));
    files.map(|path| (crate::life::name(&path), std::fs::read(&path).unwrap())).collect()
}

/// A life over the stored files, with or without the pieces.
fn open(checkpoint: bool, clean: bool) -> (Life, Arc<Partition>) {
    let (saved, files): (Vec<_>, Vec<_>) = stored().into_iter().partition(|it| it.0.starts_with("piece-"));
    let files = Files(files.into_iter().map(|(name, bytes)| (dir_of(0).join(name), bytes)).collect());
    let home = MemoryCheckpoints::default();
    let changes = saved.into_iter().map(|(name, value)| Change {
        topic: TOPIC,
        partition: Index(0),
        piece: name["piece-".len()..].parse().unwrap(),
        value: Some(value.into()),
    });
    home.save(if checkpoint { changes.collect() } else { Vec::new() }).unwrap();
    let life = Life::over(&files, small(3_000), &home);
    let log = life.open(writable(PROMOTED + 1), clean);
    (life, log)
}

#[test]
fn a_directory_of_layout_1_is_read_for_ever() {
    for (checkpoint, clean) in [(true, true), (true, false), (false, true), (false, false)] {
        run(1, async {
            let (life, log) = open(checkpoint, clean);
            life.store.flush().await.unwrap();
            let found = known(&log).await;
            let all = history();
            let end = all.last().unwrap().header.next_offset().get();
            // Without its checkpoint nobody knows that records were deleted.
            let start = if checkpoint { 14 } else { 5 };
            let from = usize::from(checkpoint);
            assert_eq!(found.batches, all[from..]);
            assert_eq!(log.five(), [start, end - 1, end, end, end]);
            for it in &all[from..] {
                for at in it.header.base_offset.get()..it.header.next_offset().get() {
                    let read = log.read(offset(at.max(start)), 1, Bound::HighWatermark).await.unwrap();
                    assert_eq!((read.bytes, read.next), (it.bytes.clone(), it.header.next_offset()));
                }
            }
            let aborted = |id, first, last| Aborted {
                producer_id: ProducerId::new(id).unwrap(),
                first: offset(first),
                last: offset(last),
            };
            assert_eq!(found.aborted, [aborted(8, 74, 79), aborted(8, 90, 95), aborted(9, 96, 97)]);
            assert_eq!(found.open, [(ProducerId::new(10).unwrap(), offset(end - 1))]);
            assert_eq!(log.max_time(), Some(Timestamp(5_919)));
            // Known again, and what comes next.
            let again = batch(3).tag(50).producer(7, 1, 8).build();
            assert!(log.put(&again).duplicate);
            assert_eq!(log.put(&batch(1).producer(7, 1, 11).build()).base, offset(end));
            life.store.close().await.unwrap();
            assert_eq!((log.damage(), log.wounds()), (None, vec![]));
        });
    }
}

/// As long as there is no layout 2. With `CARRICK_GOLDEN` the files are written to the directory of that name. What a segment
/// or a checkpoint holds may change and be of layout 1 still: then this test goes, and the files and the other test stay.
#[test]
fn what_is_written_today_is_layout_1() {
    run(1, async {
        let (life, _log) = written().await;
        let left = left(&life);
        if let Some(dir) = std::env::var_os("CARRICK_GOLDEN").map(PathBuf::from) {
            std::fs::create_dir_all(&dir).unwrap();
            left.iter().for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes).unwrap());
        }
        let stored = stored();
        assert_eq!(left.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
        for (name, bytes) in &left {
            let differ = bytes.iter().zip(&stored[name]).position(|(one, other)| one != other);
            assert_eq!((differ, bytes.len()), (None, stored[name].len()), "{name}");
        }
        assert!(stored.values().map(Vec::len).sum::<usize>() < 64 << 10);
    });
}
