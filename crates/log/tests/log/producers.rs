//! A producer's batch is appended once, whatever lives lie between its sendings.

use carrick_log::{AppendError, Appended, Bound, Partition, ProducerRefusal};
use carrick_record::Batch;
use carrick_sim::{Cut, WALL_START, run};
use carrick_types::Timestamp;

use crate::batches::{batch, marker};
use crate::life::{FSYNC, Life, Look as _, mirror, offset, small, writable};

fn refusal(log: &Partition, sent: &Batch) -> ProducerRefusal {
    match log.append(sent, None, WALL_START) {
        Err(AppendError::Producer { refusal, known_end }) => {
            assert_eq!(known_end, log.offsets().log_end.at());
            refusal
        }
        other => panic!("{other:?}"),
    }
}

fn sent(sequence: i32) -> Batch {
    batch(10).producer(7, 0, sequence).build()
}

#[test]
fn a_batch_that_is_sent_again_stands_once_and_its_first_place_is_told() {
    run(1, async {
        let (mut life, mut log) = Life::writing(1, small(1_000));
        for n in 0..9 {
            let appended = log.put(&sent(n * 10));
            assert_eq!((appended.base.get(), appended.duplicate), (i64::from(n) * 20, false));
            log.put(&batch(10).producer(8, 0, n * 10).build());
        }
        for round in 0..3 {
            for n in 0..9 {
                if n < 4 {
                    let refusal = refusal(&log, &sent(n * 10));
                    assert!(matches!(refusal, ProducerRefusal::DuplicateForgotten { .. }), "{refusal:?}");
                } else {
                    let base = i64::from(n) * 20;
                    let Appended { base: at, end, duplicate, .. } = log.put(&sent(n * 10));
                    assert_eq!(
                        (at, end, duplicate),
                        (offset(base), offset(base + 10), true),
                        "round {round}"
                    );
                }
            }
            assert!(matches!(refusal(&log, &sent(91)), ProducerRefusal::OutOfOrder { next: 90, .. }));
            if round == 0 {
                (life, log) = life.restart(writable(0)).await;
            } else if round == 1 {
                life.store.flush().await.unwrap();
                life = life.reboot(Cut::Power).await;
                log = life.open(writable(1), false);
            }
        }
        assert_eq!(log.end(), 180);
        assert_eq!(log.put(&sent(90)).base, offset(180));
    });
}

#[test]
fn an_older_epoch_is_refused_and_a_newer_one_begins_at_zero_after_a_restart_too() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(1).producer(7, 3, 0).build());
        let (_life, log) = life.restart(writable(0)).await;
        let old = refusal(&log, &batch(1).producer(7, 2, 1).build());
        assert!(matches!(old, ProducerRefusal::Epoch { found: 2, newest: 3, .. }));
        let high = refusal(&log, &batch(1).producer(7, 4, 1).build());
        assert!(matches!(high, ProducerRefusal::OutOfOrder { next: 0, .. }));
        log.put(&batch(1).producer(7, 4, 0).build());
    });
}

#[test]
fn a_producer_that_follows_a_failover_is_still_deduplicated() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        for n in 0..3 {
            let mirrored = batch(10).producer(7, 0, n * 10).at(i64::from(n) * 10).epoch(0).build();
            log.append_mirrored(&mirrored, None, life.now()).unwrap();
        }
        for restart in [false, true] {
            let log = if restart { life.partition(0) } else { log.clone() };
            log.set_role(writable(1 << 16));
            assert!(log.put(&sent(20)).duplicate);
            assert!(log.put(&sent(0)).duplicate);
            log.set_role(mirror());
        }
        let (_life, log) = life.restart(writable(1 << 16)).await;
        assert!(log.put(&sent(20)).duplicate && log.put(&sent(10)).duplicate);
        assert_eq!(log.put(&sent(30)).base, offset(30));
    });
}

#[test]
fn sequences_that_wrap_are_known_after_a_restart() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        log.put(&batch(10).producer(7, 0, i32::MAX - 4).build());
        log.put(&batch(10).producer(7, 0, 5).build());
        let (_life, log) = life.restart(writable(0)).await;
        assert!(log.put(&batch(10).producer(7, 0, i32::MAX - 4).build()).duplicate);
        assert_eq!(log.put(&batch(10).producer(7, 0, 15).build()).base, offset(20));
    });
}

#[test]
fn a_batch_that_is_sent_again_is_told_the_time_it_was_given_first() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        let put = |log: &Partition, time| log.append(&sent(0), Some(Timestamp(time)), WALL_START).unwrap();
        assert_eq!(put(&log, 70).max_time, Timestamp(70));
        assert_eq!((put(&log, 80).max_time, put(&log, 90).duplicate), (Timestamp(70), true));
        let (_life, log) = life.restart(writable(0)).await;
        assert_eq!((put(&log, 99).max_time, put(&log, 99).duplicate), (Timestamp(70), true));
    });
}

/// A backfill stamps its records with the times of the events, which may lie years back; a start must not take it for a
/// producer that has been idle so long.
#[test]
fn a_producer_of_old_times_is_known_after_a_crash() {
    run(1, async {
        let (life, log) = Life::writing(1, FSYNC);
        let backfill = batch(2).times([5_000, 6_000]).producer(7, 0, 0).build();
        let live = batch(1).times([WALL_START.0]).producer(8, 0, 0).build();
        log.put(&backfill);
        log.put(&live);
        life.store.flush().await.unwrap();
        assert!(log.put(&backfill).duplicate);
        let life = life.reboot(Cut::Kill).await;
        let log = life.open(writable(1), false);
        assert!(log.put(&backfill).duplicate, "it was sent again after the crash, and stands twice");
        assert!(log.put(&live).duplicate);
        assert_eq!(log.all(Bound::LogEnd).await.len(), 2);
    });
}

#[test]
fn a_producer_is_forgotten_a_day_after_it_last_wrote() {
    run(1, async {
        let (_life, log) = Life::writing(1, FSYNC);
        let day = 86_400_000;
        let at = |ms: i64| Timestamp(WALL_START.0 + ms);
        log.append(&sent(0), None, at(0)).unwrap();
        let other = |n| batch(1).producer(8, 0, n).build();
        log.append(&other(0), None, at(day)).unwrap();
        assert!(log.append(&sent(0), None, at(day)).unwrap().duplicate);
        log.append(&other(1), None, at(day + 1)).unwrap();
        assert!(!log.append(&sent(0), None, at(day + 1)).unwrap().duplicate);
    });
}

#[test]
fn a_marker_of_a_newer_epoch_fences_the_older() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        log.append_mirrored(&batch(1).producer(7, 0, 0).transactional().epoch(0).build(), None, life.now())
            .unwrap();
        log.append_mirrored(&marker(7, 1, false, 1), None, life.now()).unwrap();
        let (_life, log) = life.restart(writable(1 << 16)).await;
        let old = refusal(&log, &batch(1).producer(7, 0, 1).build());
        assert!(matches!(old, ProducerRefusal::Epoch { found: 0, newest: 1, .. }));
        log.put(&batch(1).producer(7, 1, 0).build());
    });
}
