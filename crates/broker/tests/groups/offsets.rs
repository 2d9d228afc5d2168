//! OffsetCommit, OffsetFetch, OffsetDelete.

use carrick_wire::{
    DeleteTopicsRequest, ErrorCode, OffsetDeleteRequest, OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic, OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, Response,
};

use crate::world::{Commit, GROUP, Join, Life, story, text};

#[test]
fn what_is_committed_is_fetched_with_epoch_and_metadata_in_every_form() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 3).await;
        let commit = Commit { epoch: 4, metadata: Some("mine".into()), ..Commit::of(41) };
        assert_eq!(life.commit(&commit).await, ErrorCode::NONE);
        assert_eq!(life.commit(&Commit { partition: 2, ..Commit::of(42) }).await, ErrorCode::NONE);

        let groups =
            [GROUP, "nobody"].map(|it| OffsetFetchRequestGroup { group_id: text(it), ..Default::default() });
        let request = OffsetFetchRequest { groups: groups.to_vec(), ..Default::default() };
        let Response::OffsetFetch(answer) = life.ask(9, request).await else { panic!() };
        assert!(answer.groups[1].topics.is_empty() && answer.groups[1].error_code == 0);
        let all = &answer.groups[0].topics;
        assert_eq!((all.len(), &*all[0].name, all[0].partitions.len()), (1, "orders", 2));
        let first = &all[0].partitions[0];
        assert_eq!((first.partition_index, first.committed_offset, first.committed_leader_epoch), (0, 41, 4));
        assert_eq!(first.metadata.clone().unwrap(), "mine");

        let topics = vec![OffsetFetchRequestTopic { name: "orders".into(), partition_indexes: vec![2, 1] }];
        let request = OffsetFetchRequest {
            group_id: text(GROUP),
            topics: Some(topics),
            require_stable: true,
            ..Default::default()
        };
        let Response::OffsetFetch(answer) = life.ask(7, request).await else { panic!() };
        let partitions = &answer.topics[0].partitions;
        assert_eq!(
            (partitions[0].committed_offset, partitions[0].metadata.clone().unwrap()),
            (42, "".into())
        );
        assert_eq!((partitions[1].committed_offset, partitions[1].error_code), (-1, 0));
    });
}

#[test]
fn commits_that_cannot_be_are_refused_one_by_one() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(life.commit(&Commit { topic: "bills", ..Commit::of(1) }).await, unknown);
        assert_eq!(life.commit(&Commit { partition: 1, ..Commit::of(1) }).await, unknown);
        assert_eq!(life.commit(&Commit { partition: -1, ..Commit::of(1) }).await, unknown);
        assert_eq!(life.commit(&Commit::of(-1)).await, ErrorCode::INVALID_REQUEST);
        let long = |len: usize| Commit { metadata: Some("x".repeat(len)), ..Commit::of(1) };
        assert_eq!(life.commit(&long(4_097)).await, ErrorCode::OFFSET_METADATA_TOO_LARGE);
        assert_eq!(life.state().await, "Dead", "nothing was committed, so there is no group");
        assert_eq!(life.commit(&long(4_096)).await, ErrorCode::NONE);
        assert_eq!(life.state().await, "Empty");
    });
}

#[test]
fn only_members_of_the_generation_commit_to_a_group_that_has_members() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let (a, b, generation) = life.two().await;
        let unknown = ErrorCode::UNKNOWN_MEMBER_ID;
        assert_eq!(life.commit(&Commit::by(&a, generation, 5)).await, ErrorCode::NONE);
        assert_eq!(life.commit(&Commit::of(1)).await, unknown, "from outside");
        assert_eq!(life.commit(&Commit::by("nobody", generation, 1)).await, unknown);
        let illegal = ErrorCode::ILLEGAL_GENERATION;
        assert_eq!(life.commit(&Commit::by(&a, generation - 1, 1)).await, illegal);
        // While members are asked to join again, what they have read still counts.
        let leader = life.join(&Join::of(&a));
        assert_eq!(life.commit(&Commit::by(&b, generation, 6)).await, ErrorCode::NONE);
        futures::join!(leader, life.join(&Join::of(&b)));
        let rebalance = ErrorCode::REBALANCE_IN_PROGRESS;
        assert_eq!(life.commit(&Commit::by(&b, generation + 1, 7)).await, rebalance);
        assert_eq!(life.committed(GROUP, "orders", 0).await, 6);
        life.leave(&[(&a, None), (&b, None)]).await;
        assert_eq!(life.commit(&Commit::by(&a, generation + 1, 7)).await, unknown);
        assert_eq!(life.commit(&Commit::of(3)).await, ErrorCode::NONE, "nobody is in it any more");
        assert_eq!(life.committed(GROUP, "orders", 0).await, 3);
    });
}

#[test]
fn a_member_of_a_group_that_is_not_there_is_told_so() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let by = |version| Commit { version, ..Commit::by("a", 3, 1) };
        assert_eq!(life.commit(&by(8)).await, ErrorCode::ILLEGAL_GENERATION);
        assert_eq!(life.commit(&by(9)).await, ErrorCode::GROUP_ID_NOT_FOUND);
    });
}

#[test]
fn a_topic_takes_its_offsets_with_it() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        life.topic("bills", 1).await;
        life.commit(&Commit::of(5)).await;
        life.commit(&Commit { topic: "bills", ..Commit::of(6) }).await;
        let request = DeleteTopicsRequest { topic_names: vec!["orders".into()], ..Default::default() };
        life.ask(5, request).await;
        life.topic("orders", 1).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, -1);
        assert_eq!(life.committed(GROUP, "bills", 0).await, 6);
    });
}

async fn delete(life: &Life, group: &str, topic: &str) -> (ErrorCode, Option<ErrorCode>) {
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let topics = vec![OffsetDeleteRequestTopic { name: text(topic), partitions }];
    match life.ask(0, OffsetDeleteRequest { group_id: text(group), topics }).await {
        Response::OffsetDelete(answer) => (
            answer.error_code.into(),
            answer.topics.first().map(|topic| topic.partitions[0].error_code.into()),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_of_topics_that_nobody_reads_can_be_deleted() {
    story(async || {
        let life = Life::new(1);
        for topic in ["orders", "bills"] {
            life.topic(topic, 1).await;
            life.commit(&Commit { topic, ..Commit::of(5) }).await;
        }
        let none = ErrorCode::NONE;
        assert_eq!(delete(&life, "nobody", "orders").await, (ErrorCode::GROUP_ID_NOT_FOUND, None));
        let (a, ..) = life.two().await;
        let subscribed = Some(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
        assert_eq!(delete(&life, GROUP, "orders").await, (none, subscribed));
        assert_eq!(delete(&life, GROUP, "bills").await, (none, Some(none)));
        let unknown = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(delete(&life, GROUP, "no-topic").await, (none, unknown));
        assert_eq!(life.committed(GROUP, "bills", 0).await, -1);
        assert_eq!(life.committed(GROUP, "orders", 0).await, 5);
        let members = life.describe(GROUP).await.members;
        for member in members {
            life.leave(&[(&member.member_id, None)]).await;
        }
        assert_eq!(delete(&life, GROUP, "orders").await, (none, Some(none)), "{a} reads it no more");

        let worker = Join { protocol_type: "connect", group: "workers", ..Join::default() };
        life.enter(&worker).await;
        assert_eq!(delete(&life, "workers", "orders").await, (ErrorCode::NON_EMPTY_GROUP, None));
    });
}
