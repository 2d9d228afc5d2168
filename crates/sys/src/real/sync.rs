//! The one sync thread. A few dirty files are synced in parallel; more go through one `syncfs` (100 files one by one:
//! 240 ms; together 10 to 14 ms).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::Durable;

/// Which call makes several files durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Up to four files each by itself, more by the file system.
    #[default]
    Auto,
    Files,
    Filesystem,
}

/// Files that are synced each by itself, in parallel, before one `syncfs` is cheaper.
const FILES_MAX: usize = 4;

struct Job {
    what: Vec<Arc<dyn Durable>>,
    done: oneshot::Sender<io::Result<()>>,
}

pub(super) struct SyncThread {
    jobs: mpsc::Sender<Job>,
}

impl SyncThread {
    /// `dir` is held open from here on: an error of the file system is reported to handles that were open when it
    /// happened.
    pub(super) fn start(dir: OwnedFd, mode: SyncMode) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("carrick-sync".into()).spawn(move || {
            while let Ok(job) = inbox.recv() {
                // Nobody waits any more: the answer has no reader, the sync still counts.
                let _ = job.done.send(run(&job.what, &dir, mode));
            }
        })?;
        Ok(Self { jobs })
    }

    pub(super) fn sync(&self, what: Vec<Arc<dyn Durable>>) -> BoxFuture<'static, io::Result<()>> {
        let (done, answer) = oneshot::channel();
        let sent = self.jobs.send(Job { what, done });
        Box::pin(async move {
            sent.map_err(|_| io::Error::other("the sync thread has ended"))?;
            answer.await.map_err(|_| io::Error::other("the sync thread has ended"))?
        })
    }
}

fn run(what: &[Arc<dyn Durable>], dir: &OwnedFd, mode: SyncMode) -> io::Result<()> {
    match what {
        [] => Ok(()),
        [one] if mode != SyncMode::Filesystem => one.make_durable(),
        many if mode == SyncMode::Files || (mode == SyncMode::Auto && many.len() <= FILES_MAX) => {
            parallel(many)
        }
        _ => Ok(rustix::fs::syncfs(dir)?),
    }
}

fn parallel(what: &[Arc<dyn Durable>]) -> io::Result<()> {
    for some in what.chunks(FILES_MAX) {
        std::thread::scope(|scope| {
            let others: Vec<_> = some.iter().skip(1).map(|it| scope.spawn(|| it.make_durable())).collect();
            let first = some.first().map_or(Ok(()), |it| it.make_durable());
            others.into_iter().fold(first, |so_far, other| {
                so_far.and(other.join().unwrap_or_else(|_| Err(io::Error::other("a sync panicked"))))
            })
        })?;
    }
    Ok(())
}
