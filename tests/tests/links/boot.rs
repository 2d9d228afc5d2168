//! A source that starts: it waits for word from its peer before it takes writes.

use std::time::Duration;

use carrick_tests::{Pair, Python, Site, carrick, deadline, until};

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
    assert!((8.0..12.0).contains(&seconds), "writes wait for the word: {opened}");
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

#[test]
fn a_source_that_opens_takes_what_is_under_way_in_its_order() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    // All open at once: each is a chance to be between two requests.
    let topics = ["first", "second", "third"];
    topics.iter().for_each(|topic| drop(ask(&python, &["create", &east.kafka, topic, "4"])));
    pair.connect();
    pair.mirror(&topics);
    let run = |topic: &str| {
        let state = pair.east.file(topic).display().to_string();
        linked(&python, &["in_order", &pair.east.kafka(), topic, &state]).start()
    };
    topics.map(run).into_iter().for_each(|it| drop(it.finish(SOON)));
    west.kill();
    east.kill();
    let east = pair.east.start();
    let producers = topics.map(run);
    for it in &producers {
        deadline("writes under way", SOON, || it.said().0.contains("under way").then_some(()));
    }
    let west = pair.west.start();
    producers.into_iter().for_each(|it| drop(it.finish(SOON)));
    for topic in topics {
        ask(&python, &["caught_up", &east.kafka, &west.kafka, topic, "4"]);
    }
    east.stop();
    west.stop();
}
