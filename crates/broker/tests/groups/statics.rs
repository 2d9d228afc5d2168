//! Static members (KIP-345): their places outlive their processes.

use carrick_wire::{ErrorCode, SyncGroupRequest};
use futures::FutureExt as _;

use crate::world::{Commit, GROUP, Join, Life, SESSION_MS, story, subscription, text};

async fn two(life: &Life) -> (String, String, i32) {
    life.two_as(&Join::at_instance("one"), &Join::at_instance("two")).await
}

#[test]
fn a_static_member_that_comes_back_has_its_assignment_and_moves_nobody() {
    story(async || {
        let life = Life::new(1);
        let (one, old, generation) = two(&life).await;
        let back = life.join(&Join::at_instance("two")).await;
        assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (0, generation, false));
        assert!(back.member_id != old.as_str() && back.leader == one.as_str() && back.members.is_empty());
        assert_eq!(&life.sync(&back.member_id, generation, &[]).await.assignment[..], b"for b");
        assert_eq!(life.heartbeat(&one, generation).await, ErrorCode::NONE);
        assert_eq!(life.describe(GROUP).await.members.len(), 2);
    });
}

#[test]
fn whoever_uses_the_old_member_id_is_fenced() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let (_, old, generation) = two(&life).await;
        life.join(&Join::at_instance("two")).await;
        let (fenced, unknown) = (ErrorCode::FENCED_INSTANCE_ID, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(life.heartbeat_as(&old, generation, Some("two")).await, fenced);
        assert_eq!(life.heartbeat(&old, generation).await, unknown);
        assert_eq!(life.heartbeat_as(&old, generation, Some("three")).await, unknown);
        let sync = SyncGroupRequest {
            group_id: text(GROUP),
            generation_id: generation,
            member_id: text(&old),
            group_instance_id: Some("two".into()),
            ..Default::default()
        };
        assert_eq!(ErrorCode(life.sync_as(sync).await.error_code), fenced);
        let commit = Commit { instance: Some("two"), ..Commit::by(&old, generation, 1) };
        assert_eq!(life.commit(&commit).await, fenced);
        let join = Join { member: old.clone(), ..Join::at_instance("two") };
        assert_eq!(ErrorCode(life.join(&join).await.error_code), fenced);
        assert_eq!(ErrorCode(life.leave(&[(&old, Some("two"))]).await.members[0].error_code), fenced);
        assert_eq!(life.state().await, "Stable");
    });
}

#[test]
fn the_old_process_that_waits_is_fenced_by_the_new_one() {
    story(async || {
        let life = Life::new(1);
        let (one, two, generation) = two(&life).await;
        // The leader wants to assign anew; the old process of the other one joins, then its new one.
        let leader = life.join(&Join { member: one, ..Join::at_instance("one") });
        let waits = life.join(&Join { member: two, ..Join::at_instance("two") });
        let generation = generation + 1;
        assert_eq!((waits.await.generation_id, leader.await.generation_id), (generation, generation));
        let members = life.describe(GROUP).await.members;
        let of = |instance: &str| {
            let it =
                members.iter().find(|it| it.group_instance_id.as_ref().is_some_and(|it| *it == instance));
            it.unwrap().member_id.to_string()
        };
        let waits = life.sync(&of("two"), generation, &[]);
        let new = life.join(&Join::at_instance("two"));
        assert_eq!(ErrorCode(waits.await.error_code), ErrorCode::FENCED_INSTANCE_ID);
        // The leader was told the old id: what it assigns would not arrive.
        assert_eq!(life.heartbeat(&of("one"), generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        let leader = life.join(&Join { member: of("one"), ..Join::at_instance("one") });
        assert_eq!((leader.await.generation_id, new.await.generation_id), (generation + 1, generation + 1));
    });
}

#[test]
fn a_leader_that_comes_back_is_told_not_to_assign() {
    story(async || {
        for version in [8, 9] {
            let life = Life::new(1);
            let (old, _, generation) = two(&life).await;
            let back = life.join(&Join { version, ..Join::at_instance("one") }).await;
            assert_eq!((back.error_code, back.generation_id), (0, generation));
            if version == 9 {
                assert!(back.skip_assignment && back.leader == back.member_id);
                assert_eq!(back.members.len(), 2);
            } else {
                assert!(!back.skip_assignment && back.leader == old.as_str() && back.members.is_empty());
            }
            assert_eq!(&life.sync(&back.member_id, generation, &[]).await.assignment[..], b"for a");
        }
    });
}

#[test]
fn a_static_member_that_comes_back_with_other_topics_or_assignors_brings_a_rebalance_about() {
    story(async || {
        let other_topics = vec![("range", subscription(&["bills"]))];
        let other_assignor =
            vec![("sticky", subscription(&["orders"])), ("range", subscription(&["orders"]))];
        for (protocols, moves) in [(other_topics, true), (other_assignor, false)] {
            let life = Life::new(1);
            let (one, _, generation) = two(&life).await;
            let mut back = life.join(&Join { protocols, ..Join::at_instance("two") });
            let beat = life.heartbeat_as(&one, generation, Some("one")).await;
            if moves {
                assert_eq!(beat, ErrorCode::REBALANCE_IN_PROGRESS);
                assert!((&mut back).now_or_never().is_none());
            } else {
                // The other one knows "range" only: it is still what all agree on.
                assert_eq!((beat, back.await.generation_id), (ErrorCode::NONE, generation));
            }
        }
    });
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    story(async || {
        let life = Life::new(1);
        let away = Join { session_ms: 200_000, ..Join::at_instance("two") };
        let (one, two, generation) = life.two_as(&Join::at_instance("one"), &away).await;
        let again = life.join(&Join { member: one.clone(), ..Join::at_instance("one") });
        life.sleep_ms(60_001).await;
        let alone = again.await;
        assert_eq!(
            (alone.generation_id, alone.members.len()),
            (generation + 1, 2),
            "it is still assigned to"
        );
        life.sync(&one, generation + 1, &[(&one, "a"), (&two, "b")]).await;
        for _ in 0..14 {
            life.sleep_ms(SESSION_MS as u64 - 100).await;
            assert_eq!(life.heartbeat(&one, generation + 1).await, ErrorCode::NONE);
        }
        life.sleep_ms(2_000).await;
        assert_eq!(life.heartbeat(&one, generation + 1).await, ErrorCode::REBALANCE_IN_PROGRESS);
    });
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_alone() {
    story(async || {
        let life = Life::new(1);
        let (one, _, generation) = two(&life).await;
        let left = life.leave(&[("", Some("two"))]).await;
        assert_eq!(left.members[0].error_code, 0);
        assert_eq!(life.heartbeat(&one, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        assert_eq!(life.describe(GROUP).await.members.len(), 1);
    });
}

#[test]
fn static_members_that_are_all_away_and_leave_no_time_to_join_do_not_keep_the_node_busy() {
    story(async || {
        let life = Life::new(1);
        let hasty = Join { rebalance_ms: 0, ..Join::at_instance("one") };
        let (_, guest, _) = life.two_as(&hasty, &Join::default()).await;
        life.leave(&[(&guest, None)]).await;
        life.sleep_ms(SESSION_MS as u64 - 100).await;
        assert_eq!(life.state().await, "PreparingRebalance");
        life.sleep_ms(6_000).await;
        assert_eq!(life.state().await, "Empty");
    });
}
