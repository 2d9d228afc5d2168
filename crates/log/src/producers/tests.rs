use carrick_record::Header;

use super::*;

fn header(id: i64, epoch: i16, sequence: i32, count: u32, base: i64) -> Header {
    Header {
        base_offset: Offset::clamped(base),
        length: 49,
        leader_epoch: 0,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: Timestamp(0),
        max_timestamp: Timestamp(0),
        producer_id: ProducerId::new(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence::new(sequence),
        count,
    }
}

fn with(batches: &[Header]) -> Producers {
    let mut producers = Producers::default();
    for batch in batches {
        assert_eq!(producers.check(batch), Ok(Verdict::Append), "{batch:?}");
        producers.note(batch, Timestamp(0));
    }
    producers
}

#[test]
fn the_last_five_batches_are_known_again() {
    let sent: Vec<_> = (0..7).map(|n| header(1, 0, n * 10, 10, i64::from(n) * 10)).collect();
    let producers = with(&sent);
    for (n, batch) in sent.iter().enumerate() {
        let verdict = producers.check(batch);
        if n < 2 {
            assert!(matches!(verdict, Err(ProducerRefusal::DuplicateForgotten { .. })), "{n}: {verdict:?}");
        } else {
            assert!(matches!(verdict, Ok(Verdict::Duplicate { base, .. }) if base == batch.base_offset));
        }
    }
}

#[test]
fn a_gap_in_the_sequence_is_refused() {
    let producers = with(&[header(1, 0, 0, 10, 0)]);
    let refusal = producers.check(&header(1, 0, 11, 1, 10));
    assert!(matches!(refusal, Err(ProducerRefusal::OutOfOrder { found: 11, next: 10, .. })));
}

#[test]
fn a_sequence_goes_on_at_zero_after_its_largest() {
    let producers = with(&[header(1, 0, i32::MAX - 1, 2, 0)]);
    assert_eq!(producers.check(&header(1, 0, 0, 5, 2)), Ok(Verdict::Append));
    let producers = with(&[header(1, 0, i32::MAX - 1, 5, 0)]);
    assert_eq!(producers.check(&header(1, 0, 3, 1, 5)), Ok(Verdict::Append));
    assert!(matches!(producers.check(&header(1, 0, i32::MAX - 1, 5, 5)), Ok(Verdict::Duplicate { .. })));
}

#[test]
fn a_new_epoch_starts_at_zero_and_an_old_one_is_refused() {
    let producers = with(&[header(1, 3, 0, 10, 0)]);
    assert_eq!(producers.check(&header(1, 4, 0, 1, 10)), Ok(Verdict::Append));
    assert!(matches!(producers.check(&header(1, 4, 10, 1, 10)), Err(ProducerRefusal::OutOfOrder { .. })));
    assert!(matches!(producers.check(&header(1, 2, 10, 1, 10)), Err(ProducerRefusal::Epoch { .. })));
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    assert_eq!(Producers::default().check(&header(1, 5, 77, 1, 0)), Ok(Verdict::Append));
}

#[test]
fn the_oldest_idle_producers_are_forgotten() {
    let mut producers = Producers::default();
    let count = PRODUCERS_PER_PARTITION_MAX as i64 + 10;
    for id in 0..count {
        producers.note(&header(id, 0, 0, 1, id), Timestamp(0));
    }
    assert_eq!(producers.len(), PRODUCERS_PER_PARTITION_MAX);
    assert_eq!(producers.check(&header(3, 0, 0, 1, count)), Ok(Verdict::Append));
    assert!(matches!(producers.check(&header(count - 1, 0, 0, 1, count)), Ok(Verdict::Duplicate { .. })));

    producers.note(&header(count, 0, 0, 1, count), Timestamp(IDLE_MS_MAX as i64 + 1));
    assert_eq!(producers.len(), 1);
}
