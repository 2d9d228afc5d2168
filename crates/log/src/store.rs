//! A node's logs, and the one task that makes them durable together.
//!
//! Whoever appends marks its partition dirty; the task syncs all that is dirty at once, and while it does, more gathers: a
//! group commit of the node.

mod doubt;
mod retention;
mod sync;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use carrick_sys::{Opening, Sys, Task, Waiters, Wake};
use carrick_types::limits::UNSYNCED_BYTES_MAX;
use carrick_types::{ClusterId, Partition as Index, TopicId};
use parking_lot::Mutex;
use tracing::error;

use crate::checkpoint::Checkpoints;
use crate::handles::Handles;
use crate::partition::{Damage, Inner, Partition, Place, Role};
use crate::settings::{Durability, LogSettings, TopicLog};
pub(crate) use doubt::Doubts;
use doubt::SyncNote;

/// Left in the data directory by a node whose sync failed.
const SYNC_FAILED: &str = "SYNC-FAILED";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("partition {partition} of topic {topic} could not be opened")]
    Disk { topic: TopicId, partition: Index, source: io::Error },
    #[error(
        "partition {partition} of topic {topic} holds batches of epoch {newest}, but the catalog says {role:?}: \
         the catalog is older than the log, restore the newer one"
    )]
    OldCatalog { topic: TopicId, partition: Index, newest: i32, role: Role },
}

pub(crate) struct Shared {
    pub sys: Sys,
    pub cluster: ClusterId,
    pub settings: LogSettings,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub handles: Handles,
    root: PathBuf,
    /// Partitions that hold what no checkpoint says.
    unsaved: Mutex<Vec<Arc<Partition>>>,
    dirty: Mutex<Vec<Arc<Partition>>>,
    kick: Wake,
    unsynced: AtomicU64,
    /// A checkpoint is waited for.
    hurry: AtomicBool,
    room: Mutex<Waiters>,
    halted: OnceLock<String>,
    /// A sync of an earlier life failed, and nothing was flushed since: what the page cache shows may not be on the disk.
    pub doubtful: bool,
    /// What the last life may have left so without a word, and this one has not written again.
    pub doubts: Mutex<Doubts>,
    note: SyncNote,
}

impl Shared {
    pub(crate) fn halted(&self) -> Option<String> {
        self.halted.get().cloned()
    }

    /// Stops all acknowledging, and leaves word for the next life. The word need not outlive a power cut: neither does the
    /// page cache.
    fn halt(&self, failed: &io::Error) {
        error!(error = %failed, "a sync failed: nothing more is acknowledged; restart carrickd once the disk is well");
        self.mark_failed(failed);
        let _ = self.halted.set(failed.to_string());
    }

    pub(crate) fn mark_failed(&self, failed: &io::Error) {
        let mark = self.sys.disk.open(&self.root.join(SYNC_FAILED), Opening::New);
        // It may be there: of an earlier life, or of another sync that failed at the same time.
        if let Err(e) = mark.and_then(|mark| mark.write_at(&[failed.to_string().as_bytes()], 0))
            && e.kind() != io::ErrorKind::AlreadyExists
        {
            error!(error = %e, "the failed sync could not be marked: restart the machine, not carrickd alone");
        }
    }
}

impl Partition {
    /// With the partition's lock held, after a write.
    pub(crate) fn mark_dirty(&self, inner: &mut Inner, size: u64) {
        let was = self.shared.unsynced.fetch_add(size, Ordering::Relaxed);
        inner.unsynced += size;
        if !(inner.queued && inner.saving.listed)
            && let Some(this) = inner.this.upgrade()
        {
            if !inner.saving.listed {
                inner.saving.listed = true;
                self.shared.unsaved.lock().push(Arc::clone(&this));
            }
            if !inner.queued {
                inner.queued = true;
                self.shared.dirty.lock().push(this);
            }
        }
        let soon = self.shared.settings.durability == Durability::Os && !inner.saving.wanted;
        if inner.saving.wanted {
            self.shared.hurry.store(true, Ordering::Relaxed);
        }
        if !soon || was == 0 || was + size >= sync::OS_SYNC_BYTES {
            self.shared.kick.wake();
        }
    }
}

type Open = BTreeMap<(TopicId, Index), Arc<Partition>>;

/// The logs of one node.
pub struct LogStore {
    shared: Arc<Shared>,
    partitions: Arc<Mutex<Open>>,
    _tasks: [Task; 2],
}

impl LogStore {
    /// Over `root`, which must be there. What was deleted and not yet removed is removed.
    pub fn open(
        sys: Sys,
        root: &Path,
        cluster: ClusterId,
        settings: LogSettings,
        checkpoints: Arc<dyn Checkpoints>,
    ) -> io::Result<Self> {
        there(sys.disk.remove_dir_all(&root.join("trash")))?;
        let doubtful = there(sys.disk.open(&root.join(SYNC_FAILED), Opening::Read).map(drop))?;
        let (note, doubts) = SyncNote::open(&*sys.disk, root)?;
        sys.disk.create_dir_all(&root.join("topics"))?;
        sys.disk.dir(root)?.make_durable()?;
        let shared = Arc::new(Shared {
            sys,
            cluster,
            settings,
            checkpoints,
            handles: Handles::new(settings.open_files_max),
            root: root.to_path_buf(),
            unsaved: Mutex::default(),
            dirty: Mutex::default(),
            kick: Wake::new(),
            unsynced: AtomicU64::new(0),
            hurry: AtomicBool::new(false),
            room: Mutex::default(),
            halted: OnceLock::new(),
            doubtful,
            doubts: Mutex::new(doubts),
            note,
        });
        let partitions = Arc::new(Mutex::default());
        let syncer = shared.sys.spawn.spawn("log sync", Box::pin(sync::sync_loop(Arc::clone(&shared))));
        let retention = retention::retention_loop(Arc::clone(&shared), Arc::clone(&partitions));
        let retention = shared.sys.spawn.spawn("log retention", Box::pin(retention));
        Ok(Self { shared, partitions, _tasks: [syncer, retention] })
    }

    /// Opens a topic's partitions, reading what they hold; files are made by the first append. `clean` says that nothing can
    /// be torn. Blocking.
    pub fn open_topic(
        &self,
        topic: TopicId,
        partitions: u32,
        role: Role,
        clean: bool,
        settings: TopicLog,
    ) -> Result<(), OpenError> {
        let now = self.shared.sys.clock.wall();
        for partition in (0..partitions).map(Index) {
            if self.partitions.lock().contains_key(&(topic, partition)) {
                continue;
            }
            let dir = self.shared.root.join("topics").join(topic.to_string()).join(partition.to_string());
            let place = Place { topic, partition, dir };
            let opened = Partition::new(Arc::clone(&self.shared), place, Inner::new(role, settings));
            opened.lock().this = Arc::downgrade(&opened);
            opened.recover(clean, now).map_err(|source| OpenError::Disk { topic, partition, source })?;
            {
                let mut inner = opened.lock();
                let end = inner.end;
                inner.readable.begin(end);
                // A source sends what lies below its own high watermark alone: a mirror that cannot hear it after a start shows
                // what it has.
                if matches!(role, Role::Mirror { .. }) {
                    inner.source_high = Some(end);
                }
            }
            let newest = opened.last_epoch();
            if !role.fits(newest) {
                let newest = newest.map_or(0, |it| it.get());
                return Err(OpenError::OldCatalog { topic, partition, newest, role });
            }
            {
                let mut inner = opened.lock();
                if inner.active_dirty.is_some() || !inner.dirty.is_empty() || inner.unsaved() {
                    opened.mark_dirty(&mut inner, 0);
                }
            }
            self.partitions.lock().insert((topic, partition), opened);
        }
        Ok(())
    }

    pub fn partition(&self, topic: TopicId, partition: Index) -> Option<Arc<Partition>> {
        self.partitions.lock().get(&(topic, partition)).cloned()
    }

    /// The partitions of a topic that are open, in order.
    pub fn topic(&self, topic: TopicId) -> Vec<Arc<Partition>> {
        let partitions = self.partitions.lock();
        partitions.range((topic, Index(0))..=(topic, Index(u32::MAX))).map(|(_, it)| Arc::clone(it)).collect()
    }

    /// Takes a topic's logs away: nobody appends to them any more, their files go to the trash and then for good. The caller
    /// has made its deletion durable before.
    pub fn remove_topic(&self, topic: TopicId) -> io::Result<()> {
        for partition in self.topic(topic) {
            partition.set_role(Role::Gone);
            self.partitions.lock().remove(&(topic, partition.index()));
        }
        self.shared.handles.forget(|it| it.topic == topic);
        let disk = &self.shared.sys.disk;
        let dir = self.shared.root.join("topics").join(topic.to_string());
        let trash = self.shared.root.join("trash");
        disk.create_dir_all(&trash)?;
        let gone = trash.join(topic.to_string());
        if there(disk.rename(&dir, &gone))? { disk.remove_dir_all(&gone) } else { Ok(()) }
    }

    /// Returns when what is written and not yet durable is below the node's limit.
    pub async fn room(&self) {
        let wake = Wake::new();
        let over = || self.unsynced() > UNSYNCED_BYTES_MAX && self.halted().is_none();
        while over() {
            self.shared.room.lock().register(&wake);
            if over() {
                wake.woken().await;
            }
        }
    }

    /// Places that do not hold what was written there, as far as they were come upon: each with whether its partition is
    /// offline.
    pub fn damages(&self) -> Vec<(Damage, bool)> {
        let partitions: Vec<_> = self.partitions.lock().values().cloned().collect();
        let of = |it: &Arc<Partition>| {
            let offline = it.damage().into_iter().map(|damage| (damage, true));
            offline.chain(it.wounds().into_iter().map(|damage| (damage, false))).collect::<Vec<_>>()
        };
        partitions.iter().flat_map(of).collect()
    }

    /// Bytes written and not yet durable.
    pub fn unsynced(&self) -> u64 {
        self.shared.unsynced.load(Ordering::Relaxed)
    }

    /// A sync of something else in the data directory failed: nothing is acknowledged any more here either.
    pub fn halt(&self, failed: &io::Error) {
        if self.halted().is_none() {
            self.shared.halt(failed);
            self.shared.kick.wake();
            let partitions: Vec<_> = self.partitions.lock().values().cloned().collect();
            partitions.iter().for_each(|it| it.wake_all());
            self.shared.room.lock().wake_all();
        }
    }

    /// Why nothing is acknowledged any more: a sync failed.
    pub fn halted(&self) -> Option<String> {
        self.shared.halted()
    }

    /// Makes all that was appended before the call durable.
    pub async fn flush(&self) -> Result<(), crate::WaitError> {
        let partitions: Vec<_> = self.partitions.lock().values().cloned().collect();
        self.shared.kick.wake();
        let mut damaged = false;
        for partition in partitions {
            if partition.damage().is_some() {
                damaged = true;
                continue;
            }
            let end = partition.offsets().log_end.at();
            let flushed = match partition.durable(end).await {
                Ok(()) => partition.flushed().await,
                other => other,
            };
            match flushed {
                Ok(()) | Err(crate::WaitError::Gone) => {}
                Err(halted) => return Err(halted),
            }
        }
        if !damaged && self.halted().is_none() {
            // All that was opened is written again and durable. If the mark stays, so is the next life's.
            *self.shared.doubts.lock() = Doubts::none();
            if self.shared.doubtful {
                let _ = self.shared.sys.disk.remove_file(&self.shared.root.join(SYNC_FAILED));
            }
        }
        Ok(())
    }

    /// Makes all durable and saves it in checkpoints, so that the next start reads nothing again. The caller makes the home
    /// of checkpoints durable.
    pub async fn close(&self) -> Result<(), crate::WaitError> {
        self.flush().await?;
        self.shared.want_checkpoints();
        let partitions: Vec<_> = self.partitions.lock().values().cloned().collect();
        for partition in partitions {
            partition.checkpointed().await;
        }
        Ok(())
    }

    pub fn durability(&self) -> Durability {
        self.shared.settings.durability
    }
}

impl Drop for LogStore {
    /// A dirty partition and what it shares hold each other: a simulated site that crashes would never be freed.
    fn drop(&mut self) {
        self.shared.dirty.lock().clear();
        self.shared.unsaved.lock().clear();
    }
}

/// Whether there was something to do it to.
fn there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
