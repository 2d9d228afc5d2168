//! Where the log begins: moved up by clients, by retention, by a mirror's source. Never down.

use std::sync::Arc;

use carrick_sys::Wake;
use carrick_types::{Offset, Timestamp};
use tracing::{info, warn};

use super::{Damage, Inner, Partition, Role, WaitError};
use crate::segment::file_name;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("offset {asked} is not within {start} to {high}")]
    OutOfRange { asked: Offset, start: Offset, high: Offset },
    #[error("only the topic's writer moves its start: it is {role:?}")]
    NotWritable { role: Role },
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("the new start could not be saved: free space in the data directory, then try again")]
    NotSaved,
}

impl Inner {
    pub(crate) fn start_at_least(&mut self, start: Offset) {
        if start > self.start {
            self.start = start;
            self.transactions.forget_below(start);
            Arc::make_mut(&mut self.epochs).forget_below(start);
        }
    }
}

impl Partition {
    /// Takes away what stands below `to`; None: all that readers can see. Returns the log's start once it would survive a
    /// kill; the caller makes the home of checkpoints durable.
    pub async fn delete_records(&self, to: Option<Offset>) -> Result<Offset, StartError> {
        let start = {
            let mut inner = self.lock();
            if let Some(damage) = &inner.damage {
                return Err(damage.clone().into());
            }
            if !matches!(inner.role, Role::Writable { .. }) {
                return Err(StartError::NotWritable { role: inner.role });
            }
            let high = self.offsets_of(&inner).high_watermark.at();
            let to = to.unwrap_or(high);
            if to > high {
                return Err(StartError::OutOfRange { asked: to, start: inner.start, high });
            }
            self.begin_at(&mut inner, to);
            inner.start
        };
        self.saved_until(|inner| inner.saving.start >= start).await?;
        Ok(start)
    }

    /// On a mirror: the source's log begins at `start`. What readers here cannot see yet goes when they can.
    pub fn follow_start(&self, start: Offset) {
        let mut inner = self.lock();
        if matches!(inner.role, Role::Mirror { .. }) && inner.damage.is_none() {
            inner.source_start = inner.source_start.max(start);
            self.begin_where_source_does(&mut inner);
        }
    }

    /// After the high watermark of a mirror moved.
    pub(crate) fn begin_where_source_does(&self, inner: &mut Inner) {
        if inner.source_start > inner.start && matches!(inner.role, Role::Mirror { .. }) {
            let to = inner.source_start.min(self.offsets_of(inner).high_watermark.at());
            self.begin_at(inner, to);
        }
    }

    fn begin_at(&self, inner: &mut Inner, to: Offset) {
        if to <= inner.start {
            return;
        }
        inner.start_at_least(to);
        inner.saving.wanted = true;
        self.moved(inner);
        inner.waiters.wake_all();
        self.mark_dirty(inner, 0);
    }

    /// Returns once that is saved for which `done` asks.
    async fn saved_until(&self, done: impl Fn(&Inner) -> bool) -> Result<(), StartError> {
        let wake = Wake::new();
        let mut asked = false;
        loop {
            {
                let mut inner = self.lock();
                if done(&inner) {
                    return Ok(());
                }
                if let Some(what) = self.shared.halted() {
                    return Err(WaitError::Halted { what }.into());
                }
                if inner.role == Role::Gone {
                    return Err(WaitError::Gone.into());
                }
                if asked && inner.saving.failed {
                    return Err(StartError::NotSaved);
                }
                inner.saving.failed = false;
                inner.saving.wanted = true;
                inner.waiters.register(&wake);
                self.mark_dirty(&mut inner, 0);
                asked = true;
            }
            wake.woken().await;
        }
    }

    /// Moves the start of a writable log as its topic's retention has it, and seals a segment that is to go. Returns whether
    /// there are segments to remove.
    pub(crate) fn expire(&self, now: Timestamp) -> bool {
        let _turn = self.files.lock();
        let mut inner = self.lock();
        if inner.damage.is_some() {
            return false;
        }
        if matches!(inner.role, Role::Writable { .. }) {
            let high = self.offsets_of(&inner).high_watermark.at();
            let expired = |time: Timestamp| {
                let ms = inner.settings.retention_ms;
                ms.is_some_and(|ms| time > Timestamp::NONE && now.since(time) > ms)
            };
            let mut start = inner.start;
            let mut bytes = inner.bytes();
            for it in &inner.sealed {
                let size = it.end.saturating_sub(crate::page::PAGE_LEN as u64);
                // Kafka's rule: a segment goes if what is left without it is enough.
                let over =
                    inner.settings.retention_bytes.is_some_and(|max| bytes.saturating_sub(size) >= max);
                if it.next > high || !(over || expired(it.max_time)) {
                    break;
                }
                bytes = bytes.saturating_sub(size);
                start = start.max(it.next);
            }
            let all = inner.sealed.last().is_none_or(|it| it.next <= start);
            let active_goes = inner.active.as_ref().is_some_and(|it| !it.is_empty() && expired(it.max_time));
            if all && active_goes && inner.end <= high {
                drop(inner);
                self.seal();
                inner = self.lock();
                start = inner.end;
            }
            self.begin_at(&mut inner, start);
        }
        inner.sealed.first().is_some_and(|it| it.next <= inner.start)
    }

    /// Removes the segments that lie below the start, once that is saved for good.
    pub(crate) async fn sweep(&self) -> Result<(), StartError> {
        let start = self.lock().start;
        // A checkpoint that has one of them as the active segment would miss it.
        let sealed =
            |inner: &Inner| inner.sealed.iter().all(|it| it.next > start || inner.saving.knows(it.base));
        self.saved_until(|inner| inner.saving.start >= start && sealed(inner)).await?;
        if let Err(failed) = self.shared.checkpoints.durable().await {
            warn!(error = %failed, "retention waits: the log's start could not be made durable");
            return Ok(());
        }
        let gone = {
            let mut inner = self.lock();
            let count = inner.sealed.iter().take_while(|it| it.next <= start).count();
            let gone: Vec<_> = inner.sealed.drain(..count).collect();
            gone.iter().for_each(|it| inner.saving.segment(it.base, false));
            inner.wounds.retain(|wound| gone.iter().all(|it| file_name(it.base) != wound.file));
            gone
        };
        let disk = &self.shared.sys.disk;
        for segment in &gone {
            let path = self.place.dir.join(file_name(segment.base));
            for path in [&path, &self.sidecar_path(segment.base)] {
                match disk.remove_file(path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        warn!(file = %path.display(), error = %e, "a segment below the log's start could not be removed");
                    }
                    _ => {}
                }
            }
        }
        let (topic, partition) = (self.place.topic, self.place.partition);
        let ours = |base: Offset| gone.iter().any(|it| it.base == base);
        self.shared.handles.forget(|it| it.topic == topic && it.partition == partition && ours(it.base));
        if !gone.is_empty() {
            let bytes: u64 = gone.iter().map(|it| it.end).sum();
            info!(%topic, %partition, segments = gone.len(), bytes, %start, "removed what lies below the log's start");
        }
        Ok(())
    }
}
