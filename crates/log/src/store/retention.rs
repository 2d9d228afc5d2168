//! The task that takes away what topics do not keep.

use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;

use super::{Open, Shared};

pub(super) async fn retention_loop(shared: Arc<Shared>, partitions: Arc<Mutex<Open>>) {
    loop {
        shared.sys.clock.sleep(shared.settings.retention_check).await;
        let all: Vec<_> = partitions.lock().values().cloned().collect();
        let now = shared.sys.clock.wall();
        for partition in all {
            if partition.expire(now)
                && let Err(failed) = partition.sweep().await
            {
                warn!(topic = %partition.topic(), partition = %partition.index(), error = %failed, "retention waits");
            }
        }
    }
}
