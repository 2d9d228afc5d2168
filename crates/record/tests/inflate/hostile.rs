//! Bodies that are broken in any way: every answer is one of the typed ones, soon, in bounded memory.

use carrick_record::inflate::{InflateError, InflateLimits, MEMORY_BYTES_MAX, first_at};
use carrick_record::{Batch, Batches, Codec, HEADER_LEN, PREFIX_LEN};
use carrick_types::{Offset, Timestamp};

use crate::bodies::{CODECS, Record, Stated, body, compressed, golden, golden_names, varint};
use crate::cases::{cases, hold, own_share};
use crate::counting::peak_bytes_of;

/// Xorshift: the same bodies in every run.
struct Draw(u64);

impl Draw {
    fn of(case: u64) -> Self {
        let mixed = (case + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mutated(draw: &mut Draw, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=draw.below(4) {
        let at = draw.below(bytes.len());
        match draw.below(7) {
            0 => bytes.truncate(at),
            1 => bytes = [&bytes[..at], &other[draw.below(other.len())..]].concat(),
            2 => bytes.insert(at, draw.next() as u8),
            // Headers are where it hurts.
            3 => {
                let at = draw.below(bytes.len().min(24));
                bytes.splice(at..(at + 1).min(bytes.len()), [draw.next() as u8]);
            }
            4 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][draw.below(5)],
            5 => {
                let end = (at + draw.below(40)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
            _ if !bytes.is_empty() => bytes[at] ^= 1 << draw.below(8),
            _ => {}
        }
    }
    bytes
}

fn seeds(codec: Codec) -> Vec<Vec<u8>> {
    let record = |i: u32| Record {
        offset_delta: i,
        timestamp_delta: i64::from(i),
        key: Some(vec![i as u8; 3]),
        value: Some((0..i * 3).map(|it| ((it * it) >> 3) as u8).collect()),
        headers: Vec::new(),
    };
    let plain = body(&(0..20).map(record).collect::<Vec<_>>());
    let mut all = compressed(codec, &plain, 200);
    let clients = golden_names().into_iter().map(|it| golden(&it));
    all.extend(
        clients.filter(|it| it.header.codec() == codec && it.bytes.len() < 2000).map(|it| it.body().to_vec()),
    );
    all
}

fn check(batch: &Batch) -> Result<(), InflateError> {
    let limits = InflateLimits { bytes_max: 4 << 20, steps_max: 1000 };
    let look = || first_at(batch, Timestamp(i64::MAX), Offset::ZERO, limits);
    let (seen, peak) = peak_bytes_of(look);
    assert!(peak <= MEMORY_BYTES_MAX, "{peak} bytes: {:?}", batch.body());
    seen.map(|found| assert_eq!(found, None))
}

#[test]
fn bodies_that_are_broken_in_any_way_are_answered() {
    let seeds = CODECS.map(seeds);
    let mut codes = std::collections::BTreeMap::new();
    let cases = cases(200_000, 2_000_000);
    let all = cases.end - cases.start;
    hold(cases, |case| {
        let mut draw = Draw::of(case);
        let at = draw.below(CODECS.len());
        let seeds = &seeds[at];
        let body = if draw.below(10) == 0 {
            (0..draw.below(300)).map(|_| draw.next() as u8).collect()
        } else {
            let (one, two) = (draw.below(seeds.len()), draw.below(seeds.len()));
            mutated(&mut draw, &seeds[one], &seeds[two])
        };
        let count = [1, 20, 1 << 30][draw.below(3)];
        let stated = Stated::endless(count).batch(CODECS[at], &body);
        let code = check(&stated).err().map_or("none", |e| e.code());
        *codes.entry(code).or_insert(0_u64) += 1;
    });
    // All that can be met here was: the mutations reach past the codecs' own checks.
    for code in ["none", "inflate-broken", "inflate-ended", "inflate-record"] {
        assert!(!own_share() || codes.get(code).is_some_and(|times| *times > all / 500), "{code}: {codes:?}");
    }
}

/// Whole batches, their headers included, with a right checksum now and then: what a client or a source may send.
#[test]
fn batches_that_are_broken_in_any_way_are_refused_or_what_they_say() {
    let sent: Vec<Vec<u8>> = golden_names().iter().map(|it| golden(it).bytes.to_vec()).collect();
    let mut accepted = 0;
    let cases = cases(100_000, 1_000_000);
    let all = cases.end - cases.start;
    hold(cases, |case| {
        let mut draw = Draw::of(case);
        let (one, two) = (draw.below(sent.len()), draw.below(sent.len()));
        let (one, two) = (&sent[one][..sent[one].len().min(3_000)], &sent[two]);
        let mut bytes = mutated(&mut draw, one, two);
        if bytes.len() > HEADER_LEN && draw.below(2) == 0 {
            let length = ((bytes.len() - PREFIX_LEN) as i32).to_be_bytes();
            bytes[8..12].copy_from_slice(&length);
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[21..]) as u32;
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let bound = bytes.len() * 8 + 64 * 1024;
        let bytes = bytes::Bytes::from(bytes);
        let (good, peak) = peak_bytes_of(|| {
            let batches = Batches::new(bytes.clone()).map_while(Result::ok);
            batches.filter(|it| it.verify().is_ok()).count()
        });
        assert!(peak <= bound, "{peak} bytes where {bound} are allowed");
        accepted += u64::from(good > 0);
        for batch in Batches::new(bytes).map_while(Result::ok) {
            assert!(batch.bytes.len() >= HEADER_LEN && batch.header.next_offset() > batch.header.base_offset);
            let _ = check(&batch);
        }
    });
    assert!(!own_share() || accepted > all / 50, "{accepted} of {all}");
}

#[test]
fn records_that_are_none_of_their_batch_are_broken() {
    let look = |body: &[u8]| {
        let batch = Stated { last_offset_delta: 9, count: 2, ..Stated::endless(2) }.batch(Codec::None, body);
        first_at(&batch, Timestamp(i64::MAX), Offset::ZERO, InflateLimits::default())
    };
    let record = |length: i64, time: i64, offset: i64| {
        let mut bytes = Vec::new();
        varint(&mut bytes, length);
        bytes.push(0);
        varint(&mut bytes, time);
        varint(&mut bytes, offset);
        bytes
    };
    let good = record(3, 0, 0);
    let broken = |at| Err(InflateError::Record { at });
    assert_eq!(look(&[good.clone(), good.clone()].concat()), Ok(None));
    assert_eq!(look(&good), Err(InflateError::Ended { missing: 1 }));
    assert_eq!(look(&good[..3]), Err(InflateError::Ended { missing: 2 }));
    assert_eq!(look(&record(-1, 0, 0)), broken(1), "a negative length");
    assert_eq!(look(&record(0, 0, 0)), broken(2), "no room for attributes");
    assert_eq!(look(&record(2, 0, 0)), broken(4), "a record that ends in its offset");
    assert_eq!(look(&record(3, 0, -1)), broken(4), "before its batch");
    assert_eq!(look(&record(3, 0, 10)), broken(4), "after its batch");
    assert_eq!(look(&record(3, 0, 9)), Err(InflateError::Ended { missing: 1 }));
    assert_eq!(look(&record(12, i64::MIN, 9)), Err(InflateError::Ended { missing: 1 }), "ten bytes");
    assert_eq!(look(&[0x80; 6]), broken(6), "a length of six bytes");
    assert_eq!(look(&[&[60, 0][..], &[0xff; 11]].concat()), broken(13), "a time of eleven bytes");
    // As Java adds: a time may wrap, and is then early.
    assert_eq!(
        look(&[record(12, i64::MAX, 0), good].concat()),
        Ok(Some(carrick_record::inflate::Found { offset: Offset::ZERO, timestamp: Timestamp(i64::MAX) }))
    );
}

#[test]
fn log_append_time_is_answered_at_the_first_record_from_the_start_on() {
    let of = |offset_delta| Record {
        offset_delta,
        timestamp_delta: 0,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let dense = [of(0), of(1), of(2)];
    let holed = [of(1), of(4)];
    for records in [&dense[..], &holed] {
        let stated = Stated { log_append: true, max_timestamp: 77, ..Stated::of(records, 10, 5) };
        for codec in CODECS {
            let form = compressed(codec, &body(records), 3).remove(0);
            for (time, start) in [(0, 0), (77, 0), (78, 0), (77, 11), (77, 12), (0, 14), (0, 15)] {
                let batch = stated.batch(codec, &form);
                let seen =
                    first_at(&batch, Timestamp(time), Offset::new(start).unwrap(), InflateLimits::default());
                assert_eq!(seen, Ok(stated.answer(records, time, start)), "{codec:?} {time} {start}");
            }
        }
    }
}
