//! A node alone, from its first boot on: each of its syncs fails in turn, and each call that needs room finds none. What it
//! answered for stands in every later life, and what it could not do it says.

use std::collections::BTreeSet;
use std::time::Duration;

use carrick_log::{Durability, LogSettings};
use carrick_record::{Batch, Batches};
use carrick_sim::{Cut, SimEntropy, WALL_START, derive, run};
use carrick_sys::Entropy;
use carrick_wire::{CreatableTopic, CreateTopicsRequest, Response};
use tokio::time::sleep;

use crate::batch::batch;
use crate::cases::{cases, hold};
use crate::line::Net;
use crate::world::{Site, produce_request};

/// Syncs that fail in turn, and calls that find no room.
const SITES: u64 = 64;
const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const PARTITIONS: u32 = 2;
const STEPS_MAX: u64 = 3_000;
const ANSWER_MAX: Duration = Duration::from_secs(35);

struct World {
    site: Site,
    draw: SimEntropy,
    topics: Vec<&'static str>,
    /// Those of which it was answered that they are made.
    made: BTreeSet<&'static str>,
    /// Acknowledged: where, and what.
    told: Vec<(&'static str, u32, i64, Batch)>,
    sent: u64,
}

impl World {
    fn new(seed: u64, case: u64) -> Self {
        let log = LogSettings {
            durability: Durability::Fsync,
            segment_bytes: 3 << 10,
            retention_check: Duration::from_secs(30),
            ..LogSettings::default()
        };
        let site = Site::new("alone:9590", case, &Net::new(seed, 0), log);
        Self {
            site,
            draw: SimEntropy::new(derive(seed, 5)),
            topics: Vec::new(),
            made: BTreeSet::new(),
            told: Vec::new(),
            sent: 0,
        }
    }

    fn below(&self, end: u64) -> u64 {
        (&self.draw as &dyn Entropy).u64() % end
    }

    /// The error that it was answered with; None if there was no answer, or nothing was asked.
    async fn step(&mut self) -> Option<i16> {
        match self.below(12) {
            0 => {
                let next = TOPICS.get(self.topics.len())?;
                self.create(next).await
            }
            1 => {
                sleep(Duration::from_millis(self.below(7_000))).await;
                None
            }
            _ if self.topics.is_empty() => self.create(TOPICS[0]).await,
            _ => {
                let topic = self.topics[self.below(self.topics.len() as u64) as usize];
                let partition = self.below(PARTITIONS.into()) as u32;
                self.produce(topic, partition).await
            }
        }
    }

    async fn create(&mut self, name: &'static str) -> Option<i16> {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: PARTITIONS as i32,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
        let Some(Response::CreateTopics(answer)) = self.site.door.ask(7, request, ANSWER_MAX).await else {
            return None;
        };
        let code = answer.topics[0].error_code;
        if code == 0 {
            self.made.insert(name);
        }
        // What was answered with an error may be there all the same.
        if [0, 36].contains(&code) {
            self.topics.push(name);
        }
        Some(if code == 36 { 0 } else { code })
    }

    async fn produce(&mut self, topic: &'static str, partition: u32) -> Option<i16> {
        self.sent += 1;
        let size = if self.below(10) == 0 { 2_500 } else { 1 + self.below(200) as usize };
        let records = batch(None, 2, size, self.sent as u8, WALL_START.0);
        let request = produce_request(topic, partition, records.clone());
        let Some(Response::Produce(answer)) = self.site.door.ask(9, request, ANSWER_MAX).await else {
            return None;
        };
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code == 0 {
            let sent = Batch::split_from(&mut records.clone()).unwrap();
            self.told.push((topic, partition, answer.base_offset, sent));
        }
        Some(answer.error_code)
    }

    fn halted(&self) -> bool {
        self.site.node.as_ref().is_some_and(|it| it.logs.halted().is_some())
    }

    /// The next life, on what the end leaves.
    async fn again(&mut self, cut: Cut) {
        self.site.crash(cut).await;
        self.site.try_start().await.unwrap_or_else(|e| panic!("the next life does not begin: {e}"));
        self.holds().await;
    }

    async fn holds(&mut self) {
        let (node, told) = (self.site.node.as_ref().unwrap(), &self.told);
        self.topics.retain(|it| node.catalog.topic(it).is_some());
        let lost = self.made.iter().chain(told.iter().map(|it| &it.0)).find(|it| !self.topics.contains(it));
        assert_eq!(lost, None, "a topic is gone that was answered for");
        for topic in &self.topics {
            for partition in 0..PARTITIONS {
                let contents = self.site.contents(topic, partition).await;
                let found: Vec<_> = Batches::new(contents.bytes.into()).map(Result::unwrap).collect();
                for (_, _, base, sent) in self.told.iter().filter(|it| (it.0, it.1) == (*topic, partition)) {
                    let there = found.iter().find(|it| it.header.base_offset.get() == *base);
                    let same = there.is_some_and(|it| it.body() == sent.body());
                    assert!(same, "{topic} {partition}: {base} was acknowledged, and is not there");
                }
            }
        }
        assert_eq!(self.site.sim.spawn.panicked(), [""; 0]);
    }

    async fn goes_on(&mut self) {
        for topic in self.topics.clone() {
            for partition in 0..PARTITIONS {
                assert_eq!(self.produce(topic, partition).await, Some(0), "{topic} {partition}");
            }
        }
    }
}

async fn sync_fails(case: u64) {
    let (seed, site) = (case / (SITES * 4), case / 4 % SITES + 1);
    let mut world = World::new(seed, case);
    let disk = &world.site.sim.disk;
    let for_ever = case % 4 > 1;
    if for_ever {
        disk.fail_syncs_from(site)
    } else {
        disk.fail_sync_after(site)
    }
    if world.site.try_start().await.is_ok() {
        let (mut steps, mut refused) = (0, false);
        while !world.halted() && !refused {
            steps += 1;
            assert!(steps < STEPS_MAX, "no sync has failed");
            refused = world.step().await.is_some_and(|code| code != 0);
        }
        // The word of it is left behind.
        sleep(Duration::from_secs(2)).await;
        // The catalog's sync may fail alone: then no topic is made any more, and the others are written. Or the logs' alone.
        for _ in 0..20 {
            let (told, halted) = (world.told.len(), world.halted());
            let _ = world.step().await;
            assert!(!halted || world.told.len() == told, "a halted node takes a write");
        }
    }
    // A first boot that could not end is told by that, and begun anew on an empty disk.
    let begun = world.site.node.is_some();
    let cut = if case.is_multiple_of(2) || !begun { Cut::Kill } else { Cut::Power };
    world.again(cut).await;
    world.goes_on().await;
    if begun {
        world.again(Cut::Power).await;
        world.goes_on().await;
    }
}

#[test]
fn a_node_whose_sync_fails_anywhere_says_so_and_loses_nothing_that_it_answered_for() {
    hold(cases(256, 4_096), |case| run(case, sync_fails(case)));
}

async fn disk_fills(case: u64) {
    let (seed, site) = (case / (SITES * 3), case / 3 % SITES + 1);
    let mut world = World::new(seed, case);
    world.site.sim.disk.fill_after(site);
    if let Err(e) = world.site.try_start().await {
        assert!(world.site.sim.disk.has_end(), "{e}");
        world.site.sim.disk.full_at(u64::MAX);
        world.again(Cut::Kill).await;
        world.goes_on().await;
        return;
    }
    let (mut steps, mut full_steps) = (0, 0);
    while full_steps < 25 {
        steps += 1;
        assert!(steps < STEPS_MAX, "no call has found the disk full");
        let answer = world.step().await;
        full_steps += u64::from(world.site.sim.disk.has_end());
        assert!(matches!(answer, None | Some(0)) || full_steps > 0, "{answer:?}, and there is room");
        assert!(!world.halted(), "a full disk is no failed one");
        if full_steps % 8 == 1 {
            world.holds().await;
        }
    }
    if case.is_multiple_of(4) {
        // It starts without room, too, or says why not.
        world.site.crash(Cut::Power).await;
        let _ = world.site.try_start().await;
        world.site.sim.disk.full_at(u64::MAX);
        world.again(Cut::Kill).await;
    }
    world.site.sim.disk.full_at(u64::MAX);
    sleep(Duration::from_secs(10)).await;
    world.goes_on().await;
    world.holds().await;
    world.again(if case.is_multiple_of(2) { Cut::Power } else { Cut::Kill }).await;
    world.goes_on().await;
}

#[test]
fn a_node_whose_disk_fills_up_anywhere_refuses_and_goes_on_when_there_is_room() {
    hold(cases(192, 3_072), |case| run(case, disk_fills(case)));
}
