//! Which offsets expire, and with them groups (`offsets.retention.minutes`).
//!
//! | group | an offset expires so long after |
//! |---|---|
//! | empty, had members | its last member left |
//! | never had members | it was committed; what a link wrote does not expire: only its source can tell |
//! | consumers, stable | it was committed, if none of them reads the topic any more |
//! | any other | never |
//!
//! An offset whose client asked for a time of its own (before version 5) expires then, where one of these could.

use std::ops::Bound;

use carrick_catalog::{GroupPhase, OffsetRecord};
use carrick_types::{Partition, Timestamp, TopicName};
use tracing::{error, info};

use super::deadlines::Deadlines;
use super::group::Group;
use super::limits::SWEEP_GROUPS;
use super::{Groups, State, World};

impl Groups {
    /// Deletes what has expired. Between some groups and the next others have their turn.
    pub(super) async fn sweep(&self) {
        let mut last = None;
        loop {
            {
                let mut state = self.state.lock();
                let State { groups, deadlines, .. } = &mut *state;
                let from = last.take().map_or(Bound::Unbounded, Bound::Excluded);
                let range =
                    groups.range::<carrick_wire::Text, _>((from, Bound::Unbounded)).take(SWEEP_GROUPS);
                let ids: Vec<_> = range.map(|(id, _)| id.clone()).collect();
                for id in &ids {
                    let gone = groups.get(id).is_some_and(|group| self.world.expire(id, group));
                    if let Some(group) = groups.get(id).filter(|_| gone) {
                        forget(group, deadlines);
                        groups.remove(id);
                    }
                }
                last = ids.last().cloned();
            }
            if last.is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn forget(group: &Group, deadlines: &mut Deadlines) {
    group.timer.iter().chain(group.pending.values()).for_each(|place| deadlines.cancel(*place));
}

impl World {
    /// True if nothing is left of the group.
    fn expire(&self, id: &str, group: &Group) -> bool {
        let all: Vec<_> = self
            .catalog
            .group_offsets(id)
            .into_iter()
            .flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, record)| (topic.clone(), partition, record))
            })
            .collect();
        let expired: Vec<(TopicName, Partition)> = all
            .iter()
            .filter(|(topic, _, record)| self.has_expired(group, topic, record))
            .map(|(topic, partition, _)| (topic.clone(), *partition))
            .collect();
        let gone = group.phase == GroupPhase::Empty && group.pending.is_empty() && expired.len() == all.len();
        let deleted = match (gone, expired.is_empty()) {
            (true, _) => self.catalog.delete_group(id),
            (false, false) => self.catalog.delete_offsets(id, &expired),
            (false, true) => return false,
        };
        match deleted {
            Ok(_) => {
                info!(group = id, offsets = expired.len(), group_too = gone, "offsets have expired");
                gone
            }
            Err(failed) => {
                error!(group = id, error = %failed, "expired offsets could not be deleted");
                false
            }
        }
    }

    fn has_expired(&self, group: &Group, topic: &TopicName, record: &OffsetRecord) -> bool {
        let had_members = !group.protocol_type.is_empty();
        let since = match group.phase {
            GroupPhase::Empty if had_members => group.changed.max(record.committed),
            GroupPhase::Empty if record.synced => return false,
            GroupPhase::Empty => record.committed,
            GroupPhase::Stable => match group.subscribed() {
                Some(topics) if !topics.contains(topic.as_str()) => record.committed,
                _ => return false,
            },
            GroupPhase::Preparing | GroupPhase::Completing => return false,
        };
        let now = self.sys.clock.wall();
        let retention_ms = i64::from(self.settings.offsets_retention_minutes) * 60_000;
        now >= record.expires.unwrap_or(Timestamp(since.0.saturating_add(retention_ms)))
    }
}
