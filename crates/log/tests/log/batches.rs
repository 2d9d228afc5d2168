//! Record batches as clients and sources send them (v2, KIP-98), built field by field, without the code under test.

use bytes::Bytes;
use carrick_record::{Batch, EndTransaction};
use carrick_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crc_fast::{CrcAlgorithm, checksum};

/// A batch to be built. The default is one uncompressed record of no producer, at offset 0 and epoch −1, as clients send.
#[derive(Clone, Debug)]
pub struct Build {
    base: i64,
    epoch: i32,
    attributes: i16,
    times: Vec<i64>,
    producer: (i64, i16, i32),
    value_len: usize,
    /// What the values are filled with, so that no two batches are alike.
    tag: u64,
}

/// `count` records with times from 1,000 on.
pub fn batch(count: usize) -> Build {
    let times = (0..count as i64).map(|i| 1_000 + i).collect();
    Build { base: 0, epoch: -1, attributes: 0, times, producer: (-1, -1, -1), value_len: 16, tag: 0 }
}

/// The marker that ends a transaction.
pub fn marker(producer: i64, epoch: i16, commit: bool, base: i64) -> Batch {
    let end = EndTransaction {
        producer_id: ProducerId::new(producer).unwrap(),
        producer_epoch: ProducerEpoch(epoch),
        coordinator_epoch: 0,
        commit,
        at: Timestamp(2_000),
    };
    Batch::split_from(&mut end.batch(Offset::clamped(base), LeaderEpoch::FIRST)).unwrap()
}

impl Build {
    pub fn at(mut self, base: i64) -> Self {
        self.base = base;
        self
    }

    pub fn epoch(mut self, epoch: i32) -> Self {
        self.epoch = epoch;
        self
    }

    /// Bits 0 to 2: 1 gzip, 2 snappy, 3 lz4, 4 zstd. The body is not compressed for it: nobody below looks.
    pub fn codec(mut self, bits: i16) -> Self {
        self.attributes = self.attributes & !7 | bits;
        self
    }

    pub fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    pub fn transactional(mut self) -> Self {
        self.attributes |= 0x10;
        self
    }

    /// A control batch; its records are no marker's.
    pub fn control(mut self) -> Self {
        self.attributes |= 0x20;
        self
    }

    /// One record per time.
    pub fn times(mut self, times: impl Into<Vec<i64>>) -> Self {
        self.times = times.into();
        self
    }

    /// Bytes of each record's value.
    pub fn values(mut self, len: usize) -> Self {
        self.value_len = len;
        self
    }

    pub fn tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    pub fn build(self) -> Batch {
        let mut bytes = self.bytes();
        let batch = Batch::split_from(&mut bytes).unwrap();
        assert!(bytes.is_empty() && batch.verify().is_ok());
        batch
    }

    fn bytes(&self) -> Bytes {
        let first = self.times[0];
        let mut body = Vec::new();
        for (i, time) in self.times.iter().enumerate() {
            let mut record = vec![0]; // attributes
            varint(&mut record, time - first);
            varint(&mut record, i as i64);
            varint(&mut record, -1); // no key
            varint(&mut record, self.value_len as i64);
            let fill = self.tag.to_be_bytes().into_iter().chain([i as u8]).cycle();
            record.extend(fill.take(self.value_len));
            varint(&mut record, 0); // headers
            varint(&mut body, record.len() as i64);
            body.extend(record);
        }
        let count = self.times.len() as i32;
        let (id, producer_epoch, sequence) = self.producer;
        let mut covered = Vec::new();
        covered.extend(self.attributes.to_be_bytes());
        covered.extend((count - 1).to_be_bytes());
        covered.extend(first.to_be_bytes());
        covered.extend(self.times.iter().max().unwrap().to_be_bytes());
        covered.extend(id.to_be_bytes());
        covered.extend(producer_epoch.to_be_bytes());
        covered.extend(sequence.to_be_bytes());
        covered.extend(count.to_be_bytes());
        covered.extend(body);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &covered) as u32;
        let mut all = Vec::new();
        all.extend(self.base.to_be_bytes());
        all.extend((covered.len() as i32 + 9).to_be_bytes());
        all.extend(self.epoch.to_be_bytes());
        all.push(2);
        all.extend(crc.to_be_bytes());
        all.extend(covered);
        all.into()
    }
}

/// The batches of `crates/record/tests/golden`, as clients of all codecs write them, moved to begin at `time`; with the times
/// of their records.
pub fn of_clients(time: i64) -> Vec<(Batch, Vec<i64>)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../record/tests/golden");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "batch")).collect();
    files.sort();
    let of = |path: &std::path::PathBuf| {
        let mut bytes = std::fs::read(path).unwrap();
        let count = i32::from_be_bytes(bytes[57..61].try_into().unwrap());
        // As their README.md has it.
        let times: Vec<_> = (0..i64::from(count)).map(|i| time + i * 7_919 % 1_000).collect();
        bytes[27..35].copy_from_slice(&time.to_be_bytes());
        bytes[35..43].copy_from_slice(&times.iter().max().unwrap().to_be_bytes());
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes[21..]) as u32;
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = Batch::split_from(&mut bytes.into()).unwrap();
        assert_eq!(batch.verify(), Ok(()));
        (batch, times)
    };
    files.iter().map(of).collect()
}

/// A client's batch as it stands in a log: the same bytes but for base offset and leader epoch.
pub fn standing(sent: &Batch, base: i64, epoch: i32) -> Bytes {
    let mut bytes = sent.bytes.to_vec();
    bytes[0..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes.into()
}

fn varint(into: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        into.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    into.push(raw as u8);
}
