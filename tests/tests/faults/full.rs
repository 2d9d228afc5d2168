//! A disk that is full at a drawn moment under load, and has room again: at the source, the destination, both.

use std::path::Path;
use std::time::{Duration, Instant};

use carrick_tests::{
    Chance, Load, Node, Pair, Python, Site, Small, Talk, assert_equal, cases, deadline, in_case, until,
};

use crate::{SOON, TOPIC};

const PARTITIONS: &str = "2";
const STORAGE_ERROR: i32 = 56;
/// For the mirror to have what its source had when there was room again.
const RESUMED_S: &str = "30";

struct World<'a> {
    pair: Pair,
    nodes: [Option<Node>; 2],
    disks: [Small; 2],
    load: Load,
    look: Talk,
    python: &'a Python,
    slowest: Duration,
    cases: u64,
    /// That took no more.
    catalogs: u64,
}

impl<'a> World<'a> {
    /// None, said, where there can be no sized file systems.
    fn new(python: &'a Python, cases: u64) -> Option<Self> {
        let pair = Pair::new();
        // Each case leaves a few hundred KiB.
        let mib = 128 + cases;
        let disks = [Small::mount(&pair.east, mib)?, Small::mount(&pair.west, mib)?];
        let nodes = [pair.east.start(), pair.west.start()].map(Some);
        let east = pair.east.kafka();
        python.script("clients/linked.py").args(["create", &east, TOPIC, PARTITIONS]).run(SOON);
        pair.connect();
        pair.mirror(&[TOPIC]);
        let load = Load::start(&pair.east, |acks, stop| {
            let steady = python.script("clients/steady.py").args(["write", &east, TOPIC, PARTITIONS, "0.02"]);
            steady.arg(acks).arg(stop)
        });
        Some(Self {
            nodes,
            disks,
            load,
            look: Talk::look(python),
            python,
            slowest: Duration::ZERO,
            cases,
            catalogs: 0,
            pair,
        })
    }

    fn site(&self, at: usize) -> &Site {
        [&self.pair.east, &self.pair.west][at]
    }

    fn is_full(&mut self, case: u64) {
        let mut chance = Chance::of(case);
        self.load.go_on(chance.within(1..30) as usize);
        let all: [&[usize]; 6] = [&[0], &[0], &[0], &[1], &[1], &[0, 1]];
        let sides = *chance.pick(&all);
        let (refused, mut left) = (self.refused(), [1 << 20; 2]);
        for side in sides {
            // Not a wait for a state: the moment.
            std::thread::sleep(Duration::from_millis(chance.below(150)));
            left[*side] = *chance.pick(&[0, 0, 1 << 12, 1 << 14, 1 << 17]);
            self.disks[*side].fill_but(left[*side]);
        }
        let (ms, killed) = (chance.within(100..2_000), chance.below(6) == 0);
        let prefix = format!("made-{case}");
        let catalog = if chance.below(4) == 0 { sides } else { &[] };
        let made: Vec<String> = catalog.iter().map(|side| self.fills_the_catalog(*side, &prefix)).collect();
        std::thread::sleep(Duration::from_millis(ms));
        assert!(
            left[0] > 0 || ms < 1_000 || self.refused() > refused,
            "writes are taken, and there is no room"
        );
        for side in sides {
            self.is_read(*side);
            // A start needs what is put by.
            if killed && Path::exists(&self.site(*side).data().join("RESERVE")) {
                self.nodes[*side].take().unwrap().kill();
                self.nodes[*side] = Some(self.site(*side).start());
            }
        }
        for side in sides {
            self.disks[*side].free();
        }
        let began = Instant::now();
        self.load.go_on(2);
        for (side, count) in catalog.iter().zip(&made) {
            let kafka = self.site(*side).kafka();
            self.look.ask(&["empty_catalog", &kafka, &prefix, count, RESUMED_S]);
        }
        let ends = self.look.ask(&["ends", &self.pair.east.kafka(), TOPIC, PARTITIONS]);
        let ends: Vec<String> = ends.as_array().unwrap().iter().map(ToString::to_string).collect();
        let wanted: Vec<&str> = ends.iter().map(String::as_str).collect();
        self.look.ask(&[&["wait_ends", &self.pair.west.kafka(), TOPIC, RESUMED_S], &wanted[..]].concat());
        until(&self.pair.west, "mirror", TOPIC, SOON, |it| it["state"] == "ACTIVE");
        self.slowest = self.slowest.max(began.elapsed());
        println!(
            "{sides:?} full but for {left:?} for {ms} ms, killed: {killed}; all went on {:?} after",
            began.elapsed()
        );
        for at in [0, 1] {
            let log = self.site(at).log();
            let told = log.lines().find(|line| line.contains("a sync failed") || line.contains("panicked"));
            assert_eq!(told, None);
        }
    }

    /// How often the producer was told that the disk is full.
    fn refused(&self) -> usize {
        let told = std::fs::read_to_string(&self.load.acks).unwrap();
        told.lines().filter(|line| line.starts_with("no ") && line.split(' ').nth(2) == Some("56")).count()
    }

    /// What stands there is read.
    fn is_read(&mut self, side: usize) {
        let read = self.look.ask(&["first", &self.site(side).kafka(), TOPIC, "0"]);
        assert!(read.as_u64() > Some(0), "{read}");
    }

    /// The catalog takes no more either; how many topics came of that.
    fn fills_the_catalog(&mut self, side: usize, prefix: &str) -> String {
        let told = self.look.ask(&["fill_catalog", &self.site(side).kafka(), prefix]);
        assert!(told[1] == 0 || told[1] == STORAGE_ERROR, "making a topic on a full disk: {told}");
        self.catalogs += u64::from(told[1] != 0);
        told[0].to_string()
    }

    fn end(mut self) {
        let acks = self.load.acks.clone();
        self.load.finish();
        let (east, west) = (&self.pair.east.kafka(), &self.pair.west.kafka());
        self.python.script("clients/linked.py").args(["caught_up", east, west, TOPIC, PARTITIONS]).run(SOON);
        for at in [east, west] {
            let check = self.python.script("clients/steady.py").args(["check", at, TOPIC, PARTITIONS]);
            check.arg(&acks).run(SOON);
        }
        if self.cases > 3 {
            // That may take ten seconds.
            deadline("what is put by", SOON, || {
                let put_by = |site: &Site| Path::exists(&site.data().join("RESERVE"));
                (put_by(&self.pair.east) && put_by(&self.pair.west)).then_some(())
            });
        }
        let ids = [east, west].map(|at| self.look.ask(&["topic_id", at, TOPIC]).as_str().unwrap().to_owned());
        for node in &mut self.nodes {
            node.take().unwrap().stop();
        }
        assert_equal(self.python, &self.pair.east.data(), &self.pair.west.data(), &[ids.into()]);
        println!("all went on {:.1} s after there was room at the latest", self.slowest.as_secs_f64());
        println!("counted full catalogs: {}", self.catalogs);
    }
}

#[test]
fn a_disk_that_is_full_and_has_room_again_loses_nothing_and_everything_goes_on() {
    let Some(python) = Python::plain() else { return };
    let cases = cases(1, 6);
    let Some(mut world) = World::new(&python, cases.end - cases.start) else { return };
    for case in cases.clone() {
        in_case(case, || world.is_full(case));
    }
    in_case(cases.end - 1, || world.end());
}
