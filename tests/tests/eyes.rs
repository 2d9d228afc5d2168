//! What an operator sees of a node, and of two: health, metrics, `carrick status`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches sockets and ends at the first surprise"
)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use carrick_tests::{Load, Pair, Pki, Program, Python, Site, carrickd, deadline, free_port};

const SOON: Duration = Duration::from_secs(30);

/// The answer's status and body; None where nobody answers.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: carrick\r\n\r\n").as_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    let (head, body) = said.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_string()))
}

/// Values by their names with labels. Each line must be well-formed.
fn metrics(port: u16) -> BTreeMap<String, f64> {
    let (status, text) = get(port, "/metrics").unwrap();
    assert_eq!(status, 200);
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(comment.starts_with("HELP carrick_") || comment.starts_with("TYPE carrick_"), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let plain = name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        assert!(plain && name.starts_with("carrick_"), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|it| !it.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap();
            let quoted = |it: &str| it.split_once("=\"").is_some_and(|(_, value)| value.ends_with('"'));
            assert!(inner.split(',').all(quoted), "{line}");
        }
        let twice = found.insert(series.to_string(), value.parse().unwrap());
        assert!(twice.is_none(), "{line} stands there twice");
    }
    found
}

/// Of one name, whatever the labels.
fn of<'a>(metrics: &'a BTreeMap<String, f64>, name: &'a str) -> Vec<f64> {
    let named = metrics.iter().filter(move |(series, _)| series.split('{').next() == Some(name));
    named.map(|(_, value)| *value).collect()
}

fn http(port: u16) -> String {
    format!("[http]\nbind = \"127.0.0.1:{port}\"")
}

/// The exit code, and what was printed.
fn status(site: &Site, more: &[&str]) -> (i32, String) {
    let carrick = Program::new(carrickd().with_file_name("carrick"));
    let ended = carrick.args(["status", "--node"]).arg(site.data()).args(more).end(SOON);
    (ended.status.code().unwrap(), ended.stdout)
}

#[test]
fn a_lone_node_is_seen_from_its_start_to_its_end() {
    let port = free_port();
    let site = Site::with_settings(&http(port));
    assert!(get(port, "/healthz").is_none());
    let node = site.start();
    assert_eq!(get(port, "/healthz").unwrap(), (200, "ok\n".into()));
    assert_eq!(get(port, "/readyz").unwrap(), (200, "ready\n".into()));
    let seen = metrics(port);
    for (name, value) in [("carrick_node_ready", 1.0), ("carrick_sync_halted", 0.0), ("carrick_topics", 0.0)]
    {
        assert_eq!(of(&seen, name), [value], "{name}");
    }
    assert_eq!(of(&seen, "carrick_node_info"), [1.0]);
    assert!(of(&seen, "carrick_link_connected").is_empty());
    deadline("the disk to be looked at", SOON, || {
        of(&metrics(port), "carrick_disk_free_bytes").first().filter(|it| **it > 0.0).map(|_| ())
    });
    let (code, screen) = status(&site, &[]);
    assert!(code == 0 && screen.contains("durability fsync") && screen.contains("no links"), "{screen}");
    let (code, json) = status(&site, &["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["well"].as_bool(), json["disk"]["halted"].is_null()), (0, Some(true), true));

    // A collector that stays does not hold the end up.
    let _stays = TcpStream::connect(("127.0.0.1", port)).unwrap();
    node.stop();
    assert!(get(port, "/healthz").is_none());
}

#[test]
fn a_disk_that_hangs_at_the_start_does_not_hang_the_answers() {
    let port = free_port();
    let site = Site::with_settings(&http(port));
    // Opened to be read, it waits for a writer: as a disk that does not answer.
    Program::new("mkfifo").arg(site.data().join("FORMAT")).run(SOON);
    let node = site.program().start();
    deadline("the control thread to answer", SOON, || get(port, "/healthz"));
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(get(port, "/healthz").unwrap(), (200, "ok\n".into()));
        slowest = slowest.max(asked.elapsed());
        assert_eq!(get(port, "/readyz").unwrap(), (503, "starting\n".into()));
        assert_eq!(of(&metrics(port), "carrick_node_ready"), [0.0]);
    }
    // A tenth of a second on a machine of its own.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    node.kill();
}

#[test]
fn a_node_that_stops_says_so_before_its_clients_are_gone() {
    let port = free_port();
    let site = Site::with_settings(&http(port));
    let node = site.start();
    // Half a request holds the end up.
    let mut client = TcpStream::connect(&node.kafka).unwrap();
    client.write_all(&[0, 0, 0, 100, 0, 18]).unwrap();
    deadline("the client to be seen", SOON, || {
        (of(&metrics(port), "carrick_kafka_connections") == [1.0]).then_some(())
    });
    let stopping = std::thread::spawn(move || node.stop());
    deadline("readiness to end", SOON, || {
        let (status, why) = get(port, "/readyz").expect("it answers until its end");
        (status == 503).then(|| assert_eq!(why, "stopping\n"))
    });
    assert_eq!(get(port, "/healthz").unwrap().0, 200);
    drop(client);
    stopping.join().unwrap();
}

#[test]
fn a_port_in_use_for_health_is_refused_and_named() {
    let port = free_port();
    let (site, other) = (Site::with_settings(&http(port)), Site::with_settings(&http(port)));
    let node = site.start();
    let second = other.program().end(SOON);
    let named = second.stderr.contains(&format!("the HTTP port could not be bound to 127.0.0.1:{port}"));
    assert!(!second.status.success() && named, "{second:?}");
    node.stop();
}

#[test]
fn a_silent_source_shows_as_age_and_never_as_no_lag() {
    let Some(python) = Python::plain() else { return };
    let pki = Pki::new();
    let (east_port, port) = (free_port(), free_port());
    let pair = Pair {
        east: Site::linked_with_settings(&pki.node("east"), &http(east_port)),
        west: Site::linked_with_settings(&pki.node("west"), &http(port)),
        pki,
    };
    let (east, west) = (pair.east.start(), pair.west.start());
    let mut load = Load::start(&pair.east, |acks, stop| {
        python.script("clients/load_by_hand.py").args([&east.kafka, "orders"]).arg(acks).arg(stop)
    });
    load.go_on(50);
    pair.connect();
    pair.mirror(&["orders"]);
    load.go_on(200);

    let seen = metrics(port);
    assert_eq!(of(&seen, "carrick_link_connected"), [1.0]);
    assert!(of(&seen, "carrick_certificate_expiry_days").iter().all(|it| *it > 0.0));
    assert_eq!(seen["carrick_mirrors{link=\"east-west\",state=\"ACTIVE\"}"], 1.0);
    assert_eq!(of(&seen, "carrick_mirror_lag_age_seconds").len(), 4);
    assert!(of(&seen, "carrick_mirror_lag_age_seconds").iter().all(|it| *it < 5.0), "{seen:#?}");
    let (code, screen) = status(&pair.west, &[]);
    assert!(code == 0 && screen.contains("1 ACTIVE") && screen.contains("CONNECTED"), "{screen}");

    east.kill();
    let killed = Instant::now();
    let mut grown = None;
    while killed.elapsed() < Duration::from_secs(5) {
        let before = killed.elapsed();
        let seen = metrics(port);
        let ages = of(&seen, "carrick_mirror_lag_age_seconds");
        assert_eq!(ages.len(), 4, "an observation stays one");
        // Nothing is heard any more, once what was on the way is read: what was known is as old as the kill.
        let least = before.as_secs_f64() - 0.5;
        assert!(ages.iter().all(|age| *age >= least), "{before:?} after the kill: {ages:?}");
        let heard = of(&seen, "carrick_link_heard_age_seconds");
        assert!(heard.iter().all(|age| *age >= least), "{before:?} after the kill: {heard:?}");
        if ages.iter().all(|age| *age > 1.0) {
            grown.get_or_insert(before);
        }
        // The step of the observation, not a wait for a state.
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(grown.unwrap() < Duration::from_secs(2), "{grown:?}");
    let seen = metrics(port);
    assert_eq!(of(&seen, "carrick_link_connected"), [0.0]);
    let (code, screen) = status(&pair.west, &[]);
    assert!(code == 3 && screen.contains("OLDEST-UNKNOWN"), "{code}: {screen}");
    let (_, json) = status(&pair.west, &["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["links"][0]["oldest_unknown"]["heard_ms"].as_u64().unwrap() >= 4_000, "{json:#}");
    println!("{screen}");
    west.stop();
}
