//! Batches as four families of clients write them: see `golden/README.md`.

use carrick_record::inflate::{InflateLimits, first_at};
use carrick_types::{Offset, Timestamp};

use crate::bodies::{CODECS, Record, Stated, golden, golden_names};

const BASE: i64 = 1_700_000_000_000;

fn sent(count: u32) -> Vec<Record> {
    let of = |i: u32| Record {
        offset_delta: i,
        timestamp_delta: i64::from(i) * 7919 % 1000,
        key: None,
        value: None,
        headers: Vec::new(),
    };
    (0..count).map(of).collect()
}

#[test]
fn what_clients_write_is_answered_exactly() {
    let names = golden_names();
    assert_eq!(names.len(), 4 * CODECS.len() + 4);
    for name in names {
        let batch = golden(&name);
        batch.verify().unwrap();
        let codec = format!("{:?}", batch.header.codec()).to_lowercase();
        assert!(name.contains(&format!("-{codec}")), "{name} is {codec}");
        let records = sent(batch.header.count);
        let stated = Stated::of(&records, 0, BASE);
        assert_eq!(batch.header.base_timestamp, Timestamp(stated.base_timestamp), "{name}");
        assert_eq!(batch.header.max_timestamp, Timestamp(stated.max_timestamp), "{name}");
        for time in [-1, 0, BASE, BASE + 1, BASE + 500, BASE + 919, BASE + 992, BASE + 999, BASE + 1000] {
            for start in [0, 1, 7, 11, 12, 700, 1499, 1500] {
                let seen =
                    first_at(&batch, Timestamp(time), Offset::new(start).unwrap(), InflateLimits::default());
                assert_eq!(seen, Ok(stated.answer(&records, time, start)), "{name} at {time} from {start}");
            }
        }
    }
}

#[test]
fn raw_snappy_and_wide_windows_are_among_them() {
    assert!(!golden("librdkafka-snappy").body().starts_with(b"\x82SNAPPY"));
    assert!(golden("java-snappy").body().starts_with(b"\x82SNAPPY"));
    assert_eq!(golden("java-zstd-level22").body()[5], 17 << 3, "128 MiB");
}
