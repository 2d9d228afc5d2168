//! Data directories of whole nodes of layout 1, made once: they open for ever, and all is found in them.
//! `tests/golden/layout-1/README.md` says what is in them.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use carrick_tests::{Pair, Pki, Python, Site, Talk, carrick, kept, put, seen, stored, until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const ENDS: [&str; 2] = ["clean", "unclean"];
/// Nothing of a golden directory expires.
const FOREVER: [&str; 2] = ["--kafka", "offsets.retention.minutes=2147483647"];
const BYTES_MAX: usize = 300 << 10;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/layout-1")
}

fn expected(end: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden().join(format!("{end}.json"))).unwrap()).unwrap()
}

/// As an independent reader finds it in the files: no fault, and as many batches up to the same ends.
fn assert_stored(python: &Python, look: &mut Talk, site: &Site, wanted: &Value) {
    let kafka = site.kafka();
    let found = stored(python, &site.data());
    for (topic, told) in wanted["clients"]["topics"].as_object().unwrap() {
        let id = look.ask(&["topic_id", &kafka, topic]);
        for (at, log) in told["partitions"].as_array().unwrap().iter().enumerate() {
            let batches = log["batches"].as_array().unwrap();
            let of =
                |it: &&carrick_tests::Stored| id == it.topic.as_str() && it.number("partition") == at as u64;
            let Some(it) = found.iter().find(of) else {
                assert!(batches.is_empty(), "{topic}-{at}: {log}");
                continue;
            };
            assert_eq!(log["end"], it.number("end"), "{topic}-{at}");
            // Of what was deleted a part may still lie there.
            let lies = it.number("batches") as usize;
            assert!(
                lies == batches.len() || log["start"] != 0 && lies > batches.len(),
                "{topic}-{at}: {it:?}"
            );
        }
    }
}

#[test]
fn a_data_directory_of_layout_1_opens_for_ever_and_all_is_found_in_it() {
    let Some(python) = Python::plain() else { return };
    let pki = Pki::new();
    let mut look = Talk::look(&python);
    for end in ENDS {
        let site = Site::linked(&pki.node(end)).and(&FOREVER);
        let files = kept(&golden().join(end));
        assert!(files.values().map(Vec::len).sum::<usize>() < BYTES_MAX);
        put(&files, &site.data());
        let wanted = expected(end);
        for life in 0..3 {
            let node = site.start();
            let told = seen(&mut look, &site).unwrap();
            assert!(told == wanted, "{end}, life {life}: {told:#}\nis not\n{wanted:#}");
            if life == 0 {
                assert_stored(&python, &mut look, &site, &wanted);
            }
            // Over what the first start has written, too.
            if life == 1 { node.kill() } else { node.stop() }
        }
        let opened = format!("clean={}", end == "clean");
        assert!(
            site.log().lines().find(|it| it.contains("node open")).is_some_and(|it| it.contains(&opened))
        );
        // And it is written on.
        let node = site.start();
        python.script("clients/golden.py").args(["opened", &node.kafka]).run(SOON);
        node.stop();
        let log = site.log();
        assert_eq!(log.lines().find(|it| it.contains(" ERROR ") || it.contains("damaged")), None);
    }
}

/// With `CARRICK_GOLDEN` it is written to the directory of that name.
#[test]
fn a_golden_data_directory_can_be_made_again() {
    let Some(python) = Python::plain() else { return };
    let mut look = Talk::look(&python);
    let pair = Pair::new();
    let fill = |case: &str, site: &Site| {
        python.script("clients/golden.py").args([case, &site.kafka()]).run(SOON);
    };
    let (east, west) = (pair.east.start(), pair.west.start());
    fill("source", &pair.east);
    fill("own", &pair.west);
    pair.connect();
    pair.mirror(&["orders", "payments", "gone"]);
    for topic in ["orders", "payments", "gone"] {
        let caught_up =
            |it: &Value| it["partitions"].as_array().unwrap().iter().all(|it| it["lag_offsets"] == 0);
        until(&pair.west, "mirror", topic, SOON, caught_up);
    }
    python.script("clients/linked.py").args(["delete", &pair.east.kafka(), "gone"]).run(SOON);
    until(&pair.west, "mirror", "gone", SOON, |it| it["state"] == "FAILED");
    carrick(&pair.west, &["failover", "--link", Pair::LINK, "--yes", "payments"]);
    fill("opened", &pair.west);
    let positions = json!({ "orders-0": [11, "after 11"], "orders-1": [40, "after 40"] });
    carrick_tests::deadline("the group to follow", SOON, || {
        let told = look.ask(&["everything", &pair.west.kafka()]);
        (told["groups"]["readers"] == positions).then_some(())
    });
    // Nobody is there any more who could tell it something.
    east.stop();
    west.stop();
    let to = std::env::var_os("CARRICK_GOLDEN").map(PathBuf::from);
    let keep = |end: &str, told: &Value| {
        let files = kept(&pair.west.data());
        let bytes: usize = files.values().map(Vec::len).sum();
        println!("{end}: {} files of {bytes} bytes", files.len());
        assert!(bytes < BYTES_MAX);
        if let Some(to) = &to {
            put(&files, &to.join(end));
            let told = serde_json::to_string_pretty(told).unwrap();
            std::fs::write(to.join(format!("{end}.json")), told + "\n").unwrap();
        }
    };
    let west = pair.west.start();
    let told = seen(&mut look, &pair.west).unwrap();
    west.stop();
    keep("clean", &told);
    let west = pair.west.start();
    fill("more", &pair.west);
    let told = seen(&mut look, &pair.west).unwrap();
    west.kill();
    keep("unclean", &told);
}
