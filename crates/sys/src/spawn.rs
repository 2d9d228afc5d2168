//! Tasks. A simulated site that crashes drops all of its own at once.

use futures::future::BoxFuture;

pub trait Spawn: Send + Sync + 'static {
    /// Runs `work` until it ends or its [`Task`] is dropped. The name is for logs.
    fn spawn(&self, name: &'static str, work: BoxFuture<'static, ()>) -> Task;
}

/// A running task; dropping it ends the task at its next await.
pub struct Task {
    handle: tokio::task::JoinHandle<()>,
    abort_on_drop: bool,
}

impl Task {
    pub fn new(handle: tokio::task::JoinHandle<()>) -> Self {
        Self { handle, abort_on_drop: true }
    }

    /// Lets it run to its own end.
    pub fn detach(mut self) {
        self.abort_on_drop = false;
    }

    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    pub fn abort(&self) {
        self.handle.abort();
    }

    /// Waits for its end; false if it panicked or was ended.
    pub async fn join(mut self) -> bool {
        self.abort_on_drop = false;
        (&mut self.handle).await.is_ok()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.abort_on_drop {
            self.handle.abort();
        }
    }
}
