//! The line between two sites is cut, and heals: what is known ages, and never seems to be news; then the mirror goes on exactly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrick_tests::{
    Chance, Line, Load, Node, Pair, Python, Relay, Talk, assert_equal, carrick, carrick_status, cases,
    deadline, in_case, until,
};
use serde_json::Value;

use crate::{SOON, TOPIC};

const PARTITIONS: &str = "3";
/// What a number may be older than it is told to be: it was sampled, sent and printed.
const SLACK_MS: u64 = 1_500;
/// A silent peer is taken for lost after three seconds; it must show soon after.
const LOST_MS: u64 = 5_000;
/// For the mirror to have what its source had when the line was good again: tries are up to 5 s apart, and may take as long.
const HEALED_S: &str = "20";

struct World<'a> {
    pair: Pair,
    east: Node,
    west: Node,
    relay: Relay,
    load: Load,
    look: Talk,
    python: &'a Python,
    slowest: f64,
}

impl<'a> World<'a> {
    fn new(python: &'a Python) -> Self {
        let pair = Pair::new();
        let (east, west) = (pair.east.start(), pair.west.start());
        python.script("clients/linked.py").args(["create", &east.kafka, TOPIC, PARTITIONS]).run(SOON);
        let relay = Relay::new(pair.east.link());
        pair.connect_by(&relay.address());
        pair.mirror(&[TOPIC]);
        let load = Load::start(&pair.east, |acks, stop| {
            let steady =
                python.script("clients/steady.py").args(["write", &east.kafka, TOPIC, PARTITIONS, "0.01"]);
            steady.arg(acks).arg(stop)
        });
        Self { east, west, relay, load, look: Talk::look(python), python, slowest: 0.0, pair }
    }

    fn is_cut(&mut self, case: u64) {
        let mut chance = Chance::of(case);
        until(&self.pair.west, "mirror", TOPIC, SOON, |it| it["state"] == "ACTIVE");
        self.load.go_on(chance.within(1..60) as usize);
        let line = *chance.pick(&[Line::Stuck, Line::Stuck, Line::Broken]);
        let ms = match chance.below(100) {
            0 => chance.within(60_000..150_000),
            1..3 => chance.within(12_000..40_000),
            3..20 => chance.within(5_000..9_000),
            _ => chance.within(1_000..4_000),
        };
        self.relay.set(line);
        let (since, mut looks, mut zeros) = (Instant::now(), 0, 0);
        while since.elapsed() < Duration::from_millis(ms) {
            zeros += self.ages(since);
            looks += 1;
            // Not a wait for a state: between two looks.
            std::thread::sleep(Duration::from_millis(100 + ms / 100));
        }
        self.relay.set(Line::Good);
        self.load.go_on(1);
        let ends = self.look.ask(&["ends", &self.east.kafka, TOPIC, PARTITIONS]);
        let ends: Vec<String> = ends.as_array().unwrap().iter().map(ToString::to_string).collect();
        let wanted: Vec<&str> = ends.iter().map(String::as_str).collect();
        let took = self.look.ask(&[&["wait_ends", &self.west.kafka, TOPIC, HEALED_S], &wanted[..]].concat());
        let took = took.as_f64().unwrap();
        self.slowest = self.slowest.max(took);
        deadline("fresh news", SOON, || self.is_fresh().then_some(()));
        println!("{line:?} for {ms} ms, looked at {looks} times, {zeros} old zeros; whole after {took:.2} s");
    }

    /// Every number about the other side is told to be as old as it is; how many of them were zero.
    fn ages(&self, since: Instant) -> usize {
        let least = |since: Instant| (since.elapsed().as_millis() as u64).saturating_sub(SLACK_MS);
        let is_old = |what: &str, heard: &Value, least: u64, of: &Value| {
            // Not known at all is old enough.
            let old = heard.is_null() || heard.as_u64().is_some_and(|ms| ms >= least);
            assert!(
                old,
                "{what} is told to be {heard} ms old, the line has been cut for {least} ms and more: {of}"
            );
        };
        let aged = least(since);
        let mirror = carrick(&self.pair.west, &["mirror", "list"])[0].clone();
        let mut zeros = 0;
        for it in mirror["partitions"].as_array().unwrap() {
            is_old("a partition", &it["heard_ms"], aged, it);
            assert!(!it["heard_ms"].is_null() || it["lag_offsets"].is_null(), "a lag without an age: {it}");
            zeros += usize::from(it["lag_offsets"] == 0);
        }
        let aged = least(since);
        let (well, status) = carrick_status(&self.pair.west);
        let link = &status["links"][0];
        is_old("the link", &link["link"]["heard_ms"], aged, link);
        if least(since) > LOST_MS {
            assert!(
                !well && link["link"]["state"] != "CONNECTED",
                "nothing is heard, and all is well: {link}"
            );
        }
        let aged = least(since);
        let metrics = scrape(self.west.http.as_ref().unwrap());
        let of = |name: &str| {
            let of_it = metrics.lines().filter(move |line| line.starts_with(&format!("{name}{{")));
            of_it.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).collect::<Vec<_>>()
        };
        let ages = of("carrick_mirror_lag_age_seconds");
        for age in ages.iter().chain(&of("carrick_link_heard_age_seconds")) {
            assert!(age * 1_000.0 >= aged as f64, "an age of {age} s after {aged} ms and more:\n{metrics}");
        }
        assert!(of("carrick_mirror_lag_offsets").len() <= ages.len(), "a lag without an age:\n{metrics}");
        zeros
    }

    fn is_fresh(&self) -> bool {
        let mirror = carrick(&self.pair.west, &["mirror", "list"])[0].clone();
        let fresh = |it: &Value| it["heard_ms"].as_u64() < Some(SLACK_MS) && it["lag_offsets"].is_u64();
        mirror["state"] == "ACTIVE" && mirror["partitions"].as_array().unwrap().iter().all(fresh)
    }

    fn end(mut self) {
        let acks = self.load.acks.clone();
        self.load.finish();
        let (east, west) = (&self.east.kafka, &self.west.kafka);
        self.python.script("clients/linked.py").args(["caught_up", east, west, TOPIC, PARTITIONS]).run(SOON);
        until(&self.pair.west, "mirror", TOPIC, SOON, |it| {
            it["partitions"].as_array().unwrap().iter().all(|it| it["lag_offsets"] == 0)
        });
        for at in [east, west] {
            let check = self.python.script("clients/steady.py").args(["check", at, TOPIC, PARTITIONS]);
            check.arg(&acks).run(SOON);
        }
        let ids = [east, west].map(|at| self.look.ask(&["topic_id", at, TOPIC]).as_str().unwrap().to_owned());
        self.east.stop();
        self.west.stop();
        assert_equal(self.python, &self.pair.east.data(), &self.pair.west.data(), &[ids.into()]);
        println!("the mirror was whole {:.1} s after a cut at the latest", self.slowest);
    }
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: carrick\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    said
}

#[test]
fn a_line_cut_in_both_directions_ages_what_is_known_and_the_mirror_goes_on_exactly() {
    let Some(python) = Python::plain() else { return };
    let cases = cases(1, 4);
    let mut world = World::new(&python);
    for case in cases.clone() {
        in_case(case, || world.is_cut(case));
    }
    in_case(cases.end - 1, || world.end());
}
