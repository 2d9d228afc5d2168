//! A store that takes nothing, and a disk that cannot be synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carrick_broker::{Broker, BrokerSettings};
use carrick_catalog::store::Pair;
use carrick_catalog::{Family, MemoryStore, Store, StoreError, Write};
use carrick_sim::SimSite;
use carrick_wire::ErrorCode;

use crate::world::{Commit, GROUP, Join, Life, broker, story};

#[derive(Default)]
struct Full {
    inner: Arc<MemoryStore>,
    full: AtomicBool,
}

impl Store for Full {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(family, key)
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.inner.scan(family, prefix)
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(StoreError::Io { doing: "writing", source: "no space left".into() });
        }
        self.inner.commit(writes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }
}

fn life() -> (Life, Arc<Full>) {
    let (site, store, settings) = (SimSite::new(1), Arc::new(Full::default()), BrokerSettings::default());
    let (catalog, broker): (_, Broker) = broker(&site, Arc::clone(&store) as _, &settings);
    let memory = Arc::clone(&store.inner);
    (Life { site, store: memory, catalog, broker, settings }, store)
}

#[test]
fn while_nothing_can_be_stored_members_are_told_to_come_back_and_then_go_on() {
    story(async || {
        let (life, store) = life();
        life.topic("orders", 1).await;
        let (a, b, generation) = life.two().await;
        let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        store.full.store(true, Ordering::Relaxed);
        assert_eq!(life.commit(&Commit::by(&a, generation, 1)).await, unavailable);
        assert_eq!(life.heartbeat(&a, generation).await, ErrorCode::NONE);
        let (one, two) = futures::join!(life.join(&Join::of(&a)), life.join(&Join::of(&b)));
        assert_eq!((ErrorCode(one.error_code), ErrorCode(two.error_code)), (unavailable, unavailable));
        store.full.store(false, Ordering::Relaxed);
        let (one, two) = futures::join!(life.join(&Join::of(&a)), life.join(&Join::of(&b)));
        assert_eq!((one.generation_id, two.generation_id), (generation + 1, generation + 1));

        store.full.store(true, Ordering::Relaxed);
        let follower = life.sync(&b, generation + 1, &[]);
        let refused = life.sync(&a, generation + 1, &[(&a, "a"), (&b, "b")]).await;
        assert_eq!(ErrorCode(refused.error_code), unavailable);
        store.full.store(false, Ordering::Relaxed);
        life.sync(&a, generation + 1, &[(&a, "a"), (&b, "b")]).await;
        assert_eq!(&follower.await.assignment[..], b"b");
        assert_eq!(life.commit(&Commit::by(&a, generation + 1, 1)).await, ErrorCode::NONE);
    });
}

#[test]
fn an_empty_group_that_could_not_be_stored_is_stored_later() {
    story(async || {
        let (life, store) = life();
        let (a, b, _) = life.two().await;
        store.full.store(true, Ordering::Relaxed);
        let left = life.leave(&[(&a, None), (&b, None)]).await;
        assert_eq!(ErrorCode(left.error_code), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        life.sleep_ms(30_000).await;
        store.full.store(false, Ordering::Relaxed);
        life.sleep_ms(6_000).await;
        assert_eq!(life.state().await, "Empty");
        assert_eq!(life.catalog.group(GROUP).unwrap().members.len(), 0);
    });
}

#[test]
fn after_a_failed_sync_nothing_is_told_any_more() {
    story(async || {
        let (life, _) = life();
        life.topic("orders", 1).await;
        let (a, _, generation) = life.two().await;
        life.site.disk.fail_sync_after(1);
        let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        for _ in 0..3 {
            assert_eq!(life.commit(&Commit::by(&a, generation, 1)).await, unavailable);
        }
        assert_eq!(life.heartbeat(&a, generation).await, unavailable);
    });
}
