//! Real Kafka clients, unmodified, and what no well-behaved client sends.
//!
//! Groups are not served yet: every consumer here assigns its partitions itself.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use carrick_tests::{Program, Python, Site, deadline, kcat, ring, stored};

const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(300);

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

fn topics() -> [String; 5] {
    CODECS.map(|codec| format!("codec-{codec}"))
}

/// What each codec's topic is to be given.
fn codec_bytes() -> usize {
    ring().pick(4_000_000, 100_000_000)
}

/// Every stored batch of a topic named after a codec has that codec's bits. That data comes back equal would prove nothing:
/// a client that misreads the node's versions turns codecs off without a word.
fn assert_stored_with_their_codecs(site: &Site, python: &Python, written: usize) {
    let partitions = stored(python, &site.data());
    for (codec, topic) in CODECS.into_iter().zip(topics()) {
        let id = site.topic_id(&topic);
        let of_topic: Vec<_> = partitions.iter().filter(|it| it.topic == id).collect();
        assert!(!of_topic.is_empty(), "{topic} stands nowhere");
        for it in &of_topic {
            assert_eq!(it.codecs(), [codec], "{topic}: {it:?}");
            assert_eq!(it.number("holes"), 0, "{topic}: {it:?}");
        }
        let bytes: u64 = of_topic.iter().map(|it| it.number("bytes")).sum();
        let limit = if codec == "none" { written * 2 } else { written / 2 };
        assert!(bytes < limit as u64, "{topic}: {bytes} bytes of {written}");
    }
}

#[test]
fn librdkafka_reads_after_a_kill_what_it_wrote_with_each_codec() {
    let Some(python) = Python::with_clients() else { return };
    let script = || python.script("clients/with_confluent.py");
    let site = Site::new();
    let node = site.start();
    script().args(["write", &node.kafka, &codec_bytes().to_string()]).run(LONG);
    let before = script().args(["read", &node.kafka]).args(topics()).run(LONG);
    assert_eq!(before.lines().count(), 10, "five topics of two partitions:\n{before}");
    node.kill();

    let node = site.start();
    let after = script().args(["read", &node.kafka]).args(topics()).run(LONG);
    assert_eq!(before, after);
    node.stop();
    assert_stored_with_their_codecs(&site, &python, codec_bytes());
}

#[test]
fn kcat_reads_after_a_kill_what_it_wrote_with_each_codec() {
    let Some(python) = Python::with_clients() else { return };
    let Some(kcat) = kcat() else { return };
    let site = Site::new();
    let lines = site.file("lines");
    write_lines(&lines, codec_bytes());
    let node = site.start();
    python.script("clients/with_confluent.py").args(["create", &node.kafka]).args(topics()).run(SOON);
    for (codec, topic) in CODECS.into_iter().zip(topics()) {
        let produce = ["-P", "-b", &node.kafka, "-t", &topic, "-p", "0", "-K", "\t", "-z", codec, "-l"];
        Program::new(&kcat).args(produce).arg(&lines).run(LONG);
    }
    let read = |address: &str, topic: &str| {
        let consume = ["-C", "-b", address, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f"];
        Program::new(&kcat).args(consume).arg("%o %T\t%k\t%s\n").run(LONG)
    };
    let before = topics().map(|topic| read(&node.kafka, &topic));
    let written = std::fs::read_to_string(&lines).unwrap();
    for (topic, read) in topics().iter().zip(&before) {
        assert_eq!(read.lines().count(), written.lines().count(), "{topic}");
        for (offset, (read, written)) in read.lines().zip(written.lines()).enumerate() {
            let (place, row) = read.split_once('\t').unwrap();
            assert_eq!(place.split_once(' ').unwrap().0, offset.to_string(), "{topic}");
            assert_eq!(row, written, "{topic} at offset {offset}");
        }
    }
    node.kill();

    let node = site.start();
    for (topic, before) in topics().iter().zip(&before) {
        assert!(read(&node.kafka, topic) == *before, "{topic} reads otherwise after a kill");
    }
    let listed = Program::new(&kcat).args(["-L", "-b", &node.kafka]).run(SOON);
    assert!(topics().iter().all(|topic| listed.contains(topic.as_str())), "{listed}");
    node.stop();
    assert_stored_with_their_codecs(&site, &python, codec_bytes());
}

/// Keys and values of which every codec can save something.
fn write_lines(path: &Path, bytes: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for at in 0..bytes / 100 {
        let word = at.wrapping_mul(2_654_435_761) % 99_991;
        writeln!(file, "k{}\t{at:09} {}", at % 1000, format!("{word:08x}").repeat(10)).unwrap();
    }
    file.flush().unwrap();
}

#[test]
fn kafka_python_makes_topics_writes_with_each_codec_and_reads_back() {
    let Some(python) = Python::with_clients() else { return };
    runs_from_topics_to_offsets(&python, "clients/with_kafka_python.py");
}

#[test]
fn aiokafka_makes_topics_writes_with_each_codec_and_reads_back() {
    let Some(python) = Python::with_clients() else { return };
    runs_from_topics_to_offsets(&python, "clients/with_aiokafka.py");
}

fn runs_from_topics_to_offsets(python: &Python, script: &str) {
    let site = Site::new();
    let node = site.start();
    python.script(script).arg(&node.kafka).run(SOON);
    node.stop();
    assert_stored_with_their_codecs(&site, python, 3 * 500 * 1000);
}

#[test]
fn an_admin_client_gets_kafkas_answers_and_errors() {
    let Some(python) = Python::with_clients() else { return };
    let site = Site::new();
    let node = site.start();
    python.script("clients/with_confluent.py").args(["admin", &node.kafka]).run(SOON);
    node.stop();
}

#[test]
fn what_an_admin_client_deletes_stays_deleted_over_a_kill() {
    let Some(python) = Python::with_clients() else { return };
    let site = Site::new();
    let script = |what: &str, at: &str| python.script("clients/with_confluent.py").args([what, at]).run(SOON);
    let node = site.start();
    script("delete_records", &node.kafka);
    node.kill();
    let node = site.start();
    script("deleted", &node.kafka);
    node.stop();
    let node = site.start();
    script("deleted", &node.kafka);
    node.stop();
}

#[test]
fn kafka_python_deletes_records() {
    let Some(python) = Python::with_clients() else { return };
    let site = Site::new();
    let node = site.start();
    python.script("clients/with_kafka_python.py").args([&node.kafka, "delete_records"]).run(SOON);
    node.stop();
}

#[test]
fn what_a_topic_does_not_keep_goes_by_itself_and_its_files_with_it() {
    let Some(python) = Python::with_clients() else { return };
    let file = Site::with_settings("retention_check = \"200ms\"");
    let dev = Site::with(&["--kafka", "log.retention.check.interval.ms=200"]);
    for site in [file, dev] {
        let node = site.start();
        python.script("clients/with_confluent.py").args(["retention", &node.kafka]).run(LONG);
        let files = |topic: &str| {
            let dir = site.data().join("topics").join(site.topic_id(topic)).join("0");
            std::fs::read_dir(dir)
                .unwrap()
                .flatten()
                .filter(|it| it.path().extension().unwrap() == "seg")
                .count()
        };
        let kept = files("kept");
        for topic in ["by-size", "by-time", "by-age-of-segment"] {
            // The start moves before the files go.
            deadline("files to go", SOON, || (files(topic) < kept).then_some(()));
        }
        node.stop();
        stored(&python, &site.data());
    }
}

#[test]
fn a_transactional_producer_is_refused_at_once() {
    let Some(python) = Python::with_clients() else { return };
    let site = Site::new();
    let node = site.start();
    python.script("clients/with_confluent.py").args(["transactions", &node.kafka]).run(SOON);
    node.stop();
}

/// One case of `clients/by_hand.py`, on a node of its own.
fn by_hand(case: &str) {
    by_hand_at(Site::new(), case);
}

fn by_hand_at(site: Site, case: &str) {
    let Some(python) = Python::plain() else { return };
    let node = site.start();
    python.script("clients/by_hand.py").args([&node.kafka, case]).run(SOON);
    node.stop();
    stored(&python, &site.data());
}

#[test]
fn an_idempotent_batch_sent_again_is_answered_with_its_first_offset_and_stands_once() {
    by_hand("duplicates");
}

#[test]
fn an_idempotent_batch_out_of_order_or_of_an_old_epoch_is_refused() {
    by_hand("sequences");
}

#[test]
fn a_damaged_batch_is_refused_as_corrupt_and_not_appended() {
    by_hand("damage");
}

#[test]
fn what_a_batch_must_not_say_is_refused_with_kafkas_error() {
    by_hand("refusals");
}

#[test]
fn a_fetch_at_an_offset_inside_a_batch_returns_all_of_it() {
    by_hand("inside");
}

#[test]
fn where_a_log_begins_after_a_deletion_is_told_by_every_answer() {
    by_hand("deleted");
}

#[test]
fn acks_0_gets_no_answer_and_an_error_closes_the_connection() {
    by_hand("acks_0");
}

#[test]
fn requests_sent_without_waiting_are_done_and_answered_in_order() {
    by_hand("order");
}

#[test]
fn a_parked_fetch_is_answered_when_records_come() {
    by_hand("parked");
}

#[test]
fn a_parked_fetch_is_answered_when_the_node_stops() {
    let Some(python) = Python::plain() else { return };
    let site = Site::new();
    let node = site.start();
    let parked = python.script("clients/by_hand.py").args([&node.kafka, "parked_at_the_end"]).start();
    deadline("the fetch to be parked", SOON, || parked.said().0.contains("parked").then_some(()));
    node.stop();
    parked.finish(SOON);
}

#[test]
fn a_topic_of_append_time_stamps_its_batches_and_tells_the_time() {
    by_hand("append_time");
}

#[test]
fn settings_under_kafkas_names_shape_what_clients_may_do() {
    let settings = ["auto.create.topics.enable=true", "num.partitions=2", "replication.factor.max=3"];
    by_hand_at(Site::with(&settings.map(|it| ["--kafka", it]).concat()), "settings");
}

#[test]
fn a_fetch_that_asks_for_more_than_the_nodes_memory_is_answered() {
    by_hand_at(Site::with_settings("memory = \"16MiB\""), "greedy");
}

#[test]
fn a_client_newer_than_the_node_learns_its_versions() {
    by_hand("newer");
}

#[test]
fn bytes_that_are_no_request_close_their_connection_and_no_other() {
    by_hand("garbage");
}
