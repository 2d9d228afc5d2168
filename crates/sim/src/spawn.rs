//! Tasks that a crash drops all at once, and a pause stops where they are.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use carrick_sys::{Spawn, Task};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// Spawns on the current tokio runtime, which must be there, and knows which of its tasks live.
#[derive(Default)]
pub struct SimSpawn {
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    crashed: bool,
    /// None between a task's birth and its handle's arrival.
    living: BTreeMap<u64, Option<AbortHandle>>,
    panicked: Vec<&'static str>,
    paused: bool,
    /// Those that would have run during the pause.
    held: BTreeMap<u64, Waker>,
}

impl SimSpawn {
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all tasks, each where it waits, and any that is spawned from now on before it begins.
    pub fn crash(&self) {
        let handles: Vec<AbortHandle> = {
            let mut tasks = self.tasks.lock();
            tasks.crashed = true;
            tasks.living.values().flatten().cloned().collect()
        };
        for handle in handles {
            handle.abort();
        }
    }

    /// Runs none of the tasks until [`SimSpawn::resume`], as SIGSTOP does, while time goes on. A crash ends them all the same.
    pub fn pause(&self) {
        self.tasks.lock().paused = true;
    }

    pub fn resume(&self) {
        let held = {
            let mut tasks = self.tasks.lock();
            tasks.paused = false;
            std::mem::take(&mut tasks.held)
        };
        held.into_values().for_each(Waker::wake);
    }

    pub fn paused(&self) -> bool {
        self.tasks.lock().paused
    }

    /// Waits until all tasks are dropped, with all that they held. Not to be awaited by one of them.
    pub async fn gone(&self) {
        while self.living() > 0 {
            tokio::task::yield_now().await;
        }
    }

    pub fn living(&self) -> usize {
        self.tasks.lock().living.len()
    }

    /// The names of the tasks that ended by a panic, in order.
    pub fn panicked(&self) -> Vec<&'static str> {
        self.tasks.lock().panicked.clone()
    }
}

impl Spawn for SimSpawn {
    fn spawn(&self, name: &'static str, work: BoxFuture<'static, ()>) -> Task {
        let id = {
            let mut tasks = self.tasks.lock();
            if tasks.crashed {
                drop(tasks);
                drop(work);
                let task = Task::new(tokio::spawn(async {}));
                task.abort();
                return task;
            }
            tasks.next += 1;
            let id = tasks.next;
            tasks.living.insert(id, None);
            id
        };
        let life = Life { id, name, polled: false, tasks: Arc::clone(&self.tasks) };
        let handle = tokio::spawn(Living { work, life });
        if let Some(slot) = self.tasks.lock().living.get_mut(&id) {
            *slot = Some(handle.abort_handle());
        }
        Task::new(handle)
    }
}

/// Fields drop in order: the work, with all that it holds, is gone before its life is struck off.
struct Living {
    work: BoxFuture<'static, ()>,
    life: Life,
}

impl Future for Living {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.life.held(cx) {
            return Poll::Pending;
        }
        self.life.polled = true;
        let polled = self.work.as_mut().poll(cx);
        self.life.polled = false;
        polled
    }
}

struct Life {
    id: u64,
    name: &'static str,
    /// Being polled; still set at the end only after a panic.
    polled: bool,
    tasks: Arc<Mutex<Tasks>>,
}

impl Life {
    /// True during a pause, whose end wakes the task.
    fn held(&self, cx: &Context<'_>) -> bool {
        let mut tasks = self.tasks.lock();
        if tasks.paused {
            tasks.held.insert(self.id, cx.waker().clone());
        }
        tasks.paused
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let mut tasks = self.tasks.lock();
        tasks.living.remove(&self.id);
        tasks.held.remove(&self.id);
        if self.polled {
            tasks.panicked.push(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn a_crash_drops_every_task_with_what_it_holds() {
        run(1, async {
            let spawn = SimSpawn::new();
            let held = Arc::new(());
            for _ in 0..3 {
                let held = Arc::clone(&held);
                let work = async move {
                    let _held = held;
                    futures::future::pending::<()>().await;
                };
                spawn.spawn("waits", Box::pin(work)).detach();
            }
            tokio::task::yield_now().await;
            assert_eq!((spawn.living(), Arc::strong_count(&held)), (3, 4));
            spawn.crash();
            spawn.gone().await;
            assert_eq!(Arc::strong_count(&held), 1);
            let late = spawn.spawn("late", Box::pin(async { unreachable!("spawned after the crash") }));
            assert!(!late.join().await);
        });
    }

    #[test]
    fn a_task_that_ends_is_struck_off_and_one_that_panics_is_named() {
        run(1, async {
            let spawn = SimSpawn::new();
            assert!(spawn.spawn("ends", Box::pin(async {})).join().await);
            assert!(!spawn.spawn("panics", Box::pin(async { panic!("as the test wants") })).join().await);
            assert_eq!(spawn.living(), 0);
            assert_eq!(spawn.panicked(), ["panics"]);
        });
    }

    #[test]
    fn a_pause_stops_tasks_while_time_goes_on_and_a_crash_ends_them_all_the_same() {
        run(1, async {
            let spawn = SimSpawn::new();
            let turns = Arc::new(Mutex::new(0));
            let told = Arc::clone(&turns);
            let work = async move {
                loop {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    *told.lock() += 1;
                }
            };
            spawn.spawn("turns", Box::pin(work)).detach();
            let wait = |ms| tokio::time::sleep(std::time::Duration::from_millis(ms));
            wait(2_500).await;
            spawn.pause();
            wait(60_000).await;
            assert_eq!((*turns.lock(), spawn.paused()), (2, true));
            spawn.resume();
            wait(1).await;
            assert_eq!(*turns.lock(), 3, "what fell due during the pause happens at its end, once");
            wait(1_000).await;
            assert_eq!(*turns.lock(), 4);
            spawn.pause();
            spawn.crash();
            spawn.gone().await;
        });
    }

    #[test]
    fn dropping_the_task_ends_it() {
        run(1, async {
            let spawn = SimSpawn::new();
            drop(spawn.spawn("waits", Box::pin(futures::future::pending())));
            spawn.gone().await;
        });
    }
}
