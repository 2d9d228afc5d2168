//! Groups and their offsets in the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use carrick_types::{Partition, TopicName};

use super::{Catalog, CatalogError, Commit, State, put};
use crate::group::{self, GroupRecord};
use crate::group_offset::{self, OffsetRecord};
use crate::store::{Family, Store, Write};
use crate::value::{self, ValueError};

/// A group's offsets, by topic and partition.
pub type GroupOffsets = BTreeMap<TopicName, BTreeMap<Partition, OffsetRecord>>;

/// All groups, as the catalog holds them.
#[derive(Default)]
pub(super) struct Groups {
    records: BTreeMap<Arc<str>, Arc<GroupRecord>>,
    /// No group in it is without offsets, and no topic without partitions.
    offsets: BTreeMap<Arc<str>, GroupOffsets>,
    /// Over all groups.
    count: usize,
}

impl Groups {
    pub(super) fn load(store: &dyn Store) -> Result<Self, CatalogError> {
        let mut groups = Self::default();
        let key_is_odd = |entity| ValueError::Damaged { entity, what: "its key".into() };
        for (key, stored) in store.scan(Family::Catalog, group::PREFIX)? {
            let id = group::id_of(&key).ok_or_else(|| key_is_odd("a group"))?;
            groups.records.insert(id.into(), Arc::new(value::decode::<GroupRecord>(&stored)?));
        }
        for (key, stored) in store.scan(Family::Catalog, group_offset::PREFIX)? {
            let parts = group_offset::parts_of(&key).ok_or_else(|| key_is_odd("a group's offset"))?;
            groups.insert(parts.0, parts.1, parts.2, value::decode::<OffsetRecord>(&stored)?);
        }
        Ok(groups)
    }

    fn insert(&mut self, group: &str, topic: TopicName, partition: Partition, record: OffsetRecord) {
        if !self.offsets.contains_key(group) {
            self.offsets.insert(group.into(), GroupOffsets::default());
        }
        let topics = self.offsets.get_mut(group);
        let was = topics.and_then(|topics| topics.entry(topic).or_default().insert(partition, record));
        self.count += usize::from(was.is_none());
    }

    fn remove(&mut self, group: &str, topic: &TopicName, partition: Partition) {
        let Some(topics) = self.offsets.get_mut(group) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            self.count -= usize::from(partitions.remove(&partition).is_some());
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(group);
        }
    }

    /// Every group's offsets of one topic, as (group, partition).
    pub(super) fn of_topic(&self, topic: &TopicName) -> Vec<(Arc<str>, Partition)> {
        let groups = self.offsets.iter().filter_map(|(group, topics)| Some((group, topics.get(topic)?)));
        groups.flat_map(|(group, partitions)| partitions.keys().map(|it| (Arc::clone(group), *it))).collect()
    }

    /// Forgets what [`Groups::of_topic`] returned, which was deleted.
    pub(super) fn forget(&mut self, topic: &TopicName, which: &[(Arc<str>, Partition)]) {
        which.iter().for_each(|(group, partition)| self.remove(group, topic, *partition));
    }
}

pub(super) fn delete_offset(group: &str, topic: &TopicName, partition: Partition) -> Write {
    Write::Delete { family: Family::Catalog, key: group_offset::key(group, topic, partition) }
}

impl Catalog {
    /// The groups that have a record, by id.
    pub fn groups(&self) -> Vec<(Arc<str>, Arc<GroupRecord>)> {
        let state = self.state.read();
        state.groups.records.iter().map(|(id, record)| (Arc::clone(id), Arc::clone(record))).collect()
    }

    pub fn group(&self, id: &str) -> Option<Arc<GroupRecord>> {
        self.state.read().groups.records.get(id).cloned()
    }

    /// The groups that have offsets, by id; some have no record.
    pub fn groups_with_offsets(&self) -> Vec<Arc<str>> {
        self.state.read().groups.offsets.keys().cloned().collect()
    }

    /// All of a group's offsets; empty for a group that has none.
    pub fn group_offsets(&self, id: &str) -> GroupOffsets {
        self.state.read().groups.offsets.get(id).cloned().unwrap_or_default()
    }

    pub fn group_offset(&self, id: &str, topic: &str, partition: Partition) -> Option<OffsetRecord> {
        let state = self.state.read();
        state.groups.offsets.get(id)?.get(topic)?.get(&partition).cloned()
    }

    pub fn has_offsets(&self, id: &str) -> bool {
        self.state.read().groups.offsets.contains_key(id)
    }

    /// Offsets of all groups together.
    pub fn offsets_kept(&self) -> usize {
        self.state.read().groups.count
    }

    /// Makes or replaces a group's record.
    pub fn put_group(&self, id: &str, record: GroupRecord) -> Result<Commit, CatalogError> {
        let mut state = self.state.write();
        let commit = self.commit(&mut state, vec![put(group::key(id), &record)?])?;
        state.groups.records.insert(id.into(), Arc::new(record));
        Ok(commit)
    }

    /// Deletes a group's record and all of its offsets, whichever there are.
    pub fn delete_group(&self, id: &str) -> Result<Commit, CatalogError> {
        let mut state = self.state.write();
        let mut writes = Vec::new();
        if state.groups.records.contains_key(id) {
            writes.push(Write::Delete { family: Family::Catalog, key: group::key(id) });
        }
        let offsets = state.groups.offsets.get(id).into_iter().flatten();
        for (topic, partitions) in offsets {
            writes.extend(partitions.keys().map(|partition| delete_offset(id, topic, *partition)));
        }
        let commit = self.commit_if_any(&mut state, writes)?;
        state.groups.records.remove(id);
        let gone = state.groups.offsets.remove(id).unwrap_or_default();
        state.groups.count -= gone.values().map(BTreeMap::len).sum::<usize>();
        Ok(commit)
    }

    /// Writes offsets, all or none. Those of a topic that was deleted meanwhile are left out: they came just before.
    pub fn commit_offsets(
        &self,
        id: &str,
        offsets: Vec<(TopicName, Partition, OffsetRecord)>,
    ) -> Result<Commit, CatalogError> {
        let mut state = self.state.write();
        let kept = offsets.into_iter().filter(|(topic, ..)| state.topics.contains_key(topic));
        let kept: Vec<_> = kept.collect();
        let writes = kept
            .iter()
            .map(|(topic, partition, record)| put(group_offset::key(id, topic, *partition), record))
            .collect::<Result<_, _>>()?;
        let commit = self.commit_if_any(&mut state, writes)?;
        for (topic, partition, record) in kept {
            state.groups.insert(id, topic, partition, record);
        }
        Ok(commit)
    }

    /// Deletes those of a group's offsets that are there.
    pub fn delete_offsets(&self, id: &str, which: &[(TopicName, Partition)]) -> Result<Commit, CatalogError> {
        let mut state = self.state.write();
        let there = |(topic, partition): &&(TopicName, Partition)| {
            let topics = state.groups.offsets.get(id).and_then(|topics| topics.get(topic));
            topics.is_some_and(|partitions| partitions.contains_key(partition))
        };
        let there: Vec<_> = which.iter().filter(there).collect();
        let writes = there.iter().map(|(topic, partition)| delete_offset(id, topic, *partition)).collect();
        let commit = self.commit_if_any(&mut state, writes)?;
        there.into_iter().for_each(|(topic, partition)| state.groups.remove(id, topic, *partition));
        Ok(commit)
    }

    fn commit_if_any(&self, state: &mut State, writes: Vec<Write>) -> Result<Commit, CatalogError> {
        if writes.is_empty() { Ok(Commit(state.node.commits)) } else { self.commit(state, writes) }
    }
}

#[cfg(test)]
mod tests;
