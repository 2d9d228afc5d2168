use std::sync::atomic::{AtomicU64, Ordering};

use carrick_types::{LeaderEpoch, LineageId, Timestamp};

use super::*;
use crate::MemoryStore;

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

fn topic(name: &str, id: u8) -> TopicRecord {
    TopicRecord {
        id: TopicId::from_bytes([id; 16]),
        name: name.parse().unwrap(),
        lineage: LineageId::from_bytes([id; 16]),
        partitions: 3,
        configs: BTreeMap::from([("retention.ms".into(), "-1".into())]),
        epoch: LeaderEpoch::FIRST,
        created: Timestamp(5),
        mirror: None,
        links: Vec::new(),
        superseded: None,
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    catalog.create_topic(topic("a", 1)).unwrap();
    catalog.create_topic(topic("b", 2)).unwrap();
    catalog.delete_topic(&"a".parse().unwrap()).unwrap();
    let again = open(&store);
    assert_eq!(again.topics(), catalog.topics());
    assert_eq!(again.node().cluster, catalog.node().cluster);
    assert_eq!(again.node().commits, catalog.node().commits);
    assert!(again.topic("a").is_none() && again.topic_by_id(TopicId::from_bytes([1; 16])).is_none());
    assert_eq!(again.topic_by_id(TopicId::from_bytes([2; 16])), again.topic("b"));
}

#[test]
fn a_taken_name_is_refused() {
    let catalog = open(&Arc::new(MemoryStore::new()));
    catalog.create_topic(topic("a", 1)).unwrap();
    assert!(matches!(catalog.create_topic(topic("a", 2)), Err(CatalogError::TopicExists { .. })));
}

#[test]
fn an_update_of_what_was_changed_meanwhile_is_refused() {
    let catalog = open(&Arc::new(MemoryStore::new()));
    let was = catalog.create_topic(topic("a", 1)).unwrap();
    let more = TopicRecord { partitions: 4, ..TopicRecord::clone(&was) };
    catalog.update_topic(&was, more.clone()).unwrap();
    assert!(matches!(catalog.update_topic(&was, more), Err(CatalogError::Changed { .. })));
}

#[test]
fn no_producer_id_is_given_twice_over_unclean_restarts() {
    let store = Arc::new(MemoryStore::new());
    let mut given = Vec::new();
    for _ in 0..3 {
        let catalog = open(&store);
        given.extend((0..5).map(|_| catalog.new_producer().unwrap()));
    }
    let mut distinct = given.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), 15);
    assert!(given.is_sorted());
}

#[test]
fn only_an_unclean_start_raises_the_epochs() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    assert!(!catalog.begin().unwrap().unclean);
    catalog.create_topic(topic("a", 1)).unwrap();
    let catalog = open(&store);
    assert!(catalog.begin().unwrap().unclean);
    assert_eq!(catalog.topic("a").unwrap().epoch.get(), 1);
    catalog.end_clean().unwrap();
    let catalog = open(&store);
    assert!(!catalog.begin().unwrap().unclean);
    assert_eq!(catalog.topic("a").unwrap().epoch.get(), 1);
}

#[test]
fn a_newer_version_is_refused_before_any_write() {
    let store = Arc::new(MemoryStore::new());
    open(&store);
    let mut node = store.get(Family::Catalog, node::KEY).unwrap().unwrap();
    node[0] += 1;
    store.commit(vec![Write::Put { family: Family::Catalog, key: node::KEY.to_vec(), value: node }]).unwrap();
    let before = store.unsynced();
    let refused = Catalog::open(store.clone(), &Counting(AtomicU64::new(1)));
    assert!(matches!(refused, Err(CatalogError::Value(ValueError::Newer { found: 2, known: 1, .. }))));
    assert_eq!(store.unsynced(), before);
}

#[test]
fn every_cut_of_a_stored_value_is_refused() {
    let stored = value::encode(&topic("orders", 9)).unwrap();
    assert_eq!(value::decode::<TopicRecord>(&stored).unwrap(), topic("orders", 9));
    for len in 0..stored.len() {
        assert!(value::decode::<TopicRecord>(&stored[..len]).is_err(), "{len}");
    }
}

#[test]
fn a_ledger_is_appended_to_by_compare_and_set() {
    let store = Arc::new(MemoryStore::new());
    let catalog = open(&store);
    let (one, two) = (LinkId::from_bytes([1; 16]), LinkId::from_bytes([2; 16]));
    catalog.append_ledger(one, 0, "a".into()).unwrap();
    catalog.append_ledger(one, 1, "b".into()).unwrap();
    catalog.append_ledger(two, 0, "c".into()).unwrap();
    for stale in [0, 1, 3, 9] {
        assert!(matches!(
            catalog.append_ledger(one, stale, "x".into()),
            Err(CatalogError::LedgerMoved { .. })
        ));
    }
    let again = open(&store);
    assert_eq!(again.ledgers().unwrap(), [one, two]);
    assert_eq!(again.ledger(one).unwrap(), ["a", "b"]);
}
