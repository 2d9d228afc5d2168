//! The audit log: a line per mutation, in a chain that shows what was changed.

use std::time::Duration;

use carrick_tests::{Ended, Pair, Python, carrick, carrick_refuses};
use serde_json::Value;

use crate::{SOON, TOPIC, ask, lines};

fn read(python: &Python, path: &std::path::Path) -> Ended {
    python.script("audit.py").arg(path).end(SOON)
}

#[test]
fn the_audit_log_has_a_line_per_mutation_in_a_chain_that_shows_a_change() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    ask(&python, &["create", &east.kafka, TOPIC, "1"]);
    let id = |n: u8| format!("{n:08x}-0000-0000-0000-000000000000");
    let (link, peer) = (Pair::LINK, pair.east.link());
    let mutate = |n: u8, arguments: &[&str]| {
        carrick(&pair.west, &[arguments, &["--request-id", &id(n)]].concat());
    };
    let refuse = |n: u8, arguments: &[&str]| {
        carrick_refuses(&pair.west, &[arguments, &["--request-id", &id(n)]].concat());
    };
    pair.connect();
    mutate(1, &["link", "create", link, "--peer", &peer, "--dry-run"]);
    mutate(2, &["link", "create", link, "--peer", &peer]);
    refuse(3, &["mirror", "create", "--link", link, "no-such-topic"]);
    mutate(4, &["mirror", "create", "--link", link, TOPIC]);
    west.kill();
    let west = pair.west.start();
    mutate(5, &["failover", "--link", link, "--accept-incomplete", "--dry-run"]);
    mutate(6, &["failover", "--link", link, "--accept-incomplete", "--yes"]);
    mutate(6, &["failover", "--link", link, "--accept-incomplete", "--yes"]);
    for noun in [&["link", "list"][..], &["mirror", "list"], &["journal"], &["node"]] {
        carrick(&pair.west, noun);
    }
    west.stop();
    east.stop();

    let path = pair.west.data().join("audit.log");
    let ended = read(&python, &path);
    assert!(ended.status.success(), "{ended:?}");
    let told: Vec<Value> = lines(&ended.stdout);
    let mut expected = vec![
        (1, "link create", true),
        (2, "link create", false),
        (3, "mirror create", false),
        (4, "mirror create", false),
        (5, "failover", true),
        (6, "failover", false),
        (6, "failover", false),
    ]
    .into_iter();
    assert_eq!(told.len(), expected.len() + 1, "{told:#?}");
    assert_eq!(told[0]["verb"], "link create");
    for it in &told[1..] {
        let (n, verb, dry) = expected.next().unwrap();
        let request = it["request"].as_str().unwrap();
        assert_eq!(
            (request, &it["verb"], &it["dry_run"]),
            (&*id(n).replace('-', ""), &verb.into(), &dry.into())
        );
    }
    let age = Duration::from_secs(600).as_millis() as u64;
    let newest = told.last().unwrap()["at_ms"].as_u64().unwrap();
    for it in &told {
        assert!(it["of"].as_str().unwrap().starts_with(link), "{it}");
        assert!(it["who"].as_str().unwrap().starts_with("uid "), "{it}");
        assert!(newest.abs_diff(it["at_ms"].as_u64().unwrap()) < age, "{it}");
    }

    // Whoever changes a line, or takes one out, breaks the chain.
    let text = std::fs::read_to_string(&path).unwrap();
    let without = text.lines().enumerate().filter(|(at, _)| *at != 3).map(|(_, line)| format!("{line}\n"));
    for changed in [text.replacen("no-such-topic", "no-such-thing", 1), without.collect()] {
        assert!(changed != text);
        std::fs::write(pair.west.file("changed.log"), changed).unwrap();
        assert!(!read(&python, &pair.west.file("changed.log")).status.success());
    }
}
