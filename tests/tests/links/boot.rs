//! A source that starts: it waits for word from its peer before it takes writes.

use std::time::Duration;

use carrick_tests::{Pair, Python, Site, carrick, until};

use crate::{SOON, ask, lines, linked};

const OPEN: &str = "open";
const CLOSED: &str = "closed";

#[test]
fn a_source_without_word_from_its_peer_opens_after_ten_seconds_or_as_it_was_told_stays_closed() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let north = Site::linked_with_settings(&pair.pki.node("north"), "on_boot_without_peer = \"closed\"");
    let west = pair.west.start();
    let sources = [(&pair.east, OPEN), (&north, CLOSED)];
    let nodes = sources.map(|(site, topic)| {
        let node = site.start();
        ask(&python, &["create", &node.kafka, topic, "1"]);
        carrick(&pair.west, &["link", "create", topic, "--peer", &site.link()]);
        node
    });
    for (_, topic) in sources {
        until(&pair.west, "link", topic, SOON, |it| it["state"] == "CONNECTED");
        carrick(&pair.west, &["mirror", "create", "--link", topic, topic]);
        until(&pair.west, "mirror", topic, SOON, |it| it["state"] == "ACTIVE");
    }
    west.kill();
    nodes.into_iter().for_each(|node| node.kill());

    let nodes = sources.map(|(site, _)| site.start());
    let opens = linked(&python, &["until_accepted", &nodes[0].kafka, OPEN, "20"]).start();
    let stays = linked(&python, &["refused_for", &nodes[1].kafka, CLOSED, "12"]).start();
    let opened = &lines(&opens.finish(SOON))[0];
    let seconds = opened["seconds"].as_f64().unwrap();
    println!("open after {seconds} s, {} writes refused before", opened["refused"]);
    assert!((8.0..12.0).contains(&seconds) && opened["refused"].as_u64() > Some(0), "{opened}");
    assert!(pair.east.log().contains("no word from the peer: the topic takes writes"));
    stays.finish(SOON);
    assert!(north.log().contains("no word from the peer: the topic takes no writes"));

    let west = pair.west.start();
    ask(&python, &["until_accepted", &nodes[1].kafka, CLOSED, "15"]);
    for ((_, topic), node) in sources.into_iter().zip(nodes) {
        ask(&python, &["caught_up", &node.kafka, &west.kafka, topic, "1"]);
        until(&pair.west, "mirror", topic, Duration::from_secs(15), |it| it["state"] == "ACTIVE");
        node.stop();
    }
    west.stop();
}
