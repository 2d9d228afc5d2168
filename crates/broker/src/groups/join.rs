//! JoinGroup.

use bytes::Bytes;
use carrick_catalog::GroupPhase;
use carrick_wire::{ErrorCode, JoinGroupRequest, JoinGroupResponse, Text};
use tokio::sync::oneshot;

use super::deadlines::Timer;
use super::limits::{
    CLIENT_ID_BYTES_MAX, GROUP_BYTES_MAX, INSTANCE_ID_BYTES_MAX, MEMBER_BYTES_MAX, MEMBERS_MAX,
    NEW_MEMBER_WAIT_MAX,
};
use super::member::{Member, Profile, Protocol};
use super::subscription;
use super::told::{Tell, Told};
use super::{Groups, Missing, Turn, after, check_id, millis, refusals};
use crate::broker::{Ask, Begun};

/// From here on a new dynamic member is first told its id (KIP-394).
const ID_FIRST: i16 = 4;
/// From here on a leader can be told that it need not assign (KIP-814).
const CAN_SKIP: i16 = 9;

/// A JoinGroup whose numbers are sound.
struct Asked {
    version: i16,
    /// Empty for none.
    member: Text,
    protocol_type: Text,
    profile: Profile,
}

impl Groups {
    pub(crate) fn join(&self, ask: &Ask, request: JoinGroupRequest) -> Begun {
        let (group, member) = (request.group_id.clone(), request.member_id.clone());
        let (tell, told) = oneshot::channel();
        match self.check_join(ask, request) {
            Ok(asked) => {
                // A member id must have come from this group.
                let missing = if asked.member.is_empty() { Missing::Make } else { Missing::Refuse };
                let mut asked = Some((asked, tell));
                let begun = self.turn(&group, missing, |turn| {
                    if let Some((asked, tell)) = asked.take() {
                        turn.join(asked, tell);
                    }
                });
                if let (Err(code), Some((asked, tell))) = (begun, asked) {
                    let code = match code {
                        ErrorCode::GROUP_ID_NOT_FOUND => ErrorCode::UNKNOWN_MEMBER_ID,
                        other => other,
                    };
                    let _ = tell.send(self.world.told(refusals::join(asked.member, code)));
                }
            }
            Err(code) => {
                let _ = tell.send(self.world.told(refusals::join(member.clone(), code)));
            }
        }
        self.world.reply_later(told, refusals::join(member, ErrorCode::COORDINATOR_NOT_AVAILABLE))
    }

    fn check_join(&self, ask: &Ask, request: JoinGroupRequest) -> Result<Asked, ErrorCode> {
        check_id(&request.group_id, true)?;
        let settings = &self.world.settings;
        let session_ms = u32::try_from(request.session_timeout_ms).unwrap_or(0);
        if !(settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms)
            .contains(&session_ms)
        {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        let session = millis(request.session_timeout_ms);
        let protocols = request
            .protocols
            .iter()
            .map(|it| Protocol { name: it.name.detached(), metadata: Bytes::copy_from_slice(&it.metadata) });
        let profile = Profile {
            instance: request.group_instance_id.as_ref().map(Text::detached),
            client: clipped(&ask.client),
            client_host: ask.client_host.detached(),
            session,
            rebalance: if request.rebalance_timeout_ms < 0 {
                session
            } else {
                millis(request.rebalance_timeout_ms)
            },
            protocols: protocols.collect(),
        };
        let instance_is_sound =
            |it: &Text| (1..=INSTANCE_ID_BYTES_MAX).contains(&it.len()) && !it.contains('\0');
        if profile.bytes() > MEMBER_BYTES_MAX || !profile.instance.iter().all(instance_is_sound) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(Asked {
            version: ask.version,
            member: request.member_id.detached(),
            protocol_type: request.protocol_type.detached(),
            profile,
        })
    }

    /// `client id-uuid`, or with the instance's id instead of the client's.
    fn new_member_id(world: &super::World, profile: &Profile) -> Text {
        let mut uuid = world.sys.entropy.bytes16();
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let hex = uuid.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let dashed = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        let name = profile.instance.as_ref().unwrap_or(&profile.client);
        Text::from(format!("{name}-{dashed}"))
    }
}

/// As much of a client's name for itself as is kept.
fn clipped(client: &Text) -> Text {
    let end = client.floor_char_boundary(CLIENT_ID_BYTES_MAX);
    Text::from(client.get(..end).unwrap_or_default().to_string())
}

impl Turn<'_> {
    fn join(&mut self, asked: Asked, tell: Tell<JoinGroupResponse>) {
        let refused = match self.check_joining(&asked) {
            Err(code) => code,
            Ok(()) if asked.member.is_empty() => return self.join_new(asked, tell),
            Ok(()) => return self.join_known(asked, tell),
        };
        let _ = tell.send(self.world.told(refusals::join(asked.member, refused)));
    }

    fn check_joining(&self, asked: &Asked) -> Result<(), ErrorCode> {
        if self.closing {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        let (profile, known) = (&asked.profile, self.group.members.contains_key(&asked.member));
        let replaced = profile.instance.as_ref().and_then(|it| self.group.statics.get(it));
        let has_place = known || replaced.is_some() || self.group.pending.contains_key(&asked.member);
        let except = if known { Some(&asked.member) } else { replaced };
        if (!has_place && self.group.members.len() + self.group.pending.len() >= MEMBERS_MAX)
            || self.group.bytes(except) + profile.bytes() > GROUP_BYTES_MAX
        {
            return Err(ErrorCode::GROUP_MAX_SIZE_REACHED);
        }
        if !self.group.supports(&asked.protocol_type, &profile.protocols, except) {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        Ok(())
    }

    /// Somebody without a member id.
    fn join_new(&mut self, asked: Asked, tell: Tell<JoinGroupResponse>) {
        let id = Groups::new_member_id(self.world, &asked.profile);
        match &asked.profile.instance {
            Some(instance) => match self.group.statics.get(instance).cloned() {
                Some(old) => self.replace_static(&old, id, asked, tell),
                None => self.add_member(id, asked, tell),
            },
            None if asked.version >= ID_FIRST => {
                let timer = Timer::Pending { member: id.clone() };
                let at = self.world.now().plus(asked.profile.session);
                let place = self.deadlines.set(at, &self.id, timer);
                self.group.pending.insert(id.clone(), place);
                let _ = tell.send(self.world.told(refusals::join(id, ErrorCode::MEMBER_ID_REQUIRED)));
            }
            None => self.add_member(id, asked, tell),
        }
    }

    /// Somebody with a member id.
    fn join_known(&mut self, asked: Asked, tell: Tell<JoinGroupResponse>) {
        let id = asked.member.clone();
        if asked.profile.instance.is_none()
            && let Some(place) = self.group.pending.remove(&id)
        {
            self.deadlines.cancel(place);
            return self.add_member(id, asked, tell);
        }
        if let Err(code) = self.group.check_member(&id, asked.profile.instance.as_ref()) {
            let _ = tell.send(self.world.told(refusals::join(id, code)));
            return;
        }
        let same =
            self.group.members.get(&id).is_some_and(|it| it.profile.protocols == asked.profile.protocols);
        let again = match self.group.phase {
            GroupPhase::Empty | GroupPhase::Preparing => true,
            // It may have missed the answer to its first JoinGroup.
            GroupPhase::Completing => !same,
            // A leader that joins again wants to assign anew; of others nothing is new.
            GroupPhase::Stable => !same || self.group.is_leader(&id),
        };
        if !again {
            let _ = tell.send(Told { answer: self.group.joined(&id), after: after(self.group) });
            return self.heard_of(&id);
        }
        self.update_member(&id, asked.profile, tell);
        self.prepare_rebalance("a member joins again");
    }

    fn update_member(&mut self, id: &Text, profile: Profile, tell: Tell<JoinGroupResponse>) {
        if let Some(member) = self.group.members.get_mut(id) {
            member.profile = profile;
            member.join = Some(tell);
            let fresh = member.fresh;
            if fresh { self.give_time(id, NEW_MEMBER_WAIT_MAX) } else { self.heard_of(id) }
        }
    }

    fn add_member(&mut self, id: Text, asked: Asked, tell: Tell<JoinGroupResponse>) {
        if let Some(held_back) = &mut self.group.held_back {
            held_back.came = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = asked.protocol_type;
        }
        if let Some(instance) = &asked.profile.instance {
            self.group.statics.insert(instance.clone(), id.clone());
        }
        self.group.leader.get_or_insert_with(|| id.clone());
        self.group.members.insert(id.clone(), Member::new(asked.profile.clone()));
        self.update_member(&id, asked.profile, tell);
        self.prepare_rebalance("a member joins");
    }

    /// A static member that comes back has a new member id, and whoever still uses the old one is fenced. Its place and its
    /// assignment are kept, unless it reads other topics by now.
    fn replace_static(&mut self, old: &Text, id: Text, asked: Asked, tell: Tell<JoinGroupResponse>) {
        let Some(mut member) = self.group.members.remove(old) else { return };
        self.dismiss(old, &mut member, ErrorCode::FENCED_INSTANCE_ID);
        let was_leader = self.group.is_leader(old);
        if was_leader {
            self.group.leader = Some(id.clone());
        }
        if let Some(instance) = &asked.profile.instance {
            self.group.statics.insert(instance.clone(), id.clone());
        }
        let reads = |member: &Member| {
            let protocol = self.group.protocol.as_ref();
            subscription::topics(&member.metadata(protocol.map_or("", Text::as_str)))
        };
        let read = reads(&member);
        member.profile = asked.profile.clone();
        let reads_the_same = reads(&member) == read;
        self.group.members.insert(id.clone(), member);
        self.group.unwritten = true;

        let stays = self.group.phase == GroupPhase::Stable
            && self.group.select_protocol() == self.group.protocol
            && (reads_the_same || self.group.protocol_type != *subscription::CONSUMER);
        if !stays {
            self.update_member(&id, asked.profile, tell);
            return self.prepare_rebalance("a static member comes back");
        }
        self.heard_of(&id);
        let told = match self.write() {
            Ok(()) => {
                let mut answer = self.group.joined(&id);
                if asked.version >= CAN_SKIP {
                    answer.skip_assignment = was_leader;
                } else if was_leader {
                    // It must not assign anything: a stable group would not take it. So it is told of another leader.
                    answer.leader = old.clone();
                    answer.members.clear();
                }
                Told { answer, after: after(self.group) }
            }
            Err(code) => self.world.told(refusals::join(id, code)),
        };
        let _ = tell.send(told);
    }
}
