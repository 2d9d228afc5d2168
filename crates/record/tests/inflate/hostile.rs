//! Bodies that are broken in any way: every answer is one of the typed ones, soon, in bounded memory.

use carrick_record::inflate::{InflateError, InflateLimits, MEMORY_BYTES_MAX, first_at};
use carrick_record::{Batch, Codec};
use carrick_types::{Offset, Timestamp};

use crate::bodies::{CODECS, Record, Stated, body, compressed, golden, golden_names, varint};
use crate::counting::peak_bytes_of;

/// Xorshift: the same bodies in every run.
struct Draw(u64);

impl Draw {
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
    #[expect(clippy::disallowed_methods, reason = "how long the tests may take")]
    let full = std::env::var("CARRICK_RING").is_ok_and(|ring| ring == "full");
    let rounds = if full { 2_000_000 } else { 200_000 } / CODECS.len();
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let mut codes = std::collections::BTreeMap::new();
    for codec in CODECS {
        let seeds = seeds(codec);
        for round in 0..rounds {
            let body = if round % 10 == 0 {
                (0..draw.below(300)).map(|_| draw.next() as u8).collect()
            } else {
                let (one, two) = (draw.below(seeds.len()), draw.below(seeds.len()));
                mutated(&mut draw, &seeds[one], &seeds[two])
            };
            let count = [1, 20, 1 << 30][draw.below(3)];
            let code = check(&Stated::endless(count).batch(codec, &body)).err().map_or("none", |e| e.code());
            *codes.entry(code).or_insert(0) += 1;
        }
    }
    // All that can be met here was: the mutations reach past the codecs' own checks.
    for code in ["none", "inflate-broken", "inflate-ended", "inflate-record"] {
        assert!(codes.get(code).is_some_and(|times| *times > rounds / 100), "{code}: {codes:?}");
    }
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
