//! A mirror is its source byte for byte, whatever happens on the way.

use std::path::Path;
use std::time::Duration;

use carrick_tests::{Chance, Load, Pair, Python, assert_equal, carrick, ring, stored, until};

use crate::{LONG, SOON, TOPIC, ask};

/// The topic's id at each site.
fn ids(python: &Python, pair: &Pair) -> (String, String) {
    let [east, west] = [&pair.east, &pair.west].map(|site| {
        let told = ask(python, &["ids", &site.kafka(), TOPIC]);
        told[0][0].as_str().unwrap().to_string()
    });
    (east, west)
}

#[test]
fn every_batch_of_every_codec_and_producer_stands_at_the_mirror_byte_for_byte() {
    let Some(python) = Python::with_clients() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    let bytes = ring().pick(10, 200) * 1_000_000;
    ask(&python, &["create", &east.kafka, TOPIC, "12", "max.message.bytes=4194304"]);
    let mixed = python.script("clients/mixed.py").args([&east.kafka, TOPIC, "12", &bytes.to_string()]);
    // The mirror begins somewhere in the middle: it catches up, and then follows.
    let writing = mixed.start();
    pair.connect();
    pair.mirror(&[TOPIC]);
    println!("{} records", writing.finish(LONG).trim());
    ask(&python, &["caught_up", &east.kafka, &west.kafka, TOPIC, "12"]);
    let ids = ids(&python, &pair);
    east.stop();
    west.stop();

    let compared = assert_equal(&python, &pair.east.data(), &pair.west.data(), &[ids]);
    assert!(compared > bytes, "{compared} bytes were compared, of {bytes}");
    for it in stored(&python, &pair.west.data()) {
        assert_eq!(it.codecs().len(), 5, "{it:?}");
    }
}

#[test]
fn nodes_killed_at_random_under_load_end_equal_with_all_that_was_acknowledged_and_no_hand_is_needed() {
    let Some(python) = Python::with_clients() else { return };
    let pair = Pair::new();
    let mut nodes = [pair.east.start(), pair.west.start()].map(Some);
    let (east, west) = (pair.east.kafka(), pair.west.kafka());
    ask(&python, &["create", &east, TOPIC, "4"]);
    pair.connect();
    pair.mirror(&[TOPIC]);
    let script = |verb: &str, at: &str| python.script("clients/load.py").args([verb, at, TOPIC]);
    let seen = pair.east.file("seen");
    let mut load =
        Load::start(&pair.east, |acks, stop| script("write", &east).arg(acks).arg(&seen).arg(stop));
    let sites = [&pair.east, &pair.west];
    let mut chance = Chance::from_environment();
    for _ in 0..ring().pick(3, 10) {
        load.go_on(chance.within(1..ring().pick(3_000, 10_000)) as usize);
        // Not a wait for a state: the moment of the kill.
        std::thread::sleep(Duration::from_millis(chance.below(300)));
        // One of them, and sometimes both.
        let fates: &[usize] = match chance.below(5) {
            0 | 1 => &[0],
            2 | 3 => &[1],
            _ => &[0, 1],
        };
        println!("killed: {fates:?}");
        fates.iter().for_each(|at| nodes[*at].take().unwrap().kill());
        fates.iter().for_each(|at| nodes[*at] = Some(sites[*at].start()));
    }
    load.go_on(1);
    let acks = load.acks.clone();
    load.finish();
    until(&pair.west, "mirror", TOPIC, SOON, |it| it["state"] == "ACTIVE");
    ask(&python, &["caught_up", &east, &west, TOPIC, "4"]);
    let check = |at: &str, acks: &Path| script("check", at).arg(acks).arg(&seen).run(SOON);
    println!("east: {}west: {}", check(&east, &acks), check(&west, &acks));
    let by_hand = carrick(&pair.west, &["journal"]);
    let by_hand = by_hand.as_array().unwrap().iter().filter(|it| it["who"] != "link").count();
    assert_eq!(by_hand, 2, "the link and the mirror were made, and nothing else was asked for");
    let ids = ids(&python, &pair);
    nodes.into_iter().flatten().for_each(|node| node.stop());

    assert_equal(&python, &pair.east.data(), &pair.west.data(), &[ids]);
    for site in sites {
        let log = site.log();
        assert_eq!(log.lines().find(|line| line.contains(" ERROR ")), None);
    }
}

#[test]
fn a_mirror_that_starts_without_its_source_is_read_to_where_it_was() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    ask(&python, &["create", &east.kafka, TOPIC, "2"]);
    ask(&python, &["write", &east.kafka, TOPIC, "2", "20"]);
    pair.connect();
    pair.mirror(&[TOPIC]);
    ask(&python, &["caught_up", &east.kafka, &west.kafka, TOPIC, "2"]);
    let at_east = ask(&python, &["read", &east.kafka, TOPIC, "2"]);
    east.kill();
    west.kill();
    let west = pair.west.start();
    assert_eq!(ask(&python, &["read", &west.kafka, TOPIC, "2"]), at_east);
    west.stop();
    let west = pair.west.start();
    assert_eq!(ask(&python, &["read", &west.kafka, TOPIC, "2"]), at_east);
    west.stop();
}
