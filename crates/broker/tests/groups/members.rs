//! Members come, are heard of, go.

use carrick_wire::{ErrorCode, HeartbeatRequest, LeaveGroupRequest, Response, SyncGroupRequest};

use crate::world::{GROUP, Join, Life, SESSION_MS, story, subscription, text};

#[test]
fn a_new_member_is_given_an_id_first_and_joins_with_it() {
    story(async || {
        let life = Life::new(1);
        let first = life.join(&Join::default()).await;
        assert_eq!(ErrorCode(first.error_code), ErrorCode::MEMBER_ID_REQUIRED);
        assert!(first.member_id.starts_with("client-") && first.member_id.len() == 7 + 36);
        assert_eq!(life.state().await, "Empty");
        let joined = life.join(&Join::of(&first.member_id)).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.members.len(), 1);
        assert_eq!(joined.members[0].metadata, subscription(&["orders"]));
        assert_eq!(joined.protocol_name.unwrap(), "range");
        assert_eq!(life.state().await, "CompletingRebalance");
        let synced = life.sync(&joined.member_id, 1, &[(&joined.member_id, "all")]).await;
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
        assert_eq!(
            (synced.protocol_type.unwrap(), synced.protocol_name.unwrap()),
            ("consumer".into(), "range".into())
        );
        assert_eq!(life.state().await, "Stable");
        assert_eq!(life.heartbeat(&joined.member_id, 1).await, ErrorCode::NONE);
    });
}

#[test]
fn before_version_4_and_with_an_instance_id_a_member_joins_at_once() {
    story(async || {
        let life = Life::new(1);
        let joined = life.join(&Join { version: 3, ..Join::default() }).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        let life = Life::new(2);
        let joined = life.join(&Join::at_instance("i")).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1));
        assert!(joined.member_id.starts_with("i-"), "{}", joined.member_id);
    });
}

#[test]
fn what_no_member_may_ask_for_is_refused() {
    story(async || {
        let life = Life::new(1);
        let refused = async |join: Join| ErrorCode(life.join(&join).await.error_code);
        assert_eq!(refused(Join { group: "", ..Join::default() }).await, ErrorCode::INVALID_GROUP_ID);
        for session_ms in [-1, 0, 5_999, 1_800_001] {
            let join = Join { session_ms, ..Join::default() };
            assert_eq!(refused(join).await, ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        let join = Join { protocols: Vec::new(), ..Join::default() };
        assert_eq!(refused(join).await, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        let join = Join { protocol_type: "", ..Join::default() };
        assert_eq!(refused(join).await, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        assert_eq!(refused(Join::of("nobody")).await, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(refused(Join::at_instance("")).await, ErrorCode::INVALID_REQUEST);
        let join = Join { protocols: vec![("range", vec![0; 1 << 20].into())], ..Join::default() };
        assert_eq!(refused(join).await, ErrorCode::INVALID_REQUEST);
        // None of them leaves a group behind.
        assert_eq!(life.state().await, "Dead");
    });
}

#[test]
fn members_of_another_type_or_without_a_common_assignor_are_refused() {
    story(async || {
        let life = Life::new(1);
        life.two().await;
        let join = Join { protocol_type: "connect", ..Join::default() };
        assert_eq!(ErrorCode(life.join(&join).await.error_code), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        let join = Join { protocols: vec![("sticky", subscription(&["orders"]))], ..Join::default() };
        assert_eq!(ErrorCode(life.join(&join).await.error_code), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        assert_eq!(life.state().await, "Stable");
    });
}

#[test]
fn the_assignor_is_the_one_that_most_members_prefer_of_those_that_all_know() {
    story(async || {
        let life = Life::new(1);
        let join = |names: &[&'static str]| Join {
            version: 3,
            protocols: names.iter().map(|name| (*name, subscription(&["orders"]))).collect(),
            ..Join::default()
        };
        let a = life.join(&join(&["only-a", "range", "sticky"])).await;
        assert_eq!(a.protocol_name.clone().unwrap(), "only-a");
        let b = life.join(&join(&["sticky", "range"]));
        let c = life.join(&join(&["sticky", "range", "only-c"]));
        let again = Join { member: a.member_id.to_string(), ..join(&["only-a", "range", "sticky"]) };
        let (a, b, c) = futures::join!(life.join(&again), b, c);
        assert_eq!((a.generation_id, b.generation_id, c.generation_id), (2, 2, 2));
        assert!([&a, &b, &c].iter().all(|it| it.protocol_name.as_ref().unwrap() == "sticky"));
        assert_eq!((a.members.len(), b.members.len()), (3, 0), "only the leader is told of the others");
        assert_eq!((&a.leader, &b.leader), (&a.member_id, &a.member_id));
    });
}

#[test]
fn a_member_that_is_not_heard_of_is_gone_after_its_session_and_heartbeats_and_commits_are_heard() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        for _ in 0..5 {
            life.sleep_ms(SESSION_MS as u64 - 10).await;
            assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::NONE);
            life.commit(&crate::world::Commit::by(&b, generation, 1)).await;
        }
        life.sleep_ms(SESSION_MS as u64 - 100).await;
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::NONE);
        life.sleep_ms(200).await;
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::UNKNOWN_MEMBER_ID);
        let alone = life.join(&Join::of(&a)).await;
        assert_eq!((alone.error_code, alone.generation_id, alone.members.len()), (0, generation + 1, 1));
        life.sleep_ms(SESSION_MS as u64 + 1).await;
        let empty = life.describe(GROUP).await;
        assert_eq!((&*empty.group_state, empty.members.len()), ("Empty", 0));
        // The empty group counted, too: generation + 2.
        let next = life.enter(&Join::default()).await;
        assert_eq!(next.generation_id, generation + 3);
    });
}

#[test]
fn an_id_that_was_given_and_not_used_runs_out() {
    story(async || {
        let life = Life::new(1);
        let given = life.join(&Join::default()).await;
        life.sleep_ms(SESSION_MS as u64 + 1).await;
        let late = life.join(&Join::of(&given.member_id)).await;
        assert_eq!(ErrorCode(late.error_code), ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(life.state().await, "Dead");
    });
}

#[test]
fn a_member_that_leaves_is_gone_at_once() {
    story(async || {
        let life = Life::new(1);
        let (a, b, generation) = life.two().await;
        let left = life.leave(&[(&b, None)]).await;
        assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
        assert_eq!(life.heartbeat(&b, generation).await, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::REBALANCE_IN_PROGRESS);
        let alone = life.join(&Join::of(&a)).await;
        assert_eq!((alone.error_code, alone.generation_id, alone.members.len()), (0, generation + 1, 1));
    });
}

#[test]
fn several_members_leave_with_an_answer_for_each() {
    story(async || {
        let life = Life::new(1);
        let (a, b, _) = life.two().await;
        let left = life.leave(&[(&a, None), ("nobody", None), (&b, None), ("", Some("no-instance"))]).await;
        let codes: Vec<_> = left.members.iter().map(|it| ErrorCode(it.error_code)).collect();
        let (none, unknown) = (ErrorCode::NONE, ErrorCode::UNKNOWN_MEMBER_ID);
        assert_eq!(codes, [none, unknown, none, unknown]);
        assert_eq!(life.state().await, "Empty");
        assert_eq!(life.leave(&[(&a, None)]).await.members[0].error_code, unknown.code());

        // One that has only been given an id, and one of the versions that name one member.
        let given = life.join(&Join::default()).await;
        assert_eq!(life.leave(&[(&given.member_id, None)]).await.members[0].error_code, 0);
        let joined = life.join(&Join { version: 2, ..Join::default() }).await;
        let request =
            LeaveGroupRequest { group_id: text(GROUP), member_id: joined.member_id, ..Default::default() };
        for expected in [none, unknown] {
            match life.ask(2, request.clone()).await {
                Response::LeaveGroup(answer) => assert_eq!(ErrorCode(answer.error_code), expected),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_group_that_is_not_there_knows_no_members() {
    story(async || {
        let life = Life::new(1);
        let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
        assert_eq!(life.heartbeat("a", 1).await, unknown);
        assert_eq!(ErrorCode(life.sync("a", 1, &[]).await.error_code), unknown);
        assert_eq!(ErrorCode(life.leave(&[("a", None)]).await.members[0].error_code), unknown);
        let invalid = ErrorCode::INVALID_GROUP_ID;
        assert_eq!(ErrorCode(life.sync_as(SyncGroupRequest::default()).await.error_code), invalid);
        match life.ask(4, HeartbeatRequest::default()).await {
            Response::Heartbeat(answer) => assert_eq!(ErrorCode(answer.error_code), invalid),
            other => panic!("{other:?}"),
        }
        match life.ask(5, LeaveGroupRequest::default()).await {
            Response::LeaveGroup(answer) => assert_eq!(ErrorCode(answer.error_code), invalid),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_group_is_full_at_a_thousand_members() {
    story(async || {
        let life = Life::new(1);
        let join = Join { version: 3, ..Join::default() };
        let first = life.join(&join).await;
        let waiting: Vec<_> = (1..1_000).map(|_| life.join(&join)).collect();
        let refused = life.join(&join).await;
        assert_eq!(ErrorCode(refused.error_code), ErrorCode::GROUP_MAX_SIZE_REACHED);
        let all = life.join(&Join { member: first.member_id.to_string(), ..join }).await;
        assert_eq!(all.members.len(), 1_000);
        let joined = futures::future::join_all(waiting).await;
        assert!(joined.iter().all(|it| it.error_code == 0 && it.generation_id == 2));
    });
}

#[test]
fn a_node_that_closes_keeps_nobody_waiting() {
    story(async || {
        let life = Life::new(1);
        let (a, ..) = life.two().await;
        let waiting = life.join(&Join::of(&a));
        life.broker.close();
        let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        assert_eq!(ErrorCode(waiting.await.error_code), unavailable);
        assert_eq!(ErrorCode(life.join(&Join::of(&a)).await.error_code), unavailable);
    });
}
