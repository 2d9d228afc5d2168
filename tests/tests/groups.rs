//! Consumer groups of real Kafka clients, unmodified.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::time::Duration;

use carrick_tests::{Program, Python, Ring, Site, deadline, kcat, ring, skip};

const SOON: Duration = Duration::from_secs(90);

/// One case of a script, on a node of its own.
fn case(script: &str, case: &[&str]) {
    let Some(python) = Python::with_clients() else { return };
    let site = Site::new();
    let node = site.start();
    python.script(script).args(case).arg(&node.kafka).run(SOON);
    node.stop();
}

/// Rebalances of several clients take seconds each: one of them stands for all in the quick ring.
fn full(run: impl FnOnce()) {
    match ring() {
        Ring::Full => run(),
        Ring::Quick => skip("groups of all clients are for CARRICK_RING=full"),
    }
}

#[test]
fn librdkafkas_consumers_share_partitions_and_one_takes_over_from_the_other() {
    case("clients/groups_confluent.py", &["share"]);
}

#[test]
fn kafka_pythons_consumers_share_partitions_and_one_takes_over_from_the_other() {
    full(|| case("clients/groups_kafka_python.py", &["share"]));
}

#[test]
fn aiokafkas_consumers_share_partitions_and_one_takes_over_from_the_other() {
    full(|| case("clients/groups_aiokafka.py", &[]));
}

#[test]
fn a_static_member_of_librdkafka_comes_back_to_its_partitions_and_moves_nobody() {
    full(|| case("clients/groups_confluent.py", &["static"]));
}

#[test]
fn a_static_member_of_kafka_python_comes_back_to_its_partitions_and_moves_nobody() {
    full(|| case("clients/groups_kafka_python.py", &["static"]));
}

#[test]
fn librdkafkas_administrator_lists_describes_alters_and_deletes_groups() {
    case("clients/groups_confluent.py", &["admin"]);
}

#[test]
fn kafka_pythons_administrator_lists_describes_and_deletes_groups() {
    full(|| case("clients/groups_kafka_python.py", &["admin"]));
}

#[test]
fn a_killed_node_brings_no_rebalance_about_and_its_groups_go_on_where_they_were() {
    let Some(python) = Python::with_clients() else { return };
    let script = || python.script("clients/groups_confluent.py");
    let site = Site::new();
    let node = site.start();
    let files = site.file("group");
    let holding = script().args(["hold", &node.kafka]).arg(&files).start();
    let held = files.with_extension("held");
    deadline("the consumers to have read all", SOON, || held.exists().then_some(()));
    node.kill();
    let node = site.start();
    std::fs::write(files.with_extension("back"), "").unwrap();
    holding.finish(SOON);
    // And once more, to another consumer.
    node.kill();
    let node = site.start();
    script().args(["resume", &node.kafka]).run(SOON);
    node.stop();
}

#[test]
fn kcat_reads_as_a_member_of_a_group_and_goes_on_where_it_stopped() {
    let Some(python) = Python::with_clients() else { return };
    let Some(kcat) = kcat() else { return };
    let site = Site::new();
    let node = site.start();
    python.script("clients/with_confluent.py").args(["create", &node.kafka, "orders", "unread"]).run(SOON);
    let lines = |from: u32| (from..from + 100).map(|it| format!("line {it}\n")).collect::<String>();
    let write = |from: u32| {
        std::fs::write(site.file("lines"), lines(from)).unwrap();
        let produce = ["-P", "-b", &node.kafka, "-t", "orders", "-l"];
        Program::new(&kcat).args(produce).arg(site.file("lines")).run(SOON);
    };
    let read = || {
        let consume =
            ["-b", &node.kafka, "-X", "auto.offset.reset=earliest", "-e", "-q", "-G", "readers", "orders"];
        Program::new(&kcat).args(consume).run(SOON)
    };
    write(0);
    assert_eq!(read(), lines(0));
    write(100);
    assert_eq!(read(), lines(100));
    node.stop();
}
