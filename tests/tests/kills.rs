//! Nodes killed and stopped under load: what was acknowledged stands, once, where it was said to stand, and no hand is needed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carrick_tests::{Chance, Load, Node, Program, Python, Ring, Site, cli, ring, stored};

const PATIENCE: Duration = Duration::from_secs(90);
const TOPIC: &str = "orders";

/// A node that often begins a new segment.
fn site_of_short_segments() -> Site {
    Site::with_settings("segment = \"1MiB\"")
}

/// Kills the node again and again, each time at a drawn moment after `more` new acknowledgements.
fn kill_often(site: &Site, mut node: Node, load: &mut Load, more: u64) -> Node {
    let mut chance = Chance::from_environment();
    for _ in 0..ring().pick(3, 10) {
        load.go_on(chance.within(1..more) as usize);
        // Not a wait for a state: the moment of the kill.
        std::thread::sleep(Duration::from_millis(chance.below(100)));
        node.kill();
        for _ in 0..chance.below(3) {
            site.start_and_kill(Duration::from_millis(chance.below(60)));
        }
        node = site.start();
    }
    load.go_on(1);
    node
}

fn assert_nothing_was_mended_by_dropping(site: &Site, python: &Python) {
    for it in stored(python, &site.data()) {
        assert_eq!(it.number("holes"), 0, "{it:?}");
    }
    for word in [" ERROR ", "is offline", "damaged"] {
        let log = site.log();
        let told = log.lines().find(|line| line.contains(word));
        assert_eq!(told, None);
    }
}

#[test]
fn a_node_killed_often_under_clients_keeps_every_acknowledged_record_once_and_at_its_offset() {
    let Some(python) = Python::with_clients() else { return };
    let site = site_of_short_segments();
    let node = site.start();
    let address = node.kafka.clone();
    python.script("clients/by_hand.py").args([&address, "create", TOPIC, "4"]).run(PATIENCE);
    let script = |verb: &str| python.script("clients/load.py").args([verb, &address, TOPIC]);
    let seen = site.file("seen");
    let mut load = Load::start(&site, |acks, stop| script("write").arg(acks).arg(&seen).arg(stop));
    let node = kill_often(&site, node, &mut load, ring().pick(8_000, 20_000));
    let acks = load.acks.clone();
    load.finish();
    node.kill();

    let node = site.start();
    println!("{}", script("check").arg(acks).arg(seen).run(PATIENCE));
    node.stop();
    assert_nothing_was_mended_by_dropping(&site, &python);
    if ring() == Ring::Full {
        assert!(segments(&site.data()) > 8, "segments were begun under load");
    }
}

fn segments(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(
            |it| {
                if it.is_dir() { segments(&it) } else { it.extension().is_some_and(|of| of == "seg").into() }
            },
        )
        .sum()
}

#[test]
fn a_batch_sent_again_after_a_kill_stands_once_and_where_it_stood() {
    let Some(python) = Python::plain() else { return };
    let site = site_of_short_segments();
    let node = site.start();
    let script = python.script("clients/load_by_hand.py").args([&node.kafka, TOPIC]);
    let mut load = Load::start(&site, |acks, stop| script.arg(acks).arg(stop));
    let node = kill_often(&site, node, &mut load, 300);
    load.finish();
    node.stop();
    assert_nothing_was_mended_by_dropping(&site, &python);
}

#[test]
fn a_kill_loses_nothing_acknowledged_at_durability_os_either() {
    let Some(python) = Python::plain() else { return };
    let site = Site::with_settings("durability = \"os\"\nsegment = \"1MiB\"");
    let node = site.start();
    let script = python.script("clients/load_by_hand.py").args([&node.kafka, TOPIC]);
    let mut load = Load::start(&site, |acks, stop| script.arg(acks).arg(stop));
    let node = kill_often(&site, node, &mut load, 1_000);
    load.finish();
    node.stop();
    assert_nothing_was_mended_by_dropping(&site, &python);
}

#[test]
fn a_node_stopped_under_load_ends_clean_in_time_and_loses_nothing() {
    let Some(python) = Python::plain() else { return };
    let site = site_of_short_segments();
    let mut node = site.start();
    let script = python.script("clients/load_by_hand.py").args([&node.kafka, TOPIC]);
    let mut load = Load::start(&site, |acks, stop| script.arg(acks).arg(stop));
    for _ in 0..3 {
        load.go_on(50);
        node.stop();
        node = site.start();
    }
    load.go_on(50);
    load.finish();
    node.stop();
    assert_eq!(site.log().matches("clean=true").count(), 4);
    assert_nothing_was_mended_by_dropping(&site, &python);
}

#[test]
fn topics_whose_making_or_deletion_was_answered_are_there_or_gone_after_a_kill() {
    let Some(python) = Python::plain() else { return };
    for _ in 0..ring().pick(2, 5) {
        let site = Site::new();
        let node = site.start();
        let script = python.script("clients/topics_by_hand.py").arg(&node.kafka);
        let mut load = Load::start(&site, |acks, _| script.arg(acks));
        load.go_on(20);
        node.kill();
        let node = site.start();
        load.finish();
        node.stop();
        stored(&python, &site.data());
    }
}

#[test]
fn a_kill_raises_the_leader_epoch_and_a_stop_does_not() {
    let Some(python) = Python::plain() else { return };
    let site = Site::new();
    let node = site.start();
    let ask = |address: &str, of: &str| {
        python
            .script("clients/by_hand.py")
            .args([address, "epoch", TOPIC, of])
            .run(PATIENCE)
            .trim()
            .to_string()
    };
    python.script("clients/by_hand.py").args([&node.kafka, "create", TOPIC, "1"]).run(PATIENCE);
    assert_eq!(ask(&node.kafka, "0"), "0");
    node.kill();
    let node = site.start();
    assert_eq!(ask(&node.kafka, "1"), "1");
    node.stop();
    let node = site.start();
    assert_eq!(ask(&node.kafka, "1"), "1");
    node.kill();
    let node = site.start();
    assert_eq!(ask(&node.kafka, "2"), "2");
    node.stop();
}

/// A site with one partition of six batches, its node gone; and the partition's only segment.
fn written(python: &Python, end: impl FnOnce(Node)) -> (Site, PathBuf) {
    let site = Site::new();
    let node = site.start();
    python.script("clients/by_hand.py").args([&node.kafka, "six", TOPIC]).run(PATIENCE);
    end(node);
    let segment = site.data().join("topics").join(site.topic_id(TOPIC)).join("0/00000000000000000000.seg");
    assert!(segment.exists(), "{}", segment.display());
    (site, segment)
}

#[test]
fn a_torn_tail_is_cut_after_a_kill_and_what_was_acknowledged_stands() {
    let Some(python) = Python::plain() else { return };
    let (site, segment) = written(&python, Node::kill);
    // As a power cut may leave it: a batch that was being written, and not all of it.
    let whole = std::fs::read(&segment).unwrap();
    let mut file = std::fs::File::options().append(true).open(&segment).unwrap();
    file.write_all(&whole[4096..4096 + 70]).unwrap();
    let node = site.start();
    assert!(site.log().contains("cut a torn tail"));
    python.script("clients/by_hand.py").args([&node.kafka, "six_again", TOPIC]).run(PATIENCE);
    node.stop();
    stored(&python, &site.data());
}

#[test]
fn damage_in_the_middle_is_named_when_it_is_read_and_its_neighbours_are_served() {
    let Some(python) = Python::plain() else { return };
    let (site, segment) = written(&python, Node::stop);
    let file = std::fs::File::options().read(true).write(true).open(&segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096 + 65).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 65).unwrap();
    let before = std::fs::read(&segment).unwrap();
    let node = site.start();
    python.script("clients/by_hand.py").args([&node.kafka, "wounded", TOPIC]).run(PATIENCE);
    let status = Program::new(cli()).arg("--node").arg(site.data()).args(["status", "--output", "json"]);
    let status = status.end(PATIENCE);
    assert_eq!(status.status.code(), Some(3), "not all is well");
    let told: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let place = &told["damaged"][0];
    assert!(place["code"] == "LOG_CORRUPT" && place["position"] == 4096 && place["topic"] == TOPIC, "{told}");
    let log = site.log();
    let named = log.lines().find(|line| line.contains("LOG_CORRUPT") && line.contains("at byte 4096"));
    assert!(named.is_some(), "the file and the place are named");
    node.stop();
    let after = std::fs::read(&segment).unwrap();
    assert!(after.starts_with(&before), "nothing of what is damaged is touched");
}

#[test]
fn a_segment_of_another_partition_is_seen_and_not_served() {
    let Some(python) = Python::plain() else { return };
    let (site, segment) = written(&python, Node::stop);
    let (other, foreign) = written(&python, Node::stop);
    std::fs::copy(&foreign, &segment).unwrap();
    drop(other);
    let node = site.start();
    assert!(site.log().contains("it belongs to cluster"));
    python.script("clients/by_hand.py").args([&node.kafka, "offline", TOPIC]).run(PATIENCE);
    node.stop();
}
