//! Offsets expire, and groups with them.

use carrick_broker::BrokerSettings;
use carrick_wire::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};

use crate::world::{Commit, GROUP, Join, Life, story, text};

const MINUTE_MS: u64 = 60_000;
/// Between two looks at what has expired.
const SWEEP_MS: u64 = 10 * MINUTE_MS;

fn life(retention_minutes: u32) -> Life {
    let settings = BrokerSettings { offsets_retention_minutes: retention_minutes, ..Default::default() };
    Life::with(1, settings)
}

#[test]
fn offsets_expire_so_long_after_the_last_member_left_and_the_group_with_them() {
    story(async || {
        let life = life(60);
        life.topic("orders", 1).await;
        let (a, b, generation) = life.two().await;
        life.commit(&Commit::by(&a, generation, 5)).await;
        for _ in 0..1_000 {
            life.sleep_ms(9_000).await;
            futures::join!(life.heartbeat(&a, generation), life.heartbeat(&b, generation));
        }
        assert_eq!(life.committed(GROUP, "orders", 0).await, 5, "members keep what they read");
        life.leave(&[(&a, None), (&b, None)]).await;
        life.sleep_ms(59 * MINUTE_MS).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, 5);
        // A restart does not begin it anew.
        let life = life.kill().await;
        life.sleep_ms(MINUTE_MS + SWEEP_MS).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, -1);
        assert_eq!(life.state().await, "Dead");
        assert_eq!(life.kill().await.state().await, "Dead");
    });
}

#[test]
fn a_group_that_never_had_members_keeps_each_offset_for_its_own_time() {
    story(async || {
        let life = life(60);
        life.topic("orders", 2).await;
        life.commit(&Commit::of(5)).await;
        life.sleep_ms(30 * MINUTE_MS).await;
        life.commit(&Commit { partition: 1, ..Commit::of(6) }).await;
        life.sleep_ms(30 * MINUTE_MS + SWEEP_MS).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, -1);
        assert_eq!(life.committed(GROUP, "orders", 1).await, 6);
        life.sleep_ms(30 * MINUTE_MS).await;
        assert_eq!(life.state().await, "Dead");
    });
}

#[test]
fn a_stable_group_of_consumers_forgets_topics_that_it_does_not_read_any_more() {
    story(async || {
        let life = life(60);
        life.topic("orders", 1).await;
        life.topic("bills", 1).await;
        let (a, b, generation) = life.two().await;
        life.commit(&Commit { topic: "bills", ..Commit::by(&a, generation, 5) }).await;
        life.commit(&Commit::by(&a, generation, 6)).await;
        for _ in 0..(70 * MINUTE_MS / 9_000 + 1) {
            life.sleep_ms(9_000).await;
            futures::join!(life.heartbeat(&a, generation), life.heartbeat(&b, generation));
        }
        assert_eq!(life.committed(GROUP, "bills", 0).await, -1);
        assert_eq!(life.committed(GROUP, "orders", 0).await, 6);
        assert_eq!(life.state().await, "Stable");
    });
}

#[test]
fn an_old_client_may_ask_for_a_time_of_its_own() {
    story(async || {
        let life = life(60);
        life.topic("orders", 1).await;
        let request = OffsetCommitRequest {
            group_id: text(GROUP),
            retention_time_ms: 3 * 60 * MINUTE_MS as i64,
            topics: vec![OffsetCommitRequestTopic {
                name: "orders".into(),
                partitions: vec![OffsetCommitRequestPartition { committed_offset: 4, ..Default::default() }],
            }],
            ..Default::default()
        };
        life.ask(4, request).await;
        life.sleep_ms(179 * MINUTE_MS).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, 4);
        life.sleep_ms(MINUTE_MS + SWEEP_MS).await;
        assert_eq!(life.committed(GROUP, "orders", 0).await, -1);
    });
}

#[test]
fn a_group_without_offsets_does_not_outlive_its_members_for_long() {
    story(async || {
        let life = life(60);
        let joined = life.enter(&Join::default()).await;
        life.leave(&[(&joined.member_id, None)]).await;
        assert_eq!(life.state().await, "Empty");
        life.sleep_ms(SWEEP_MS + 1).await;
        assert_eq!(life.state().await, "Dead");
    });
}
