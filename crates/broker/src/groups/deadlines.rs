//! What is to happen when, for all groups: one queue, one task.

use std::collections::BTreeMap;

use carrick_sys::Mono;
use carrick_wire::Text;

/// Where a deadline stands in the queue.
pub(super) type Place = (Mono, u64);

/// What runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A member was not heard of.
    Session { member: Text },
    /// Who was given a member id did not come back with it.
    Pending { member: Text },
    /// The time for all to join, or to ask for their assignment.
    Rebalance,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeMap<Place, (Text, Timer)>,
    next: u64,
    /// The earliest came nearer since this was last asked.
    nearer: bool,
}

impl Deadlines {
    pub(super) fn set(&mut self, at: Mono, group: &Text, timer: Timer) -> Place {
        let place = (at, self.next);
        self.next += 1;
        self.nearer |= self.earliest().is_none_or(|earliest| at < earliest);
        self.queue.insert(place, (group.clone(), timer));
        place
    }

    pub(super) fn cancel(&mut self, place: Place) {
        self.queue.remove(&place);
    }

    pub(super) fn earliest(&self) -> Option<Mono> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the first one that is due, if there is one.
    pub(super) fn due(&mut self, now: Mono) -> Option<(Text, Timer)> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// True once after the earliest came nearer.
    pub(super) fn came_nearer(&mut self) -> bool {
        std::mem::take(&mut self.nearer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_and_a_cancelled_one_does_not() {
        let at = |secs| Mono(Duration::from_secs(secs));
        let mut deadlines = Deadlines::default();
        let second = deadlines.set(at(2), &"b".into(), Timer::Rebalance);
        assert!(deadlines.came_nearer() && !deadlines.came_nearer());
        deadlines.set(at(3), &"c".into(), Timer::Rebalance);
        assert!(!deadlines.came_nearer());
        deadlines.set(at(1), &"a".into(), Timer::Rebalance);
        assert!(deadlines.came_nearer());
        deadlines.cancel(second);
        assert_eq!(deadlines.earliest(), Some(at(1)));
        assert_eq!(deadlines.due(at(0)), None);
        assert_eq!(deadlines.due(at(9)), Some(("a".into(), Timer::Rebalance)));
        assert_eq!(deadlines.due(at(9)), Some(("c".into(), Timer::Rebalance)));
        assert_eq!(deadlines.due(at(9)), None);
    }
}
