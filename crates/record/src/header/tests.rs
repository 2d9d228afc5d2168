use carrick_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::*;
use crate::{ControlKind, EndTransaction, Stamped};

fn marker(commit: bool) -> Batch {
    let marker = EndTransaction {
        producer_id: ProducerId::new(7).unwrap(),
        producer_epoch: ProducerEpoch(1),
        coordinator_epoch: 3,
        commit,
        at: Timestamp(1_000),
    };
    let mut bytes = marker.batch(Offset::clamped(40), LeaderEpoch::FIRST);
    Batch::split_from(&mut bytes).unwrap()
}

#[test]
fn a_marker_reads_back_as_it_was_written() {
    for (commit, kind) in [(true, ControlKind::Commit), (false, ControlKind::Abort)] {
        let batch = marker(commit);
        assert_eq!(batch.verify(), Ok(()));
        assert!(batch.header.is_control() && batch.header.is_transactional());
        assert_eq!(batch.header.next_offset(), Offset::clamped(41));
        assert_eq!(ControlKind::of(&batch), Some(kind));
        assert_eq!(batch.bytes.len(), 78);
    }
}

#[test]
fn offset_and_epoch_are_stamped_outside_the_checksum() {
    let stamped = Stamped::verbatim(&marker(true)).at(Offset::clamped(99), LeaderEpoch::new(5).unwrap());
    let batch = Batch::split_from(&mut stamped.to_bytes()).unwrap();
    assert_eq!(batch.header, stamped.header);
    assert_eq!((batch.header.base_offset, batch.header.leader_epoch), (Offset::clamped(99), 5));
    assert_eq!(batch.verify(), Ok(()));
}

#[test]
fn append_time_is_stamped_with_a_new_checksum() {
    let stamped = Stamped::verbatim(&marker(true)).with_append_time(Timestamp(5_000));
    let batch = Batch::split_from(&mut stamped.to_bytes()).unwrap();
    assert_eq!(batch.header.time_type(), TimeType::LogAppend);
    assert_eq!(batch.header.max_timestamp, Timestamp(5_000));
    assert_eq!(batch.header, stamped.header);
    assert_eq!(batch.verify(), Ok(()));
}

#[test]
fn every_flipped_bit_behind_the_prefix_is_seen() {
    let good = marker(true).bytes;
    for at in 16..good.len() {
        for bit in 0..8 {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            let seen = Header::parse(&bad).and_then(|header| checksum_holds(&header, &bad));
            assert!(seen.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_cut_is_short() {
    let good = marker(true).bytes;
    for len in 0..good.len() {
        assert!(matches!(Batch::split_from(&mut good.slice(..len)), Err(BadBatch::Short { .. })), "{len}");
    }
}

#[test]
fn fields_out_of_range_are_refused() {
    let good = marker(true).bytes;
    let with = |at: usize, field: &[u8]| {
        let mut bad = good.to_vec();
        bad[at..at + field.len()].copy_from_slice(field);
        Header::parse(&bad)
    };
    assert!(matches!(with(0, &(-1i64).to_be_bytes()), Err(BadBatch::Offset { .. })));
    assert!(matches!(with(0, &i64::MAX.to_be_bytes()), Err(BadBatch::Offset { .. })));
    for length in [-1, 0, 48] {
        assert!(matches!(with(8, &i32::to_be_bytes(length)), Err(BadBatch::Length { .. })));
    }
    assert!(matches!(with(16, &[1]), Err(BadBatch::Magic { magic: 1 })));
    assert!(matches!(with(21, &5i16.to_be_bytes()), Err(BadBatch::Codec { bits: 5 })));
    assert!(matches!(with(23, &(-1i32).to_be_bytes()), Err(BadBatch::Count { .. })));
    assert!(matches!(with(57, &2i32.to_be_bytes()), Err(BadBatch::Count { count: 2, delta: 0 })));
    assert!(matches!(with(57, &(-1i32).to_be_bytes()), Err(BadBatch::Count { .. })));
}

#[test]
fn a_run_of_batches_ends_at_the_first_that_is_none() {
    let good = marker(true).bytes;
    let run = [&good[..], &good[..], &good[..10]].concat();
    let found: Vec<_> = Batches::new(run.into()).collect();
    assert_eq!(found.len(), 3);
    assert!(found[0].is_ok() && found[1].is_ok() && found[2].is_err());
}

#[test]
fn damage_under_the_checksum_is_damage_whatever_it_says() {
    let good = marker(true).bytes;
    assert!(Batch::split_verified_from(&mut good.clone()).is_ok());
    for at in 17..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 0x40;
        let seen = Batch::split_verified_from(&mut bad.into());
        assert!(matches!(seen, Err(BadBatch::Checksum { .. })), "byte {at}: {seen:?}");
    }
    for len in 0..good.len() {
        assert!(
            matches!(Batch::split_verified_from(&mut good.slice(..len)), Err(BadBatch::Short { .. })),
            "{len}"
        );
    }
}
