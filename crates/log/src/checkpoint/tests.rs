use carrick_record::{Batch, EndTransaction};
use carrick_types::ProducerEpoch;

use super::*;

const TOPIC: TopicId = TopicId::from_bytes([2; 16]);

fn at(offset: i64) -> Offset {
    Offset::clamped(offset)
}

fn id(n: i64) -> ProducerId {
    ProducerId::new(n).unwrap()
}

/// Everything in it.
fn checkpoint() -> Checkpoint {
    let mut producers = Producers::default();
    for n in 1..4 {
        let marker = EndTransaction {
            producer_id: id(n),
            producer_epoch: ProducerEpoch(2),
            coordinator_epoch: 0,
            commit: true,
            at: Timestamp(5),
        };
        let mut bytes = marker.batch(at(n * 10), LeaderEpoch::FIRST);
        producers.note(&Batch::split_from(&mut bytes).unwrap().header, Timestamp(77));
    }
    let epoch = |n| LeaderEpoch::new(n).unwrap();
    Checkpoint {
        start: at(3),
        end: at(90),
        digest: Digest(1 << 100),
        active: Some(ActiveState {
            base: at(50),
            position: 9_999,
            first_time: Timestamp(4),
            max_time: Timestamp(-1),
            digest: Digest(7),
            entries: 2,
            entries_crc: 8,
            newest: vec![(at(80), 9_000), (at(85), 9_500)],
            newest_crc: 9,
        }),
        epochs: Epochs::from_starts(vec![(epoch(0), at(0)), (epoch(65_536), at(60))]),
        open: vec![(id(4), at(70))],
        aborted: vec![Aborted { producer_id: id(5), first: at(51), last: at(59) }],
        producers,
    }
}

fn sealed_state() -> SealedState {
    SealedState {
        base: at(3),
        next: at(50),
        end: 5_000,
        max_time: Timestamp(6),
        digest: Digest(5),
        aborted: vec![Aborted { producer_id: id(5), first: at(4), last: at(9) }],
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    let bytes = checkpoint().encode(TOPIC, Partition(1));
    let found = Checkpoint::decode(&bytes, TOPIC, Partition(1)).unwrap();
    assert_eq!(found.encode(TOPIC, Partition(1)), bytes);
    assert_eq!((found.start, found.end, found.active), (at(3), at(90), checkpoint().active));
    assert!(matches!(Checkpoint::decode(&bytes, TOPIC, Partition(2)), Err(BadPiece::Foreign)));
    assert_eq!(SealedState::decode(&sealed_state().encode()), Ok(sealed_state()));
}

#[test]
fn a_flipped_bit_a_cut_or_a_newer_version_is_refused() {
    for whole in [checkpoint().encode(TOPIC, Partition(1)), sealed_state().encode()] {
        for n in 0..whole.len() {
            let mut bad = whole.to_vec();
            bad[n] ^= 1 << (n % 8);
            for bytes in [bad.into(), whole.slice(..n)] {
                assert!(Checkpoint::decode(&bytes, TOPIC, Partition(1)).is_err(), "byte {n}");
                assert!(SealedState::decode(&bytes).is_err(), "byte {n}");
            }
        }
        let mut newer = whole.to_vec();
        newer[0] = 2;
        assert!(matches!(SealedState::decode(&newer.into()), Err(BadPiece::Newer { found: 2 })));
    }
}

#[test]
fn lengths_that_lie_are_refused_before_anything_grows() {
    let whole = checkpoint().encode(TOPIC, Partition(1));
    for at in (1..whole.len() - 4).step_by(3) {
        let mut bad = whole[..whole.len() - 4].to_vec();
        bad[at..(at + 4).min(whole.len() - 4)].fill(0xff);
        let _ = Checkpoint::decode(&sealed(bad), TOPIC, Partition(1));
    }
}

#[test]
fn the_first_version_is_read_for_ever() {
    assert!(checkpoint().encode(TOPIC, Partition(1)) == include_bytes!("golden-checkpoint-1")[..]);
    assert!(sealed_state().encode() == include_bytes!("golden-sealed-1")[..]);
}
