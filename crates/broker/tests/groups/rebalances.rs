//! From one generation to the next.

use bytes::Bytes;
use carrick_broker::BrokerSettings;
use carrick_wire::{ErrorCode, SyncGroupRequest};
use futures::FutureExt as _;

use crate::world::{GROUP, Join, Life, REBALANCE_MS, story, subscription, text};

#[test]
fn all_members_join_before_any_is_answered_and_followers_wait_for_the_leader() {
    story(async || {
        let life = Life::new(1);
        let a = life.enter(&Join::default()).await.member_id;
        let join = Join::default();
        let mut b = life.enter(&join).boxed_local();
        assert!((&mut b).now_or_never().is_none());
        life.sleep_ms(3_000).await;
        assert!((&mut b).now_or_never().is_none(), "the first member has not joined again");
        assert_eq!(life.heartbeat(&a, 1).await, ErrorCode::REBALANCE_IN_PROGRESS);
        assert_eq!(life.state().await, "PreparingRebalance");
        let joined = life.join(&Join::of(&a)).await;
        let b = b.await;
        assert_eq!((joined.generation_id, b.generation_id), (2, 2));
        assert_eq!((&b.leader, b.members.len()), (&a, 0));

        let mut follower = life.sync(&b.member_id, 2, &[]);
        life.sleep_ms(3_000).await;
        assert!((&mut follower).now_or_never().is_none(), "the leader has not assigned");
        // Whom the leader forgets has nothing, and strangers are passed over.
        let leader = life.sync(&a, 2, &[(&a, "all"), ("stranger", "some")]).await;
        assert_eq!((&leader.assignment[..], &follower.await.assignment[..]), (&b"all"[..], &b""[..]));
        assert_eq!(life.state().await, "Stable");
        // Who missed it can ask again.
        assert_eq!(&life.sync(&a, 2, &[(&a, "more")]).await.assignment[..], b"all");
    });
}

#[test]
fn a_sync_that_does_not_fit_the_generation_is_refused() {
    story(async || {
        let life = Life::new(1);
        let (a, _, generation) = life.two().await;
        let refused = async |request: SyncGroupRequest| {
            let request = SyncGroupRequest { group_id: text(GROUP), member_id: text(&a), ..request };
            ErrorCode(life.sync_as(request).await.error_code)
        };
        let fits = || SyncGroupRequest { generation_id: generation, ..Default::default() };
        assert_eq!(refused(fits()).await, ErrorCode::NONE);
        let request = SyncGroupRequest { generation_id: generation - 1, ..Default::default() };
        assert_eq!(refused(request).await, ErrorCode::ILLEGAL_GENERATION);
        let request = SyncGroupRequest { protocol_name: Some("sticky".into()), ..fits() };
        assert_eq!(refused(request).await, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        let request = SyncGroupRequest { protocol_type: Some("connect".into()), ..fits() };
        assert_eq!(refused(request).await, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        assert_eq!(life.heartbeat(&a, generation + 1).await, ErrorCode::ILLEGAL_GENERATION);
        let _third = life.join(&Join { version: 3, ..Join::default() });
        assert_eq!(refused(fits()).await, ErrorCode::REBALANCE_IN_PROGRESS);
    });
}

#[test]
fn a_member_that_does_not_join_again_in_time_is_dropped_though_it_is_heard_of() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let mut c = life.join(&Join { version: 3, ..Join::default() });
        let mut again = life.join(&Join::of(&a));
        for _ in 0..REBALANCE_MS / 5_000 - 1 {
            life.sleep_ms(5_000).await;
            assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
            assert!((&mut c).now_or_never().is_none() && (&mut again).now_or_never().is_none());
        }
        life.sleep_ms(5_001).await;
        let (again, c) = futures::join!(again, c);
        assert_eq!(
            (again.generation_id, c.generation_id, again.members.len()),
            (generation + 1, generation + 1, 2)
        );
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::UNKNOWN_MEMBER_ID);
    });
}

#[test]
fn a_leader_that_does_not_assign_in_time_is_dropped_and_another_one_leads() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let _third = life.join(&Join { version: 3, rebalance_ms: 8_000, ..Join::default() });
        let quick = |member: &str| Join { rebalance_ms: 8_000, ..Join::of(member) };
        let (one, two) = futures::join!(life.join(&quick(&a)), life.join(&quick(&b)));
        assert_eq!((one.generation_id, two.generation_id), (generation + 1, generation + 1));
        let waiting = life.sync(&b, generation + 1, &[]);
        for _ in 0..2 {
            life.sleep_ms(3_900).await;
            assert_eq!(life.heartbeat(&a, generation + 1).await, ErrorCode::NONE);
        }
        life.sleep_ms(300).await;
        assert_eq!(ErrorCode(waiting.await.error_code), ErrorCode::REBALANCE_IN_PROGRESS);
        assert_eq!(life.heartbeat(&a, generation + 1).await, ErrorCode::UNKNOWN_MEMBER_ID);
        let alone = life.join(&quick(&b)).await;
        assert_eq!(
            (alone.generation_id, &alone.leader),
            (generation + 2, &text(&b)),
            "the third was silent, too"
        );
    });
}

#[test]
fn a_follower_that_joins_again_with_nothing_new_moves_nobody() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let again = life.join(&Join::of(&b)).await;
        assert_eq!((again.error_code, again.generation_id, again.members.len()), (0, generation, 0));
        assert_eq!(&life.sync(&b, generation, &[]).await.assignment[..], b"for b");
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::NONE);

        let news = Join { protocols: vec![("range", subscription(&["orders", "bills"]))], ..Join::of(&b) };
        let news = life.join(&news);
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        let (leader, follower) = futures::join!(life.join(&Join::of(&a)), news);
        assert_eq!((leader.generation_id, follower.generation_id), (generation + 1, generation + 1));
    });
}

#[test]
fn a_leader_that_joins_again_wants_to_assign_anew() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let leader = life.join(&Join::of(&a));
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        let (leader, follower) = futures::join!(leader, life.join(&Join::of(&b)));
        assert_eq!((leader.generation_id, follower.generation_id), (generation + 1, generation + 1));
        assert_eq!((leader.leader, leader.members.len()), (text(&a), 2));
    });
}

#[test]
fn who_missed_the_answer_to_its_join_is_told_the_same_generation_again() {
    story(async || {
        let life = Life::new(1);
        let a = life.enter(&Join::default()).await;
        let again = life.join(&Join::of(&a.member_id)).await;
        assert_eq!((again.generation_id, again.members.len()), (a.generation_id, 1));
        let other = Join { protocols: vec![("range", subscription(&["bills"]))], ..Join::of(&a.member_id) };
        assert_eq!(life.join(&other).await.generation_id, a.generation_id + 1);
    });
}

#[test]
fn a_join_that_is_sent_again_while_all_wait_takes_the_place_of_the_first() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let _third = life.join(&Join { version: 3, ..Join::default() });
        let lost = life.join(&Join::of(&a));
        let again = life.join(&Join::of(&a));
        assert_eq!(ErrorCode(lost.await.error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        let (again, b) = futures::join!(again, life.join(&Join::of(&b)));
        assert_eq!((again.generation_id, b.generation_id), (generation + 1, generation + 1));
        assert_eq!(again.members.len(), 3);
    });
}

#[test]
fn whoever_was_given_an_id_is_waited_for_until_it_runs_out() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let given = life.join(&Join { session_ms: 6_000, ..Join::default() }).await;
        assert_eq!(ErrorCode(given.error_code), ErrorCode::MEMBER_ID_REQUIRED);
        assert_eq!(life.state().await, "Stable");
        let leader = life.join(&Join::of(&a));
        let mut follower = life.join(&Join::of(&b));
        life.sleep_ms(5_900).await;
        assert!((&mut follower).now_or_never().is_none());
        life.sleep_ms(200).await;
        assert_eq!(futures::join!(leader, follower).0.generation_id, generation + 1);
    });
}

#[test]
fn a_first_join_can_be_held_back_for_others_to_come() {
    story(async || {
        let settings = BrokerSettings { group_initial_rebalance_delay_ms: 3_000, ..Default::default() };
        let life = Life::with(1, settings);
        let join = Join { version: 3, rebalance_ms: 7_000, ..Join::default() };
        let a = life.join(&join);
        life.sleep_ms(2_000).await;
        let b = life.join(&join);
        life.sleep_ms(2_000).await;
        let mut c = life.join(&join);
        life.sleep_ms(2_900).await;
        assert!((&mut c).now_or_never().is_none(), "each one that comes holds it back again");
        life.sleep_ms(200).await;
        let (a, b, c) = futures::join!(a, b, c);
        assert_eq!((a.generation_id, b.generation_id, c.generation_id), (1, 1, 1));
        assert_eq!(a.members.len() + b.members.len() + c.members.len(), 3);
    });
}

#[test]
fn a_new_member_waits_five_minutes_at_most() {
    story(async || {
        let life = Life::new(1);
        let slow = Join { version: 3, rebalance_ms: 900_000, ..Join::default() };
        let a = life.join(&slow).await;
        let mut b = life.join(&slow);
        for _ in 0..60 {
            assert!((&mut b).now_or_never().is_none());
            assert_eq!(life.heartbeat(&a.member_id, 1).await, ErrorCode::REBALANCE_IN_PROGRESS);
            life.sleep_ms(5_001).await;
        }
        assert_eq!(ErrorCode(b.await.error_code), ErrorCode::UNKNOWN_MEMBER_ID);
    });
}

#[test]
fn what_all_members_say_has_a_limit() {
    story(async || {
        let life = Life::new(1);
        let big = Join {
            version: 3,
            protocols: vec![("range", Bytes::from(vec![0; (1 << 20) - 5]))],
            ..Join::default()
        };
        let waiting: Vec<_> = (0..16).map(|_| life.join(&big)).collect();
        let refused = life.join(&big).await;
        assert_eq!(ErrorCode(refused.error_code), ErrorCode::GROUP_MAX_SIZE_REACHED);
        drop(waiting);
    });
}

#[test]
fn an_assignment_has_a_limit() {
    story(async || {
        let life = Life::new(1);
        let a = life.enter(&Join::default()).await.member_id;
        let long = "x".repeat((1 << 20) + 1);
        assert_eq!(ErrorCode(life.sync(&a, 1, &[(&a, &long)]).await.error_code), ErrorCode::INVALID_REQUEST);
        assert_eq!(life.sync(&a, 1, &[(&a, "all")]).await.error_code, 0);
    });
}
