//! Groups that cross a link: read at a source, written at a mirror.

use std::ops::Bound;
use std::time::Duration;

use carrick_catalog::{CatalogError, GroupOffsets, GroupPhase, OffsetRecord};
use carrick_types::{Offset, Partition, Timestamp, TopicName};
use carrick_wire::{ErrorCode, Text};

use super::{Groups, Missing, Turn};
use crate::broker::Broker;

/// One group and how far it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    pub id: String,
    pub phase: GroupPhase,
    /// Empty for a group that never had members.
    pub protocol_type: String,
    pub members: usize,
    pub offsets: GroupOffsets,
}

impl GroupState {
    /// When a client last committed here; what a link wrote does not count.
    pub fn committed(&self) -> Option<Timestamp> {
        let records = self.offsets.values().flat_map(|partitions| partitions.values());
        records.filter(|record| !record.synced).map(|record| record.committed).max()
    }
}

/// An offset as the source has it. Its leader epoch is the source's, and does not cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedOffset {
    pub topic: TopicName,
    pub partition: Partition,
    pub offset: Offset,
    pub metadata: String,
}

/// Why a synced group was not touched.
#[derive(Debug, thiserror::Error)]
pub enum SyncRefusal {
    #[error("group {group} is active here: it has {members} members, and last committed at {committed:?} ms")]
    Active { group: String, members: usize, committed: Option<Timestamp> },
    #[error("group {group}: {code}")]
    Refused { group: String, code: ErrorCode },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Broker {
    /// Up to `max` groups whose ids come after `after`, by id; what they show is durable.
    pub async fn groups_after(
        &self,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<GroupState>, CatalogError> {
        let states = self.groups.states_after(after, max);
        self.catalog.durable(&*self.sys.disk).await?;
        Ok(states)
    }

    /// None if there is no such group; what is shown is durable.
    pub async fn group(&self, id: &str) -> Result<Option<GroupState>, CatalogError> {
        let id = Text::from(id.to_string());
        let state = self.groups.turn(&id, Missing::Refuse, |turn| turn.state()).ok();
        self.catalog.durable(&*self.sys.disk).await?;
        Ok(state)
    }

    /// Writes a group's offsets as its source has them, all of them durable when it returns. Refused while the group is
    /// active here: it has members, or a client committed within `quiet`. Topics that are not here are left out.
    pub async fn write_synced_offsets(
        &self,
        group: &str,
        offsets: Vec<SyncedOffset>,
        quiet: Duration,
    ) -> Result<(), SyncRefusal> {
        let id = Text::from(group.to_string());
        self.groups
            .turn(&id, Missing::Make, |turn| turn.write_synced(offsets, quiet))
            .map_err(|code| SyncRefusal::Refused { group: group.to_string(), code })??;
        Ok(self.catalog.durable(&*self.sys.disk).await?)
    }

    /// Deletes a group whose source deleted it, durably; false if there was none. Refused as
    /// [`Broker::write_synced_offsets`] is.
    pub async fn delete_synced_group(&self, group: &str, quiet: Duration) -> Result<bool, SyncRefusal> {
        let id = Text::from(group.to_string());
        let refused = |code| SyncRefusal::Refused { group: group.to_string(), code };
        let deleted = self.groups.turn(&id, Missing::Refuse, |turn| {
            turn.check_quiet(quiet)?;
            turn.delete().map_err(refused)
        });
        let was_there = match deleted {
            Ok(done) => done.map(|()| true)?,
            Err(_) => false,
        };
        self.catalog.durable(&*self.sys.disk).await?;
        Ok(was_there)
    }
}

impl Groups {
    fn states_after(&self, after: Option<&str>, max: usize) -> Vec<GroupState> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids: Vec<Text> = {
            let state = self.state.lock();
            state
                .groups
                .range::<str, _>((from, Bound::Unbounded))
                .take(max)
                .map(|(id, _)| id.clone())
                .collect()
        };
        ids.iter().filter_map(|id| self.turn(id, Missing::Refuse, |turn| turn.state()).ok()).collect()
    }
}

impl Turn<'_> {
    fn state(&self) -> GroupState {
        GroupState {
            id: self.id.to_string(),
            phase: self.group.phase,
            protocol_type: self.group.protocol_type.to_string(),
            members: self.group.members.len(),
            offsets: self.world.catalog.group_offsets(&self.id),
        }
    }

    fn check_quiet(&self, quiet: Duration) -> Result<(), SyncRefusal> {
        let state = self.state();
        let committed = state.committed();
        let now = self.world.sys.clock.wall();
        let quiet_ms = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
        if state.phase != GroupPhase::Empty || committed.is_some_and(|it| now.since(it) < quiet_ms) {
            return Err(SyncRefusal::Active { group: state.id, members: state.members, committed });
        }
        Ok(())
    }

    fn write_synced(&mut self, offsets: Vec<SyncedOffset>, quiet: Duration) -> Result<(), SyncRefusal> {
        self.check_quiet(quiet)?;
        let committed = self.world.sys.clock.wall();
        let records = offsets.into_iter().map(|it| {
            let record = OffsetRecord {
                offset: it.offset,
                leader_epoch: None,
                metadata: it.metadata,
                committed,
                expires: None,
                synced: true,
            };
            (it.topic, it.partition, record)
        });
        let group = self.id.to_string();
        self.commit(records.collect()).map_err(|code| SyncRefusal::Refused { group, code })
    }
}
