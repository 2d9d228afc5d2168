//! The task that waits for the next deadline: sessions that end, rebalances whose time is up, offsets that expire.

use std::sync::{Arc, Weak};

use carrick_sys::{Mono, Task};
use carrick_wire::{ErrorCode, Text};
use futures::{FutureExt as _, pin_mut, select_biased};
use tracing::info;

use super::deadlines::Timer;
use super::limits::{NEW_MEMBER_WAIT_MAX, SWEEP_EVERY};
use super::{Groups, State, Turn};

impl Groups {
    /// Ends with the groups, or when the task is dropped.
    pub(crate) fn start(self: &Arc<Self>) -> Task {
        let groups = Arc::downgrade(self);
        self.world.sys.spawn.spawn("groups", run(groups).boxed())
    }

    /// All that is due; returns when the next is.
    fn on_deadlines(&self) -> Option<Mono> {
        let now = self.world.now();
        let mut state = self.state.lock();
        let State { groups, deadlines, closing } = &mut *state;
        while let Some((id, timer)) = deadlines.due(now) {
            let Some(group) = groups.get_mut(&id) else { continue };
            Turn { id: id.clone(), group, deadlines, world: &self.world, closing: *closing }.on_timer(timer);
            if groups.get(&id).is_some_and(|it| it.is_blank()) && !self.world.catalog.has_offsets(&id) {
                groups.remove(&id);
            }
        }
        deadlines.came_nearer();
        deadlines.earliest()
    }
}

async fn run(weak: Weak<Groups>) {
    let mut sweep_at = None;
    loop {
        let Some(groups) = weak.upgrade() else { return };
        let now = groups.world.now();
        let sweep = *sweep_at.get_or_insert_with(|| now.plus(SWEEP_EVERY));
        if now >= sweep {
            groups.sweep().await;
            sweep_at = None;
            continue;
        }
        let next = groups.on_deadlines().map_or(sweep, |next| next.min(sweep));
        let sleep = groups.world.sys.clock.sleep(next.since(groups.world.now())).fuse();
        let wake = groups.wake.clone();
        drop(groups);
        let woken = wake.woken().fuse();
        pin_mut!(sleep, woken);
        select_biased! {
            () = woken => {}
            () = sleep => {}
        }
    }
}

impl Turn<'_> {
    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Session { member } => self.on_session_end(&member),
            Timer::Pending { member } => {
                if self.group.pending.remove(&member).is_some() {
                    self.maybe_complete_join();
                }
            }
            Timer::Rebalance => self.on_rebalance_timer(),
        }
    }

    fn on_session_end(&mut self, id: &Text) {
        let Some(member) = self.group.members.get_mut(id) else { return };
        member.place = None;
        if !member.fresh && (member.join.is_some() || member.sync.is_some()) {
            // It waits for us.
            return self.heard_of(id);
        }
        let end = member.session_end;
        if end > self.world.now() {
            // It was heard of since this deadline was set.
            let timer = Timer::Session { member: id.clone() };
            member.place = Some(self.deadlines.set(end, &self.id, timer));
            return;
        }
        let why = if member.fresh { NEW_MEMBER_WAIT_MAX } else { member.profile.session };
        info!(group = %self.id, member = %id, silent_s = why.as_secs(), "a member's session has ended");
        self.remove_member(id, ErrorCode::UNKNOWN_MEMBER_ID);
        self.rebalance_without("a session has ended");
    }
}
