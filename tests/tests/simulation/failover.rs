//! A failover at any moment: it succeeds, it says what is lost, the old side stops, and producers that follow are known.

use std::sync::Arc;
use std::time::Duration;

use carrick_link::{CreateLink, CreateMirrors, FailedOver, Failover, LinkState, Mutation};
use carrick_log::{Durability, LogSettings, Role};
use carrick_sim::{Cut, History, run};
use carrick_types::{Known, MirrorState};

use crate::batch::{Producer, batch};
use crate::cases::{cases, hold};
use crate::line::Net;
use crate::world::{Site, produce, until, words};

const PARTITIONS: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);
const NOT_LEADER: i16 = 6;

fn mutation(n: u8, dry_run: bool) -> Mutation {
    Mutation { request: [n; 16], dry_run, who: "test".into() }
}

async fn failover(west: &Site, n: u8, dry_run: bool) -> FailedOver {
    let asked = Failover { link: "east-west".into(), topics: Vec::new(), accept_incomplete: true };
    west.node().links.failover(&mutation(n, dry_run), asked).await.unwrap()
}

fn records(sequence: i32, fill: u8) -> bytes::Bytes {
    batch(Some(Producer { id: 7_000, epoch: 0, sequence }), 2, 50, fill, carrick_sim::WALL_START.0)
}

/// The ends of the topic's partitions.
fn ends(site: &Site) -> Vec<i64> {
    let node = site.node();
    let topic = node.catalog.topic("orders").unwrap();
    node.logs.topic(topic.id).iter().map(|it| it.offsets().log_end.at().get()).collect()
}

fn roles(site: &Site) -> Vec<Role> {
    let node = site.node();
    let topic = node.catalog.topic("orders").unwrap();
    node.logs.topic(topic.id).iter().map(|it| it.role()).collect()
}

fn story(seed: u64) -> History {
    words();
    let history = History::new();
    run(seed, async {
        let log =
            LogSettings { durability: Durability::Fsync, segment_bytes: 64 << 10, ..LogSettings::default() };
        let net = Net::new(seed, seed % 30);
        let mut east = Site::new("east:9590", carrick_sim::derive(seed, 1), &net, log);
        let mut west = Site::new("west:9590", carrick_sim::derive(seed, 2), &net, log);
        assert!(east.start().await && west.start().await);
        east.create_topic("orders", PARTITIONS as i32).await;
        let link = CreateLink {
            name: "east-west".into(),
            peer: "east:9590".into(),
            connections: 2,
            groups: String::new(),
        };
        west.node().links.create_link(&mutation(1, false), link).await.unwrap();
        let links = Arc::clone(&west.node().links);
        until("the link connects", MINUTE, || links.links()[0].state == LinkState::Connected).await;
        let asked = CreateMirrors { link: "east-west".into(), topics: vec!["orders".into()] };
        links.create_mirrors(&mutation(2, false), asked).await.unwrap();

        // Each partition's producer goes on as long as east answers.
        let mut told = [0i32; PARTITIONS as usize];
        for n in 0..(10 + east.draw(40)) {
            let at = n as usize % told.len();
            let broker = east.node().broker.clone();
            let answer =
                produce(&broker, "orders", at as u32, records(told[at], told[at] as u8)).await.unwrap();
            assert_eq!(answer.error_code, 0, "{answer:?}");
            told[at] += 2;
            if east.draw(10) == 0 {
                tokio::time::sleep(Duration::from_millis(east.draw(900))).await;
            }
        }
        // East dies, or is merely cut off, or lives on.
        let fate = east.draw(3);
        match fate {
            0 => {
                net.unplug("east:9590");
                east.node = None;
                east.sim.crash();
            }
            1 => net.set_down(true),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(west.draw(4_000))).await;

        let plan = failover(&west, 3, true).await;
        assert!(!plan.applied && plan.topics[0].outcome == "OPEN", "{plan:?}");
        // West may die at any call of the failover; the next life finishes what was decided.
        let mut decided = true;
        if west.draw(2) == 0 {
            west.sim.disk.crash_at(west.sim.disk.calls() + 1 + west.draw(40));
            let asked = Failover { link: "east-west".into(), topics: Vec::new(), accept_incomplete: true };
            let links = Arc::clone(&west.node().links);
            let _ = tokio::time::timeout(Duration::from_secs(5), links.failover(&mutation(4, false), asked))
                .await;
            west.crash_and_start(Cut::Power).await;
            decided = west.node().links.mirrors()[0].state == MirrorState::Stopped;
            history.note(format!("decided before the crash: {decided}"));
            if !decided {
                assert!(matches!(roles(&west)[0], Role::Mirror { .. }), "undecided is unopened");
            }
        }
        let done = failover(&west, 4, false).await;
        assert!(done.applied);
        let again = failover(&west, 4, false).await;
        assert_eq!(again.topics.len(), done.topics.len(), "a repeat is answered as before");
        assert_eq!(west.node().links.mirrors()[0].state, MirrorState::Stopped);
        for role in roles(&west) {
            assert!(matches!(role, Role::Writable { epoch } if epoch.generation().get() == 1), "{role:?}");
        }
        history.note(format!("{fate} {decided} {:?} {told:?}", ends(&west)));

        // What is stated is no more than what is lost, and all that was told is there but for that.
        for (at, partition) in done.topics[0].partitions.iter().enumerate() {
            let kept = ends(&west)[at];
            let lost = i64::from(told[at]) - kept;
            if let Known::Known(stated) = partition.offsets {
                assert!(stated as i64 <= lost.max(0), "partition {at}: stated {stated}, lost {lost}");
            }
            // The producer follows: what west has is answered as a duplicate, the rest is taken.
            let broker = west.node().broker.clone();
            if kept >= 2 {
                let last = records(kept as i32 - 2, (kept - 2) as u8);
                let answer = produce(&broker, "orders", at as u32, last).await.unwrap();
                assert_eq!(
                    (answer.error_code, answer.base_offset),
                    (0, kept - 2),
                    "a batch that was mirrored is known"
                );
                assert_eq!(ends(&west)[at], kept, "and is not appended again");
            }
            let answer =
                produce(&broker, "orders", at as u32, records(kept as i32, kept as u8)).await.unwrap();
            assert_eq!((answer.error_code, answer.base_offset), (0, kept));
        }

        // East comes back, or was there all the time: once it has heard west, it takes no writes.
        match fate {
            0 => east.crash_and_start(Cut::Power).await,
            1 => net.set_down(false),
            _ => {}
        }
        let superseded = |site: &Site| roles(site).iter().all(|role| *role == Role::Superseded);
        until("east stops", MINUTE, || superseded(&east)).await;
        let broker = east.node().broker.clone();
        let refused = produce(&broker, "orders", 0, records(told[0], 0)).await.unwrap();
        assert_eq!(refused.error_code, NOT_LEADER);
        east.crash_and_start(Cut::Kill).await;
        assert!(superseded(&east), "also after a restart");
        history.note(format!("{:?} {:?}", ends(&east), west.node().links.journal().unwrap().len()));
    });
    history
}

#[test]
fn a_failover_succeeds_at_any_moment_and_says_what_is_lost() {
    hold(cases(60, 240), |seed| drop(story(seed)));
}

#[test]
fn the_same_seed_fails_over_the_same_way() {
    for seed in [4, 5, 6] {
        let (one, two) = (story(seed), story(seed));
        assert_eq!(one.difference(&two), None, "seed {seed}");
    }
}
