//! A site dies at each call of a failover, of its disk and of its line, in three ways each: what its next life finds was
//! completed or not begun, never half, and nothing is lost but what the failover's statement names.

use std::sync::Arc;
use std::time::Duration;

use carrick_link::{CreateLink, CreateMirrors, FailedOver, Failover, LinkState, Mutation};
use carrick_log::{Durability, LogSettings, Partition, Role};
use carrick_record::{Batch, Batches};
use carrick_sim::{Cut, derive, run};
use carrick_types::MirrorState;

use crate::batch::{Producer, batch, transactional};
use crate::cases::{cases, hold};
use crate::line::Net;
use crate::world::{Site, produce, until, words};

/// Calls of a failover and of what follows it at once, each of which is the last of a site.
const CALLS: u64 = 40;
/// Killed; and without power, as two draws have it.
const WAYS: u64 = 3;
const A_SEED: u64 = CALLS * WAYS;

const PLACES: [(&str, u32); 3] = [("orders", 0), ("orders", 1), ("notes", 0)];
const MINUTE: Duration = Duration::from_secs(60);

fn mutation(n: u8) -> Mutation {
    Mutation { request: [n; 16], dry_run: false, who: "test".into() }
}

/// Two sites in the middle of a failover.
struct Pair {
    net: Arc<Net>,
    east: Site,
    west: Site,
    /// By place: what east acknowledged, and where.
    acknowledged: [Vec<(i64, Batch)>; PLACES.len()],
}

impl Pair {
    async fn linked(seed: u64) -> Self {
        let log =
            LogSettings { durability: Durability::Fsync, segment_bytes: 2 << 10, ..LogSettings::default() };
        let net = Net::new(seed, seed % 30);
        let mut east = Site::new("east:9590", derive(seed, 1), &net, log);
        let mut west = Site::new("west:9590", derive(seed, 2), &net, log);
        assert!(east.start().await && west.start().await);
        east.create_topic("orders", 2).await;
        east.create_topic("notes", 1).await;
        let link = CreateLink {
            name: "east-west".into(),
            peer: "east:9590".into(),
            connections: 2,
            groups: String::new(),
        };
        let links = Arc::clone(&west.node().links);
        links.create_link(&mutation(1), link).await.unwrap();
        until("the link connects", MINUTE, || links.links()[0].state == LinkState::Connected).await;
        let asked = CreateMirrors { link: "east-west".into(), topics: vec!["*".into()] };
        links.create_mirrors(&mutation(2), asked).await.unwrap();
        Self { net, east, west, acknowledged: Default::default() }
    }

    /// Of each partition's producer, and now and then one in a transaction that nobody ends.
    async fn fill(&mut self) {
        for n in 0..(12 + self.east.draw(30)) {
            let at = n as usize % PLACES.len();
            let (size, fill) = (1 + self.east.draw(300) as usize, n as u8);
            let sequence = 2 * (n as i32 / PLACES.len() as i32);
            let producer = Producer { id: 7_000 + at as i64, epoch: 0, sequence };
            let sent = batch(Some(producer), 2, size, fill, carrick_sim::WALL_START.0);
            self.send(at, sent).await;
            if n == 7 && self.east.draw(2) == 0 {
                self.begin_transaction(at, n as u8).await;
            }
            if self.east.draw(8) == 0 {
                tokio::time::sleep(Duration::from_millis(self.east.draw(900))).await;
            }
        }
    }

    async fn send(&mut self, at: usize, mut sent: bytes::Bytes) {
        let (topic, partition) = PLACES[at];
        let broker = self.east.node().broker.clone();
        let answer = produce(&broker, topic, partition, sent.clone()).await.unwrap();
        assert_eq!(answer.error_code, 0, "{answer:?}");
        self.acknowledged[at].push((answer.base_offset, Batch::split_from(&mut sent).unwrap()));
    }

    /// The broker takes none yet.
    async fn begin_transaction(&mut self, at: usize, fill: u8) {
        let (topic, partition) = PLACES[at];
        let producer = Producer { id: 9_000, epoch: 0, sequence: 0 };
        let mut sent = transactional(producer, 2, 100, fill, carrick_sim::WALL_START.0);
        let sent = Batch::split_from(&mut sent).unwrap();
        let node = self.east.node();
        let id = node.catalog.topic(topic).unwrap().id;
        let log = node.logs.partition(id, carrick_types::Partition(partition)).unwrap();
        let appended = log.append(&sent, None, carrick_sim::WALL_START).unwrap();
        log.acknowledged(appended.end).await.unwrap();
        self.acknowledged[at].push((appended.base.get(), sent));
    }

    /// None if it did not answer in time.
    async fn fail_over(&self) -> Option<FailedOver> {
        let asked = Failover { link: "east-west".into(), topics: Vec::new(), accept_incomplete: true };
        let links = Arc::clone(&self.west.node().links);
        let (mutation, limit) = (mutation(3), Duration::from_secs(20));
        let work = links.failover(&mutation, asked);
        tokio::time::timeout(limit, work).await.ok()?.ok()
    }

    /// Completed, not begun, or neither yet.
    fn decided(&self) -> Option<bool> {
        let stopped: Vec<_> =
            self.west.node().links.mirrors().iter().map(|it| it.state == MirrorState::Stopped).collect();
        let open: Vec<_> =
            logs(&self.west).iter().map(|it| matches!(it.role(), Role::Writable { .. })).collect();
        match (
            stopped.contains(&true) || open.contains(&true),
            stopped.contains(&false) || open.contains(&false),
        ) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }

    /// What the statement says is kept stands, as it was acknowledged; readers are held up by nothing, and writers go on.
    async fn holds(&self, done: &FailedOver) {
        assert!(done.applied && done.topics.len() == 2, "{done:?}");
        for (at, (topic, partition)) in PLACES.into_iter().enumerate() {
            let stated = done.topics.iter().find(|it| it.topic == topic).unwrap();
            assert_eq!(stated.outcome, "OPEN", "{stated:?}");
            let kept = stated.partitions[partition as usize].end.get();
            let contents = self.west.contents(topic, partition).await;
            let found: Vec<_> = Batches::new(contents.bytes.into()).map(Result::unwrap).collect();
            for (base, sent) in &self.acknowledged[at] {
                let next = base + i64::from(sent.header.count);
                let there = found.iter().find(|it| it.header.base_offset.get() == *base);
                let same = there.is_some_and(|it| it.body() == sent.body());
                assert!(same || next > kept, "{topic} {partition}: {base} is below {kept}, and is not there");
            }
            let end = contents.end.get();
            let markers = i64::from(stated.partitions[partition as usize].open_transactions);
            assert!(
                (kept..=kept + markers).contains(&end),
                "{topic} {partition}: kept {kept}, ends at {end}"
            );
        }
        for log in logs(&self.west) {
            let (offsets, role) = (log.offsets(), log.role());
            assert!(matches!(role, Role::Writable { epoch } if epoch.generation().get() == 1), "{role:?}");
            assert_eq!(offsets.last_stable.at(), offsets.log_end.at(), "a transaction stays open");
        }
        for (at, (topic, partition)) in PLACES.into_iter().enumerate() {
            let broker = self.west.node().broker.clone();
            let producer = Producer { id: 11_000 + at as i64, epoch: 0, sequence: 0 };
            let sent = batch(Some(producer), 1, 10, 1, carrick_sim::WALL_START.0);
            assert_eq!(produce(&broker, topic, partition, sent).await.unwrap().error_code, 0);
        }
    }
}

fn logs(site: &Site) -> Vec<Arc<Partition>> {
    let node = site.node();
    ["orders", "notes"].iter().flat_map(|it| node.logs.topic(node.catalog.topic(it).unwrap().id)).collect()
}

/// Waits for its crash, which comes with one of the next calls, or now.
async fn end(site: &Site, way: u64) -> Cut {
    let _ = tokio::time::timeout(Duration::from_secs(10), site.sim.disk.until_crashed()).await;
    site.sim.crash();
    if way == 2 {
        // Another disk that the same cut may leave.
        drop(site.sim.disk.reboot(Cut::Power));
    }
    if way == 0 { Cut::Kill } else { Cut::Power }
}

async fn story(case: u64) {
    let (seed, call, way) = (case / A_SEED, case / WAYS % CALLS + 1, case % WAYS);
    let mut pair = Pair::linked(seed).await;
    pair.fill().await;
    // East is dead, or cut off, or lives on; it may be it that dies once it hears of the failover.
    match seed % 3 {
        0 => {
            pair.net.unplug("east:9590");
            pair.east.node = None;
            pair.east.sim.crash();
        }
        1 => pair.net.set_down(true),
        _ => {}
    }
    tokio::time::sleep(Duration::from_millis(pair.west.draw(4_000))).await;
    let east_dies = seed % 6 == 5;
    let disk = if east_dies { &pair.east.sim.disk } else { &pair.west.sim.disk };
    disk.crash_at(disk.calls() + call);
    let answer = pair.fail_over().await;

    if east_dies {
        assert!(answer.is_some(), "west is well");
        let cut = end(&pair.east, way).await;
        pair.east.crash_and_start(cut).await;
    } else {
        let cut = end(&pair.west, way).await;
        pair.west.crash(cut).await;
        if seed % 2 == 1 {
            // The next life may die while it completes what was begun.
            pair.west.sim.disk.crash_at(1 + case % 37);
            if pair.west.start().await {
                end(&pair.west, 0).await;
            }
            pair.west.crash(Cut::Power).await;
        }
        assert!(pair.west.start().await);
        until("it is completed or not begun", MINUTE, || pair.decided().is_some()).await;
        assert!(answer.is_none() || pair.decided() == Some(true), "it was answered, and is not begun");
    }
    let done = pair.fail_over().await.expect("a failover succeeds");
    if let Some(before) = answer {
        let ends = |of: &FailedOver| -> Vec<_> {
            of.topics.iter().flat_map(|it| it.partitions.iter().map(|it| it.end)).collect()
        };
        assert_eq!(ends(&before), ends(&done), "it states something else than before");
    }
    pair.holds(&done).await;

    match seed % 3 {
        0 => pair.east.crash_and_start(Cut::Power).await,
        1 => pair.net.set_down(false),
        _ => {}
    }
    let superseded = |site: &Site| logs(site).iter().all(|it| it.role() == Role::Superseded);
    until("east stops", MINUTE, || superseded(&pair.east)).await;
    pair.east.crash_and_start(Cut::Kill).await;
    assert!(superseded(&pair.east), "also after a restart");
}

#[test]
fn a_failover_that_a_crash_cuts_short_at_any_call_is_completed_or_not_begun() {
    words();
    hold(cases(A_SEED, 12 * A_SEED), |case| run(case / A_SEED, story(case)));
}
