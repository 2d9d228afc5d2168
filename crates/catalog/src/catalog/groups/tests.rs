use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use carrick_sys::Entropy;
use carrick_types::{LeaderEpoch, LineageId, Offset, Timestamp, TopicId};

use super::*;
use crate::group::{GroupPhase, MemberRecord, ProtocolRecord};
use crate::topic::TopicRecord;
use crate::{MemoryStore, StoreError};

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(1, Ordering::Relaxed) as u8;
        }
    }
}

fn open(store: &Arc<MemoryStore>) -> Catalog {
    let store: Arc<MemoryStore> = Arc::clone(store);
    Catalog::open(store, &Counting(AtomicU64::new(1))).unwrap()
}

fn name(name: &str) -> TopicName {
    name.parse().unwrap()
}

fn make_topic(catalog: &Catalog, called: &str, id: u8) {
    let topic = TopicRecord {
        id: TopicId::from_bytes([id; 16]),
        name: name(called),
        lineage: LineageId::from_bytes([id; 16]),
        partitions: 3,
        configs: BTreeMap::new(),
        epoch: LeaderEpoch::FIRST,
        created: Timestamp(5),
        mirror: None,
        links: Vec::new(),
        superseded: None,
    };
    catalog.create_topic(topic).unwrap();
}

fn offset(at: i64) -> OffsetRecord {
    OffsetRecord {
        offset: Offset::clamped(at),
        leader_epoch: LeaderEpoch::new(3),
        metadata: "here".into(),
        committed: Timestamp(7),
        expires: None,
        synced: false,
    }
}

fn group() -> GroupRecord {
    let member = MemberRecord {
        id: "a-1".into(),
        instance: Some("a".into()),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocols: vec![ProtocolRecord { name: "range".into(), metadata: vec![0, 1, 255].into() }],
        assignment: vec![9; 300].into(),
    };
    GroupRecord {
        phase: GroupPhase::Stable,
        generation: 12,
        protocol_type: "consumer".into(),
        protocol: Some("range".into()),
        leader: Some("a-1".into()),
        members: vec![member],
        changed: Timestamp(8),
    }
}

#[test]
fn groups_and_offsets_are_there_after_reopening() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    make_topic(&catalog, "orders", 1);
    catalog.put_group("g", group()).unwrap();
    let two = [(name("orders"), Partition(0), offset(5)), (name("orders"), Partition(2), offset(6))];
    catalog.commit_offsets("g", two.to_vec()).unwrap();
    catalog.commit_offsets("simple", two[..1].to_vec()).unwrap();
    catalog.commit_offsets("g", vec![(name("orders"), Partition(0), offset(50))]).unwrap();
    catalog.delete_offsets("simple", &[(name("orders"), Partition(0))]).unwrap();

    let again = open(&store);
    assert_eq!(again.groups(), [("g".into(), Arc::new(group()))]);
    assert_eq!(again.groups_with_offsets(), ["g".into()]);
    assert_eq!(again.group_offsets("g"), catalog.group_offsets("g"));
    assert_eq!(again.group_offset("g", "orders", Partition(0)), Some(offset(50)));
    assert_eq!(again.group_offset("g", "orders", Partition(1)), None);
    assert_eq!((again.offsets_kept(), catalog.offsets_kept()), (2, 2));
    assert_eq!(again.node().commits, catalog.node().commits);
}

#[test]
fn a_deleted_topic_takes_its_offsets_with_it_and_no_others() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    make_topic(&catalog, "orders", 1);
    make_topic(&catalog, "orders2", 2);
    for group in ["g", "h"] {
        let both = [(name("orders"), Partition(0), offset(5)), (name("orders2"), Partition(0), offset(6))];
        catalog.commit_offsets(group, both.to_vec()).unwrap();
    }
    catalog.commit_offsets("only", vec![(name("orders"), Partition(1), offset(5))]).unwrap();
    catalog.delete_topic(&name("orders")).unwrap();
    for catalog in [&catalog, &open(&store)] {
        assert_eq!(catalog.offsets_kept(), 2);
        assert_eq!(catalog.groups_with_offsets(), ["g".into(), "h".into()]);
        assert_eq!(catalog.group_offset("g", "orders2", Partition(0)), Some(offset(6)));
    }
    // A commit that was on its way leaves nothing behind for a topic of the same name.
    catalog.commit_offsets("g", vec![(name("orders"), Partition(0), offset(9))]).unwrap();
    make_topic(&catalog, "orders", 3);
    assert_eq!(catalog.group_offset("g", "orders", Partition(0)), None);
}

#[test]
fn a_deleted_group_is_gone_with_its_offsets() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    make_topic(&catalog, "orders", 1);
    for id in ["g", "gg"] {
        catalog.put_group(id, group()).unwrap();
        catalog.commit_offsets(id, vec![(name("orders"), Partition(0), offset(5))]).unwrap();
    }
    catalog.delete_group("g").unwrap();
    catalog.delete_group("never there").unwrap();
    for catalog in [&catalog, &open(&store)] {
        assert!(catalog.group("g").is_none() && !catalog.has_offsets("g"));
        assert!(catalog.group("gg").is_some() && catalog.has_offsets("gg"));
        assert_eq!(catalog.offsets_kept(), 1);
    }
}

#[test]
fn every_cut_of_a_stored_group_is_refused() {
    let stored = value::encode(&group()).unwrap();
    assert_eq!(value::decode::<GroupRecord>(&stored).unwrap(), group());
    for len in 0..stored.len() {
        assert!(value::decode::<GroupRecord>(&stored[..len]).is_err(), "{len}");
    }
    let stored = value::encode(&offset(1 << 40)).unwrap();
    assert_eq!(value::decode::<OffsetRecord>(&stored).unwrap(), offset(1 << 40));
}

/// A store that counts its syncs.
#[derive(Default)]
struct CountingStore {
    inner: MemoryStore,
    syncs: AtomicUsize,
}

impl Store for CountingStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(family, key)
    }

    fn scan(&self, family: Family, prefix: &[u8]) -> Result<Vec<crate::store::Pair>, StoreError> {
        self.inner.scan(family, prefix)
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.inner.commit(writes)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync()
    }
}

#[test]
fn those_who_wait_while_a_sync_runs_share_the_next_one() {
    carrick_sim::run(1, async {
        let disk = carrick_sim::SimDisk::new(1);
        disk.stall_sync(std::time::Duration::from_millis(5));
        let store = Arc::new(CountingStore::default());
        let catalog = Catalog::open(Arc::clone(&store) as _, &Counting(AtomicU64::new(1))).unwrap();
        let before = store.syncs.load(Ordering::Relaxed);
        let commits = (0..50).map(|at| {
            let (catalog, disk) = (&catalog, &disk);
            async move {
                let record = GroupRecord { generation: at, ..group() };
                let commit = catalog.put_group(&format!("g{at}"), record).unwrap();
                catalog.durable_to(commit, &**disk).await.unwrap();
            }
        });
        futures::future::join_all(commits).await;
        // The first asks alone; the others came while it ran.
        assert_eq!(store.syncs.load(Ordering::Relaxed) - before, 2);
        assert_eq!(store.inner.unsynced(), 0);
        catalog.durable(&*disk).await.unwrap();
        assert_eq!(store.syncs.load(Ordering::Relaxed) - before, 2, "nothing new, no sync");
    });
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    carrick_sim::run(2, async {
        let disk = carrick_sim::SimDisk::new(2);
        let catalog = open(&Arc::new(MemoryStore::new()));
        catalog.put_group("a", group()).unwrap();
        catalog.durable(&*disk).await.unwrap();
        let told = catalog.committed();
        catalog.put_group("b", group()).unwrap();
        disk.fail_sync_after(1);
        for _ in 0..3 {
            let refused = catalog.durable(&*disk).await;
            assert!(matches!(refused, Err(CatalogError::NotDurable { .. })));
        }
        catalog.durable_to(told, &*disk).await.unwrap();
    });
}
