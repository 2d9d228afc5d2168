//! LeaveGroup, of one member or of several (KIP-345).

use carrick_wire::{ErrorCode, LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse, Text};

use super::sync::of_members;
use super::told::Told;
use super::{Groups, Missing, Turn, check_id};
use crate::broker::{Ask, Begun};

/// From here on a request names several, and each has its own error.
const SEVERAL: i16 = 3;

impl Groups {
    pub(crate) fn leave(&self, ask: &Ask, request: LeaveGroupRequest) -> Begun {
        let members = if ask.version < SEVERAL {
            vec![MemberIdentity { member_id: request.member_id, ..Default::default() }]
        } else {
            request.members
        };
        let left = check_id(&request.group_id, true)
            .and_then(|()| self.turn(&request.group_id, Missing::Refuse, |turn| turn.leave(&members)));
        let told = match left {
            Ok(told) => told,
            Err(ErrorCode::GROUP_ID_NOT_FOUND) => {
                let code = of_members(ErrorCode::GROUP_ID_NOT_FOUND);
                let answers = members.iter().map(|member| answer(member, code));
                self.world.told(LeaveGroupResponse { members: answers.collect(), ..Default::default() })
            }
            Err(code) => {
                self.world.told(LeaveGroupResponse { error_code: code.code(), ..Default::default() })
            }
        };
        self.world.reply(if ask.version < SEVERAL { of_one(told) } else { told })
    }
}

fn answer(member: &MemberIdentity, code: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: code.code(),
    }
}

/// The only member's error is the answer's.
fn of_one(mut told: Told<LeaveGroupResponse>) -> Told<LeaveGroupResponse> {
    if let Some(only) = told.answer.members.first() {
        told.answer.error_code = only.error_code;
    }
    told
}

impl Turn<'_> {
    fn leave(&mut self, members: &[MemberIdentity]) -> Told<LeaveGroupResponse> {
        let mut left = false;
        let mut answers = Vec::with_capacity(members.len());
        for member in members {
            let code = match self.find_leaving(member) {
                Ok(Some(id)) => {
                    self.remove_member(&id, ErrorCode::UNKNOWN_MEMBER_ID);
                    left = true;
                    ErrorCode::NONE
                }
                Ok(None) => ErrorCode::NONE,
                Err(code) => code,
            };
            answers.push(answer(member, code));
        }
        if left {
            self.rebalance_without("a member left");
        } else {
            self.maybe_complete_join();
        }
        let mut response = LeaveGroupResponse { members: answers, ..Default::default() };
        // Who was told that it left must not be a member again after a restart.
        if self.group.unwritten
            && let Err(code) = self.write()
        {
            response.error_code = code.code();
        }
        self.world.told(response)
    }

    /// The member that is to be removed; None if it had only been given an id, which is taken back.
    fn find_leaving(&mut self, member: &MemberIdentity) -> Result<Option<Text>, ErrorCode> {
        let (id, instance) = (&member.member_id, member.group_instance_id.as_ref());
        if id.is_empty()
            && let Some(instance) = instance
        {
            // An administrator who knows the instance only.
            let of_instance = self.group.statics.get(instance).cloned();
            return of_instance.map(Some).ok_or(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if let Some(place) = self.group.pending.remove(id) {
            self.deadlines.cancel(place);
            return Ok(None);
        }
        self.group.check_member(id, instance)?;
        Ok(Some(id.detached()))
    }
}
