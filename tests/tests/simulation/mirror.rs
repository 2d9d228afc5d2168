//! Bytes cross: what stands at the source stands at the mirror, over cuts, reordering and crashes.

use std::sync::Arc;
use std::time::Duration;

use carrick_link::{CreateLink, CreateMirrors, LinkState, Mutation};
use carrick_log::{Durability, LogSettings};
use carrick_sim::{Cut, History, run};
use carrick_types::{MirrorState, Partition};
use parking_lot::Mutex;

use crate::batch::{Producer, batch};
use crate::cases::{cases, hold};
use crate::line::Net;
use crate::world::{Site, produce, until};

const PARTITIONS: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);

fn mutation(n: u8) -> Mutation {
    Mutation { request: [n; 16], dry_run: false, who: "test".into() }
}

fn settings(durability: Durability) -> LogSettings {
    LogSettings { durability, segment_bytes: 64 << 10, ..LogSettings::default() }
}

async fn linked(west: &Site) {
    let link = CreateLink {
        name: "east-west".into(),
        peer: "east:9590".into(),
        connections: 2,
        groups: String::new(),
    };
    west.node().links.create_link(&mutation(1), link).await.unwrap();
    let links = Arc::clone(&west.node().links);
    until("the link connects", MINUTE, || links.links()[0].state == LinkState::Connected).await;
}

async fn mirrored(west: &Site, topics: &[&str]) {
    let topics = topics.iter().map(ToString::to_string).collect();
    let asked = CreateMirrors { link: "east-west".into(), topics };
    west.node().links.create_mirrors(&mutation(2), asked).await.unwrap();
}

/// What a producer was told.
#[derive(Default)]
struct Told {
    acknowledged: Vec<(u32, i64, u8)>,
    sequence: [i32; PARTITIONS as usize],
    /// Sent, and not told what became of it: sent again before anything else.
    maybe: [Option<Sent>; PARTITIONS as usize],
}

#[derive(Clone, Copy)]
struct Sent {
    count: u32,
    size: usize,
    fill: u8,
}

/// Sends a batch, or the one before it that nothing is known of.
async fn send(east: &Site, told: &Mutex<Told>, partition: u32, count: u32, size: usize, fill: u8) -> bool {
    let at = partition as usize;
    let (sent, sequence) = {
        let mut told = told.lock();
        let sent = *told.maybe[at].get_or_insert(Sent { count, size, fill });
        (sent, told.sequence[at])
    };
    let producer = Producer { id: 5_000, epoch: 0, sequence };
    let records = batch(Some(producer), sent.count, sent.size, sent.fill, carrick_sim::WALL_START.0);
    let Some(node) = &east.node else { return false };
    let broker = node.broker.clone();
    let answer =
        tokio::time::timeout(Duration::from_secs(5), produce(&broker, "orders", partition, records)).await;
    match answer {
        Ok(Some(answer)) if answer.error_code == 0 => {
            let mut told = told.lock();
            told.acknowledged.push((partition, answer.base_offset, sent.fill));
            told.sequence[at] += sent.count as i32;
            told.maybe[at] = None;
            true
        }
        _ => false,
    }
}

async fn equal(east: &Site, west: &Site, history: &History) {
    for partition in 0..PARTITIONS {
        let ends = || {
            let end = |site: &Site| {
                let node = site.node();
                let topic = node.catalog.topic("orders").unwrap();
                node.logs.partition(topic.id, Partition(partition)).unwrap().offsets()
            };
            (end(east), end(west))
        };
        until(
            &format!("partition {partition} is equal: {:?}, {:?}", ends(), west.node().links.mirrors()),
            MINUTE,
            || {
                let (source, mirror) = ends();
                source.high_watermark == mirror.high_watermark && source.log_end == mirror.log_end
            },
        )
        .await;
        let (source, mirror) =
            (east.contents("orders", partition).await, west.contents("orders", partition).await);
        history.note(format!("{partition}: {:?} {:?} {}", source.start, source.end, source.bytes.len()));
        assert!(source == mirror, "partition {partition} differs");
    }
}

/// Produce, cut, crash either side, go on; at the end both are equal and nothing that was told is missing.
fn story(seed: u64, durability: Durability) -> History {
    crate::world::words();
    let history = History::new();
    run(seed, async {
        let net = Net::new(seed, seed % 20);
        let mut east = Site::new("east:9590", carrick_sim::derive(seed, 1), &net, settings(durability));
        let mut west = Site::new("west:9590", carrick_sim::derive(seed, 2), &net, settings(durability));
        assert!(east.start().await && west.start().await);
        east.create_topic("orders", PARTITIONS as i32).await;
        linked(&west).await;
        let told = Mutex::new(Told::default());
        for n in 0..5 {
            assert!(send(&east, &told, n % PARTITIONS, 3, 100, n as u8).await);
        }
        mirrored(&west, &["orders"]).await;
        let cut = if durability == Durability::Os { Cut::Kill } else { Cut::Power };
        for step in 0..40u64 {
            let (partition, size) = (east.draw(3) as u32, 1 + east.draw(9_000) as usize);
            let count = 1 + east.draw(if step % 13 == 0 { 80 } else { 5 }) as u32;
            if !send(&east, &told, partition, count, size, step as u8).await {
                history.note(format!("{step}: not told"));
            }
            match east.draw(20) {
                0 => net.cut(),
                1 => {
                    net.set_down(true);
                    tokio::time::sleep(Duration::from_millis(1 + east.draw(8_000))).await;
                    net.set_down(false);
                }
                2 => {
                    let calls = east.sim.disk.calls() + east.draw(30);
                    east.sim.disk.crash_at(calls);
                    send(&east, &told, partition, 2, 10, step as u8).await;
                    east.crash_and_start(cut).await;
                }
                3 => {
                    let calls = west.sim.disk.calls() + west.draw(60);
                    west.sim.disk.crash_at(calls);
                    tokio::time::sleep(Duration::from_millis(west.draw(500))).await;
                    west.crash_and_start(cut).await;
                }
                4 => tokio::time::sleep(Duration::from_millis(east.draw(2_000))).await,
                _ => {}
            }
            history.note(format!("{step}: {} {}", east.sim.disk.calls(), west.sim.disk.calls()));
        }
        equal(&east, &west, &history).await;
        let acknowledged = std::mem::take(&mut told.lock().acknowledged);
        for (partition, base, fill) in &acknowledged {
            let contents = west.contents("orders", *partition).await;
            let found = carrick_record::Batches::new(contents.bytes.into())
                .map(Result::unwrap)
                .find(|it| it.header.base_offset.get() == *base)
                .unwrap_or_else(|| {
                    panic!("batch at {base} of {partition} was told and is not at the mirror")
                });
            let last = found.body()[found.body().len() - 2];
            assert_eq!(last, *fill, "the batch at {base} of {partition} is another");
        }
        let links = Arc::clone(&west.node().links);
        until("the mirror is active", MINUTE, || links.mirrors()[0].state == MirrorState::Active).await;
        history.note(format!("{:?}", west.node().links.mirrors()));
    });
    history
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 2, 3] {
        let (one, two) = (story(seed, Durability::Fsync), story(seed, Durability::Fsync));
        assert_eq!(one.difference(&two), None, "seed {seed}");
    }
}

#[test]
fn a_mirror_is_equal_over_cuts_and_power_cuts() {
    hold(cases(15, 60), |seed| drop(story(seed, Durability::Fsync)));
}

#[test]
fn a_mirror_is_equal_over_cuts_and_kills_where_nothing_waits_for_the_disk() {
    hold(cases(15, 60), |seed| drop(story(1_000_000 + seed, Durability::Os)));
}
