//! Records, bodies and batches, and what a plain reading of them answers.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use carrick_record::inflate::Found;
use carrick_record::{Batch, Codec, HEADER_LEN, PREFIX_LEN};
use carrick_types::{Offset, Timestamp};

pub const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[derive(Clone, Debug)]
pub struct Record {
    pub offset_delta: u32,
    pub timestamp_delta: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// All that is stated of a batch.
#[derive(Clone, Debug)]
pub struct Stated {
    pub base_offset: i64,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub last_offset_delta: u32,
    pub count: u32,
    pub log_append: bool,
}

impl Stated {
    pub fn of(records: &[Record], base_offset: i64, base_timestamp: i64) -> Self {
        Self {
            base_offset,
            base_timestamp,
            max_timestamp: records.iter().map(|it| base_timestamp + it.timestamp_delta).max().unwrap_or(-1),
            last_offset_delta: records.last().map_or(0, |it| it.offset_delta),
            count: records.len() as u32,
            log_append: false,
        }
    }

    /// A batch of `count` records, of which the last times are far in the future: all of it is to be walked.
    pub fn endless(count: u32) -> Self {
        Self {
            base_offset: 0,
            base_timestamp: 0,
            max_timestamp: i64::MAX,
            last_offset_delta: count - 1,
            count,
            log_append: false,
        }
    }

    pub fn batch(&self, codec: Codec, body: &[u8]) -> Batch {
        let mut bytes = BytesMut::with_capacity(HEADER_LEN + body.len());
        bytes.put_i64(self.base_offset);
        bytes.put_i32((HEADER_LEN - PREFIX_LEN + body.len()) as i32);
        bytes.put_i32(0);
        bytes.put_i8(2);
        bytes.put_u32(0);
        bytes.put_i16(codec as i16 | if self.log_append { 0x08 } else { 0 });
        bytes.put_u32(self.last_offset_delta);
        bytes.put_i64(self.base_timestamp);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(-1);
        bytes.put_i16(-1);
        bytes.put_i32(-1);
        bytes.put_u32(self.count);
        bytes.put_slice(body);
        Batch::split_from(&mut bytes.freeze()).unwrap()
    }

    /// What Kafka answers.
    pub fn answer(&self, records: &[Record], time: i64, start: i64) -> Option<Found> {
        if self.max_timestamp < time {
            return None;
        }
        let seen = records.iter().map(|it| {
            let own = self.base_timestamp + it.timestamp_delta;
            let timestamp = if self.log_append { self.max_timestamp } else { own };
            (self.base_offset + i64::from(it.offset_delta), timestamp)
        });
        let found = seen.into_iter().find(|(offset, timestamp)| *timestamp >= time && *offset >= start)?;
        Some(Found { offset: Offset::new(found.0).unwrap(), timestamp: Timestamp(found.1) })
    }
}

/// Uncompressed.
pub fn body(records: &[Record]) -> Vec<u8> {
    let mut all = Vec::new();
    for it in records {
        let mut record = vec![0];
        varint(&mut record, it.timestamp_delta);
        varint(&mut record, i64::from(it.offset_delta));
        field(&mut record, it.key.as_deref());
        field(&mut record, it.value.as_deref());
        varint(&mut record, it.headers.len() as i64);
        for (name, value) in &it.headers {
            field(&mut record, Some(name.as_bytes()));
            field(&mut record, value.as_deref());
        }
        varint(&mut all, record.len() as i64);
        all.extend(record);
    }
    all
}

fn field(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint(into, bytes.map_or(-1, |it| it.len() as i64));
    into.extend_from_slice(bytes.unwrap_or_default());
}

pub fn varint(into: &mut Vec<u8>, value: i64) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    while rest > 0x7f {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

/// The beginning of a record of 2 GiB, at timestamp and offset 0.
pub fn endless_record() -> Vec<u8> {
    let mut begin = Vec::new();
    varint(&mut begin, i64::from(i32::MAX));
    begin.extend([0, 0, 0]);
    begin
}

/// All the ways in which clients write `plain` with `codec`. `chunk` is the size of frames, members and blocks, where it can
/// be chosen.
pub fn compressed(codec: Codec, plain: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    // Some encoders take long for each chunk.
    let chunk = if codec == Codec::Snappy { chunk.max(1) } else { chunk.max(300) };
    let per_chunk = |of: &dyn Fn(&[u8]) -> Vec<u8>| plain.chunks(chunk).flat_map(of).collect::<Vec<u8>>();
    match codec {
        Codec::None => vec![plain.to_vec()],
        Codec::Gzip => vec![gzip(plain), per_chunk(&gzip)],
        Codec::Snappy => vec![raw_snappy(plain), xerial(plain.chunks(chunk))],
        Codec::Lz4 => vec![lz4(plain, false), lz4(plain, true)],
        Codec::Zstd => {
            vec![zstd(plain), per_chunk(&zstd), per_chunk(&|it| [skippable(it), zstd(it)].concat())]
        }
    }
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn raw_snappy(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).unwrap()
}

pub fn xerial<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let blocks: Vec<_> = chunks.map(raw_snappy).collect();
    xerial_of(blocks.iter().map(Vec::as_slice))
}

pub fn xerial_of<'a>(blocks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut all = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in blocks {
        all.extend((block.len() as u32).to_be_bytes());
        all.extend(block);
    }
    all
}

pub fn lz4(plain: &[u8], linked: bool) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let mode = if linked { BlockMode::Linked } else { BlockMode::Independent };
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(mode).block_checksums(linked);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

pub fn skippable(inside: &[u8]) -> Vec<u8> {
    [&0x184d_2a53_u32.to_le_bytes()[..], &(inside.len() as u32).to_le_bytes(), inside].concat()
}

/// A golden file's batch.
pub fn golden(name: &str) -> Batch {
    let path = format!("{}/tests/golden/{name}.batch", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    Batch::split_from(&mut Bytes::from(bytes)).unwrap()
}

pub fn golden_names() -> Vec<String> {
    let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap();
    let names = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|it| Some(it.strip_suffix(".batch")?.to_string())).collect();
    names.sort();
    names
}
