//! Each sync of a workload fails in turn, and each call that needs room finds none.

use std::time::Duration;

use carrick_log::WaitError;
use carrick_sim::{Cut, run};
use carrick_sys::Clock as _;

use crate::cases::{cases, hold};
use crate::doings::{Doings, PARTITIONS, Refused};
use crate::life::{Life, Look as _, offset};

/// Syncs of a workload that fail in turn; and calls that find no room.
const SITES: u64 = 64;

/// More than any site is away.
const STEPS_MAX: usize = 5_000;

/// How a sync fails, and how the site ends then.
const FAILURES: [(bool, Cut); 4] =
    [(false, Cut::Kill), (false, Cut::Power), (true, Cut::Kill), (true, Cut::Power)];

/// A failed sync: nobody is told anything any more, and nothing that was told is missing then, nor after the power cut that
/// follows: a later sync that says yes has not written what the failed one was to write.
async fn sync_fails(case: u64) {
    let (seed, site) = (case / (SITES * 4), case / 4 % SITES + 1);
    let (for_ever, cut) = FAILURES[case as usize % 4];
    let mut doings = Doings::draw(seed);
    let life = Life::first(case, doings.settings);
    doings.open(&life, true);
    if for_ever {
        life.site.disk.fail_syncs_from(site);
    } else {
        life.site.disk.fail_sync_after(site);
    }
    let mut refused = None;
    for _ in 0..STEPS_MAX {
        refused = doings.step(&life).await.err();
        doings.look_at_starts(&life);
        if refused.is_some() || life.store.halted().is_some() {
            break;
        }
    }
    // The word of it is left behind.
    life.site.clock.sleep(Duration::from_secs(2)).await;
    assert!(matches!(refused, None | Some(Refused::Halted)), "{refused:?}");
    assert!(life.store.halted().is_some(), "{STEPS_MAX} steps, and no sync has failed");
    for at in 0..PARTITIONS {
        let log = life.partition(at);
        let [_, _, high, end, durable] = log.five();
        if end > durable {
            let waited = log.durable(offset(end)).await;
            assert!(matches!(waited, Err(WaitError::Halted { .. })), "partition {at}: {waited:?}");
        }
        let appended = doings.append(&life, at as usize);
        assert!(matches!(appended, Err(Refused::Halted)), "partition {at}: {appended:?}");
        assert_eq!(log.five()[2..], [high, end, durable], "partition {at} goes on");
    }
    let undone = (0..PARTITIONS).any(|at| life.partition(at).five()[4] < life.partition(at).end());
    assert!(!undone || life.store.flush().await.is_err() && life.store.close().await.is_err());

    let life = life.reboot(cut).await;
    doings.open(&life, false);
    doings.check(&life, &doings.told).await;
    doings.settle(&life);
    doings.goes_on(&life).await;
    let life = life.reboot(Cut::Power).await;
    doings.open(&life, false);
    doings.check(&life, &doings.told).await;
}

#[test]
fn a_sync_that_fails_anywhere_is_told_and_costs_nothing_that_was() {
    hold(cases(512, 8_192), |case| run(case, sync_fails(case)));
}

/// A full disk: what finds no room is refused with that error, readers and what is told are as before, and all goes on when
/// there is room.
async fn disk_fills(case: u64) {
    let (seed, site) = (case / (SITES * 3), case / 3 % SITES + 1);
    let mut doings = Doings::draw(seed);
    let life = Life::first(case, doings.settings);
    doings.open(&life, true);
    life.site.disk.fill_after(site);
    let (mut steps, mut full_steps) = (0, 0);
    while full_steps < 30 {
        steps += 1;
        assert!(steps < STEPS_MAX, "no call has found the disk full");
        let refused = doings.step(&life).await.err();
        doings.look_at_starts(&life);
        full_steps += u64::from(life.site.disk.has_end());
        let full = refused.as_ref().is_none_or(Refused::is_full);
        assert!(full && (refused.is_none() || full_steps > 0), "{refused:?}");
        if full_steps % 8 == 1 {
            doings.check(&life, &doings.told).await;
        }
    }
    assert_eq!(life.store.halted(), None);
    life.site.disk.full_at(u64::MAX);
    life.site.clock.sleep(Duration::from_secs(10)).await;
    doings.goes_on(&life).await;
    doings.check(&life, &doings.told).await;
    assert_eq!(life.site.spawn.panicked(), [""; 0]);
    let life = life.reboot(if case.is_multiple_of(2) { Cut::Power } else { Cut::Kill }).await;
    doings.open(&life, false);
    doings.check(&life, &doings.told).await;
}

#[test]
fn a_disk_that_fills_up_anywhere_refuses_and_goes_on_when_there_is_room() {
    hold(cases(768, 6_144), |case| run(case, disk_fills(case)));
}

/// And a power cut while it is full, and a start before there is room.
#[test]
fn a_full_disk_at_a_start_costs_nothing_that_was_told() {
    hold(cases(384, 3_072), |case| {
        run(case, async {
            let mut doings = Doings::draw(case);
            let life = Life::first(case, doings.settings);
            doings.open(&life, true);
            life.site.disk.fill_after(1 + case % SITES);
            for _ in 0..STEPS_MAX {
                let _ = doings.step(&life).await;
                doings.look_at_starts(&life);
                if life.site.disk.has_end() {
                    break;
                }
            }
            let life = life.reboot(if case.is_multiple_of(2) { Cut::Power } else { Cut::Kill }).await;
            doings.open(&life, false);
            life.site.disk.full_at(u64::MAX);
            let life = life.reboot(Cut::Kill).await;
            doings.open(&life, false);
            doings.check(&life, &doings.told).await;
            doings.settle(&life);
            doings.goes_on(&life).await;
        });
    });
}
