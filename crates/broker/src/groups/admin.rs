//! ListGroups, DescribeGroups, DeleteGroups.

use carrick_catalog::GroupPhase;
use carrick_wire::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, DescribedGroup, ErrorCode, ListGroupsRequest, ListGroupsResponse, ListedGroup,
    Text,
};
use tracing::{error, info};

use super::group::Group;
use super::{Groups, Missing, Turn, check_id};
use crate::broker::{Ask, Begun};

/// The only type there is (KIP-848).
const TYPE: &str = "classic";
/// From here on a group that is not there is an error, and not one that is dead.
const NAMES_MISSING_GROUPS: i16 = 6;
/// Read, delete and describe, as bits of Kafka's numbers of operations.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;

impl Groups {
    pub(crate) fn list(&self, request: &ListGroupsRequest) -> Begun {
        let named = |filter: &[Text], name: &str| {
            filter.is_empty() || filter.iter().any(|it| it.eq_ignore_ascii_case(name))
        };
        let mut groups = Vec::new();
        if named(&request.types_filter, TYPE) {
            let state = self.state.lock();
            let asked = state.groups.iter().filter(|(_, it)| named(&request.states_filter, it.phase.name()));
            groups.extend(asked.map(|(id, group)| ListedGroup {
                group_id: id.clone(),
                protocol_type: group.protocol_type.clone(),
                group_state: group.phase.name().into(),
                group_type: TYPE.into(),
            }));
        }
        self.world.reply(self.world.told(ListGroupsResponse { groups, ..Default::default() }))
    }

    pub(crate) fn describe(&self, ask: &Ask, request: DescribeGroupsRequest) -> Begun {
        let groups = request.groups.into_iter().map(|id| {
            let described = self.turn(&id, Missing::Refuse, |turn| described(&id, turn.group));
            let mut group = described.unwrap_or_else(|_| missing(ask.version, &id));
            if request.include_authorized_operations {
                group.authorized_operations = ALL_OPERATIONS;
            }
            group
        });
        let answer = DescribeGroupsResponse { groups: groups.collect(), ..Default::default() };
        self.world.reply(self.world.told(answer))
    }

    pub(crate) fn delete(&self, request: DeleteGroupsRequest) -> Begun {
        let results = request.groups_names.into_iter().map(|id| {
            let deleted = check_id(&id, false)
                .and_then(|()| self.turn(&id, Missing::Refuse, |turn| turn.delete()).flatten());
            DeletableGroupResult { group_id: id, error_code: deleted.err().unwrap_or(ErrorCode::NONE).code() }
        });
        let answer = DeleteGroupsResponse { results: results.collect(), ..Default::default() };
        self.world.reply(self.world.told(answer))
    }
}

/// What members say and are assigned is shown of a stable group only: in any other it is about to change.
fn described(id: &Text, group: &Group) -> DescribedGroup {
    let protocol = group.protocol.as_ref().filter(|_| group.phase == GroupPhase::Stable);
    DescribedGroup {
        group_id: id.clone(),
        group_state: group.phase.name().into(),
        protocol_type: group.protocol_type.clone(),
        protocol_data: protocol.cloned().unwrap_or_default(),
        members: group.members.iter().map(|(id, member)| member.described(id, protocol)).collect(),
        ..Default::default()
    }
}

fn missing(version: i16, id: &Text) -> DescribedGroup {
    let mut group = DescribedGroup { group_id: id.clone(), group_state: "Dead".into(), ..Default::default() };
    if version >= NAMES_MISSING_GROUPS {
        group.error_code = ErrorCode::GROUP_ID_NOT_FOUND.code();
        group.error_message = Some(Text::from(format!("there is no group {}", &**id)));
    }
    group
}

impl Turn<'_> {
    /// With its offsets. Who was only given a member id learns that there is no such member.
    pub(super) fn delete(&mut self) -> Result<(), ErrorCode> {
        if self.group.phase != GroupPhase::Empty {
            return Err(ErrorCode::NON_EMPTY_GROUP);
        }
        self.world.catalog.delete_group(&self.id).map_err(|failed| {
            error!(group = %self.id, error = %failed, "a group could not be deleted");
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        })?;
        std::mem::take(&mut self.group.pending).into_values().for_each(|place| self.deadlines.cancel(place));
        // Blank, it is gone when its turn ends.
        *self.group = Group::default();
        info!(group = %self.id, "group deleted");
        Ok(())
    }
}
