//! Against a plain model, over drawn batches.

use carrick_record::inflate::{InflateLimits, first_at};
use carrick_record::{Codec, records};
use carrick_types::{Offset, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies::{CODECS, Record, Stated, body, compressed};

fn record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::option::weighted(0.8, vec(prop_oneof![Just(b'a'), any::<u8>()], 0..300));
    let headers = vec(("[a-z]{0,8}", bytes()), 0..3);
    // Offset deltas are made below: here, how many offsets compaction took away before this one.
    let gap = prop_oneof![4 => Just(0_u32), 1 => 0..200_u32];
    let time = prop_oneof![8 => -50..50_i64, 1 => -1_000_000_000_000..1_000_000_000_000_i64];
    (gap, time, bytes(), bytes(), headers).prop_map(|(offset_delta, timestamp_delta, key, value, headers)| {
        Record { offset_delta, timestamp_delta, key, value, headers }
    })
}

fn batch() -> impl Strategy<Value = (Vec<Record>, Stated)> {
    let base_offset = prop_oneof![Just(0), 0..1000_i64, Just(i64::MAX / 2)];
    (vec(record(), 1..60), base_offset, 1000..2000_i64, any::<bool>(), 0..3_u32).prop_map(
        |(mut records, base_offset, base_timestamp, log_append, emptied)| {
            let mut next = 0;
            for it in &mut records {
                it.offset_delta += next;
                next = it.offset_delta + 1;
            }
            let mut stated = Stated::of(&records, base_offset, base_timestamp);
            // The last ones may have been taken away too.
            stated.last_offset_delta += emptied;
            stated.log_append = log_append;
            (records, stated)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_codec_answers_as_the_model_does(
        (records, stated) in batch(),
        chunk in prop_oneof![1..40_usize, 40..4000_usize],
        asked in vec((-60..60_i64, 0..70_i64), 8),
    ) {
        let plain = body(&records);
        for codec in CODECS {
            for form in compressed(codec, &plain, chunk) {
                let batch = stated.batch(codec, &form);
                for (time, start) in &asked {
                    let (time, start) = (stated.base_timestamp + time, stated.base_offset + start);
                    let seen =
                        first_at(&batch, Timestamp(time), Offset::new(start).unwrap(), InflateLimits::default());
                    prop_assert_eq!(seen, Ok(stated.answer(&records, time, start)), "{:?}", codec);
                }
            }
        }
    }

    #[test]
    fn the_walk_and_the_borrowing_one_read_the_same((records, stated) in batch()) {
        let plain = body(&records);
        let walked: Vec<_> = records::walk(&plain, stated.count).map(Result::unwrap).collect();
        let deltas = |it: &Record| (it.timestamp_delta, i64::from(it.offset_delta));
        prop_assert_eq!(
            walked.iter().map(|it| (it.timestamp_delta, it.offset_delta)).collect::<Vec<_>>(),
            records.iter().map(deltas).collect::<Vec<_>>()
        );
    }
}

/// Large enough for many runs, blocks and a second window.
#[test]
fn the_last_of_many_records_is_found_in_every_codec() {
    let value = |i: u32| (0..1000).map(|at| (i.wrapping_mul(2_654_435_761) >> (at % 13)) as u8).collect();
    let of = |i: u32| Record {
        offset_delta: i,
        timestamp_delta: i64::from(i % 1000),
        key: None,
        value: Some(value(i)),
        headers: Vec::new(),
    };
    let mut records: Vec<_> = (0..12_000).map(of).collect();
    records.last_mut().unwrap().timestamp_delta = 5000;
    let stated = Stated::of(&records, 7, 0);
    let plain = body(&records);
    for codec in CODECS {
        for form in compressed(codec, &plain, 32 << 10) {
            let batch = stated.batch(codec, &form);
            for (time, start) in [(5000, 0), (999, 9000), (0, 12_006), (0, 12_007)] {
                let seen =
                    first_at(&batch, Timestamp(time), Offset::new(start).unwrap(), InflateLimits::default());
                assert_eq!(seen, Ok(stated.answer(&records, time, start)), "{codec:?} {time} {start}");
            }
        }
    }
}

#[test]
fn a_record_is_answered_before_the_rest_of_the_body_is_looked_at() {
    let record = |at: u32| Record {
        offset_delta: at,
        timestamp_delta: i64::from(at),
        key: None,
        value: Some(vec![at as u8; 100_000]),
        headers: Vec::new(),
    };
    let records = [record(0), record(1)];
    let stated = Stated::of(&records, 0, 0);
    for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
        let form = compressed(codec, &body(&records), 1 << 20).remove(0);
        let broken = stated.batch(codec, &form[..form.len() * 2 / 3]);
        let first = first_at(&broken, Timestamp(0), Offset::ZERO, InflateLimits::default());
        assert_eq!(first, Ok(stated.answer(&records, 0, 0)), "{codec:?}");
    }
}
