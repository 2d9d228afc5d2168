//! The one task that makes logs durable, and hands their checkpoints on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use carrick_types::Offset;
use futures::{FutureExt as _, select_biased};
use tracing::warn;

use super::Shared;
use crate::partition::{Partition, Snapshot};
use crate::settings::Durability;

/// At durability `os`, what is written is synced after this long, or this many bytes.
const OS_SYNC_EVERY: Duration = Duration::from_secs(1);
pub(super) const OS_SYNC_BYTES: u64 = 16 << 20;
/// What was written is in a checkpoint after this long at the latest: it bounds what a start reads.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

impl Shared {
    /// Has the next sync take a checkpoint of each partition that has something new.
    pub(super) fn want_checkpoints(&self) {
        let unsaved = std::mem::take(&mut *self.unsaved.lock());
        if self.halted.get().is_some() {
            return;
        }
        for partition in &unsaved {
            let mut inner = partition.lock();
            if inner.unsaved() && inner.damage.is_none() {
                inner.saving.wanted = true;
                partition.mark_dirty(&mut inner, 0);
            }
            inner.saving.listed = false;
        }
    }

    /// Hands checkpoints of what is durable now to their home.
    fn save(&self, taken: Vec<(Arc<Partition>, Snapshot)>) {
        let changes = taken.iter().flat_map(|(_, snapshot)| snapshot.changes.iter().cloned()).collect();
        let saved = self.checkpoints.save(changes);
        if let Err(failed) = &saved {
            warn!(error = %failed, "checkpoints could not be saved: the next start reads more, and retention waits");
        }
        taken.iter().for_each(|(partition, snapshot)| partition.saved(snapshot, saved.is_ok()));
    }
}

pub(super) async fn sync_loop(shared: Arc<Shared>) {
    let mut due = None;
    loop {
        if due.is_none() && !shared.unsaved.lock().is_empty() {
            due = Some(shared.sys.clock.now().plus(CHECKPOINT_EVERY));
        }
        match due {
            None => shared.kick.woken().await,
            Some(at) => {
                let left = at.since(shared.sys.clock.now());
                let _ = shared.sys.clock.timeout(left, shared.kick.woken()).await;
            }
        }
        if due.is_some_and(|at| at <= shared.sys.clock.now()) {
            due = None;
            shared.want_checkpoints();
        } else if shared.settings.durability == Durability::Os
            && shared.unsynced.load(Ordering::Relaxed) < OS_SYNC_BYTES
            && !shared.hurry.swap(false, Ordering::Relaxed)
        {
            let mut soon = shared.sys.clock.sleep(OS_SYNC_EVERY).fuse();
            select_biased! {
                () = shared.kick.woken().fuse() => {}
                () = soon => {}
            }
        }
        if shared.dirty.lock().is_empty() {
            continue;
        }
        sync_once(&shared).await;
        if shared.unsynced.load(Ordering::Relaxed) > 0 {
            shared.kick.wake();
        }
    }
}

async fn sync_once(shared: &Shared) {
    let partitions = std::mem::take(&mut *shared.dirty.lock());
    let mut what = Vec::new();
    let mut synced: Vec<(Arc<Partition>, Offset)> = Vec::with_capacity(partitions.len());
    let mut taken = Vec::new();
    let mut bytes = 0;
    let syncing = partitions.iter().map(|it| ((it.topic(), it.index()), it.offsets().durable_end.at()));
    let about = shared.doubts.lock().and(syncing);
    if let Err(failed) = shared.note.write(&about) {
        warn!(error = %failed, "a sync could not be noted: if it fails too and carrickd is killed then, restart the machine");
    }
    for partition in partitions {
        let (end, unsynced, snapshot) = partition.take_dirty(&mut what);
        bytes += unsynced;
        taken.extend(snapshot.map(|snapshot| (Arc::clone(&partition), snapshot)));
        synced.push((partition, end));
    }
    if shared.halted.get().is_none() {
        match shared.sys.disk.sync(what).await {
            Ok(()) => synced.iter().for_each(|(partition, end)| partition.set_durable(*end)),
            Err(failed) => shared.halt(&failed),
        }
    }
    // Appends go on while a sync fails: theirs are counted down and their waiters told by the round after.
    if shared.halted.get().is_some() {
        synced.iter().for_each(|(partition, _)| partition.wake_all());
    } else if !taken.is_empty() {
        shared.save(taken);
    }
    shared.unsynced.fetch_sub(bytes, Ordering::Relaxed);
    shared.room.lock().wake_all();
}
