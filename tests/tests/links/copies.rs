//! A mirror is its source byte for byte, whatever happens on the way.

use carrick_tests::{Pair, Python, assert_equal, ring, stored};

use crate::{LONG, TOPIC, ask};

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
