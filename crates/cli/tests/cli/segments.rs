//! `carrick segment`: the files of a node that is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use carrick_log::{LogSettings, LogStore, MemoryCheckpoints, Role, TopicLog};
use carrick_record::{Batch, EndTransaction};
use carrick_sys::{RealClock, RealDisk, RealEntropy, RealSpawn, SyncMode, Sys};
use carrick_types::{
    ClusterId, LeaderEpoch, Offset, Partition, ProducerEpoch, ProducerId, Timestamp, TopicId,
};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::{Said, carrick};

const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
const TOPIC: TopicId = TopicId::from_bytes([2; 16]);
const PAGE: u64 = 4096;

/// A data directory with a topic of two partitions. Of the first: 20 batches of three records each, six to a segment, then a
/// marker.
struct Data {
    dir: TempDir,
}

impl Data {
    fn new() -> Self {
        let it = Self { dir: TempDir::new().unwrap() };
        let format = format!("carrick\nlayout 1\nminimum-reader 1\ncluster {CLUSTER}\n");
        std::fs::write(it.path("FORMAT"), format).unwrap();
        std::fs::write(it.path("LOCK"), "").unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(it.fill());
        it
    }

    async fn fill(&self) {
        let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current()));
        let sys = Sys {
            clock: Arc::new(RealClock::new()),
            disk: Arc::new(RealDisk::open(self.dir.path(), SyncMode::Auto).unwrap()),
            entropy: Arc::new(RealEntropy),
            spawn: Arc::clone(&spawn) as _,
            prompt: spawn,
        };
        let now = sys.clock.wall();
        let settings = LogSettings { segment_bytes: PAGE + 6 * size() + 10, ..LogSettings::default() };
        let home = Arc::new(MemoryCheckpoints::default());
        let store = LogStore::open(sys, self.dir.path(), CLUSTER, settings, home).unwrap();
        let role = Role::Writable { epoch: LeaderEpoch::new(3).unwrap() };
        store.open_topic(TOPIC, 2, role, true, TopicLog::FOR_EVER).unwrap();
        let log = store.partition(TOPIC, Partition(0)).unwrap();
        for n in 0..20 {
            let appended = log.append(&batch(n), Some(Timestamp(1_000_000 + n)), now).unwrap();
            log.durable(appended.end).await.unwrap();
        }
        log.append(&marker(), None, now).unwrap();
        store.partition(TOPIC, Partition(1)).unwrap().append(&batch(7), Some(Timestamp(5)), now).unwrap();
        store.close().await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn partition(&self) -> PathBuf {
        self.path(&format!("topics/{TOPIC}/0"))
    }

    fn segment(&self, base: u64) -> PathBuf {
        self.partition().join(format!("{base:020}.seg"))
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.dir.path().to_path_buf()];
        while let Some(dir) = left.pop() {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => left.push(entry.path()),
                    false => drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
                }
            }
        }
        found
    }

    fn damage(&self, base: u64, byte: u64) {
        let mut bytes = std::fs::read(self.segment(base)).unwrap();
        bytes[usize::try_from(byte).unwrap()] ^= 1;
        std::fs::write(self.segment(base), bytes).unwrap();
    }
}

/// A client's batch of three records. Its checksum is made when the log gives it its time.
fn batch(n: i64) -> Batch {
    let body = vec![n as u8; 500];
    let mut bytes = Vec::new();
    bytes.extend(0_i64.to_be_bytes());
    bytes.extend((body.len() as i32 + 49).to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.extend([2, 0, 0, 0, 0, 0, 4]);
    bytes.extend(2_i32.to_be_bytes());
    bytes.extend([0; 16]);
    bytes.extend(77_i64.to_be_bytes());
    bytes.extend(0_i16.to_be_bytes());
    bytes.extend((n as i32 * 3 % 21).to_be_bytes());
    bytes.extend(3_i32.to_be_bytes());
    bytes.extend(body);
    // Each of its own producer, so that any sequence will do.
    bytes[43..51].copy_from_slice(&(1_000 + n).to_be_bytes());
    Batch::split_from(&mut Bytes::from(bytes)).unwrap()
}

fn marker() -> Batch {
    let end = EndTransaction {
        producer_id: ProducerId::new(9).unwrap(),
        producer_epoch: ProducerEpoch(4),
        coordinator_epoch: 0,
        commit: false,
        at: Timestamp(-1),
    };
    Batch::split_from(&mut end.batch(Offset::ZERO, LeaderEpoch::FIRST)).unwrap()
}

fn size() -> u64 {
    batch(0).bytes.len() as u64
}

fn segment(verb: &str, path: &Path, more: &[&str]) -> Said {
    carrick(&[&["segment", verb, &path.display().to_string()], more].concat())
}

fn objects(said: &Said) -> Vec<serde_json::Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_node_left_is_all_well_and_stays_as_it_is() {
    let data = Data::new();
    let before = data.files();
    let said = segment("check", data.dir.path(), &[]).done();
    assert!(
        said.stdout.starts_with("all well: 2 partitions, 5 segments, 22 batches, 64 records, "),
        "{said:?}"
    );
    assert_eq!((said.stdout.lines().count(), &*said.stderr), (1, ""));
    for path in
        [data.path("topics"), data.path(&format!("topics/{TOPIC}")), data.partition(), data.segment(18)]
    {
        segment("check", &path, &[]).done();
        segment("dump", &path, &[]).done();
    }
    let summary = objects(&segment("check", data.dir.path(), &["--output", "json"]).done());
    assert_eq!((summary[0]["findings"].as_u64(), summary[0]["partitions"].as_u64()), (Some(0), Some(2)));
    assert!(data.files() == before, "nothing is written");
}

#[test]
fn damage_is_one_line_each_with_its_code_its_place_and_what_to_do() {
    let data = Data::new();
    data.damage(18, PAGE + size() + 100);
    let said = segment("check", data.dir.path(), &[]);
    assert_eq!((said.code, &*said.stderr), (1, ""), "{said:?}");
    let lines: Vec<&str> = said.stdout.lines().collect();
    let file = data.segment(18);
    let begins = format!("LOG_CORRUPT {} byte {} offsets 21-23: checksum ", file.display(), PAGE + size());
    assert!(lines[0].starts_with(&begins), "{said:?}");
    assert!(lines[0].contains("; the next good batch is that of offset 24 at byte "), "{said:?}");
    assert!(lines[0].contains("; next: restore the file from a copy"), "{said:?}");
    assert!(
        lines.len() == 2 && lines[1].starts_with("1 finding: 2 partitions, 5 segments, 21 batches"),
        "{said:?}"
    );

    let found = objects(&segment("check", &data.partition(), &["--output", "json"]));
    let told = ["code", "byte", "first_offset", "last_offset"].map(|key| found[0][key].to_string());
    assert_eq!(told, ["\"LOG_CORRUPT\"".to_string(), (PAGE + size()).to_string(), "21".into(), "23".into()]);
    assert_eq!(found[1]["findings"], 1);

    std::fs::write(data.path("SYNC-FAILED"), "").unwrap();
    std::fs::rename(data.segment(36), data.segment(36).with_extension("away")).unwrap();
    let said = segment("check", data.dir.path(), &[]);
    let codes: Vec<_> = said.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(codes, ["LOG_UNWRITTEN", "LOG_CORRUPT", "LOG_MISSING", "LOG_INDEX", "4"], "{said:?}");
}

#[test]
fn batches_are_dumped_one_line_each() {
    let data = Data::new();
    let said = segment("dump", &data.partition(), &[]).done();
    let lines: Vec<&str> = said.stdout.lines().collect();
    let page = format!("{}: cluster {CLUSTER} topic {TOPIC} partition 0 base 0; ", data.segment(0).display());
    assert!(lines[0].starts_with(&page), "{said:?}");
    assert!(lines[1].starts_with("OFFSETS") && lines.len() == 4 * 2 + 21, "{said:?}");
    let cells: Vec<_> = lines[2].split_whitespace().collect();
    let size = size().to_string();
    let time = "1970-01-01T00:16:40.000Z";
    let wanted = ["0-2", "4096", &size, "3", "zstd", "LogAppendTime", "3", "1000/0/0", "data", time, "ok"];
    assert_eq!(cells, wanted);
    let cells: Vec<_> = lines.last().unwrap().split_whitespace().collect();
    assert_eq!((cells[0], &cells[6..]), ("60-60", &["1", "9/4/-", "abort", "none", "ok"][..]));

    let found = objects(&segment("dump", &data.partition(), &["--output", "json"]).done());
    assert_eq!(found.len(), 21);
    let last = &found[20];
    assert_eq!(
        (&last["control"], &last["base_offset"], &last["crc_ok"]),
        (&"abort".into(), &60.into(), &true.into())
    );
    assert_eq!(found[0]["producer_id"], 1_000);
    assert!(found[0]["control"].is_null() && last["base_sequence"].is_null());
}

#[test]
fn a_range_of_offsets_is_dumped_with_every_batch_that_touches_it() {
    let data = Data::new();
    let of = |more: &[&str]| -> Vec<i64> {
        let said = segment("dump", &data.partition(), &[more, &["--output", "json"]].concat()).done();
        objects(&said).iter().map(|it| it["base_offset"].as_i64().unwrap()).collect()
    };
    assert_eq!(of(&["--from", "16", "--to", "21"]), [15, 18, 21]);
    assert_eq!(of(&["--from", "59"]), [57, 60]);
    assert_eq!(of(&["--to", "0"]), [0]);
    assert_eq!(of(&["--from", "61"]), [0_i64; 0]);
    data.damage(0, PAGE + size() + 100);
    let said = segment("dump", &data.segment(0), &["--to", "7"]).done();
    let bad = said.stdout.lines().nth(3).unwrap();
    assert!(bad.starts_with("3-5? ") && bad.contains("  BAD: checksum "), "{said:?}");
    assert!(bad.contains("; the next good batch is that of offset 6 at byte "), "{said:?}");
}

#[test]
fn a_node_that_runs_is_named_and_not_disturbed() {
    let data = Data::new();
    let lock = std::fs::File::open(data.path("LOCK")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    // It was about to write.
    let mut bytes = std::fs::read(data.segment(54)).unwrap();
    bytes.truncate(bytes.len() - 10);
    std::fs::write(data.segment(54), bytes).unwrap();
    let said = segment("check", &data.partition(), &[]).done();
    assert!(
        said.stderr.starts_with("a node runs on ") && said.stdout.contains("being written: 1"),
        "{said:?}"
    );
    drop(lock);
    let said = segment("check", &data.partition(), &[]);
    assert_eq!((said.code, said.stdout.split(' ').next()), (1, Some("LOG_TORN")), "{said:?}");
}

#[test]
fn what_is_no_segment_is_refused_as_a_misuse() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    for path in [dir.path().join("nowhere"), dir.path().join("file"), dir.path().to_path_buf()] {
        for verb in ["check", "dump"] {
            segment(verb, &path, &[]).failed(2);
        }
    }
    // What is called a segment is looked at, whatever it is.
    std::fs::write(dir.path().join("00000000000000000007.seg"), "x").unwrap();
    let said = segment("check", dir.path(), &[]);
    assert_eq!((said.code, said.stdout.split(' ').next()), (1, Some("LOG_TORN")), "{said:?}");
    segment("dump", dir.path(), &[]).done();
    assert_eq!(carrick(&["segment", "check"]).code, 2);
    assert_eq!(segment("dump", dir.path(), &["--from", "-1"]).code, 2);
}
