//! A node's newest segment cut at a drawn byte, or with a tail of something else: the log ends behind its last good batch or the
//! damage is named, the rest is served, and a link over it ends equal or loud.

use std::collections::BTreeMap;
use std::path::PathBuf;

use carrick_tests::{
    Chance, Load, Pair, Python, Site, Talk, carrick, carrick_status, cases, deadline, hold, kept, put,
};
use serde_json::Value;

use crate::wounds::Files;
use crate::{SOON, TOPIC};

const PARTITIONS: usize = 2;
const PAGE: usize = 4_096;
const TAIL: usize = 64 << 10;

/// Two sites that were killed under load.
struct World<'a> {
    pair: Pair,
    python: &'a Python,
    look: Talk,
    /// East and west.
    sides: [Side; 2],
    /// What was acknowledged, per partition, ends here.
    acknowledged: [i64; PARTITIONS],
    links: u64,
    failed: u64,
}

struct Side {
    files: Files,
    /// The newest segment of each partition, and where its batches end in it: by their last offsets and bytes.
    segments: Vec<(PathBuf, Vec<(i64, usize)>)>,
    /// Its batches as they are served.
    batches: Vec<Vec<Value>>,
}

/// Where the batches of a segment end.
fn ends(bytes: &[u8]) -> Vec<(i64, usize)> {
    let number = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut found) = (PAGE, Vec::new());
    while at < bytes.len() {
        let base = i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let last = base + i64::from(number(at + 23));
        at += 12 + number(at + 8) as usize;
        found.push((last, at));
    }
    assert_eq!(at, bytes.len(), "a kill tears no batch: writes end in the page cache");
    found
}

fn logs(look: &mut Talk, site: &Site) -> Vec<Value> {
    let told = look.ask(&["everything", &site.kafka()]);
    told["topics"][TOPIC]["partitions"].as_array().unwrap().clone()
}

fn batches(log: &Value) -> Vec<Value> {
    log["batches"].as_array().unwrap().clone()
}

impl Side {
    fn of(site: &Site, look: &mut Talk, id: &str) -> Self {
        let files = kept(&site.data());
        let segments = (0..PARTITIONS).map(|at| {
            let dir = PathBuf::from(format!("topics/{id}/{at}"));
            let mut of_it = files.iter().filter(|(path, _)| path.starts_with(&dir));
            let (path, bytes) = of_it.rfind(|it| it.0.extension().is_some_and(|it| it == "seg")).unwrap();
            (path.clone(), ends(bytes))
        });
        let segments = segments.collect();
        let node = site.start();
        let batches = logs(look, site).iter().map(batches).collect();
        node.kill();
        Self { files, segments, batches }
    }
}

impl<'a> World<'a> {
    fn new(python: &'a Python) -> Self {
        let pair = Pair::new();
        let (east, west) = (pair.east.start(), pair.west.start());
        let partitions = PARTITIONS.to_string();
        python.script("clients/linked.py").args(["create", &east.kafka, TOPIC, &partitions]).run(SOON);
        pair.connect();
        pair.mirror(&[TOPIC]);
        let mut look = Talk::look(python);
        let ids =
            [&east, &west].map(|at| look.ask(&["topic_id", &at.kafka, TOPIC]).as_str().unwrap().to_owned());
        let mut load = Load::start(&pair.east, |acks, stop| {
            let steady =
                python.script("clients/steady.py").args(["write", &east.kafka, TOPIC, &partitions, "0"]);
            steady.arg(acks).arg(stop)
        });
        load.go_on(400);
        east.kill();
        west.kill();
        let mut acknowledged = [0; PARTITIONS];
        let told = std::fs::read_to_string(&load.acks).unwrap();
        for line in told.lines().filter(|line| line.starts_with("ack ") && line.split(' ').count() == 6) {
            let words: Vec<i64> = line.split(' ').skip(1).take(3).map(|it| it.parse().unwrap()).collect();
            let end = &mut acknowledged[words[0] as usize];
            *end = (*end).max(words[1] + words[2]);
        }
        drop(load);
        let sides =
            [(&pair.east, &ids[0]), (&pair.west, &ids[1])].map(|(site, id)| Side::of(site, &mut look, id));
        Self { pair, python, look, sides, acknowledged, links: 0, failed: 0 }
    }

    fn torn(&mut self, case: u64) {
        let mut chance = Chance::of(case);
        let (side, partition) = (usize::from(chance.below(4) == 0), chance.below(PARTITIONS as u64) as usize);
        let (path, ends) = &self.sides[side].segments[partition];
        let mut files = self.sides[side].files.clone();
        let bytes = files.get_mut(path).unwrap();
        let told =
            ends.iter().rfind(|(last, _)| *last < self.acknowledged[partition]).map_or(PAGE, |it| it.1);
        let len = bytes.len();
        let what = match chance.below(8) {
            // Of what nobody was told of, if there is any.
            0..3 if told < len => drop_behind(bytes, chance.within(told as u64..len as u64) as usize),
            0..5 => drop_behind(bytes, len - 1 - chance.below(TAIL.min(len - PAGE) as u64) as usize),
            5 => {
                let size = 1 + (1 << chance.below(20)) + chance.below(1_000);
                bytes.extend((0..size).map(|_| chance.below(256) as u8));
                format!("{size} bytes of noise")
            }
            of => {
                let from = if of == 6 { partition } else { 1 - partition };
                let (path, ends) = &self.sides[side].segments[from];
                let first = chance.below(ends.len() as u64 - 1) as usize;
                let begin = ends[first].1;
                let end = ends[(first + 1 + chance.below(5) as usize).min(ends.len() - 1)].1;
                let old = self.sides[side].files[path][begin..end].to_vec();
                let base = i64::from_be_bytes(old[..8].try_into().unwrap());
                let next = self.sides[side].segments[partition].1.last().map_or(0, |it| it.0 + 1);
                // What has just the right number is of this partition for all that anybody can tell.
                if base != next {
                    bytes.extend(&old);
                }
                format!("batches of partition {from} from {base} on")
            }
        };
        let now = bytes.len().min(len);
        println!("case {case} is {} of {len} bytes, {told} of them acknowledged: {what}", path.display());
        let whole = ends.iter().take_while(|it| it.1 <= now).count();
        self.starts_alone(side, partition, &files, whole, now >= told);
        if side == 1 || chance.below(3) == 0 {
            self.links_over_it(side, &files);
        }
    }

    /// The good batches below the cut are served and nothing else is; or the damage is named, if the cut is into what was durable.
    fn starts_alone(&mut self, side: usize, partition: usize, files: &Files, whole: usize, untold: bool) {
        let site = [&self.pair.east, &self.pair.west][side];
        put(files, &site.data());
        site.forget();
        let node = site.start();
        for (at, log) in logs(&mut self.look, site).iter().enumerate() {
            let all = &self.sides[side].batches[at];
            let known = &self.sides[side].segments[at].1;
            assert_eq!(all.len(), known.len(), "what is served without a cut");
            if at != partition {
                assert_eq!(&batches(log), all, "the neighbour");
            } else if log["refused"] == Value::Array(Vec::new()) {
                assert_eq!(&batches(log), &all[..whole], "what is served");
            } else {
                assert!(!untold, "nothing durable was cut: {log:#}");
                let (well, status) = carrick_status(site);
                assert!(!well && status["damaged"][0]["topic"] == TOPIC, "{status:#}");
                assert!(batches(log).iter().all(|it| all[..whole].contains(it)), "what is served: {log:#}");
            }
        }
        node.kill();
        assert!(!site.log().contains("panicked"));
    }

    fn links_over_it(&mut self, side: usize, files: &Files) {
        let dirs = [0, 1].map(|at| if at == side { files } else { &self.sides[at].files });
        let sites = [&self.pair.east, &self.pair.west];
        let nodes = [0, 1].map(|at| {
            put(dirs[at], &sites[at].data());
            sites[at].forget();
            sites[at].start()
        });
        let west = sites[1];
        let settled = |look: &mut Talk| {
            deadline("the mirror to be whole, or to fail", SOON, || {
                let mirror = carrick(west, &["mirror", "list"])[0].clone();
                let failed = mirror["state"] == "FAILED" && mirror["reason"] != "";
                let sides = [&self.pair.east, west].map(|site| look.ask(&["everything", &site.kafka()]));
                let ends = sides.map(|it| {
                    let logs = it["topics"][TOPIC]["partitions"].as_array().unwrap().clone();
                    logs.into_iter().map(|it| it["end"].clone()).collect::<Vec<_>>()
                });
                (failed || mirror["state"] == "ACTIVE" && ends[0] == ends[1]).then_some(failed)
            })
        };
        settled(&mut self.look);
        // What is written now stands where something else may stand at the mirror.
        let partitions = PARTITIONS.to_string();
        let written = self.python.script("clients/linked.py");
        let written =
            written.args(["write", &self.pair.east.kafka(), TOPIC, &partitions, "2", "new"]).end(SOON);
        let failed = settled(&mut self.look);
        let [at_east, at_west] = [&self.pair.east, west].map(|site| logs(&mut self.look, site));
        self.links += 1;
        self.failed += u64::from(failed);
        println!("failed: {failed}, written: {}", written.status.success());
        for (at, (east, west)) in at_east.iter().zip(&at_west).enumerate() {
            let by_base = |log: &Value| {
                batches(log).into_iter().map(|it| (it[0].as_i64(), it)).collect::<BTreeMap<_, _>>()
            };
            let (east, west) = (by_base(east), by_base(west));
            if !failed {
                assert!(
                    east == west,
                    "partition {at}: the mirror is not what its source is, and nobody says so"
                );
            }
            // Whatever happens, nothing at the mirror is what its source never had.
            let ever =
                |it: &Value| self.sides[0].batches[at].contains(it) || east.values().any(|of| of == it);
            assert!(
                west.values().all(ever),
                "partition {at}: what stands at the mirror was never at its source"
            );
        }
        if failed {
            let (well, status) = carrick_status(west);
            assert!(!well && status["links"][0]["blocked"][0]["topic"] == TOPIC, "{status:#}");
        }
        nodes.into_iter().for_each(|node| node.kill());
        assert!(!sites.iter().any(|site| site.log().contains("panicked")));
    }
}

fn drop_behind(bytes: &mut Vec<u8>, at: usize) -> String {
    bytes.truncate(at);
    format!("cut at {at}")
}

#[test]
fn a_node_whose_newest_segment_is_cut_or_ends_in_garbage_serves_what_is_good_and_a_link_over_it_ends_equal_or_loud()
 {
    let Some(python) = Python::plain() else { return };
    let mut world = World::new(&python);
    hold(cases(4, 30), |case| world.torn(case));
    println!("counted links over it: {}\ncounted mirrors failed: {}", world.links, world.failed);
}
