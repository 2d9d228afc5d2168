//! Groups that a link reads and writes.

use std::time::Duration;

use carrick_broker::{SyncRefusal, SyncedOffset};
use carrick_sim::Cut;
use carrick_types::{Offset, Partition};
use carrick_wire::ErrorCode;

use crate::world::{Commit, GROUP, Join, Life, story};

const QUIET: Duration = Duration::from_secs(30);

fn offset(at: i64) -> SyncedOffset {
    SyncedOffset {
        topic: "orders".parse().unwrap(),
        partition: Partition(0),
        offset: Offset::clamped(at),
        metadata: "as at the source".into(),
    }
}

#[test]
fn a_synced_offset_stands_as_it_is_at_the_source_and_does_not_expire() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let missing = SyncedOffset { topic: "not-here".parse().unwrap(), ..offset(1) };
        life.broker.write_synced_offsets(GROUP, vec![offset(5), missing], QUIET).await.unwrap();
        let life = life.restart(Cut::Power, 0).await;
        life.sleep_ms(10 * 24 * 3_600_000).await;
        let group = life.broker.group(GROUP).await.unwrap().unwrap();
        let record = &group.offsets["orders"][&Partition(0)];
        assert_eq!((record.offset.get(), record.leader_epoch), (5, None));
        assert_eq!((&*record.metadata, record.synced, group.committed()), ("as at the source", true, None));
        assert_eq!((group.offsets.len(), group.members, &*group.protocol_type), (1, 0, ""));
        life.broker.write_synced_offsets(GROUP, vec![offset(4)], QUIET).await.unwrap();
        assert_eq!(life.committed(GROUP, "orders", 0).await, 4);
    });
}

#[test]
fn an_active_group_is_left_alone() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        let active = async |members: usize| {
            let refused = life.broker.write_synced_offsets(GROUP, vec![offset(1)], QUIET).await;
            assert!(
                matches!(&refused, Err(SyncRefusal::Active { members: some, .. }) if *some == members),
                "{refused:?}"
            );
            let refused = life.broker.delete_synced_group(GROUP, QUIET).await;
            assert!(matches!(refused, Err(SyncRefusal::Active { .. })));
        };
        life.commit(&Commit::of(7)).await;
        active(0).await;
        let joined = life.enter(&Join::default()).await;
        life.sleep_ms(5_000).await;
        active(1).await;
        life.leave(&[(&joined.member_id, None)]).await;
        life.sleep_ms(24_900).await;
        active(0).await;
        life.sleep_ms(200).await;
        life.broker.write_synced_offsets(GROUP, vec![offset(1)], QUIET).await.unwrap();
        assert_eq!(life.committed(GROUP, "orders", 0).await, 1);
    });
}

#[test]
fn a_group_that_its_source_deleted_is_deleted() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        life.broker.write_synced_offsets(GROUP, vec![offset(5)], QUIET).await.unwrap();
        assert!(life.broker.delete_synced_group(GROUP, QUIET).await.unwrap());
        let life = life.restart(Cut::Power, 0).await;
        assert!(!life.broker.delete_synced_group(GROUP, QUIET).await.unwrap());
        assert_eq!(life.broker.group(GROUP).await.unwrap(), None);
    });
}

#[test]
fn all_groups_are_read_page_by_page() {
    story(async || {
        let life = Life::new(1);
        life.topic("orders", 1).await;
        for group in ["b", "a", "d", "c"] {
            assert_eq!(life.commit(&Commit { group, ..Commit::of(3) }).await, ErrorCode::NONE);
        }
        let mut ids = Vec::new();
        loop {
            let page = life.broker.groups_after(ids.last().map(String::as_str), 3).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.iter().all(|it| it.committed().is_some()));
            ids.extend(page.into_iter().map(|it| it.id));
        }
        assert_eq!(ids, ["a", "b", "c", "d"]);
    });
}
