//! One group: its members, and what they agree on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use carrick_catalog::{Commit, GroupPhase, GroupRecord};
use carrick_types::Timestamp;
use carrick_wire::{ErrorCode, JoinGroupResponse, Text};

use super::deadlines::Place;
use super::member::{Member, Protocol};
use super::subscription::{self, CONSUMER};

#[derive(Default)]
pub(super) struct Group {
    pub phase: GroupPhase,
    pub generation: i32,
    /// Empty until somebody joins: such a group only keeps offsets.
    pub protocol_type: Text,
    pub protocol: Option<Text>,
    pub leader: Option<Text>,
    pub members: BTreeMap<Text, Member>,
    /// Member ids by `group.instance.id`.
    pub statics: BTreeMap<Text, Text>,
    /// Ids that were given and have not joined yet (KIP-394).
    pub pending: BTreeMap<Text, Place>,
    /// Of the phase.
    pub timer: Option<Place>,
    /// A first join that is held back for others to come.
    pub held_back: Option<HeldBack>,
    pub changed: Timestamp,
    /// The commit that wrote the record.
    pub written: Commit,
    /// A member that is gone still stands in the record.
    pub unwritten: bool,
}

/// `group.initial.rebalance.delay.ms` under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBack {
    /// Somebody came since the timer was set.
    pub came: bool,
    /// What is left of the longest wait after that timer.
    pub left: Duration,
}

impl Group {
    /// Neither members, nor to be remembered.
    pub(super) fn is_blank(&self) -> bool {
        self.generation == 0 && self.members.is_empty() && self.pending.is_empty()
    }

    pub(super) fn is_leader(&self, member: &Text) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// Refuses a member id that is not of this group, and one whose static member has another by now.
    pub(super) fn check_member(&self, id: &Text, instance: Option<&Text>) -> Result<(), ErrorCode> {
        match instance {
            Some(instance) => match self.statics.get(instance) {
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(current) if current != id => Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => Ok(()),
            },
            None if self.members.contains_key(id) => Ok(()),
            None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        }
    }

    /// Whether all members but `except` know one of `protocols`, and are of the same type.
    pub(super) fn supports(
        &self,
        protocol_type: &Text,
        protocols: &[Protocol],
        except: Option<&Text>,
    ) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        let others = || self.members.iter().filter(|(id, _)| Some(*id) != except).map(|(_, it)| it);
        if others().next().is_none() {
            return true;
        }
        *protocol_type == self.protocol_type
            && protocols.iter().any(|it| others().all(|member| member.knows(&it.name)))
    }

    /// The assignor that most members prefer of those that all know; of equals the one that the leader prefers.
    pub(super) fn select_protocol(&self) -> Option<Text> {
        let known_to_all =
            |protocol: &&Protocol| self.members.values().all(|member| member.knows(&protocol.name));
        let mut votes = BTreeMap::<&Text, usize>::new();
        for member in self.members.values() {
            if let Some(preferred) = member.profile.protocols.iter().find(known_to_all) {
                *votes.entry(&preferred.name).or_default() += 1;
            }
        }
        let most = votes.values().max().copied()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let by_leader = leader.into_iter().flat_map(|it| it.profile.protocols.iter().map(|it| &it.name));
        let by_name = votes.keys().copied();
        by_leader.chain(by_name).find(|name| votes.get(name) == Some(&most)).cloned()
    }

    /// Members whose JoinGroup waits.
    pub(super) fn joining(&self) -> usize {
        self.members.values().filter(|member| member.join.is_some()).count()
    }

    pub(super) fn all_joined(&self) -> bool {
        self.joining() == self.members.len() && (self.pending.is_empty() || self.members.is_empty())
    }

    /// A leader that has joined; false if nobody has.
    pub(super) fn elect_leader(&mut self) -> bool {
        let joined = |id: &Text| self.members.get(id).is_some_and(|member| member.join.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let first = self.members.iter().find(|(_, member)| member.join.is_some());
        match first.map(|(id, _)| id.clone()) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// The longest that a member may take to join again.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.profile.rebalance).max().unwrap_or_default()
    }

    /// What all members say, without `except`.
    pub(super) fn bytes(&self, except: Option<&Text>) -> usize {
        let others = self.members.iter().filter(|(id, _)| Some(*id) != except);
        others.map(|(_, member)| member.profile.bytes()).sum()
    }

    /// The topics that consumers of this group read; None if it has none or they cannot be told.
    pub(super) fn subscribed(&self) -> Option<BTreeSet<String>> {
        let protocol = self.protocol.as_ref().filter(|_| self.protocol_type == *CONSUMER)?;
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.append(&mut subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    /// What a member is told of the current generation.
    pub(super) fn joined(&self, id: &Text) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if self.is_leader(id) {
            self.members.iter().map(|(id, member)| member.for_leader(id, &protocol)).collect()
        } else {
            Vec::new()
        };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: Some(self.protocol_type.clone()),
            protocol_name: Some(protocol),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            members,
            ..Default::default()
        }
    }

    /// Who joined and was told so, and what they agreed on.
    pub(super) fn record(&self) -> GroupRecord {
        let told = self.members.iter().filter(|(_, member)| !member.fresh);
        let leader = self.leader.as_ref().filter(|id| self.members.get(*id).is_some_and(|it| !it.fresh));
        GroupRecord {
            phase: self.phase,
            generation: self.generation,
            protocol_type: self.protocol_type.to_string(),
            protocol: self.protocol.as_ref().map(ToString::to_string),
            leader: leader.map(ToString::to_string),
            members: told.map(|(id, member)| member.record(id)).collect(),
            changed: self.changed,
        }
    }

    /// A group as it was stored; the deadlines of its members and its phase are the caller's.
    pub(super) fn of(record: &GroupRecord) -> Self {
        let text = |it: &String| Text::from(it.clone());
        let synced = record.phase == GroupPhase::Stable;
        let members: BTreeMap<_, _> =
            record.members.iter().map(|it| (text(&it.id), Member::of(it, synced))).collect();
        let statics =
            record.members.iter().filter_map(|it| Some((text(it.instance.as_ref()?), text(&it.id))));
        Self {
            // Whoever was to join again was never told anything.
            phase: if members.is_empty() { GroupPhase::Empty } else { record.phase },
            generation: record.generation,
            protocol_type: text(&record.protocol_type),
            protocol: record.protocol.as_ref().map(text),
            leader: record.leader.as_ref().map(text),
            statics: statics.collect(),
            members,
            changed: record.changed,
            ..Self::default()
        }
    }
}
