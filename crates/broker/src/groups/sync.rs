//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;

use bytes::Bytes;
use carrick_catalog::GroupPhase;
use carrick_wire::{
    ErrorCode, HeartbeatRequest, HeartbeatResponse, SyncGroupRequest, SyncGroupRequestAssignment,
    SyncGroupResponse, Text,
};
use tokio::sync::oneshot;

use super::limits::{GROUP_BYTES_MAX, MEMBER_BYTES_MAX};
use super::told::{Tell, Told};
use super::{Groups, Missing, Turn, after, check_id, refusals};
use crate::broker::Begun;

impl Groups {
    pub(crate) fn sync(&self, request: SyncGroupRequest) -> Begun {
        let (tell, told) = oneshot::channel();
        let group = request.group_id.clone();
        let mut asked = Some((request, tell));
        let begun = check_id(&group, true).and_then(|()| {
            self.turn(&group, Missing::Refuse, |turn| {
                if let Some((request, tell)) = asked.take() {
                    turn.sync(&request, tell);
                }
            })
        });
        if let (Err(code), Some((_, tell))) = (begun, asked) {
            let _ = tell.send(self.world.told(refusals::sync(of_members(code))));
        }
        self.world.reply_later(told, refusals::sync(ErrorCode::COORDINATOR_NOT_AVAILABLE))
    }

    pub(crate) fn heartbeat(&self, request: HeartbeatRequest) -> Begun {
        let beat = check_id(&request.group_id, true)
            .and_then(|()| self.turn(&request.group_id, Missing::Refuse, |turn| turn.heartbeat(&request)));
        let told = beat.unwrap_or_else(|code| {
            self.world.told(HeartbeatResponse { error_code: of_members(code).code(), ..Default::default() })
        });
        self.world.reply(told)
    }
}

/// To members a group that is not there is one that does not know them.
pub(super) fn of_members(code: ErrorCode) -> ErrorCode {
    if code == ErrorCode::GROUP_ID_NOT_FOUND { ErrorCode::UNKNOWN_MEMBER_ID } else { code }
}

impl Turn<'_> {
    fn sync(&mut self, request: &SyncGroupRequest, tell: Tell<SyncGroupResponse>) {
        let id = request.member_id.detached();
        if let Err(code) = self.check_sync(request) {
            let _ = tell.send(self.world.told(refusals::sync(code)));
            return;
        }
        if self.group.phase == GroupPhase::Completing && self.group.is_leader(&id) {
            if let Err(code) = self.assign(&request.assignments) {
                let _ = tell.send(self.world.told(refusals::sync(code)));
                return;
            }
            self.tell_assignments();
        }
        if let Some(member) = self.group.members.get_mut(&id) {
            member.synced = true;
            if self.group.phase == GroupPhase::Completing {
                member.sync = Some(tell);
                return;
            }
        }
        let _ = tell.send(self.assigned(&id));
        self.heard_of(&id);
        if self.group.members.values().all(|member| member.synced) {
            self.stop_timer();
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        if self.closing {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        self.group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.group.phase == GroupPhase::Preparing {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        let differs = |said: &Option<Text>, is: Option<&Text>| said.is_some() && said.as_ref() != is;
        if differs(&request.protocol_type, Some(&self.group.protocol_type))
            || differs(&request.protocol_name, self.group.protocol.as_ref())
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let bytes = || request.assignments.iter().map(|it| it.assignment.len());
        if bytes().any(|it| it > MEMBER_BYTES_MAX) || bytes().sum::<usize>() > GROUP_BYTES_MAX {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(())
    }

    /// The leader's word, stored: once for a generation. Whom it does not name has nothing.
    fn assign(&mut self, assignments: &[SyncGroupRequestAssignment]) -> Result<(), ErrorCode> {
        let named: BTreeMap<&Text, &Bytes> =
            assignments.iter().map(|it| (&it.member_id, &it.assignment)).collect();
        for (id, member) in &mut self.group.members {
            member.assignment = named.get(id).map(|it| Bytes::copy_from_slice(it)).unwrap_or_default();
        }
        self.group.phase = GroupPhase::Stable;
        self.group.changed = self.world.sys.clock.wall();
        self.write().inspect_err(|_| {
            self.group.phase = GroupPhase::Completing;
            self.group.members.values_mut().for_each(|member| member.assignment = Bytes::new());
        })
    }

    /// To those who wait for it.
    fn tell_assignments(&mut self) {
        let waiting =
            self.group.members.iter_mut().filter_map(|(id, it)| Some((id.clone(), it.sync.take()?)));
        for (id, tell) in waiting.collect::<Vec<_>>() {
            let _ = tell.send(self.assigned(&id));
            self.heard_of(&id);
        }
    }

    fn heartbeat(&mut self, request: &HeartbeatRequest) -> Told<HeartbeatResponse> {
        let code = match self.check_heartbeat(request) {
            Ok(()) => ErrorCode::NONE,
            Err(code) => code,
        };
        if matches!(code, ErrorCode::NONE | ErrorCode::REBALANCE_IN_PROGRESS) {
            self.heard_of(&request.member_id);
        }
        let answer = HeartbeatResponse { error_code: code.code(), ..Default::default() };
        Told { answer, after: after(self.group) }
    }

    fn check_heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        match self.group.phase {
            GroupPhase::Preparing => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            _ => Ok(()),
        }
    }
}
