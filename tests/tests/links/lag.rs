//! Lag is told with the age of what is known: what is not known is never zero.

use std::time::{Duration, Instant};

use carrick_tests::{Load, Pair, Python, carrick, deadline};
use serde_json::Value;

use crate::{SOON, TOPIC, ask, linked};

/// What a partition's numbers may be older than the moment at which they were printed, and not show it.
const SLACK_MS: u64 = 1_000;

fn partitions(pair: &Pair) -> Vec<Value> {
    let listed = carrick(&pair.west, &["mirror", "list"]);
    listed[0]["partitions"].as_array().unwrap().clone()
}

/// Something to catch up with, or news that are old.
fn behind_or_old(it: &Value) -> bool {
    it["lag_offsets"].as_u64() > Some(0) || it["heard_ms"].as_u64() > Some(SLACK_MS)
}

#[test]
fn lag_is_told_with_its_age_and_what_is_not_known_is_never_zero() {
    let Some(python) = Python::plain() else { return };
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    ask(&python, &["create", &east.kafka, TOPIC, "2"]);
    pair.connect();
    pair.mirror(&[TOPIC]);
    let state = pair.west.file("state").display().to_string();
    let script = linked(&python, &["load", &east.kafka, TOPIC, "2", &state]);
    let mut load = Load::start(&pair.east, |acks, stop| script.arg(acks).arg(stop));
    load.go_on(50);

    // West stands still while east goes on.
    west.pause();
    load.go_on(200);
    let paused = Instant::now();
    // Not a wait for a state: what it slept through.
    std::thread::sleep(Duration::from_millis(SLACK_MS + 500).saturating_sub(paused.elapsed()));
    west.go_on();
    deadline("lag, or the age of what is known", SOON, || {
        partitions(&pair).iter().any(behind_or_old).then_some(())
    });
    // Caught up, with load: what is known is fresh again.
    deadline("fresh news", SOON, || {
        let fresh = |it: &Value| it["heard_ms"].as_u64() < Some(SLACK_MS) && it["lag_offsets"].is_u64();
        partitions(&pair).iter().all(fresh).then_some(())
    });

    east.kill();
    let killed = Instant::now();
    load.end();
    let mut oldest = 0;
    while oldest < 2_500 {
        let since = killed.elapsed().as_millis() as u64;
        for it in partitions(&pair) {
            let heard = it["heard_ms"].as_u64().unwrap();
            assert!(heard + SLACK_MS >= since, "{since} ms after east was killed: {it}");
            oldest = heard.max(oldest);
        }
        assert!(killed.elapsed() < SOON, "what is known does not age");
    }
    let link = carrick(&pair.west, &["link", "list"])[0].clone();
    assert!(link["heard_ms"].as_u64() > Some(2_000) && link["state"] != "CONNECTED", "{link}");

    // Never heard in this life: not known, and not zero.
    west.kill();
    let west = pair.west.start();
    for it in partitions(&pair) {
        for key in ["source_high_watermark", "heard_ms", "lag_offsets", "lag_bytes_max", "lag_ms"] {
            assert!(it[key].is_null(), "{key} of {it}");
        }
    }
    west.stop();
}
