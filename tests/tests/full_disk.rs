//! Nodes on a file system of a few dozen MiB, which somebody else fills.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::path::Path;
use std::time::Duration;

use carrick_tests::{Pair, Python, Site, Small, assert_equal, carrick, until};

const PATIENCE: Duration = Duration::from_secs(60);

fn client(python: &Python, address: &str, arguments: &[&str]) -> String {
    python.script("clients/full.py").arg(address).args(arguments).run(PATIENCE).trim().to_owned()
}

fn create(python: &Python, address: &str, topic: &str) {
    python.script("clients/by_hand.py").args([address, "create", topic, "1"]).run(PATIENCE);
}

fn has_reserve(site: &Site) -> bool {
    Path::exists(&site.data().join("RESERVE"))
}

#[test]
fn a_full_source_refuses_writes_and_goes_on_serving_readers_and_its_mirrors() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let Some(small) = Small::mount(&pair.east, 128) else { return };
    let (east, west) = (pair.east.start(), pair.west.start());
    create(&python, &east.kafka, "orders");
    pair.connect();
    pair.mirror(&["orders"]);
    small.fill();
    let end = client(&python, &east.kafka, &["until_refused", "orders"]);
    client(&python, &east.kafka, &["read", "orders", &end]);
    // What was acknowledged before the disk was full crosses while it is.
    let end: u64 = end.parse().unwrap();
    client(&python, &west.kafka, &["read", "orders", &end.to_string()]);
    assert!(has_reserve(&pair.east), "a produce does not take what is put by for a failover");
    small.free();
    let next = client(&python, &east.kafka, &["writes", "orders", "10"]);
    assert_eq!(next.parse(), Ok(end), "the next record stands behind the last acknowledged one");
    client(&python, &west.kafka, &["read", "orders", &(end + 1).to_string()]);
    let log = pair.east.log();
    assert!(!log.contains("a sync failed"), "{log}");
    let topics = [(topic_id(&python, &pair.east), topic_id(&python, &pair.west))];
    east.stop();
    west.stop();
    assert!(assert_equal(&python, &pair.east.data(), &pair.west.data(), &topics) > 0);
}

fn topic_id(python: &Python, site: &Site) -> String {
    let told = python.script("clients/linked.py").args(["ids", &site.kafka(), "orders"]).run(PATIENCE);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told[0].as_str().unwrap().to_owned()
}

#[test]
fn a_full_destination_fails_over_out_of_its_reserve_and_resumes_without_a_restart() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let Some(small) = Small::mount(&pair.west, 128) else { return };
    let (east, west) = (pair.east.start(), pair.west.start());
    for topic in ["orders", "payments"] {
        create(&python, &east.kafka, topic);
    }
    create(&python, &west.kafka, "own");
    pair.connect();
    pair.mirror(&["orders", "payments"]);
    let before = client(&python, &east.kafka, &["writes", "orders", "10"]);
    assert_eq!(before, "0");
    client(&python, &west.kafka, &["read", "orders", "1"]);
    assert!(has_reserve(&pair.west));

    small.fill();
    let own = client(&python, &west.kafka, &["until_refused", "own"]);
    client(&python, &west.kafka, &["catalog_until_refused"]);
    small.fill();
    // A mirror that finds no room waits; the link and the other mirrors go on.
    client(&python, &east.kafka, &["writes", "payments", "10"]);
    until(&pair.west, "link", Pair::LINK, PATIENCE, |it| it["state"] == "CONNECTED");

    east.kill();
    let opened = carrick(&pair.west, &["failover", "--link", Pair::LINK, "--yes"]);
    let topics = opened["topics"].as_array().unwrap();
    assert!(topics.len() == 2 && topics.iter().all(|it| it["outcome"] == "OPEN"), "{opened}");
    for topic in ["orders", "payments"] {
        client(&python, &west.kafka, &["writes", topic, "10"]);
    }
    client(&python, &west.kafka, &["read", "own", &own]);

    // Killed and started again with what is left of the reserve, the decision stands and the topics are open.
    west.kill();
    let west = pair.west.start();
    client(&python, &west.kafka, &["read", "own", &own]);
    for topic in ["orders", "payments"] {
        until(&pair.west, "mirror", topic, PATIENCE, |it| it["state"] == "STOPPED");
    }

    small.free();
    for topic in ["own", "orders", "payments"] {
        client(&python, &west.kafka, &["writes", topic, "15"]);
    }
    assert!(!pair.west.log().contains("a sync failed"), "{}", pair.west.log());
    west.stop();
}
