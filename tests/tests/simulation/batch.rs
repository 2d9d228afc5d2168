//! Batches as a client makes them.

use bytes::{BufMut as _, Bytes, BytesMut};

/// What identifies an idempotent producer's batch.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// `count` records of `size` bytes each, filled with `fill`.
pub fn batch(producer: Option<Producer>, count: u32, size: usize, fill: u8, time: i64) -> Bytes {
    batch_with(0, producer, count, size, fill, time)
}

/// Part of a transaction that goes on.
pub fn transactional(producer: Producer, count: u32, size: usize, fill: u8, time: i64) -> Bytes {
    batch_with(0x10, Some(producer), count, size, fill, time)
}

fn batch_with(
    attributes: i16,
    producer: Option<Producer>,
    count: u32,
    size: usize,
    fill: u8,
    time: i64,
) -> Bytes {
    let mut body = BytesMut::new();
    for delta in 0..count {
        let mut record = BytesMut::new();
        record.put_u8(0);
        varint(&mut record, 0);
        varint(&mut record, i64::from(delta));
        varint(&mut record, -1);
        varint(&mut record, size as i64);
        record.put_bytes(fill, size);
        varint(&mut record, 0);
        varint(&mut body, record.len() as i64);
        body.put(record);
    }
    let mut covered = BytesMut::new();
    covered.put_i16(attributes);
    covered.put_i32(count as i32 - 1);
    covered.put_i64(time);
    covered.put_i64(time);
    covered.put_i64(producer.map_or(-1, |it| it.id));
    covered.put_i16(producer.map_or(-1, |it| it.epoch));
    covered.put_i32(producer.map_or(-1, |it| it.sequence));
    covered.put_i32(count as i32);
    covered.put(body);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &covered) as u32;
    let mut batch = BytesMut::new();
    batch.put_i64(0);
    batch.put_i32(covered.len() as i32 + 9);
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(crc);
    batch.put(covered);
    batch.freeze()
}

fn varint(into: &mut BytesMut, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        into.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    into.put_u8(raw as u8);
}
