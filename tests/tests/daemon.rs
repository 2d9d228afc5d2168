//! What an operator sees of `carrickd`: its settings checked, its refusals explained, its ends clean.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use carrick_tests::{Ended, Node, Program, Site, carrickd, deadline};

const SOON: Duration = Duration::from_secs(20);

fn check(site: &Site, settings: &str) -> Ended {
    let file = site.file("carrickd.toml");
    std::fs::write(&file, settings).unwrap();
    Program::new(carrickd()).args(["check", "--config"]).arg(&file).end(SOON)
}

#[test]
fn check_accepts_a_good_settings_file() {
    let good =
        "[node]\ndata = \"/var/lib/carrick\"\n\n[[listener]]\nname = \"kafka\"\nbind = \"127.0.0.1:9092\"\n";
    let ended = check(&Site::new(), good);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.contains("good"), "{ended:?}");
}

#[test]
fn check_reports_all_faults_of_a_settings_file_and_exits_with_78() {
    let bad =
        "surprise = 1\n[node]\nmemory = \"1KB\"\n[[listener]]\nname = \"kafka\"\nbind = \"0.0.0.0:9092\"\n";
    let ended = check(&Site::new(), bad);
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    for fault in ["surprise", "node.data", "node.memory", "listener[0].bind", "listener[0].advertised"] {
        assert!(ended.stderr.lines().any(|line| line.contains(fault)), "{fault} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "", "data goes to stdout, words to stderr");
}

#[test]
fn check_says_where_a_settings_file_is_no_toml_or_not_there() {
    let site = Site::new();
    let ended = check(&site, "[node\n");
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    assert!(ended.stderr.contains("line 1"), "{ended:?}");
    let ended = Program::new(carrickd()).args(["check", "--config", "/nowhere.toml"]).end(SOON);
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    assert!(ended.stderr.contains("/nowhere.toml"), "{ended:?}");
}

#[test]
fn a_node_runs_from_a_settings_file() {
    let site = Site::with_settings("durability = \"os\"");
    let node = site.start();
    assert_eq!(node.kafka, format!("127.0.0.1:{}", site.port));
    node.stop();
}

#[test]
fn port_0_takes_a_free_port_and_names_it() {
    let site = Site::new();
    let program = Program::new(carrickd())
        .args(["dev", "--kafka-port", "0", "--http-port", "0", "--data"])
        .arg(site.data());
    let node = Node::start(program, &site.file("stderr"));
    std::net::TcpStream::connect(&node.kafka).unwrap();
    node.stop();
}

#[test]
fn a_second_node_on_a_data_directory_is_refused_and_told_which() {
    let site = Site::new();
    let node = site.start();
    let second = Program::new(carrickd())
        .args(["dev", "--kafka-port", "0", "--http-port", "0", "--data"])
        .arg(site.data())
        .end(SOON);
    assert!(!second.status.success(), "{second:?}");
    assert!(second.stderr.contains(&site.data().display().to_string()), "{second:?}");
    assert!(second.stderr.contains("in use"), "{second:?}");
    node.stop();
    site.start().stop();
}

#[test]
fn a_port_in_use_is_refused_and_named() {
    let (site, other) = (Site::new(), Site::new());
    let node = site.start();
    let port = site.port.to_string();
    let second = Program::new(carrickd())
        .args(["dev", "--kafka-port", &port, "--http-port", "0", "--data"])
        .arg(other.data())
        .end(SOON);
    assert!(!second.status.success(), "{second:?}");
    assert!(second.stderr.contains(&format!("127.0.0.1:{port}")), "{second:?}");
    assert!(!second.stdout.contains("ready"), "{second:?}");
    node.stop();
}

#[test]
fn a_newer_format_is_refused_before_anything_is_written() {
    let site = Site::new();
    site.start().stop();
    let format = site.data().join("FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    let newer = text.replace("layout 1", "layout 2").replace("minimum-reader 1", "minimum-reader 2");
    assert_ne!(text, newer);
    std::fs::write(&format, newer).unwrap();
    assert_refused_untouched(&site);
    // A copy may come without it.
    std::fs::remove_file(site.data().join("LOCK")).unwrap();
    assert_refused_untouched(&site);
}

#[test]
fn a_damaged_format_is_refused_before_anything_is_written() {
    let site = Site::new();
    site.start().stop();
    std::fs::write(site.data().join("FORMAT"), "something else\n").unwrap();
    assert_refused_untouched(&site);
}

fn assert_refused_untouched(site: &Site) {
    let before = listing(&site.data());
    let refused = site.program().end(SOON);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains(&site.data().join("FORMAT").display().to_string()), "{refused:?}");
    assert_eq!(listing(&site.data()), before);
}

/// Every name under `dir`, with its length and when it was changed.
fn listing(dir: &Path) -> Vec<(String, u64, SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let known = entry.metadata().unwrap();
        found.push((entry.path().display().to_string(), known.len(), known.modified().unwrap()));
        if known.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_stop_leaves_the_clean_mark_and_a_kill_does_not() {
    let site = Site::new();
    let opened = |clean: bool| site.log().matches(&format!("clean={clean}")).count();
    site.start().stop();
    site.start().kill();
    assert_eq!((opened(true), opened(false)), (2, 0), "the first start, and the one after a stop");
    site.start().stop();
    assert_eq!((opened(true), opened(false)), (2, 1), "the start after a kill");
    site.start().stop();
    assert_eq!((opened(true), opened(false)), (3, 1), "the start after the next stop");
}

#[test]
fn a_stop_does_not_wait_for_idle_connections() {
    let site = Site::new();
    let node = site.start();
    let _idle: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(&node.kafka).unwrap()).collect();
    let begun = std::time::Instant::now();
    node.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn an_interrupt_stops_a_node_as_sigterm_does() {
    let site = Site::new();
    let mut running = site.program().start();
    deadline("carrickd to be ready", SOON, || running.said().0.contains("ready").then_some(()));
    running.signal(rustix::process::Signal::INT);
    let status = deadline("carrickd to stop", SOON, || running.status());
    assert!(status.success(), "{status}");
    assert!(running.said().1.contains("clean end"));
}
