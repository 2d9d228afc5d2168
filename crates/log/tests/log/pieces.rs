//! What is saved of a partition, lost, damaged, exchanged or refused by its home: it costs a reading of all, or the partition
//! says what it misses; nothing that was acknowledged is lost, nothing that was taken away comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_log::{Bound, Damage, DamageKind, MemoryCheckpoints, StartError, TopicLog};
use carrick_sim::{Cut, SimSite, run};
use carrick_sys::Clock as _;

use crate::batches::{batch, marker};
use crate::home::{Home, altered, flipped, pieces};
use crate::known::{Known, known};
use crate::life::{FSYNC, Files, Life, Look as _, OS, offset, small, writable};

/// Two partitions of several segments, with producers and transactions.
async fn two() -> (Files, MemoryCheckpoints, Known) {
    let life = Life::first(1, small(600));
    life.try_open(2, writable(0), true).unwrap();
    for n in 0..16 {
        let log = life.partition(n % 2);
        log.put(&batch(2).values(60).tag(u64::from(n)).producer(7, 0, n as i32).transactional().build());
        if n % 5 > 2 {
            log.put(&marker(7, 0, n % 5 == 3, 0));
        }
    }
    let (files, saved) = life.close().await;
    assert!(files.segments(0).len() > 3 && pieces(&saved, 0).len() == files.segments(0).len());
    (files, saved, known(&life.partition(0)).await)
}

/// Starts over the files with these checkpoints.
async fn open(files: &Files, saved: &MemoryCheckpoints, clean: bool) -> Life {
    let life = Life::over(files, small(600), saved);
    life.try_open(2, writable(0), clean).unwrap();
    life.store.flush().await.unwrap();
    assert_eq!(life.partition(1).damage(), None);
    life
}

#[test]
fn any_piece_that_is_lost_or_damaged_costs_a_reading_of_all() {
    run(1, async {
        let (files, saved, stood) = two().await;
        for (piece, value) in pieces(&saved, 0) {
            let mut bad: Vec<Option<Bytes>> = vec![None, Some(Bytes::new())];
            // Its first byte may make a newer version of it.
            bad.extend((1..value.len()).map(|at| Some(flipped(&value, at))));
            bad.extend((0..value.len()).step_by(7).map(|len| Some(value.slice(..len))));
            for bad in bad {
                let home =
                    altered(&saved, 0, |of, value| if of == piece { bad.clone() } else { Some(value) });
                let life = open(&files, &home, piece % 2 == 0).await;
                assert_eq!(known(&life.partition(0)).await.differs(&stood), None, "piece {piece} {bad:?}");
                // What is saved next is whole.
                let (files, saved) = life.close().await;
                let life = open(&files, &saved, true).await;
                assert_eq!(known(&life.partition(0)).await.differs(&stood), None, "piece {piece} {bad:?}");
                assert_eq!(pieces(&life.checkpoints, 0), pieces(&saved, 0));
            }
        }
    });
}

#[test]
fn all_pieces_of_another_partition_cost_a_reading_of_all() {
    run(1, async {
        let (files, saved, stood) = two().await;
        let other = pieces(&saved, 1);
        let home =
            altered(&saved, 0, |piece, _| other.iter().find(|it| it.0 == piece).map(|it| it.1.clone()));
        let life = open(&files, &home, true).await;
        assert_eq!(known(&life.partition(0)).await.differs(&stood), None);
    });
}

#[test]
fn a_piece_of_a_newer_version_is_refused_by_name() {
    run(1, async {
        let (files, saved, _) = two().await;
        for (piece, _) in pieces(&saved, 0) {
            let home = altered(&saved, 0, |of, value| {
                let mut bytes = value.to_vec();
                bytes[0] += u8::from(of == piece);
                Some(bytes.into())
            });
            let life = open(&files, &home, true).await;
            let damage = life.partition(0).damage().expect("damage");
            assert_eq!((damage.kind, damage.file.as_str()), (DamageKind::Foreign, "its checkpoint"));
            assert!(damage.what.contains("start a newer carrickd"), "{damage}");
            life.partition(1).put(&batch(1).build());
            let (left, kept) = life.close().await;
            assert!(left.within(0) == files.within(0) && pieces(&kept, 0) == pieces(&home, 0));
        }
    });
}

/// Without its checkpoint a log that retention emptied is as one that was never written to: it must not begin again at 0.
#[test]
fn a_log_of_which_only_a_damaged_checkpoint_is_left_is_refused() {
    run(1, async {
        let (files, saved) = emptied().await;
        assert_eq!(files.segments(0).len(), 0);
        for at in 1..pieces(&saved, 0)[0].1.len() {
            let home = altered(&saved, 0, |_, value| Some(flipped(&value, at)));
            let damage = open(&files, &home, true).await.partition(0).damage().expect("damage");
            assert_eq!((damage.kind, damage.file.as_str()), (DamageKind::Corrupt, "its checkpoint"));
        }
    });
}

/// A partition of which all went by its age.
async fn emptied() -> (Files, MemoryCheckpoints) {
    let life = Life::first(1, small(600));
    let hour = TopicLog { retention_ms: Some(3_600_000), ..TopicLog::FOR_EVER };
    life.store.open_topic(crate::life::TOPIC, 1, writable(0), true, hour).unwrap();
    for n in 0..8 {
        life.partition(0).put(&batch(2).values(60).tag(n).build());
    }
    life.store.flush().await.unwrap();
    life.site.clock.sleep(Duration::from_secs(400)).await;
    life.close().await
}

/// What was removed or deleted stays so, whatever piece is damaged; or the partition says what it misses.
#[test]
fn a_damaged_piece_brings_back_nothing_that_was_taken_away() {
    run(1, async {
        let (files, saved, _) = two().await;
        let life = open(&files, &saved, true).await;
        let log = life.partition(0);
        let start = offset(log.end() - 12);
        assert_eq!(log.delete_records(Some(start)).await.unwrap(), start);
        life.site.clock.sleep(Duration::from_secs(400)).await;
        let (files, saved) = life.close().await;
        let stood = known(&log).await;
        assert!(files.segments(0).len() > 2 && pieces(&saved, 0).len() > 2);
        for (piece, value) in pieces(&saved, 0) {
            for at in 1..value.len() {
                let home = altered(&saved, 0, |of, value| {
                    Some(if of == piece { flipped(&value, at) } else { value })
                });
                let life = open(&files, &home, true).await;
                match life.partition(0).damage() {
                    Some(Damage { kind: DamageKind::Missing, .. }) if piece == 0 => {}
                    damage => {
                        assert_eq!(damage, None, "piece {piece} byte {at}");
                        let mut found = known(&life.partition(0)).await;
                        // A sum is compared with another of the same life.
                        found.digest = stood.digest;
                        assert_eq!(found.differs(&stood), None, "piece {piece} byte {at}");
                    }
                }
                let (left, segments) = (life.left().0, files.segments(0));
                assert!(left.segments(0) == segments);
                assert!(segments.iter().all(|path| left.get(path) == files.get(path)));
            }
        }
    });
}

#[test]
fn a_home_that_takes_nothing_loses_nothing_that_was_acknowledged() {
    for settings in [small(600), OS] {
        for cut in [Cut::Kill, Cut::Power] {
            run(1, async {
                let home: Arc<Home> = Arc::default();
                let life = home.life(SimSite::new(1), settings);
                let log = life.open(writable(0), true);
                for n in 0..12 {
                    home.refuse(n > 4);
                    let end = log.put(&batch(2).values(60).tag(n).build()).end;
                    log.durable(end).await.unwrap();
                    if n % 4 == 0 {
                        life.site.clock.sleep(Duration::from_secs(6)).await;
                    }
                }
                assert!(pieces(&home.kept, 0).len() < 6);
                let stands = log.all(Bound::HighWatermark).await;
                let life = life.reboot(cut).await;
                let log = life.open(writable(0), false);
                assert_eq!((log.damage(), log.all(Bound::LogEnd).await), (None, stands));
            });
        }
    }
}

#[test]
fn while_the_home_takes_nothing_records_are_not_deleted_and_retention_waits() {
    run(1, async {
        let home: Arc<Home> = Arc::default();
        let life = home.life(SimSite::new(1), small(600));
        let few = TopicLog { retention_bytes: Some(1_000), ..TopicLog::FOR_EVER };
        life.store.open_topic(crate::life::TOPIC, 1, writable(0), true, few).unwrap();
        let log = life.partition(0);
        home.refuse(true);
        for n in 0..20 {
            log.put(&batch(2).values(60).tag(n).build());
        }
        life.store.flush().await.unwrap();
        let refused = log.delete_records(Some(offset(3))).await;
        assert!(matches!(refused, Err(StartError::NotSaved)), "{refused:?}");
        let files = Files::of(&life.site.disk).segments(0);
        for _ in 0..3 {
            life.site.clock.sleep(Duration::from_secs(300)).await;
            assert_eq!(Files::of(&life.site.disk).segments(0), files);
        }
        home.refuse(false);
        home.stay_volatile(true);
        life.site.clock.sleep(Duration::from_secs(600)).await;
        assert_eq!(Files::of(&life.site.disk).segments(0), files, "the start may not survive a power cut");
        home.stay_volatile(false);
        life.site.clock.sleep(Duration::from_secs(300)).await;
        assert!(Files::of(&life.site.disk).segments(0).len() < files.len() - 2);
        assert_eq!(log.delete_records(Some(offset(39))).await.unwrap(), offset(39));
        assert_eq!(log.all(Bound::LogEnd).await.len(), 1);
    });
}

#[test]
fn an_end_saves_what_an_earlier_save_did_not() {
    run(1, async {
        let home: Arc<Home> = Arc::default();
        let life = home.life(SimSite::new(1), FSYNC);
        let log = life.open(writable(0), true);
        home.refuse(true);
        log.put(&batch(1).build());
        life.site.clock.sleep(Duration::from_secs(20)).await;
        assert_eq!(pieces(&home.kept, 0), []);
        home.refuse(false);
        life.store.close().await.unwrap();
        assert_eq!(pieces(&home.kept, 0).len(), 1);
        home.refuse(true);
        log.put(&batch(1).build());
        life.store.close().await.unwrap();
    });
}
