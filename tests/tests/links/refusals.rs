//! What cannot be done is refused with a code, and with what to do next.

use carrick_tests::{Node, Pair, Pki, Python, Site, Tls, carrick, carrick_refuses, until};
use serde_json::{Value, json};

use crate::{SOON, TOPIC, ask};

/// Why the link does not come about.
fn reason(site: &Site, link: &str) -> String {
    let known = |it: &Value| it["state"] != "CONNECTED" && it["reason"] != "";
    until(site, "link", link, SOON, known)["reason"].as_str().unwrap().to_string()
}

fn pair(python: &Python) -> (Pair, Node, Node) {
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    ask(python, &["create", &east.kafka, TOPIC, "2"]);
    ask(python, &["write", &east.kafka, TOPIC, "2", "2"]);
    pair.connect();
    pair.mirror(&[TOPIC]);
    (pair, east, west)
}

#[test]
fn a_mirror_takes_no_writes_and_no_deletion_and_names_its_link_and_its_source() {
    let Some(python) = Python::plain() else { return };
    let (pair, east, west) = pair(&python);
    ask(&python, &["caught_up", &east.kafka, &west.kafka, TOPIC, "2"]);
    let refused = ["a_mirror", &pair.west.kafka(), TOPIC, Pair::LINK, &pair.east.topic_id(TOPIC)];
    ask(&python, &refused);
    // Whether its source is there or not, and after a start.
    east.kill();
    ask(&python, &refused);
    west.kill();
    let west = pair.west.start();
    ask(&python, &refused);
    west.stop();
}

#[test]
fn what_cannot_be_mirrored_is_refused_with_a_code_and_a_next_step() {
    let Some(python) = Python::plain() else { return };
    let (pair, east, west) = pair(&python);
    for node in [&east, &west] {
        ask(&python, &["create", &node.kafka, "taken", "1"]);
    }
    let before = carrick(&pair.west, &["journal"]);
    let create = |link, topic| ["mirror", "create", "--link", link, topic];
    let refusals = [("nowhere", "NO_SUCH_TOPIC"), ("taken", "NAME_TAKEN")];
    for (topic, code) in refusals {
        let said = carrick_refuses(&pair.west, &create(Pair::LINK, topic));
        assert!(said.contains(code) && said.contains(topic), "{said}");
    }
    // One that cannot be made keeps the others from being made.
    let both = carrick_refuses(&pair.west, &[&create(Pair::LINK, "nowhere")[..], &["taken"]].concat());
    assert!(refusals.iter().all(|(_, code)| both.contains(code)), "{both}");
    for said in [
        carrick_refuses(&pair.west, &create("no-such-link", TOPIC)),
        carrick_refuses(&pair.west, &["failover", "--yes", "--link", "no-such-link"]),
    ] {
        assert!(said.contains("no-such-link"), "{said}");
    }
    let said = carrick_refuses(&pair.west, &["failover", "--yes", "--link", Pair::LINK, "nowhere"]);
    assert!(said.contains("NO_SUCH_MIRROR"), "{said}");
    let said = carrick_refuses(&pair.west, &["link", "create", Pair::LINK, "--peer", "127.0.0.1:1"]);
    assert!(said.contains(Pair::LINK), "{said}");
    // What stands already is no fault, and nothing new.
    let again = carrick(&pair.west, &create(Pair::LINK, TOPIC));
    assert_eq!(again["mirrors"][0]["outcome"], "EXISTS", "{again:#}");
    assert_eq!(carrick(&pair.west, &["journal"]), before, "a refusal leaves no trace");
    let names: Vec<_> = carrick(&pair.west, &["mirror", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["topic"].clone())
        .collect();
    assert_eq!(names, [TOPIC]);
    east.stop();
    west.stop();
}

#[test]
fn a_mirror_back_to_where_its_records_come_from_is_refused_as_a_loop() {
    let Some(python) = Python::plain() else { return };
    let (pair, east, west) = pair(&python);
    carrick(&pair.east, &["link", "create", "back", "--peer", &pair.west.link()]);
    until(&pair.east, "link", "back", SOON, |it| it["state"] == "CONNECTED");
    let said = carrick_refuses(&pair.east, &["mirror", "create", "--link", "back", TOPIC]);
    assert!(said.contains("LINEAGE_LOOP"), "{said}");
    assert_eq!(carrick(&pair.east, &["mirror", "list"]), json!([]));
    east.stop();
    west.stop();
}

#[test]
fn a_link_that_cannot_be_says_why_in_the_list() {
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    carrick(&pair.west, &["link", "create", "self", "--peer", &pair.west.link()]);
    assert!(reason(&pair.west, "self").contains("SAME_CLUSTER"));

    // Of another authority: it does not trust east, or east does not trust it. And one that may not be a link.
    let (here, elsewhere) = (&pair.pki, Pki::new());
    let foreign = elsewhere.node("stranger");
    let unknown = Tls { ca: here.node("trusting").ca, ..foreign.clone() };
    for (tls, word) in [
        (&foreign, "certificate"),
        (&unknown, "certificate"),
        (&here.certificate("viewer", "viewer"), "role"),
    ] {
        let stranger = Site::linked(tls);
        let node = stranger.start();
        carrick(&stranger, &["link", "create", "strange", "--peer", &pair.east.link()]);
        let why = reason(&stranger, "strange");
        println!("{why}");
        assert!(why.to_lowercase().contains(word), "{why}");
        let said = carrick_refuses(&stranger, &["mirror", "create", "--link", "strange", TOPIC]);
        assert!(said.to_lowercase().contains(word), "{said}");
        node.stop();
    }
    east.stop();
    west.stop();
}
