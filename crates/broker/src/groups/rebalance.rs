//! A rebalance: all join, the leader assigns, all are told. Who is gone brings the next one about.
//!
//! ```text
//!   Empty ──first join──► Preparing ──all joined, or time is up──► Completing ──leader's assignment──► Stable
//!     ▲                    ▲     │ nobody is left                       │ a member comes, goes or changes │
//!     └────────────────────┼─────┘                                      │                                 │
//!                          └────────────────────────────────────────────┴─────────────────────────────────┘
//! ```

use std::time::Duration;

use bytes::Bytes;
use carrick_catalog::GroupPhase;
use carrick_wire::{ErrorCode, SyncGroupResponse, Text};
use tracing::{debug, error, info};

use super::deadlines::Timer;
use super::group::HeldBack;
use super::limits::RETRY_AFTER;
use super::member::Member;
use super::told::Told;
use super::{Turn, after, refusals};

impl Turn<'_> {
    /// Stores the group as it is now. What is told of it from here on waits for this to be durable.
    pub(super) fn write(&mut self) -> Result<(), ErrorCode> {
        match self.world.catalog.put_group(&self.id, self.group.record()) {
            Ok(commit) => {
                self.group.written = commit;
                self.group.unwritten = false;
                Ok(())
            }
            Err(failed) => {
                error!(group = %self.id, error = %failed, "a group could not be stored");
                // Retriable wherever a member hears it.
                Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        }
    }

    /// The deadlines of a group that was just loaded.
    pub(super) fn go_on(&mut self) {
        let members: Vec<Text> = self.group.members.keys().cloned().collect();
        members.iter().for_each(|id| self.heard_of(id));
        match self.group.phase {
            GroupPhase::Empty | GroupPhase::Stable => {}
            GroupPhase::Preparing | GroupPhase::Completing => self.time_rebalance(),
        }
    }

    /// A member has its full session time-out again.
    pub(super) fn heard_of(&mut self, id: &Text) {
        let Some(member) = self.group.members.get(id) else { return };
        let session = member.profile.session;
        self.give_time(id, session);
    }

    /// A member is gone if it is not heard of for so long from now on.
    pub(super) fn give_time(&mut self, id: &Text, time: Duration) {
        let end = self.world.now().plus(time);
        let Some(member) = self.group.members.get_mut(id) else { return };
        member.session_end = end;
        if let Some(place) = member.place.take_if(|(at, _)| *at > end) {
            self.deadlines.cancel(place);
        }
        if member.place.is_none() {
            let timer = Timer::Session { member: id.detached() };
            member.place = Some(self.deadlines.set(end, &self.id, timer));
        }
    }

    pub(super) fn stop_timer(&mut self) {
        if let Some(place) = self.group.timer.take() {
            self.deadlines.cancel(place);
        }
    }

    pub(super) fn set_timer(&mut self, wait: Duration) {
        self.stop_timer();
        let at = self.world.now().plus(wait);
        self.group.timer = Some(self.deadlines.set(at, &self.id, Timer::Rebalance));
    }

    fn time_rebalance(&mut self) {
        self.set_timer(self.group.rebalance_timeout());
    }

    /// All members are to join again, unless they are already asked to.
    pub(super) fn prepare_rebalance(&mut self, why: &str) {
        match self.group.phase {
            GroupPhase::Preparing => return self.maybe_complete_join(),
            GroupPhase::Completing => self.answer_syncs(ErrorCode::REBALANCE_IN_PROGRESS),
            GroupPhase::Empty | GroupPhase::Stable => {}
        }
        debug!(group = %self.id, generation = self.group.generation, why, "rebalance");
        let first = self.group.phase == GroupPhase::Empty;
        self.group.phase = GroupPhase::Preparing;
        let delay = Duration::from_millis(self.world.settings.group_initial_rebalance_delay_ms.into());
        if first && !delay.is_zero() {
            let left = self.group.rebalance_timeout().saturating_sub(delay);
            self.group.held_back = Some(HeldBack { came: false, left });
            self.set_timer(delay);
        } else if first || self.group.all_joined() {
            // The first ones do not wait for those who have only asked for an id, as Kafka's do not.
            self.complete_join();
        } else {
            self.time_rebalance();
        }
    }

    pub(super) fn maybe_complete_join(&mut self) {
        let group = &self.group;
        if group.phase == GroupPhase::Preparing && group.held_back.is_none() && group.all_joined() {
            self.complete_join();
        }
    }

    /// The next generation, of those who have joined. Static members keep their places until their sessions end.
    pub(super) fn complete_join(&mut self) {
        self.stop_timer();
        self.group.held_back = None;
        let gone =
            self.group.members.iter().filter(|(_, it)| it.join.is_none() && it.profile.instance.is_none());
        for id in gone.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            info!(group = %self.id, member = %id, "a member did not join again in time");
            self.remove_member(&id, ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !self.group.elect_leader() && !self.group.members.is_empty() {
            // Only static members that are away: their sessions will tell. They may have asked for no time at all.
            return self.set_timer(self.group.rebalance_timeout().max(RETRY_AFTER));
        }
        let (generation, protocol) = (self.group.generation, self.group.protocol.take());
        let fresh = self.group.members.iter().filter(|(_, it)| it.fresh).map(|(id, _)| id.clone());
        let fresh: Vec<Text> = fresh.collect();
        let group = &mut *self.group;
        group.generation = generation.checked_add(1).unwrap_or(1);
        group.changed = self.world.sys.clock.wall();
        if group.members.is_empty() {
            group.phase = GroupPhase::Empty;
            group.leader = None;
        } else {
            group.phase = GroupPhase::Completing;
            group.protocol = group.select_protocol();
            for member in group.members.values_mut() {
                // Of a static member that is away nothing is awaited but the end of its session.
                member.synced = member.join.is_none();
                (member.fresh, member.assignment) = (false, Bytes::new());
            }
        }
        if let Err(code) = self.write() {
            // Those who joined come back; who was new is so again.
            let group = &mut *self.group;
            (group.phase, group.generation, group.protocol) = (GroupPhase::Preparing, generation, protocol);
            for (id, member) in &mut group.members {
                member.fresh |= fresh.contains(id);
            }
            self.answer_joins(code);
            return self.set_timer(RETRY_AFTER);
        }
        if self.group.phase == GroupPhase::Empty {
            info!(group = %self.id, generation = self.group.generation, "the group is empty");
            return;
        }
        self.tell_generation();
    }

    fn tell_generation(&mut self) {
        let after = after(self.group);
        let group = &*self.group;
        info!(
            group = %self.id, generation = group.generation, members = group.members.len(),
            protocol = %group.protocol.clone().unwrap_or_default(), "a generation has joined"
        );
        let ids: Vec<Text> = group.members.keys().cloned().collect();
        for id in ids {
            let waits = self.group.members.get_mut(&id).and_then(|member| member.join.take());
            if let Some(tell) = waits {
                let _ = tell.send(Told { answer: self.group.joined(&id), after });
                self.heard_of(&id);
            }
        }
        // And if somebody never asks for its assignment.
        self.time_rebalance();
    }

    /// The phase's time is up.
    pub(super) fn on_rebalance_timer(&mut self) {
        self.group.timer = None;
        match self.group.phase {
            GroupPhase::Empty => {}
            GroupPhase::Preparing => match self.group.held_back {
                Some(HeldBack { came: true, left }) if !left.is_zero() => {
                    let delay = self.world.settings.group_initial_rebalance_delay_ms;
                    let wait = Duration::from_millis(delay.into()).min(left);
                    self.group.held_back = Some(HeldBack { came: false, left: left.saturating_sub(wait) });
                    self.set_timer(wait);
                }
                _ => self.complete_join(),
            },
            GroupPhase::Completing | GroupPhase::Stable => {
                let silent = self.group.members.iter().filter(|(_, member)| !member.synced);
                let silent: Vec<Text> = silent.map(|(id, _)| id.clone()).collect();
                for id in &silent {
                    info!(group = %self.id, member = %id, "a member did not ask for its assignment in time");
                    self.remove_member(id, ErrorCode::UNKNOWN_MEMBER_ID);
                }
                if !silent.is_empty() {
                    self.prepare_rebalance("members did not ask for their assignment");
                }
            }
        }
    }

    /// Takes a member out of the group; what it waits for is answered with `code`. A rebalance is the caller's.
    pub(super) fn remove_member(&mut self, id: &Text, code: ErrorCode) {
        let Some(mut member) = self.group.members.remove(id) else { return };
        self.group.unwritten |= !member.fresh;
        if let Some(instance) = &member.profile.instance
            && self.group.statics.get(instance) == Some(id)
        {
            self.group.statics.remove(instance);
        }
        if self.group.is_leader(id) {
            self.group.leader = self.group.members.keys().next().cloned();
        }
        self.dismiss(id, &mut member, code);
    }

    /// Ends what a member waits for, and its deadline.
    pub(super) fn dismiss(&mut self, id: &Text, member: &mut Member, code: ErrorCode) {
        if let Some(place) = member.place.take() {
            self.deadlines.cancel(place);
        }
        if let Some(tell) = member.join.take() {
            let _ = tell.send(self.world.told(refusals::join(id.clone(), code)));
        }
        if let Some(tell) = member.sync.take() {
            let _ = tell.send(self.world.told(refusals::sync(code)));
        }
    }

    /// After somebody left.
    pub(super) fn rebalance_without(&mut self, why: &str) {
        match self.group.phase {
            GroupPhase::Empty => {}
            GroupPhase::Preparing => self.maybe_complete_join(),
            GroupPhase::Completing | GroupPhase::Stable => self.prepare_rebalance(why),
        }
    }

    fn answer_joins(&mut self, code: ErrorCode) {
        for (id, member) in &mut self.group.members {
            if let Some(tell) = member.join.take() {
                let _ = tell.send(self.world.told(refusals::join(id.clone(), code)));
            }
        }
    }

    fn answer_syncs(&mut self, code: ErrorCode) {
        for member in self.group.members.values_mut() {
            if let Some(tell) = member.sync.take() {
                let _ = tell.send(self.world.told(refusals::sync(code)));
            }
        }
    }

    /// All who wait are answered with `code`.
    pub(super) fn send_away(&mut self, code: ErrorCode) {
        self.answer_joins(code);
        self.answer_syncs(code);
    }

    /// What a member is told of its assignment.
    pub(super) fn assigned(&self, id: &Text) -> Told<SyncGroupResponse> {
        let assignment = self.group.members.get(id).map(|member| member.assignment.clone());
        let answer = SyncGroupResponse {
            protocol_type: Some(self.group.protocol_type.clone()),
            protocol_name: self.group.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
            ..Default::default()
        };
        Told { answer, after: after(self.group) }
    }
}
