//! Bodies that are made to take all memory or all time. What they may have is counted.

use carrick_record::Codec;
use carrick_record::inflate::{Found, InflateError, InflateLimits, MEMORY_BYTES_MAX, first_at};
use carrick_types::{Offset, Timestamp};

use crate::bodies::{Stated, endless_record, gzip, lz4, raw_snappy, skippable, xerial_of, zstd};
use crate::counting::peak_bytes_of;

const MIB: usize = 1 << 20;

/// Walks all of `body`, as far as the limits let it.
fn walk(codec: Codec, body: &[u8], limits: InflateLimits) -> Result<Option<Found>, InflateError> {
    let batch = Stated::endless(1000).batch(codec, body);
    let (seen, peak) = peak_bytes_of(|| first_at(&batch, Timestamp(i64::MAX), Offset::ZERO, limits));
    assert!(peak <= MEMORY_BYTES_MAX, "{codec:?}: {peak} bytes for {} of input: {seen:?}", body.len());
    seen
}

fn fate(codec: Codec, body: &[u8]) -> InflateError {
    walk(codec, body, InflateLimits::default()).unwrap_err()
}

const TOO_LONG: InflateError = InflateError::Bytes { max: 128 << 20 };
const TOO_MANY: InflateError = InflateError::Steps { max: 1 << 16 };

/// A zstd frame's header that states a window, as its descriptor byte.
fn frame(window: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, window]
}

/// A zstd block's header; types 0 raw, 1 one byte repeated, 2 compressed.
fn block(kind: u32, len: usize, last: bool) -> [u8; 3] {
    let [a, b, c, _] = (u32::from(last) | kind << 1 | (len as u32) << 3).to_le_bytes();
    [a, b, c]
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    [&block(0, bytes.len(), false), bytes].concat()
}

fn zeros(len: usize) -> Vec<u8> {
    [&block(1, len, false)[..], &[0]].concat()
}

/// A compressed block of no literals and one match of 3 bytes, `1 << code` + `extra` − 3 back.
fn far_match(code: u8, extra: u32) -> Vec<u8> {
    let bits = (1_u64 << code | u64::from(extra)).to_le_bytes();
    let inside = [&[0, 1, 0x54, 0, code, 0], &bits[..usize::from(code) / 8 + 1]].concat();
    [&block(2, inside.len(), false)[..], &inside].concat()
}

#[test]
fn a_gibibyte_out_of_a_little_is_refused_at_the_limit() {
    let begin = endless_record();
    let members = [gzip(&begin), gzip(&vec![0; MIB]).repeat(1024)].concat();
    assert!(members.len() < 2 * MIB);
    assert_eq!(fate(Codec::Gzip, &members), TOO_LONG);

    let blocks = [frame(0x58), raw(&begin), zeros(128 << 10).repeat(8192)].concat();
    assert!(blocks.len() < 33 << 10);
    assert_eq!(fate(Codec::Zstd, &blocks), TOO_LONG);
    let frames =
        [zstd(&begin), [frame(0x58), zeros(128 << 10), block(0, 0, true).to_vec()].concat().repeat(8192)];
    assert_eq!(fate(Codec::Zstd, &frames.concat()), TOO_LONG);

    for linked in [0x20, 0] {
        let header = lz4_header(0x40 | linked, 0x70, &[]);
        let inside = lz4_flex::block::compress(&vec![0; 4 * MIB]);
        let full = [&(inside.len() as u32).to_le_bytes()[..], &inside].concat();
        let first = [&(begin.len() as u32 | 1 << 31).to_le_bytes()[..], &begin].concat();
        assert_eq!(fate(Codec::Lz4, &[header, first, full.repeat(256)].concat()), TOO_LONG);
    }

    let (first, full) = (raw_snappy(&begin), raw_snappy(&vec![0; 23 * MIB]));
    let all = std::iter::once(first.as_slice()).chain(std::iter::repeat_n(full.as_slice(), 45));
    assert_eq!(fate(Codec::Snappy, &xerial_of(all)), TOO_LONG);
}

/// An lz4 frame's header.
fn lz4_header(flags: u8, sizes: u8, more: &[u8]) -> Vec<u8> {
    // Its checksum is a byte, and easier found than made.
    let begin = [&[0x04, 0x22, 0x4d, 0x18, flags, sizes], more].concat();
    let with = |sum: u8| [&begin[..], &[sum]].concat();
    let opens = |it: &Vec<u8>| {
        std::io::Read::read(&mut lz4_flex::frame::FrameDecoder::new(&it[..]), &mut [0]).is_ok()
    };
    (0..=255).map(with).find(opens).unwrap()
}

#[test]
fn a_length_that_is_stated_is_not_believed() {
    // Raw snappy of 1 KiB that states 1 GiB, and one that speaks the truth.
    let mut lie = Vec::new();
    lie.extend([0x80, 0x80, 0x80, 0x80, 0x04]);
    lie.extend([0; 1019]);
    assert_eq!(fate(Codec::Snappy, &lie), InflateError::Broken);
    assert_eq!(fate(Codec::Snappy, &xerial_of([lie.as_slice()].into_iter())), InflateError::Broken);
    let large = raw_snappy(&vec![0; 25 * MIB]);
    assert!(matches!(fate(Codec::Snappy, &large), InflateError::Memory { needed, .. } if needed == 25 << 20));
    // A block's length beyond the body.
    let cut = [b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".as_slice(), &[0xff; 4], &[0; 100]].concat();
    assert_eq!(fate(Codec::Snappy, &cut), InflateError::Broken);

    // zstd's content size: 1 EiB, or less than there is.
    for size in [1_u64 << 60, 1, 0] {
        let header = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &size.to_le_bytes()].concat();
        let all = [header, raw(&endless_record()), zeros(1000), block(0, 0, true).to_vec()].concat();
        assert_eq!(fate(Codec::Zstd, &all), InflateError::Ended { missing: 1000 });
    }
    // zstd's window: 3.75 TiB.
    let wide = [frame(0xff), raw(&endless_record()), zeros(1000), block(0, 0, true).to_vec()].concat();
    assert_eq!(fate(Codec::Zstd, &wide), InflateError::Ended { missing: 1000 });

    // lz4's content size: 1 EiB, and 8 bytes short.
    let begin = endless_record();
    let first = [&(begin.len() as u32 | 1 << 31).to_le_bytes()[..], &begin].concat();
    for size in [1_u64 << 60, 0] {
        let header = lz4_header(0x68, 0x70, &size.to_le_bytes());
        let all = [&header[..], &first].concat();
        assert_eq!(fate(Codec::Lz4, &all), InflateError::Ended { missing: 1000 });
        assert_eq!(fate(Codec::Lz4, &[all, vec![0; 4]].concat()), InflateError::Broken);
    }

    // gzip's own length, at the end of the member.
    let mut short = gzip(&endless_record());
    let at = short.len() - 4;
    short[at] ^= 1;
    assert_eq!(fate(Codec::Gzip, &short), InflateError::Broken);
}

#[test]
fn a_zstd_match_may_reach_back_eight_mebibytes_and_no_farther() {
    let begin = [frame(17 << 3), raw(&endless_record()), zeros(128 << 10).repeat(160)].concat();
    let near = [begin.clone(), far_match(22, 0x3f_ffff), block(0, 0, true).to_vec()].concat();
    assert_eq!(fate(Codec::Zstd, &near), InflateError::Ended { missing: 1000 });
    let far = [begin, far_match(23, 0x7f_ffff), block(0, 0, true).to_vec()].concat();
    assert_eq!(fate(Codec::Zstd, &far), InflateError::Memory { needed: 128 << 20, max: 8 << 20 });
    // A frame that is not wide has no excuse.
    let begin = [frame(13 << 3), raw(&endless_record()), zeros(128 << 10).repeat(160)].concat();
    assert_eq!(fate(Codec::Zstd, &[begin, far_match(23, 0x7f_ffff)].concat()), InflateError::Broken);
}

#[test]
fn a_zstd_block_larger_than_blocks_may_be_takes_no_more_memory() {
    // One byte, repeated a mebibyte of times as literals, with no matches.
    let literals = 1 | 3 << 2 | (MIB as u32 - 1) << 4;
    let inside = [&literals.to_le_bytes()[..3], &[0, 0]].concat();
    let large = [&block(2, inside.len(), false)[..], &inside].concat();
    let all = [frame(13 << 3), raw(&endless_record()), large.repeat(200)].concat();
    let seen = fate(Codec::Zstd, &all);
    assert!(seen == TOO_LONG || seen == InflateError::Broken, "{seen:?}");
}

#[test]
fn steps_that_bring_nothing_are_counted() {
    let begin = endless_record();
    let many = 100_000;
    let cases = [
        (Codec::Gzip, gzip(&begin), gzip(&[])),
        (Codec::Zstd, zstd(&begin), skippable(&[])),
        (Codec::Zstd, zstd(&begin), [frame(0), block(0, 0, true).to_vec()].concat()),
        (Codec::Zstd, zstd(&begin), zstd(b"1")),
        (Codec::Zstd, [frame(0x58), raw(&begin)].concat(), block(0, 0, false).to_vec()),
        (Codec::Zstd, [frame(0x58), raw(&begin)].concat(), zeros(1)),
        (Codec::Snappy, xerial_of([raw_snappy(&begin).as_slice()].into_iter()), vec![0, 0, 0, 1, 0]),
        (Codec::Snappy, xerial_of([raw_snappy(&begin).as_slice()].into_iter()), vec![0, 0, 0, 3, 1, 0, 9]),
    ];
    for (codec, begin, step) in cases {
        assert_eq!(fate(codec, &[begin, step.repeat(many)].concat()), TOO_MANY, "{codec:?}: {step:?}");
    }
}

#[test]
fn what_kafka_does_not_read_is_refused() {
    let frame = lz4(&endless_record(), false);
    let skipped = [skippable(b"1"), frame.clone()].concat();
    let legacy = [&[0x02, 0x21, 0x4c, 0x18][..], &frame[7..]].concat();
    for body in [skipped, legacy, Vec::new(), b"lz4".to_vec()] {
        assert_eq!(fate(Codec::Lz4, &body), InflateError::Broken);
    }
    // After the frame nothing is read.
    let after = [frame.clone(), frame].concat();
    assert_eq!(fate(Codec::Lz4, &after), InflateError::Ended { missing: 1000 });
    // A skippable frame that is cut, a dictionary, a reserved bit, another magic.
    let bodies: [&[u8]; 4] = [
        &[0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0],
        &[0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 7, 1, 0, 0],
        &[0x28, 0xb5, 0x2f, 0xfd, 0x08, 0x58, 1, 0, 0],
        &[0x28, 0xb5, 0x2f, 0xfe, 0x00, 0x58, 1, 0, 0],
    ];
    for body in bodies {
        assert_eq!(fate(Codec::Zstd, body), InflateError::Broken, "{body:?}");
    }
    for codec in [Codec::None, Codec::Zstd, Codec::Snappy] {
        assert_eq!(fate(codec, &[]), InflateError::Ended { missing: 1000 }, "{codec:?}");
    }
    assert_eq!(fate(Codec::Gzip, &[]), InflateError::Broken);
}

#[test]
fn the_limits_are_those_asked_for() {
    let body = [endless_record(), vec![0; 1000]].concat();
    for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let form = match codec {
            Codec::None => body.clone(),
            Codec::Gzip => gzip(&body),
            Codec::Snappy => raw_snappy(&body),
            Codec::Lz4 => lz4(&body, false),
            Codec::Zstd => zstd(&body),
        };
        let limits = |bytes_max, steps_max| InflateLimits { bytes_max, steps_max };
        assert_eq!(walk(codec, &form, limits(500, 100)), Err(InflateError::Bytes { max: 500 }));
        assert_eq!(walk(codec, &form, limits(5000, 1)), Err(InflateError::Steps { max: 1 }));
        assert_eq!(walk(codec, &form, limits(0, 0)), Err(InflateError::Steps { max: 0 }));
        assert_eq!(walk(codec, &form, limits(1008, 100)), Err(InflateError::Ended { missing: 1000 }));
    }
}
