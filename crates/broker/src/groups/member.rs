//! One member of a group.

use std::time::Duration;

use bytes::Bytes;
use carrick_catalog::{MemberRecord, ProtocolRecord};
use carrick_sys::Mono;
use carrick_wire::{
    DescribedGroupMember, JoinGroupResponse, JoinGroupResponseMember, SyncGroupResponse, Text,
};

use super::deadlines::Place;
use super::told::Tell;

/// An assignor that a member knows, and what the member says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    pub name: Text,
    pub metadata: Bytes,
}

/// What a member says of itself each time it joins.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub instance: Option<Text>,
    pub client: Text,
    pub client_host: Text,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocols: Vec<Protocol>,
}

impl Profile {
    pub(super) fn bytes(&self) -> usize {
        self.protocols.iter().map(|it| it.name.len() + it.metadata.len()).sum()
    }
}

pub(super) struct Member {
    pub profile: Profile,
    /// Of the current generation; empty until it is given.
    pub assignment: Bytes,
    /// Its JoinGroup that waits for the others.
    pub join: Option<Tell<JoinGroupResponse>>,
    /// Its SyncGroup that waits for the leader.
    pub sync: Option<Tell<SyncGroupResponse>>,
    /// It was never told a generation.
    pub fresh: bool,
    /// It asked for its assignment in this generation.
    pub synced: bool,
    /// Not heard of until then, it is gone.
    pub session_end: Mono,
    /// At or before `session_end`: heartbeats move that one only.
    pub place: Option<Place>,
}

impl Member {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            assignment: Bytes::new(),
            join: None,
            sync: None,
            fresh: true,
            synced: false,
            session_end: Mono::default(),
            place: None,
        }
    }

    /// What it says to an assignor; empty if it does not know it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.profile.protocols.iter().find(|it| it.name == *protocol);
        known.map(|it| it.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.profile.protocols.iter().any(|it| it.name == *protocol)
    }

    pub(super) fn for_leader(&self, id: &Text, protocol: &str) -> JoinGroupResponseMember {
        JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: self.profile.instance.clone(),
            metadata: self.metadata(protocol),
        }
    }

    /// With `protocol` as the assignor of a stable group.
    pub(super) fn described(&self, id: &Text, protocol: Option<&Text>) -> DescribedGroupMember {
        DescribedGroupMember {
            member_id: id.clone(),
            group_instance_id: self.profile.instance.clone(),
            client_id: self.profile.client.clone(),
            client_host: self.profile.client_host.clone(),
            member_metadata: protocol.map(|name| self.metadata(name)).unwrap_or_default(),
            member_assignment: protocol.map(|_| self.assignment.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn record(&self, id: &Text) -> MemberRecord {
        let profile = &self.profile;
        let protocols = profile
            .protocols
            .iter()
            .map(|it| ProtocolRecord { name: it.name.to_string(), metadata: it.metadata.clone() });
        MemberRecord {
            id: id.to_string(),
            instance: profile.instance.as_ref().map(ToString::to_string),
            client_id: profile.client.to_string(),
            client_host: profile.client_host.to_string(),
            session_timeout_ms: millis(profile.session),
            rebalance_timeout_ms: millis(profile.rebalance),
            protocols: protocols.collect(),
            assignment: self.assignment.clone(),
        }
    }

    /// A member as it was stored; its deadline is the caller's.
    pub(super) fn of(record: &MemberRecord, synced: bool) -> Self {
        let text = |it: &String| Text::from(it.clone());
        let protocols = record
            .protocols
            .iter()
            .map(|it| Protocol { name: text(&it.name), metadata: it.metadata.clone() });
        let profile = Profile {
            instance: record.instance.as_ref().map(text),
            client: text(&record.client_id),
            client_host: text(&record.client_host),
            session: Duration::from_millis(record.session_timeout_ms.into()),
            rebalance: Duration::from_millis(record.rebalance_timeout_ms.into()),
            protocols: protocols.collect(),
        };
        let assignment = record.assignment.clone();
        Self { assignment, fresh: false, synced, ..Self::new(profile) }
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
