//! East is gone, or seems to be: west is opened, says what is lost, and east stops.

use std::time::Instant;

use carrick_tests::{
    Load, Node, Pair, Python, Ring, carrick, carrick_refuses, carrick_table, deadline, ring, until,
};
use serde_json::Value;

use crate::{SOON, TOPIC, ask, lines, linked, number};

const PARTITIONS: &str = "3";
const REQUEST: &str = "01234567-89ab-cdef-0123-456789abcdef";
const FAILOVER: [&str; 3] = ["failover", "--link", Pair::LINK];
/// For east to hear of a failover: west's waits between two tries grow to 5 s.
const HEARS: &str = "15";

fn mirrored(python: &Python) -> (Pair, Node, Node) {
    let pair = Pair::new();
    let (east, west) = (pair.east.start(), pair.west.start());
    ask(python, &["create", &east.kafka, TOPIC, PARTITIONS]);
    pair.connect();
    pair.mirror(&[TOPIC]);
    (pair, east, west)
}

/// The mirrors without what is a matter of the moment.
fn mirrors(pair: &Pair) -> Value {
    let mut mirrors = carrick(&pair.west, &["mirror", "list"]);
    for mirror in mirrors.as_array_mut().unwrap() {
        for partition in mirror["partitions"].as_array_mut().unwrap() {
            assert!(partition.as_object_mut().unwrap().remove("heard_ms").is_some());
        }
    }
    mirrors
}

fn journal(pair: &Pair) -> Vec<String> {
    let entries = carrick(&pair.west, &["journal"]);
    entries.as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap().to_string()).collect()
}

fn fail_over(pair: &Pair) -> Value {
    let done = carrick(&pair.west, &[&FAILOVER[..], &["--yes"]].concat());
    assert_eq!((&done["applied"], &done["topics"][0]["outcome"]), (&true.into(), &"OPEN".into()), "{done:#}");
    done
}

#[test]
fn a_failover_says_what_is_lost_opens_the_mirror_once_and_knows_the_producers_that_follow() {
    let Some(python) = Python::plain() else { return };
    let (pair, east, west) = mirrored(&python);
    let state = pair.west.file("state").display().to_string();
    let script = linked(&python, &["load", &east.kafka, TOPIC, PARTITIONS, &state]);
    let mut load = Load::start(&pair.east, |acks, stop| script.arg(acks).arg(stop));
    load.go_on(ring().pick(200, 2_000));
    east.kill();
    load.end();
    until(&pair.west, "link", Pair::LINK, SOON, |it| it["state"] != "CONNECTED");
    let at_kill = ask(&python, &["read", &west.kafka, TOPIC, PARTITIONS]);

    let before = (mirrors(&pair), journal(&pair));
    let plan = carrick(&pair.west, &[&FAILOVER[..], &["--dry-run"]].concat());
    assert_eq!(plan["applied"], false);
    let statement = &plan["topics"][0]["partitions"];
    assert_eq!(statement.as_array().unwrap().len(), 3, "{plan:#}");
    for it in statement.as_array().unwrap() {
        assert!(number(it, "heard_ms") > 0 && it["lost_offsets_min"].is_u64(), "{it}");
    }
    let table = carrick_table(&pair.west, &[&FAILOVER[..], &["--dry-run"]].concat());
    assert!(table.contains("LOST-OFFSETS") && table.contains('≥'), "{table}");
    assert_eq!((mirrors(&pair), journal(&pair)), before, "a dry run changes nothing");
    ask(&python, &["takes_no_writes", &west.kafka, TOPIC]);

    let again = [&FAILOVER[..], &["--yes", "--request-id", REQUEST]].concat();
    let began = Instant::now();
    let done = carrick(&pair.west, &again);
    println!("failed over in {:?}, of that {} ms in the node", began.elapsed(), done["took_ms"]);
    assert_eq!((&done["applied"], &done["topics"][0]["outcome"]), (&true.into(), &"OPEN".into()), "{done:#}");
    assert_eq!(done["topics"][0]["generation"], 1);
    assert_eq!(mirrors(&pair)[0]["state"], "STOPPED");
    assert_eq!(ask(&python, &["read", &west.kafka, TOPIC, PARTITIONS]), at_kill, "nothing was added or cut");
    let told = journal(&pair);
    let decision = told.iter().rposition(|it| it.starts_with("failover of 1 mirrors decided")).unwrap();
    let stopped = told.iter().rposition(|it| it == "1 mirrors became STOPPED").unwrap();
    assert!(decision < stopped, "{told:#?}");

    // The producer follows, before and after a crash of west.
    let kept = ask(&python, &["follow", &west.kafka, &state]);
    for (stated, it) in done["topics"][0]["partitions"].as_array().unwrap().iter().zip(&kept) {
        assert_eq!(stated["end_offset"], it["kept"]);
        let lost = number(it, "sent") - number(it, "kept");
        assert!(number(stated, "lost_offsets_min") <= lost, "{lost} were lost, said was {stated}");
    }
    let (mirrors_then, end) = (mirrors(&pair), ask(&python, &["read", &west.kafka, TOPIC, PARTITIONS]));
    let repeated = carrick(&pair.west, &again);
    assert_eq!((&repeated["topics"], &repeated["applied"]), (&done["topics"], &done["applied"]));
    assert_eq!((mirrors(&pair), journal(&pair)), (mirrors_then, told), "a repeat changes nothing");
    west.kill();
    let west = pair.west.start();
    assert_eq!(carrick(&pair.west, &again)["topics"], done["topics"], "after a crash too");
    assert_eq!(ask(&python, &["read", &west.kafka, TOPIC, PARTITIONS]), end);
    ask(&python, &["write", &west.kafka, TOPIC, PARTITIONS, "1"]);
    let said = carrick_refuses(&pair.west, &[&FAILOVER[..], &["--yes", TOPIC]].concat());
    assert!(said.contains("STOPPED"), "another request finds nothing to open: {said}");
    carrick_refuses(&pair.west, &[&FAILOVER[..], &["--yes"]].concat());
    west.stop();
}

#[test]
fn a_source_that_comes_back_after_a_failover_takes_no_write_and_sends_clients_on() {
    let Some(python) = Python::plain() else { return };
    let (pair, east, west) = mirrored(&python);
    ask(&python, &["write", &east.kafka, TOPIC, PARTITIONS, "3"]);
    ask(&python, &["caught_up", &east.kafka, &west.kafka, TOPIC, PARTITIONS]);
    east.kill();
    fail_over(&pair);

    // A client that is there before it.
    let client = linked(&python, &["until_superseded", &pair.east.kafka(), TOPIC, HEARS, "0"]).start();
    deadline("the client to ask", SOON, || client.said().0.contains("asks").then_some(()));
    let east = pair.east.start();
    println!("east heard of it in {} s", lines(&client.finish(SOON))[1]["seconds"]);
    east.kill();
    let east = pair.east.start();
    ask(&python, &["superseded", &east.kafka, TOPIC]);
    east.stop();
    west.stop();
    // With nobody there to tell it.
    let east = pair.east.start();
    ask(&python, &["superseded", &east.kafka, TOPIC]);
    if ring() == Ring::Full {
        ask(&python, &["refused_for", &east.kafka, TOPIC, "12"]);
    }
    east.stop();
}
