//! Real threads over a real disk: those who append, read, look and sync hold one another up, and never for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use carrick_log::{Bound, LogSettings, LogStore, MemoryCheckpoints, TopicLog};
use carrick_sys::{RealClock, RealDisk, RealEntropy, RealSpawn, SyncMode, Sys};
use carrick_types::{ClusterId, Partition, TopicId};
use tempfile::TempDir;

use crate::batches::batch;
use crate::life::{small, writable};

const FOR: Duration = Duration::from_secs(2);
const STUCK: Duration = Duration::from_secs(60);
const APPENDERS: u64 = 3;

async fn many_at_once(dir: &TempDir, runtime: tokio::runtime::Handle) {
    let spawn = Arc::new(RealSpawn::new(runtime.clone()));
    let sys = Sys {
        clock: Arc::new(RealClock::new()),
        disk: Arc::new(RealDisk::open(dir.path(), SyncMode::Auto).unwrap()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::clone(&spawn) as _,
        prompt: spawn,
    };
    let clock = Arc::clone(&sys.clock);
    // A checkpoint is taken after each MiB, a segment begun after four.
    let settings = LogSettings { open_files_max: 2, ..small(4 << 20) };
    let cluster = ClusterId::from_bytes([1; 16]);
    let store =
        LogStore::open(sys, dir.path(), cluster, settings, Arc::<MemoryCheckpoints>::default()).unwrap();
    let topic = TopicId::from_bytes([2; 16]);
    let keeps = TopicLog { retention_bytes: Some(16 << 20), ..TopicLog::FOR_EVER };
    store.open_topic(topic, 1, writable(0), true, keeps).unwrap();
    let log = store.partition(topic, Partition(0)).unwrap();
    let (stop, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for n in 0..APPENDERS {
        let (log, stop, end, clock) =
            (Arc::clone(&log), Arc::clone(&stop), Arc::clone(&end), Arc::clone(&clock));
        tasks.push(runtime.spawn(async move {
            let sent = batch(1).values(30_000).tag(n).build();
            while !stop.load(Ordering::Relaxed) {
                let appended = log.append(&sent, None, clock.wall()).unwrap();
                end.fetch_max(appended.end.get() as u64, Ordering::Relaxed);
                log.acknowledged(appended.end).await.unwrap();
            }
        }));
    }
    let (looked, stopped) = (Arc::clone(&log), Arc::clone(&stop));
    tasks.push(runtime.spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let offsets = looked.offsets();
            assert!(offsets.ordered(true), "{offsets:?}");
            // What is below the start by now is not read any more.
            let _ = looked.read(offsets.log_start.at(), 1 << 20, Bound::HighWatermark).await;
            let start = looked.delete_records(Some(offsets.high_watermark.at())).await.unwrap();
            assert!(start <= offsets.high_watermark.at());
            looked.set_role(writable(0));
        }
    }));
    tokio::time::sleep(FOR).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(log.offsets().log_end.at().get() as u64, end.load(Ordering::Relaxed));
    assert!(end.load(Ordering::Relaxed) > 100);
}

#[test]
fn who_appends_reads_deletes_and_syncs_at_once_is_never_held_up_for_ever() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (done, waits) = std::sync::mpsc::channel();
    let running = std::thread::spawn(move || {
        runtime.block_on(many_at_once(&dir, handle));
        done.send(()).unwrap();
    });
    // A thread that waits for a lock cannot be ended: the test is, with the process.
    let stuck = waits.recv_timeout(STUCK);
    assert!(!matches!(stuck, Err(std::sync::mpsc::RecvTimeoutError::Timeout)), "it stands still");
    running.join().unwrap();
}
