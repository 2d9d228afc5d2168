//! Positions of consumer groups over a link: never past the mirror, never backwards without a word, gone when deleted.

use std::sync::Arc;
use std::time::Duration;

use carrick_link::{CreateLink, CreateMirrors, Failover, LinkState, Mutation};
use carrick_log::{Durability, LogSettings};
use carrick_sim::{Cut, History, run};
use carrick_types::Partition;
use carrick_wire::{
    DeleteGroupsRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    Response,
};

use crate::batch::batch;
use crate::cases::{cases, hold};
use crate::line::Net;
use crate::world::{Site, produce, until, words};

const NOT_LEADER: i16 = 6;
const MINUTE: Duration = Duration::from_secs(60);

fn mutation(n: u8) -> Mutation {
    Mutation { request: [n; 16], dry_run: false, who: "test".into() }
}

/// Commits as a client without a membership does; false if there was no answer.
async fn commit(site: &Site, group: &'static str, partition: i32, offset: i64) -> bool {
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "orders".into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: offset,
                committed_metadata: Some("words".into()),
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    match site.ask(8, request).await {
        Some(Response::OffsetCommit(answer)) => answer.topics[0].partitions[0].error_code == 0,
        _ => false,
    }
}

fn position(site: &Site, group: &str, partition: u32) -> Option<i64> {
    site.node().catalog.group_offset(group, "orders", Partition(partition)).map(|it| it.offset.get())
}

fn high(site: &Site, partition: u32) -> i64 {
    let node = site.node();
    let topic = node.catalog.topic("orders").unwrap();
    node.logs.partition(topic.id, Partition(partition)).unwrap().offsets().high_watermark.at().get()
}

fn story(seed: u64) -> History {
    words();
    let history = History::new();
    run(seed, async {
        let log =
            LogSettings { durability: Durability::Fsync, segment_bytes: 64 << 10, ..LogSettings::default() };
        let net = Net::new(seed, seed % 50);
        let mut east = Site::new("east:9590", carrick_sim::derive(seed, 1), &net, log);
        let mut west = Site::new("west:9590", carrick_sim::derive(seed, 2), &net, log);
        assert!(east.start().await && west.start().await);
        east.create_topic("orders", 2).await;
        let link = CreateLink {
            name: "east-west".into(),
            peer: "east:9590".into(),
            connections: 1,
            groups: "app-*".into(),
        };
        west.node().links.create_link(&mutation(1), link).await.unwrap();
        let links = Arc::clone(&west.node().links);
        until("the link connects", MINUTE, || links.links()[0].state == LinkState::Connected).await;
        let asked = CreateMirrors { link: "east-west".into(), topics: vec!["orders".into()] };
        links.create_mirrors(&mutation(2), asked).await.unwrap();
        drop(links);

        let mut ends = [0i64; 2];
        let mut committed = [0i64; 2];
        for step in 0..30 {
            let at = east.draw(2) as usize;
            let broker = east.node().broker.clone();
            let count = 1 + east.draw(4) as u32;
            let records = batch(None, count, 20, 1, carrick_sim::WALL_START.0);
            // After a start the topic waits for its peer's word.
            while produce(&broker, "orders", at as u32, records.clone()).await.unwrap().error_code
                == NOT_LEADER
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ends[at] += i64::from(count);
            // Mostly forward, now and then back.
            let to = if east.draw(8) == 0 { committed[at] / 2 } else { ends[at] };
            assert!(
                commit(&east, "app-one", at as i32, to).await && commit(&east, "other", at as i32, to).await
            );
            committed[at] = to;
            for partition in 0..2 {
                if let Some(here) = position(&west, "app-one", partition) {
                    assert!(here <= high(&west, partition), "step {step}: a position past the mirror");
                }
            }
            match east.draw(12) {
                0 => net.cut(),
                1 => east.crash_and_start(Cut::Power).await,
                2 => west.crash_and_start(Cut::Power).await,
                3 => tokio::time::sleep(Duration::from_millis(east.draw(3_000))).await,
                _ => {}
            }
        }
        until("the positions follow", MINUTE, || {
            (0..2).all(|it| {
                committed[it as usize] == 0 || position(&west, "app-one", it) == Some(committed[it as usize])
            })
        })
        .await;
        assert_eq!(position(&west, "other", 0), None, "the pattern leaves it out");
        history.note(format!("{ends:?} {committed:?} {:?}", west.node().links.journal().unwrap().len()));

        if east.draw(2) == 0 {
            // Deleted at the source, and so here; now and then while the link is down.
            net.set_down(true);
            let request = DeleteGroupsRequest { groups_names: vec!["app-one".into()] };
            if east.draw(2) == 0 {
                net.set_down(false);
                tokio::time::sleep(Duration::from_secs(8)).await;
            }
            match east.ask(2, request).await {
                Some(Response::DeleteGroups(answer)) => assert_eq!(answer.results[0].error_code, 0),
                other => panic!("{other:?}"),
            }
            net.set_down(false);
            until("the group goes", MINUTE, || {
                position(&west, "app-one", 0).is_none() && position(&west, "app-one", 1).is_none()
            })
            .await;
        } else {
            // After a failover the group goes on here, and what its source says does not count any more.
            net.unplug("east:9590");
            let asked = Failover { link: "east-west".into(), topics: Vec::new(), accept_incomplete: false };
            west.node().links.failover(&mutation(3), asked).await.unwrap();
            for partition in 0..2u32 {
                let here = position(&west, "app-one", partition);
                assert_eq!(here.unwrap_or(0), committed[partition as usize]);
                assert!(commit(&west, "app-one", partition as i32, 1_000 + i64::from(partition)).await);
            }
            net.plug("east:9590", &east.node().links, Arc::clone(&east.sim.disk));
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(
                (position(&west, "app-one", 0), position(&west, "app-one", 1)),
                (Some(1_000), Some(1_001))
            );
        }
    });
    history
}

#[test]
fn groups_land_where_they_were_and_never_past_the_mirror() {
    hold(cases(30, 120), |seed| drop(story(seed)));
}

#[test]
fn the_same_seed_moves_groups_the_same_way() {
    for seed in [1, 2] {
        let (one, two) = (story(seed), story(seed));
        assert_eq!(one.difference(&two), None, "seed {seed}");
    }
}
