use std::sync::atomic::{AtomicU64, Ordering};

use carrick_sys::Entropy;
use carrick_types::{LeaderEpoch, LineageId, Offset, Timestamp, TopicId};

use super::*;
use crate::MemoryStore;
use crate::group::{GroupPhase, MemberRecord, ProtocolRecord};
use crate::topic::TopicRecord;

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
