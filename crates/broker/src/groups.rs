//! The coordinator of classic consumer groups: who is a member, who is assigned what, and how far a group has read.
//!
//! Groups live in memory; each change that an answer rests on is written through to the catalog under the same lock, and
//! the answer leaves once it is durable. A generation is stored before it is told, and its assignment, too: a node that
//! starts again goes on with the same members, each with a full session time-out, and a rebalance that was under way ends
//! as if nothing had happened. Sessions and rebalances run out by one queue of deadlines and one task.
//!
//! What a member is answered follows Kafka's coordinator; where it differs, the code says why.

mod admin;
mod commit;
mod deadlines;
mod expiry;
mod fetch;
mod group;
mod join;
mod leave;
mod limits;
mod member;
mod rebalance;
mod refusals;
mod retention;
mod subscription;
mod sync;
mod synced;
mod told;

pub use synced::{GroupState, SyncRefusal, SyncedOffset};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use carrick_catalog::{Catalog, Commit};
use carrick_sys::{Mono, Sys, Wake};
use carrick_wire::{ErrorCode, Text};
use parking_lot::Mutex;

use self::deadlines::Deadlines;
use self::group::Group;
use self::told::Told;
use crate::settings::BrokerSettings;

/// What all groups find.
pub(crate) struct World {
    sys: Sys,
    catalog: Arc<Catalog>,
    settings: BrokerSettings,
}

impl World {
    fn now(&self) -> Mono {
        self.sys.clock.now()
    }

    /// An answer that rests on all that was committed so far.
    fn told<T>(&self, answer: T) -> Told<T> {
        Told { answer, after: self.catalog.committed() }
    }
}

pub(crate) struct Groups {
    world: Arc<World>,
    state: Mutex<State>,
    /// For the task that waits for the next deadline.
    wake: Wake,
}

#[derive(Default)]
struct State {
    groups: BTreeMap<Text, Group>,
    deadlines: Deadlines,
    /// Nobody is made to wait any more.
    closing: bool,
}

/// What is done for a group that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// It is made.
    Make,
    /// `GROUP_ID_NOT_FOUND`.
    Refuse,
}

/// One group at a time, with all that its changes may touch.
struct Turn<'a> {
    id: Text,
    group: &'a mut Group,
    deadlines: &'a mut Deadlines,
    world: &'a World,
    closing: bool,
}

impl Groups {
    /// All groups of the catalog: every member has a full session time-out from now on.
    pub(crate) fn load(sys: Sys, catalog: Arc<Catalog>, settings: BrokerSettings) -> Arc<Self> {
        let world = World { sys, catalog, settings };
        let mut state = State::default();
        for id in world.catalog.groups_with_offsets() {
            state.groups.insert(Text::from(id.to_string()), Group::default());
        }
        for (id, record) in world.catalog.groups() {
            let id = Text::from(id.to_string());
            let group = state.groups.entry(id.clone()).or_default();
            *group = Group::of(&record);
            let deadlines = &mut state.deadlines;
            Turn { id, group, deadlines, world: &world, closing: false }.go_on();
        }
        Arc::new(Self { world: Arc::new(world), state: Mutex::new(state), wake: Wake::new() })
    }

    /// Does `work` with a group, alone. A group that `work` leaves without anything to remember is gone again.
    fn turn<T>(
        &self,
        id: &Text,
        missing: Missing,
        work: impl FnOnce(&mut Turn<'_>) -> T,
    ) -> Result<T, ErrorCode> {
        let mut state = self.state.lock();
        let State { groups, deadlines, closing } = &mut *state;
        let id = match groups.get_key_value(id) {
            Some((id, _)) => id.clone(),
            None if missing == Missing::Refuse => return Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None if groups.len() >= limits::GROUPS_MAX => return Err(ErrorCode::GROUP_MAX_SIZE_REACHED),
            // A request's text keeps all of its bytes.
            None => id.detached(),
        };
        let group = groups.entry(id.clone()).or_default();
        let mut turn = Turn { id: id.clone(), group, deadlines, world: &self.world, closing: *closing };
        let done = work(&mut turn);
        if turn.group.is_blank() && !self.world.catalog.has_offsets(&id) {
            groups.remove(&id);
        }
        if state.deadlines.came_nearer() {
            self.wake.wake();
        }
        Ok(done)
    }

    /// Whoever waits is told to come back, and nobody waits again.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        let State { groups, deadlines, .. } = &mut *state;
        for (id, group) in groups {
            Turn { id: id.clone(), group, deadlines, world: &self.world, closing: true }
                .send_away(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
    }
}

/// Refuses ids that nobody needs; the empty one is refused where members are meant, as in Kafka.
fn check_id(id: &Text, members: bool) -> Result<(), ErrorCode> {
    if id.len() > limits::GROUP_ID_BYTES_MAX || (members && id.is_empty()) {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    Ok(())
}

/// A time-out as clients write it; negative is none.
fn millis(time: i32) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or(0))
}

/// The commit that told what a group is now.
fn after(group: &Group) -> Commit {
    group.written
}
