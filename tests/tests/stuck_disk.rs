//! A disk that is stuck for five seconds under load: the node answers who asks, and its peer goes on hearing it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and sockets and ends at the first surprise"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrick_tests::{
    Load, Node, Pair, Python, Ring, Site, Small, assert_equal, carrick, carrick_status, ring, skip,
};

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
const PARTITIONS: u64 = 4;
const STUCK: Duration = Duration::from_secs(5);
/// A tenth of a second is wanted, and printed; a busy machine may take longer, a node that waits for its disk takes five.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// Heartbeats come every half second; after three seconds of silence a peer is lost.
const HEARD_WITHIN_MS: u64 = 1_500;
const GROWS_MIB: u64 = 64;

#[derive(Debug, Default)]
struct Worst {
    answer: Duration,
    status: Duration,
    heard_ms: u64,
    rss_mib: u64,
}

fn get(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(STUCK)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: carrick\r\n\r\n").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said.split(' ').nth(1).unwrap().parse().unwrap()
}

fn rss_mib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Asks all there is to ask while the disk of `site` is stuck.
fn ask(pair: &Pair, site: &Site, node: &Node, disk: &Small) -> Worst {
    let stuck = disk.freeze();
    let mut worst = Worst::default();
    while stuck.elapsed() < STUCK {
        for path in ["/healthz", "/metrics"] {
            let asked = Instant::now();
            assert_eq!(get(node.http.as_ref().unwrap(), path), 200, "{path}");
            worst.answer = worst.answer.max(asked.elapsed());
        }
        let asked = Instant::now();
        carrick_status(site);
        worst.status = worst.status.max(asked.elapsed());
        let links = carrick(&pair.west, &["link", "list"]);
        assert_eq!(links[0]["state"], "CONNECTED", "{links}");
        worst.heard_ms = worst.heard_ms.max(links[0]["heard_ms"].as_u64().unwrap());
        worst.rss_mib = worst.rss_mib.max(rss_mib(node));
    }
    worst
}

fn is_stuck(side: impl Fn(&Pair) -> &Site) {
    if ring() == Ring::Quick {
        return skip("a disk that is stuck for five seconds is for CARRICK_RING=full");
    }
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let site = side(&pair);
    let Some(disk) = Small::mount(site, 512) else { return };
    let (east, west) = (pair.east.start(), pair.west.start());
    python
        .script("clients/linked.py")
        .args(["create", &east.kafka, TOPIC, &PARTITIONS.to_string()])
        .run(PATIENCE);
    pair.connect();
    pair.mirror(&[TOPIC]);
    let mut load = Load::start(&pair.east, |acks, stop| {
        let crowd =
            python.script("clients/crowd.py").args([&east.kafka, TOPIC, &PARTITIONS.to_string(), "8"]);
        crowd.arg(acks).arg(stop)
    });
    load.go_on(100);
    let node = if std::ptr::eq(site, &raw const pair.east) { &east } else { &west };
    let before = rss_mib(node);
    let worst = ask(&pair, site, node, &disk);
    println!("{worst:?}, {before} MiB before");
    assert!(worst.answer < ANSWERS_WITHIN && worst.status < ANSWERS_WITHIN, "{worst:?}");
    // What a destination hears while it is stuck waits with its age: it says how old its numbers are.
    assert!(worst.heard_ms < HEARD_WITHIN_MS || std::ptr::eq(node, &raw const west), "{worst:?}");
    assert!(worst.rss_mib < before + GROWS_MIB, "{worst:?}, {before} MiB before");
    load.go_on(100);
    load.finish();
    for (site, said) in [(&pair.east, "link session ended"), (&pair.west, "the link is down")] {
        let log = site.log();
        assert!(!log.contains(said) && !log.contains(" ERROR "), "{log}");
    }
    let (at_east, at_west) = (&east.kafka, &west.kafka);
    let linked = |arguments: &[&str]| python.script("clients/linked.py").args(arguments).run(PATIENCE);
    linked(&["caught_up", at_east, at_west, TOPIC, &PARTITIONS.to_string()]);
    let id = |at: &str| {
        let ids: Vec<String> = serde_json::from_str(&linked(&["ids", at, TOPIC])).unwrap();
        ids[0].clone()
    };
    let topics = [(id(at_east), id(at_west))];
    east.stop();
    west.stop();
    assert!(assert_equal(&python, &pair.east.data(), &pair.west.data(), &topics) > 0);
}

#[test]
fn a_source_whose_disk_is_stuck_answers_and_is_heard() {
    is_stuck(|pair| &pair.east);
}

#[test]
fn a_destination_whose_disk_is_stuck_answers_and_keeps_its_session() {
    is_stuck(|pair| &pair.west);
}
