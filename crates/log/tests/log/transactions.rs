//! What readers of committed records are told: the last stable offset and the aborted ranges.

use carrick_log::{Aborted, AppendError, Bound, Partition, Role};
use carrick_record::Batch;
use carrick_sim::{Cut, WALL_START, run};
use carrick_types::{LeaderEpoch, ProducerId};

use crate::batches::{Build, batch, marker};
use crate::life::{FSYNC, Life, Look as _, mirror, offset, small, writable};

fn data(producer: i64, at: i64, sequence: i32) -> Build {
    batch(1).producer(producer, 0, sequence).transactional().at(at).epoch(0)
}

fn take(log: &Partition, batch: &Batch) {
    log.append_mirrored(batch, None, WALL_START).unwrap();
}

fn aborted(producer: i64, first: i64, last: i64) -> Aborted {
    let producer_id = ProducerId::new(producer).unwrap();
    Aborted { producer_id, first: offset(first), last: offset(last) }
}

#[test]
fn the_last_stable_offset_stays_before_the_first_open_transaction() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        log.set_source_high(offset(1_000));
        let stable = async |sent: Batch| {
            take(&log, &sent);
            life.store.flush().await.unwrap();
            log.five()[1]
        };
        assert_eq!(stable(batch(2).epoch(0).build()).await, 2);
        assert_eq!(stable(data(1, 2, 0).build()).await, 2);
        assert_eq!(stable(data(2, 3, 0).build()).await, 2);
        assert_eq!(stable(data(1, 4, 1).build()).await, 2);
        assert_eq!(stable(marker(1, 0, true, 5)).await, 3, "producer 2's began at 3");
        assert_eq!(stable(data(1, 6, 2).build()).await, 3);
        assert_eq!(stable(marker(2, 0, false, 7)).await, 6);
        assert_eq!(stable(marker(1, 0, false, 8)).await, 9);
        assert_eq!(stable(marker(1, 0, false, 9)).await, 10, "a marker without a transaction ends nothing");
        assert_eq!(log.open_transactions(), []);
        assert_eq!(log.all(Bound::LastStable).await.len(), 9);
    });
}

#[test]
fn a_transaction_is_not_over_for_readers_until_its_marker_is_durable() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        log.set_source_high(offset(1_000));
        take(&log, &data(1, 0, 0).build());
        life.store.flush().await.unwrap();
        assert_eq!(log.five(), [0, 0, 1, 1, 1]);
        take(&log, &marker(1, 0, true, 1));
        take(&log, &batch(1).at(2).epoch(0).build());
        assert_eq!(log.five(), [0, 0, 1, 3, 1]);
        assert_eq!(log.open_transactions(), []);
        life.store.flush().await.unwrap();
        assert_eq!(log.five(), [0, 3, 3, 3, 3]);
    });
}

#[test]
fn a_transaction_is_not_over_on_a_mirror_until_its_source_shows_the_marker() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        for sent in [data(1, 0, 0).build(), data(1, 1, 1).build(), marker(1, 0, true, 2)] {
            take(&log, &sent);
        }
        life.store.flush().await.unwrap();
        for (high, stable) in [(1, 0), (2, 0), (3, 3)] {
            log.set_source_high(offset(high));
            assert_eq!(log.five()[1], stable, "at {high}");
        }
    });
}

#[test]
fn aborted_transactions_are_told_where_they_touch_what_is_read() {
    run(1, async {
        let (life, log) = Life::mirroring(1, small(200));
        for sent in [
            data(1, 0, 0).build(),
            data(2, 1, 0).build(),
            marker(1, 0, false, 2),
            data(3, 3, 0).build(),
            marker(2, 0, false, 4),
            marker(3, 0, true, 5),
            data(1, 10, 1).build(),
            marker(1, 0, false, 11),
        ] {
            take(&log, &sent);
        }
        let check = |log: &Partition| {
            let within = |from, to| log.aborted_within(offset(from), offset(to));
            let (one, two, three) = (aborted(1, 0, 2), aborted(2, 1, 4), aborted(1, 10, 11));
            assert_eq!(within(0, 12), [one, two, three]);
            assert_eq!(within(0, 1), [one]);
            assert_eq!(within(2, 3), [one, two]);
            assert_eq!(within(3, 10), [two]);
            assert_eq!(within(4, 11), [two, three]);
            assert_eq!(within(5, 10), []);
            assert_eq!(within(11, 12), [three]);
            assert_eq!(within(12, 100), []);
        };
        check(&log);
        let (life, log) = life.restart(mirror()).await;
        check(&log);
        let life = life.reboot(Cut::Kill).await;
        check(&life.open(mirror(), false));
    });
}

#[test]
fn an_open_transaction_is_open_after_a_restart() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        for sent in
            [batch(2).epoch(0).build(), data(1, 2, 0).build(), data(2, 3, 0).build(), marker(2, 0, true, 4)]
        {
            take(&log, &sent);
        }
        let (_life, log) = life.restart(mirror()).await;
        log.set_source_high(offset(5));
        assert_eq!(log.five(), [0, 2, 5, 5, 5]);
        assert_eq!(log.open_transactions(), [(ProducerId::new(1).unwrap(), offset(2))]);
    });
}

/// A failover ends the open transactions of what it promotes by markers of its own.
#[test]
fn a_marker_that_is_appended_ends_its_transaction_at_once_and_after_a_restart() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        take(&log, &data(1, 0, 0).build());
        log.set_role(writable(1 << 16));
        assert_eq!(log.put(&marker(1, 0, false, 0)).base, offset(1));
        life.store.flush().await.unwrap();
        assert_eq!((log.five(), log.open_transactions()), ([0, 2, 2, 2, 2], vec![]));
        assert_eq!(log.aborted_within(offset(0), offset(2)), [aborted(1, 0, 1)]);
        let (_life, log) = life.restart(writable(1 << 16)).await;
        assert_eq!((log.five(), log.open_transactions()), ([0, 2, 2, 2, 2], vec![]));
        assert_eq!(log.aborted_within(offset(0), offset(2)), [aborted(1, 0, 1)]);
    });
}

#[test]
fn a_marker_of_the_nodes_own_is_taken_by_a_closed_partition_only() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        take(&log, &data(1, 0, 0).build());
        let epoch = LeaderEpoch::new(1 << 16).unwrap();
        let put = || log.append_marker(&marker(1, 0, false, 0), epoch, WALL_START);
        assert!(matches!(put(), Err(AppendError::NotWritable { .. })));
        log.set_role(writable(1 << 16));
        assert!(matches!(put(), Err(AppendError::NotWritable { .. })));
        log.set_role(Role::Closed);
        assert_eq!(put().unwrap().base, offset(1));
        life.store.flush().await.unwrap();
        assert_eq!((log.five(), log.last_epoch()), ([0, 2, 2, 2, 2], Some(epoch)));
        let (_life, log) = life.restart(writable(1 << 16)).await;
        assert_eq!((log.five(), log.open_transactions()), ([0, 2, 2, 2, 2], vec![]));
        assert_eq!(log.aborted_within(offset(0), offset(2)), [aborted(1, 0, 1)]);
    });
}

#[test]
fn a_control_batch_that_is_no_marker_opens_no_transaction() {
    run(1, async {
        let (life, log) = Life::mirroring(1, FSYNC);
        log.set_source_high(offset(10));
        take(&log, &data(1, 0, 0).control().build());
        life.store.flush().await.unwrap();
        assert_eq!((log.five(), log.open_transactions()), ([0, 1, 1, 1, 1], vec![]));
        let (_life, log) = life.restart(mirror()).await;
        assert_eq!(log.open_transactions(), []);
    });
}
