//! What is produced: batches as a producer without compression fills them, each unlike every other.

use bytes::{BufMut as _, Bytes, BytesMut};
use carrick_record::HEADER_LEN;
use crc_fast::{CrcAlgorithm, checksum};

use crate::kafka::{Kafka, OfPartition};

/// Of a record, its own few bytes of frame included.
pub const RECORD_BYTES: usize = 1_000;
/// As `batch.size=131072` fills it.
pub const BATCH_RECORDS: usize = 131;
/// The attributes, and what follows them, are covered by the CRC.
const CRC_FROM: usize = 21;
/// Requests under way per connection, as Kafka's own producer has them.
const UNDER_WAY_MAX: i32 = 5;
/// Batches of one request.
const REQUEST_BATCHES: usize = 8;

/// Makes batches of one number of records.
#[derive(Debug)]
pub struct Batches {
    records: BytesMut,
    count: usize,
    made: i64,
}

impl Batches {
    /// Noise, so that nothing on the way could make it smaller.
    pub fn of(count: usize) -> Self {
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut records = BytesMut::new();
        for delta in 0..count {
            let mut record = Vec::with_capacity(RECORD_BYTES);
            record.extend([0, 0]);
            varint(delta as i64, &mut record);
            varint(-1, &mut record);
            // What stands before the value, its length of two bytes and the number of headers.
            let value = RECORD_BYTES - 2 - record.len() - 3;
            varint(value as i64, &mut record);
            record.extend((0..value).map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise as u8
            }));
            varint(0, &mut record);
            let mut length = Vec::new();
            varint(record.len() as i64, &mut length);
            records.extend_from_slice(&length);
            records.extend_from_slice(&record);
        }
        Self { records, count, made: 0 }
    }

    /// The next one. Its time, and with it its CRC, is its own: a batch that is lost, doubled or in a wrong place shows.
    pub fn next(&mut self) -> Bytes {
        self.made += 1;
        let time = 1_700_000_000_000 + self.made;
        let delta = self.count as i32 - 1;
        let mut batch = BytesMut::with_capacity(HEADER_LEN + self.records.len());
        batch.put_i64(0);
        batch.put_i32((HEADER_LEN - carrick_record::PREFIX_LEN + self.records.len()) as i32);
        batch.put_i32(-1);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(0);
        batch.put_i32(delta);
        batch.put_i64(time);
        batch.put_i64(time);
        // No producer id, no epoch, no sequence.
        batch.put_i64(-1);
        batch.put_i16(-1);
        batch.put_i32(-1);
        batch.put_i32(self.count as i32);
        batch.extend_from_slice(&self.records);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &batch[CRC_FROM..]) as u32;
        batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        batch.freeze()
    }

    pub fn batch_bytes(&self) -> usize {
        HEADER_LEN + self.records.len()
    }
}

fn varint(number: i64, into: &mut Vec<u8>) {
    let mut raw = ((number << 1) ^ (number >> 63)) as u64;
    while raw >= 0x80 {
        into.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    into.push(raw as u8);
}

/// Appends at least `bytes` to partitions 0.. of a topic, in turn, and returns when all is acknowledged: bytes of batches.
pub fn fill(kafka: &mut Kafka, topic: &str, partitions: i32, bytes: u64) -> anyhow::Result<u64> {
    let mut batches = Batches::of(BATCH_RECORDS);
    let mut turn = (0..partitions).cycle();
    let mut sent = 0;
    while sent < bytes {
        let request: Vec<OfPartition> = turn
            .by_ref()
            .take(REQUEST_BATCHES.min(partitions as usize))
            .map(|partition| (partition, batches.next()))
            .collect();
        sent += (request.len() * batches.batch_bytes()) as u64;
        kafka.produce(topic, request)?;
        if kafka.outstanding() >= UNDER_WAY_MAX {
            kafka.produced()?;
        }
    }
    while kafka.outstanding() > 0 {
        kafka.produced()?;
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use carrick_record::{Batch, records};

    use super::*;

    #[test]
    fn batches_are_whole_of_the_size_that_is_said_and_each_its_own() {
        let mut made = Batches::of(BATCH_RECORDS);
        let (first, second) = (made.next(), made.next());
        assert_ne!(first, second);
        for mut bytes in [first, second] {
            assert_eq!(bytes.len(), made.batch_bytes());
            let batch = Batch::split_verified_from(&mut bytes).unwrap();
            assert!(bytes.is_empty());
            let read: Vec<_> = records::walk(batch.body(), batch.header.count).map(Result::unwrap).collect();
            assert_eq!(read.len(), BATCH_RECORDS);
            assert!(batch.body().len().abs_diff(BATCH_RECORDS * RECORD_BYTES) < BATCH_RECORDS * 2);
        }
    }
}
