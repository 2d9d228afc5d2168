//! A node that starts again goes on where it was.

use carrick_sim::Cut;
use carrick_wire::ErrorCode;
use futures::FutureExt as _;

use crate::world::{Commit, GROUP, Join, Life, REBALANCE_MS, SESSION_MS, story, text};

#[test]
fn a_restart_brings_no_rebalance_about_if_all_are_heard_of_in_time() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let (a, b, generation) = life.two().await;
        life.commit(&Commit::by(&a, generation, 5)).await;
        let mut life = life;
        for kept in [0, usize::MAX] {
            life.sleep_ms(SESSION_MS as u64 - 50).await;
            life = life.restart(Cut::Power, kept).await;
            assert_eq!(life.committed(GROUP, "orders", 0).await, 5);
            life.sleep_ms(SESSION_MS as u64 - 50).await;
            for member in [&a, &b] {
                assert_eq!(life.heartbeat(member, generation).await, ErrorCode::NONE);
            }
            assert_eq!(&life.sync(&b, generation, &[]).await.assignment[..], b"for b");
            let again = life.join(&Join::of(&b)).await;
            assert_eq!(again.generation_id, generation);
        }
        // And who is not heard of is gone, as ever.
        life.sleep_ms(SESSION_MS as u64 - 50).await;
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::NONE);
        life.sleep_ms(100).await;
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::UNKNOWN_MEMBER_ID);
    });
}

#[test]
fn a_static_member_can_come_back_after_a_restart() {
    story(async || {
        let life = Life::new(1);
        let (one, two, generation) = life.two_as(&Join::at_instance("one"), &Join::at_instance("two")).await;
        let life = life.restart(Cut::Power, 0).await;
        let back = life.join(&Join::at_instance("two")).await;
        assert_eq!((back.error_code, back.generation_id), (0, generation));
        let life = life.restart(Cut::Power, 0).await;
        assert_eq!(life.heartbeat_as(&two, generation, Some("two")).await, ErrorCode::FENCED_INSTANCE_ID);
        assert_eq!(life.heartbeat(&back.member_id, generation).await, ErrorCode::NONE);
        assert_eq!(life.heartbeat(&one, generation).await, ErrorCode::NONE);
    });
}

#[test]
fn a_restart_between_join_and_sync_ends_the_rebalance_that_was_under_way() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        futures::join!(life.join(&Join::of(&a)), life.join(&Join::of(&b)));
        let generation = generation + 1;
        let follower = life.sync(&b, generation, &[]);
        let life = life.restart(Cut::Power, 0).await;
        assert_eq!(ErrorCode(follower.await.error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert_eq!(life.state().await, "CompletingRebalance");
        let follower = life.sync(&b, generation, &[]);
        let leader = life.sync(&a, generation, &[(&a, "a"), (&b, "b")]).await;
        assert_eq!((&leader.assignment[..], &follower.await.assignment[..]), (&b"a"[..], &b"b"[..]));
    });
}

#[test]
fn a_rebalance_that_nobody_ends_after_a_restart_runs_out() {
    story(async || {
        let life = Life::new(1);
        let long = Join { session_ms: 3 * REBALANCE_MS, ..Join::default() };
        let joined = life.enter(&long).await;
        let life = life.kill().await;
        life.sleep_ms(REBALANCE_MS as u64 - 10).await;
        assert_eq!(life.state().await, "CompletingRebalance");
        life.sleep_ms(20).await;
        assert_eq!(life.state().await, "Empty");
        assert_eq!(life.heartbeat(&joined.member_id, 1).await, ErrorCode::UNKNOWN_MEMBER_ID);
    });
}

#[test]
fn who_left_is_no_member_after_a_restart() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        assert_eq!(life.leave(&[(&b, None)]).await.members[0].error_code, 0);
        let life = life.restart(Cut::Power, 0).await;
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        let alone = life.join(&Join::of(&a)).await;
        assert_eq!((alone.generation_id, alone.members.len()), (generation + 1, 1));
    });
}

#[test]
fn a_generation_that_was_told_is_never_told_again() {
    story(async || {
        let mut life = Life::new(1);
        let mut last = 0;
        for _ in 0..5 {
            let joined = life.enter(&Join::default()).await;
            assert!(joined.generation_id > last, "{} after {last}", joined.generation_id);
            last = joined.generation_id;
            life = life.restart(Cut::Power, 0).await;
            life.sleep_ms(SESSION_MS as u64 + 10).await;
        }
    });
}

#[test]
fn nothing_is_told_before_it_is_durable() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        life.site.disk.stall_sync(std::time::Duration::from_millis(50));
        let given = life.join(&Join::default()).await;
        for _ in 0..5 {
            let mut join = life.join(&Join::of(&given.member_id));
            assert!((&mut join).now_or_never().is_none() || life.store.unsynced() == 0);
            let generation = join.await.generation_id;
            assert_eq!(life.store.unsynced(), 0);
            let id = given.member_id.to_string();
            let synced = life.sync(&id, generation, &[(&id, "x")]);
            let (synced, beat) = futures::join!(synced, life.heartbeat(&id, generation));
            assert_eq!((synced.error_code, beat, life.store.unsynced()), (0, ErrorCode::NONE, 0));
            let commit = Commit::by(&id, generation, 9);
            let (commit, fetched) = futures::join!(life.commit(&commit), life.committed(GROUP, "orders", 0));
            assert_eq!((commit, fetched, life.store.unsynced()), (ErrorCode::NONE, 9, 0));
            assert_eq!(text(&id), given.member_id);
        }
    });
}
