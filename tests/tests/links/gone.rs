//! A source topic that is deleted, or made anew under its name: the mirror fails by name, and keeps what it has.

use carrick_tests::{Pair, Python, carrick, until};
use serde_json::Value;

use crate::{SOON, ask};

/// Deleted while the link is up.
const SEEN: &str = "seen";
/// Deleted, and made anew, while west is away.
const MISSED: &str = "missed";

fn failed(it: &Value) -> bool {
    it["state"] == "FAILED" && it["reason"].as_str().unwrap().starts_with("TOPIC_GONE")
}

#[test]
fn a_source_topic_that_is_deleted_fails_the_mirror_which_keeps_its_data_and_takes_none_of_a_namesake() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    for topic in [SEEN, MISSED] {
        ask(&python, &["create", &east.kafka, topic, "2"]);
        ask(&python, &["write", &east.kafka, topic, "2", "5"]);
    }
    pair.connect();
    pair.mirror(&[SEEN, MISSED]);
    let read = || [SEEN, MISSED].map(|topic| ask(&python, &["read", &pair.west.kafka(), topic, "2"]));
    for topic in [SEEN, MISSED] {
        ask(&python, &["caught_up", &east.kafka, &west.kafka, topic, "2"]);
    }
    let before = read();
    let anew = |topic: &str| {
        ask(&python, &["create", &east.kafka, topic, "2"]);
        ask(&python, &["write", &east.kafka, topic, "2", "9", "namesake"]);
    };

    ask(&python, &["delete", &east.kafka, SEEN]);
    until(&pair.west, "mirror", SEEN, SOON, failed);
    until(&pair.west, "mirror", MISSED, SOON, |it| it["state"] == "ACTIVE");
    assert_eq!(read(), before);
    anew(SEEN);
    west.kill();
    ask(&python, &["delete", &east.kafka, MISSED]);
    anew(MISSED);
    let west = pair.west.start();
    until(&pair.west, "mirror", MISSED, SOON, failed);
    until(&pair.west, "link", Pair::LINK, SOON, |it| it["state"] == "CONNECTED");
    until(&pair.west, "mirror", SEEN, SOON, failed);
    assert_eq!(read(), before, "nothing is mixed");

    // East's start, too, tells of the namesakes alone.
    east.kill();
    let east = pair.east.start();
    ask(&python, &["write", &east.kafka, SEEN, "2", "1", "namesake"]);
    until(&pair.west, "link", Pair::LINK, SOON, |it| it["state"] == "CONNECTED");
    let listed = carrick(&pair.west, &["mirror", "list"]);
    assert!(listed.as_array().unwrap().iter().all(failed), "{listed:#}");
    assert_eq!(read(), before);

    // What failed can be opened, and the namesakes, which are others, are written all the same.
    let done = carrick(&pair.west, &["failover", "--link", Pair::LINK, "--yes"]);
    let outcomes = done["topics"].as_array().unwrap().iter().map(|it| &it["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["OPEN", "OPEN"], "{done:#}");
    assert_eq!(read(), before);
    for topic in [SEEN, MISSED] {
        ask(&python, &["write", &west.kafka, topic, "2", "1", "after"]);
        until(&pair.west, "link", Pair::LINK, SOON, |it| it["state"] == "CONNECTED");
        ask(&python, &["write", &east.kafka, topic, "2", "1", "namesake"]);
    }
    east.stop();
    west.stop();
}
