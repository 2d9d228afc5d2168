//! DeleteRecords over a simulated disk: what a client is told, and when.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: they end at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carrick_broker::{Answer, Ask, Broker, BrokerSettings};
use carrick_catalog::{Catalog, MemoryStore};
use carrick_log::{LogSettings, LogStore, MemoryCheckpoints, Partition, Role};
use carrick_record::{Batch, EndTransaction};
use carrick_sim::{DATA, SimSite};
use carrick_sys::Budget;
use carrick_types::{
    Generation, LeaderEpoch, Offset, Partition as Index, ProducerEpoch, ProducerId, Timestamp,
};
use carrick_wire::{
    ApiKey, CreatableTopic, CreateTopicsRequest, DeleteRecordsPartition, DeleteRecordsRequest,
    DeleteRecordsTopic, ErrorCode, Request, Response,
};

const TOPIC: &str = "orders";
const SOON_MS: i32 = 30_000;
/// What is there of partition 0.
const END: i64 = 10;

/// A node with one topic of two partitions.
struct Life {
    site: SimSite,
    broker: Broker,
    partition: Arc<Partition>,
}

impl Life {
    async fn new(seed: u64) -> Self {
        let site = SimSite::new(seed);
        let sys = site.sys();
        let catalog = Arc::new(Catalog::open(Arc::new(MemoryStore::new()), &*sys.entropy).unwrap());
        catalog.begin().unwrap();
        let home = Arc::new(MemoryCheckpoints::default());
        let cluster = catalog.node().cluster;
        let logs =
            LogStore::open(sys.clone(), Path::new(DATA), cluster, LogSettings::default(), home).unwrap();
        let logs = Arc::new(logs);
        let budget = Budget::new(64 << 20);
        let broker =
            Broker::new(sys, Arc::clone(&catalog), Arc::clone(&logs), budget, BrokerSettings::default());
        let topic = CreatableTopic {
            name: TOPIC.into(),
            num_partitions: 2,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: SOON_MS, validate_only: false };
        let Response::CreateTopics(made) = ask(&broker, 7, request).await else { panic!() };
        assert_eq!(made.topics[0].error_code, 0);
        let id = catalog.topic(TOPIC).unwrap().id;
        let partition = logs.partition(id, Index(0)).unwrap();
        for _ in 0..END {
            partition.append(&marker(), None, Timestamp(1_000)).unwrap();
        }
        partition.durable(Offset::clamped(END)).await.unwrap();
        Self { site, broker, partition }
    }

    /// Code and low watermark of each partition and offset that is asked for.
    async fn delete(
        &self,
        topic: &'static str,
        asked: &[(i32, i64)],
        timeout_ms: i32,
    ) -> Vec<(ErrorCode, i64)> {
        let partitions = asked.iter();
        let partitions = partitions
            .map(|(index, offset)| DeleteRecordsPartition { partition_index: *index, offset: *offset });
        let topic = DeleteRecordsTopic { name: topic.into(), partitions: partitions.collect() };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms };
        let Response::DeleteRecords(answer) = ask(&self.broker, 2, request).await else { panic!() };
        let told = &answer.topics[0].partitions;
        assert!(told.iter().map(|it| it.partition_index).eq(asked.iter().map(|it| it.0)));
        told.iter().map(|it| (it.error_code.into(), it.low_watermark)).collect()
    }

    fn start(&self) -> i64 {
        self.partition.offsets().log_start.at().get()
    }
}

async fn ask(broker: &Broker, version: i16, request: impl Into<Request>) -> Response {
    let ask = Ask { version, client_host: "/127.0.0.1".into(), ..Default::default() };
    match broker.begin(ask, request.into()).await.await.answer {
        Answer::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

/// A batch of one offset.
fn marker() -> Batch {
    let end = EndTransaction {
        producer_id: ProducerId::new(1).unwrap(),
        producer_epoch: ProducerEpoch(0),
        coordinator_epoch: 0,
        commit: true,
        at: Timestamp(1_000),
    };
    Batch::split_from(&mut end.batch(Offset::ZERO, LeaderEpoch::FIRST)).unwrap()
}

fn refused(code: ErrorCode) -> (ErrorCode, i64) {
    (code, -1)
}

fn done(start: i64) -> (ErrorCode, i64) {
    (ErrorCode::NONE, start)
}

#[test]
fn it_is_advertised() {
    assert!(Broker::SERVED.contains(&ApiKey::DeleteRecords));
}

#[test]
fn the_answer_says_where_the_log_begins_and_each_partition_is_judged_alone() {
    carrick_sim::run(1, async {
        let life = Life::new(1).await;
        assert_eq!(life.delete(TOPIC, &[(0, 4)], SOON_MS).await, [done(4)]);
        // What is gone already is no error.
        assert_eq!(life.delete(TOPIC, &[(0, 2)], SOON_MS).await, [done(4)]);
        let beyond = refused(ErrorCode::OFFSET_OUT_OF_RANGE);
        let unknown = refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!(
            life.delete(TOPIC, &[(0, END + 1), (1, 0), (2, 0)], SOON_MS).await,
            [beyond, done(0), unknown]
        );
        assert_eq!(
            life.delete(TOPIC, &[(0, -2), (1, -1), (-1, 0)], SOON_MS).await,
            [beyond, done(0), unknown]
        );
        assert_eq!(life.delete("no-such-topic", &[(0, 0)], SOON_MS).await, [unknown]);
        assert_eq!(life.start(), 4);
        assert_eq!(life.delete(TOPIC, &[(0, -1)], SOON_MS).await, [done(END)]);
        assert_eq!(life.start(), END);
    });
}

#[test]
fn a_partition_that_is_named_twice_is_refused_the_second_time() {
    carrick_sim::run(2, async {
        let life = Life::new(2).await;
        let twice = life.delete(TOPIC, &[(0, 3), (0, 5)], SOON_MS).await;
        assert_eq!(twice, [done(3), refused(ErrorCode::INVALID_REQUEST)]);
        assert_eq!(life.start(), 3);
    });
}

#[test]
fn who_does_not_write_a_topic_does_not_delete_from_it() {
    carrick_sim::run(3, async {
        let life = Life::new(3).await;
        let of = [
            (Role::Mirror { generation: Generation::FIRST }, ErrorCode::INVALID_REQUEST),
            (Role::Closed, ErrorCode::NOT_LEADER_OR_FOLLOWER),
            (Role::Superseded, ErrorCode::NOT_LEADER_OR_FOLLOWER),
            (Role::Gone, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ];
        for (role, code) in of {
            life.partition.set_role(role);
            assert_eq!(life.delete(TOPIC, &[(0, 0), (0, 5)], SOON_MS).await[0], refused(code), "{role:?}");
            assert_eq!(life.start(), 0, "{role:?}");
        }
    });
}

#[test]
fn a_start_that_is_not_durable_in_time_is_not_told() {
    carrick_sim::run(4, async {
        let life = Life::new(4).await;
        life.site.disk.stall_sync(Duration::from_millis(50));
        let late = refused(ErrorCode::REQUEST_TIMED_OUT);
        assert_eq!(life.delete(TOPIC, &[(0, 6)], 0).await, [late]);
        assert_eq!(life.delete(TOPIC, &[(0, 6)], -1).await, [late]);
        assert_eq!(life.delete(TOPIC, &[(0, 6)], SOON_MS).await, [done(6)]);
    });
}

#[test]
fn a_disk_that_fails_is_told() {
    carrick_sim::run(5, async {
        let life = Life::new(5).await;
        life.site.disk.fail_syncs_from(1);
        let failed = refused(ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(life.delete(TOPIC, &[(0, 6)], SOON_MS).await, [failed]);
    });
}
