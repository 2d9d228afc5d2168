//! The independent reader sees what it is there to see: else a mirror that it finds equal would prove nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use carrick_tests::{Ended, Python, Site};

const SOON: Duration = Duration::from_secs(30);
/// The header page.
const FIRST_BATCH: usize = 4096;

/// Two data directories with the same six batches, and what to ask of them.
struct Twins {
    site: Site,
    python: Python,
    topic: String,
}

impl Twins {
    /// None says that the test is skipped.
    fn new() -> Option<Self> {
        let python = Python::plain()?;
        let site = Site::new();
        let node = site.start();
        python.script("clients/by_hand.py").args([&node.kafka, "six", "orders"]).run(SOON);
        node.stop();
        let copied = Command::new("cp").arg("-r").args([site.data(), site.file("twin")]).status().unwrap();
        assert!(copied.success());
        let topic = site.topic_id("orders");
        Some(Self { site, python, topic })
    }

    fn twin(&self) -> PathBuf {
        self.site.file("twin")
    }

    /// Changes the file of the twin's partition 0.
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.twin().join("topics").join(&self.topic).join("0/00000000000000000000.seg");
        let mut bytes = std::fs::read(&file).unwrap();
        change(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
    }

    fn show(&self, data: &Path) -> Ended {
        self.python.script("reader.py").arg("show").arg(data).end(SOON)
    }

    fn compare(&self) -> Ended {
        let topics = format!("{0}={0}", self.topic);
        let script = self.python.script("reader.py").arg("compare");
        script.args([self.site.data(), self.twin()]).arg(topics).end(SOON)
    }
}

fn says(ended: &Ended, good: bool, what: &str) {
    assert_eq!(ended.status.success(), good, "{ended:?}");
    assert!(ended.stdout.lines().any(|line| line.contains(what)), "{what} in {ended:?}");
}

#[test]
fn equal_directories_are_found_equal() {
    let Some(twins) = Twins::new() else { return };
    says(&twins.compare(), true, "\"bytes_differing\": 0");
    assert_eq!(twins.compare().stdout.lines().count(), 2, "a line per partition");
    assert_eq!(twins.show(&twins.site.data()).stdout, twins.show(&twins.twin()).stdout);
}

#[test]
fn another_leader_epoch_is_counted_apart_and_is_no_difference() {
    let Some(twins) = Twins::new() else { return };
    twins.change(|bytes| bytes[FIRST_BATCH + 15] = 7);
    says(&twins.compare(), true, "\"epoch_bytes_differing\": 1, \"bytes_differing\": 0");
    assert_eq!(
        twins.show(&twins.site.data()).stdout,
        twins.show(&twins.twin()).stdout,
        "the sums leave it out"
    );
}

#[test]
fn a_flipped_bit_is_a_difference_and_a_failed_checksum() {
    let Some(twins) = Twins::new() else { return };
    twins.change(|bytes| *bytes.last_mut().unwrap() ^= 1);
    says(&twins.compare(), false, "\"bytes_differing\": 1");
    says(&twins.show(&twins.twin()), false, "\"crc_failures\": 1");
}

#[test]
fn a_missing_batch_is_a_difference_and_half_a_batch_is_torn() {
    let Some(twins) = Twins::new() else { return };
    let batch = |bytes: &[u8]| (bytes.len() - FIRST_BATCH) / 6;
    twins.change(|bytes| bytes.truncate(bytes.len() - batch(bytes)));
    says(&twins.compare(), false, "\"only_a\": 1");
    twins.change(|bytes| bytes.truncate(bytes.len() - 10));
    says(&twins.show(&twins.twin()), false, "\"batches\": 4");
    says(&twins.show(&twins.twin()), false, "\"header_faults\": 0");
}

#[test]
fn a_foreign_or_damaged_first_page_is_seen() {
    let Some(twins) = Twins::new() else { return };
    twins.change(|bytes| bytes[30] ^= 1);
    says(&twins.show(&twins.twin()), false, "\"header_faults\": 1");
}

#[test]
fn a_topic_that_is_nowhere_is_not_equal_to_another() {
    let Some(twins) = Twins::new() else { return };
    std::fs::remove_dir_all(twins.twin().join("topics").join(&twins.topic)).unwrap();
    assert!(!twins.compare().status.success());
}
