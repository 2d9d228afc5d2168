//! How far a mirror's partition is behind, as far as anyone knows: what is not known is no number.

use std::time::Duration;

use carrick_link::PartitionStatus;
use carrick_types::MirrorState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    pub offsets: u64,
    pub bytes: u64,
    pub bytes_or_more: bool,
    pub time: Duration,
    pub time_or_more: bool,
}

/// Whether a source still speaks, or spoke last, of a mirror in this state: else it says nothing of it, which is not the
/// same as that it does not lag.
pub fn spoken_of(state: MirrorState) -> bool {
    use MirrorState as S;
    match state {
        S::Creating | S::Active | S::SourceUnavailable => true,
        S::Paused | S::Failed | S::Promoting | S::FailingOver | S::Stopped | S::Restoring => false,
    }
}

/// None: unknown.
pub fn known(state: MirrorState, it: &PartitionStatus) -> Option<Lag> {
    let told = it.lag.ok().filter(|_| spoken_of(state))?;
    let (high, _) = it.source_high.ok()?;
    // The source went on since it last said who lags.
    let seen = it.offsets.map_or(0, |own| high.since(own.log_end.at()));
    let more = seen > told.offsets;
    Some(Lag {
        offsets: told.offsets.max(seen),
        bytes: told.bytes,
        bytes_or_more: more,
        time: told.time,
        time_or_more: told.or_more || more,
    })
}

#[cfg(test)]
mod tests {
    use carrick_types::{Known, LogEnd, Offset, Offsets, Partition};

    use super::*;

    fn partition(high: i64, end: i64, lag: Known<carrick_link::Lag>) -> PartitionStatus {
        let offsets = Offsets { log_end: LogEnd::new(Offset::clamped(end)), ..Offsets::default() };
        PartitionStatus {
            partition: Partition(0),
            offsets: Some(offsets),
            source_high: Known::Known((Offset::clamped(high), Duration::ZERO)),
            lag,
        }
    }

    #[test]
    fn what_the_source_was_heard_to_hold_is_never_less_than_the_lag() {
        let none = Known::Known(carrick_link::Lag::default());
        let lag = known(MirrorState::Active, &partition(10, 10, none)).unwrap();
        assert_eq!((lag.offsets, lag.bytes_or_more, lag.time_or_more), (0, false, false));
        let lag = known(MirrorState::Active, &partition(15, 10, none)).unwrap();
        assert_eq!((lag.offsets, lag.bytes_or_more, lag.time_or_more), (5, true, true));
    }

    #[test]
    fn unknown_is_not_zero() {
        let none = Known::Known(carrick_link::Lag::default());
        assert_eq!(known(MirrorState::Failed, &partition(10, 10, none)), None);
        assert_eq!(known(MirrorState::Active, &partition(10, 10, Known::Unknown)), None);
        let unheard = PartitionStatus { source_high: Known::Unknown, ..partition(0, 0, none) };
        assert_eq!(known(MirrorState::Active, &unheard), None);
    }
}
