//! Nodes killed at drawn moments under load: the source, the destination, both.

use std::path::Path;
use std::time::{Duration, Instant};

use carrick_tests::{
    Chance, Load, Node, Pair, Python, Site, Talk, assert_equal, carrick, cases, in_case, until,
};
use serde_json::Value;

use crate::{LONG, SOON, TOPIC};

const PARTITIONS: &str = "4";
/// For the mirror to have all that its source had when both were back.
const CAUGHT_UP_S: &str = "20";
/// What a start after a kill should take at most; a busy machine may need more, and it is told.
const START_MARK: Duration = Duration::from_secs(1);

struct World<'a> {
    pair: Pair,
    nodes: [Option<Node>; 2],
    python: &'a Python,
    look: Talk,
    load: Load,
    slowest_start: Duration,
    slowest_end: f64,
    kills: usize,
    slow_starts: usize,
}

impl<'a> World<'a> {
    fn new(python: &'a Python) -> Self {
        let pair = Pair::with_settings("segment = \"1MiB\"");
        let nodes = [pair.east.start(), pair.west.start()].map(Some);
        let (east, west) = (pair.east.kafka(), pair.west.kafka());
        python.script("clients/linked.py").args(["create", &east, TOPIC, PARTITIONS]).run(SOON);
        pair.connect();
        pair.mirror(&[TOPIC]);
        let seen = pair.east.file("seen");
        let load = Load::start(&pair.east, |acks, stop| {
            let calm = python.script("clients/load.py").args(["calm", &east, &west, TOPIC]);
            calm.arg(acks).arg(seen).arg(stop)
        });
        let look = Talk::look(python);
        Self {
            pair,
            nodes,
            python,
            look,
            load,
            slowest_start: Duration::ZERO,
            slowest_end: 0.0,
            kills: 0,
            slow_starts: 0,
        }
    }

    fn site(&self, at: usize) -> &Site {
        [&self.pair.east, &self.pair.west][at]
    }

    /// One SIGKILL, or one for each side, and what must be right again soon after.
    fn kill(&mut self, chance: &mut Chance) {
        self.load.go_on(chance.within(1..300) as usize);
        // Not a wait for a state: the moment of the kill.
        std::thread::sleep(Duration::from_millis(chance.below(400)));
        let all: [&[usize]; 6] = [&[0], &[0], &[1], &[1], &[0, 1], &[1, 0]];
        let fates = *chance.pick(&all);
        fates.iter().for_each(|at| self.nodes[*at].take().unwrap().kill());
        self.kills += fates.len();
        for at in fates {
            // Killed again before it is ready, or just then.
            for _ in 0..chance.below(6).saturating_sub(3) {
                self.site(*at).start_and_kill(Duration::from_millis(chance.below(150)));
                self.kills += 1;
            }
            let began = Instant::now();
            self.nodes[*at] = Some(self.site(*at).start());
            self.slowest_start = self.slowest_start.max(began.elapsed());
            self.slow_starts += usize::from(began.elapsed() > START_MARK);
        }
        self.is_whole(fates);
    }

    /// Both take part, and the mirror gets what its source has.
    fn is_whole(&mut self, fates: &[usize]) {
        self.load.go_on(1);
        let (east, west) = (self.pair.east.kafka(), self.pair.west.kafka());
        let ends = numbers(&self.look.ask(&["ends", &east, TOPIC, PARTITIONS]));
        let wanted = ends.iter().map(String::as_str);
        let took = self
            .look
            .ask(&[&["wait_ends", &west, TOPIC, CAUGHT_UP_S], &*wanted.collect::<Vec<_>>()].concat());
        let took = took.as_f64().unwrap();
        self.slowest_end = self.slowest_end.max(took);
        println!("killed {fates:?}; the mirror had {} records {took:.2} s later", ends.join(" + "));
        for at in [0, 1] {
            assert_no_fault(self.site(at));
        }
    }

    fn end(mut self) {
        self.load.go_on(1);
        let (east, west) = (self.pair.east.kafka(), self.pair.west.kafka());
        let acks = self.load.acks.clone();
        self.load.finish();
        until(&self.pair.west, "mirror", TOPIC, SOON, |it| it["state"] == "ACTIVE");
        let linked = |arguments: &[&str]| self.python.script("clients/linked.py").args(arguments).run(SOON);
        linked(&["caught_up", &east, &west, TOPIC, PARTITIONS]);
        until(&self.pair.west, "mirror", TOPIC, SOON, lags_by_nothing);
        let seen = self.pair.east.file("seen");
        let script = |verb: &str, at: &str| self.python.script("clients/load.py").args([verb, at, TOPIC]);
        let check = |at: &str, acks: &Path| script("check", at).arg(acks).arg(&seen).run(LONG);
        println!("east: {}west: {}", check(&east, &acks), check(&west, &acks));
        for at in [&east, &west] {
            script("group", at).run(SOON);
        }
        let by_hand = carrick(&self.pair.west, &["journal"]);
        let by_hand = by_hand.as_array().unwrap().iter().filter(|it| it["who"] != "link").count();
        assert_eq!(by_hand, 2, "the link and the mirror were made, and nothing else was asked for");
        let ids =
            [&east, &west].map(|at| self.look.ask(&["topic_id", at, TOPIC]).as_str().unwrap().to_owned());
        self.nodes.into_iter().flatten().for_each(Node::stop);
        assert_equal(self.python, &self.pair.east.data(), &self.pair.west.data(), &[ids.into()]);
        let slowest = self.slowest_start.as_secs_f64();
        println!(
            "the slowest start took {slowest:.3} s, the mirror was whole {:.1} s later",
            self.slowest_end
        );
        println!("counted SIGKILLs: {}\ncounted starts above 1 s: {}", self.kills, self.slow_starts);
    }
}

fn numbers(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(ToString::to_string).collect()
}

fn lags_by_nothing(mirror: &Value) -> bool {
    mirror["partitions"].as_array().unwrap().iter().all(|it| it["lag_offsets"] == 0)
}

fn assert_no_fault(site: &Site) {
    let log = site.log();
    let told = log
        .lines()
        .find(|line| [" ERROR ", "is offline", "damaged", "panicked"].iter().any(|it| line.contains(it)));
    assert_eq!(told, None);
}

#[test]
fn nodes_killed_at_random_under_load_end_equal_with_all_that_was_acknowledged_and_no_hand_is_needed() {
    let Some(python) = Python::with_clients() else { return };
    let cases = cases(3, 10);
    let mut world = World::new(&python);
    for case in cases.clone() {
        in_case(case, || world.kill(&mut Chance::of(case)));
    }
    in_case(cases.end - 1, || world.end());
}
