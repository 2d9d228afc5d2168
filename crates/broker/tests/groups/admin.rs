//! FindCoordinator, ListGroups, DescribeGroups, DeleteGroups.

use carrick_broker::Broker;
use carrick_wire::{
    ApiKey, DeleteGroupsRequest, DescribeGroupsRequest, ErrorCode, FindCoordinatorRequest, ListGroupsRequest,
    Response, Text,
};

use crate::world::{Commit, GROUP, Join, Life, story, subscription, text};

#[test]
fn the_coordinator_of_any_group_is_this_node_where_it_was_asked() {
    story(async || {
        let life = Life::new(1);
        let request = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
        let Response::FindCoordinator(answer) = life.ask(2, request).await else { panic!() };
        assert_eq!((answer.error_code, &*answer.host, answer.port), (0, "localhost", 9092));
        let keys = vec!["g".into(), "h".into()];
        let request = |key_type| FindCoordinatorRequest {
            key_type,
            coordinator_keys: keys.clone(),
            ..Default::default()
        };
        let Response::FindCoordinator(several) = life.ask(4, request(0)).await else { panic!() };
        assert!(several.coordinators.iter().all(|it| it.error_code == 0 && it.node_id == answer.node_id));
        assert_eq!(several.coordinators[1].key, "h");
        // Of a transaction too: InitProducerId is where it is refused.
        let Response::FindCoordinator(of_transaction) = life.ask(4, request(1)).await else { panic!() };
        assert_eq!(of_transaction.coordinators, several.coordinators);
    });
}

#[test]
fn all_requests_of_classic_groups_are_advertised() {
    for key in
        ApiKey::ALL.iter().filter(|key| (8..=16).contains(&key.code()) || [42, 47].contains(&key.code()))
    {
        assert!(Broker::SERVED.contains(key), "{key}");
    }
    assert!(Broker::SERVED.is_sorted_by_key(|key| key.code()));
}

async fn list(life: &Life, states: &[&str], types: &[&str]) -> Vec<(String, String, String)> {
    let texts = |them: &[&str]| them.iter().map(|it| text(it)).collect::<Vec<Text>>();
    let request = ListGroupsRequest { states_filter: texts(states), types_filter: texts(types) };
    let Response::ListGroups(answer) = life.ask(5, request).await else { panic!() };
    assert!(answer.groups.iter().all(|it| it.group_type == "classic"));
    let groups = answer.groups.into_iter();
    groups
        .map(|it| (it.group_id.to_string(), it.protocol_type.to_string(), it.group_state.to_string()))
        .collect()
}

#[test]
fn groups_are_listed_by_state_and_type() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        life.two().await;
        life.commit(&Commit { group: "simple", ..Commit::of(1) }).await;
        let row = |id: &str, kind: &str, state: &str| (id.to_string(), kind.to_string(), state.to_string());
        let (g, simple) = (row("g", "consumer", "Stable"), row("simple", "", "Empty"));
        assert_eq!(list(&life, &[], &[]).await, [g.clone(), simple.clone()]);
        assert_eq!(list(&life, &["stable", "Dead"], &[]).await, [g]);
        assert_eq!(list(&life, &["Empty"], &["Classic"]).await, [simple]);
        assert_eq!(list(&life, &[], &["consumer"]).await, []);
    });
}

#[test]
fn a_stable_group_is_described_with_all_that_its_members_say_and_have() {
    story(async || {
        let life = Life::new(1);
        let (a, ..) = life.two_as(&Join::at_instance("one"), &Join::default()).await;
        let group = life.describe(GROUP).await;
        assert_eq!(
            (&*group.group_state, &*group.protocol_type, &*group.protocol_data),
            ("Stable", "consumer", "range")
        );
        let member = group.members.iter().find(|it| it.member_id == a.as_str()).unwrap();
        assert_eq!((&*member.client_id, &*member.client_host), ("client", "/127.0.0.1"));
        assert_eq!(member.group_instance_id.clone().unwrap(), "one");
        assert_eq!(member.member_metadata, subscription(&["orders"]));
        assert_eq!(&member.member_assignment[..], b"for a");
        assert_eq!(group.authorized_operations, i32::MIN);
        let _again = life.join(&Join { member: a, ..Join::at_instance("one") });
        let group = life.describe(GROUP).await;
        assert_eq!((&*group.group_state, &*group.protocol_data), ("PreparingRebalance", ""));
        assert!(
            group.members.iter().all(|it| it.member_metadata.is_empty() && it.member_assignment.is_empty())
        );
    });
}

#[test]
fn a_group_that_is_not_there_is_dead_or_not_found() {
    story(async || {
        let life = Life::new(1);
        let request =
            DescribeGroupsRequest { groups: vec!["nobody".into()], include_authorized_operations: true };
        for (version, code) in [(5, ErrorCode::NONE), (6, ErrorCode::GROUP_ID_NOT_FOUND)] {
            let Response::DescribeGroups(answer) = life.ask(version, request.clone()).await else { panic!() };
            let group = &answer.groups[0];
            assert_eq!((&*group.group_state, ErrorCode(group.error_code)), ("Dead", code));
            assert_eq!(group.authorized_operations, 328);
        }
    });
}

#[test]
fn only_a_group_without_members_is_deleted_and_its_offsets_with_it() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let (a, b, generation) = life.two().await;
        life.commit(&Commit::by(&a, generation, 7)).await;
        let delete = async || {
            let request = DeleteGroupsRequest { groups_names: vec![text(GROUP), "nobody".into()] };
            let Response::DeleteGroups(answer) = life.ask(2, request).await else { panic!() };
            assert_eq!(ErrorCode(answer.results[1].error_code), ErrorCode::GROUP_ID_NOT_FOUND);
            ErrorCode(answer.results[0].error_code)
        };
        assert_eq!(delete().await, ErrorCode::NON_EMPTY_GROUP);
        life.leave(&[(&a, None), (&b, None)]).await;
        let given = life.join(&Join::default()).await;
        assert_eq!(delete().await, ErrorCode::NONE);
        assert_eq!(delete().await, ErrorCode::GROUP_ID_NOT_FOUND);
        assert_eq!(life.committed(GROUP, "orders", 0).await, -1);
        let late = life.join(&Join::of(&given.member_id)).await;
        assert_eq!(ErrorCode(late.error_code), ErrorCode::UNKNOWN_MEMBER_ID);
        let life = life.kill().await;
        assert_eq!(list(&life, &[], &[]).await, []);
    });
}
