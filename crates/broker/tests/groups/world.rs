//! One node's broker over a simulated disk and a store that a power cut takes from, and its clients' requests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_broker::{Answer, Ask, Broker, BrokerSettings};
use carrick_catalog::{Catalog, MemoryStore, Store};
use carrick_log::{LogSettings, LogStore, MemoryCheckpoints};
use carrick_sim::{Cut, DATA, SimSite};
use carrick_sys::{Budget, Clock as _};
use carrick_wire::{
    CreatableTopic, CreateTopicsRequest, DescribeGroupsRequest, DescribedGroup, ErrorCode, HeartbeatRequest,
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    MemberIdentity, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, Request, Response,
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse, Text,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;

pub const GROUP: &str = "g";
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 60_000;

pub fn text(it: &str) -> Text {
    Text::from(it.to_string())
}

/// One life of a node.
pub struct Life {
    pub site: SimSite,
    pub store: Arc<MemoryStore>,
    pub catalog: Arc<Catalog>,
    pub broker: Broker,
    pub settings: BrokerSettings,
}

impl Life {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, BrokerSettings::default())
    }

    pub fn with(seed: u64, settings: BrokerSettings) -> Self {
        Self::on(SimSite::new(seed), Arc::new(MemoryStore::new()), settings)
    }

    pub fn on(site: SimSite, store: Arc<MemoryStore>, settings: BrokerSettings) -> Self {
        let (catalog, broker) = broker(&site, Arc::clone(&store) as _, &settings);
        Self { site, store, catalog, broker, settings }
    }

    /// Crashes the node, and starts it again on what the cut leaves; of the commits that were not synced the first `kept`.
    pub async fn restart(self, cut: Cut, kept: usize) -> Self {
        let Self { site, store, catalog, broker, settings } = self;
        drop((catalog, broker));
        let site = site.reboot(cut).await;
        Self::on(site, Arc::new(store.after_power_cut(kept)), settings)
    }

    /// A kill takes nothing, but for what is in memory.
    pub async fn kill(self) -> Self {
        self.restart(Cut::Kill, usize::MAX).await
    }

    pub async fn sleep_ms(&self, ms: u64) {
        self.site.clock.sleep(Duration::from_millis(ms)).await;
    }

    pub fn ask(&self, version: i16, request: impl Into<Request>) -> BoxFuture<'static, Response> {
        ask(&self.broker, version, request.into())
    }

    pub async fn topic(&self, name: &str, partitions: i32) {
        let topic = CreatableTopic {
            name: text(name),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
        match self.ask(7, request).await {
            Response::CreateTopics(answer) => assert_eq!(answer.topics[0].error_code, 0, "{answer:?}"),
            other => panic!("{other:?}"),
        }
    }

    pub fn join(&self, join: &Join) -> BoxFuture<'static, JoinGroupResponse> {
        let protocols = join.protocols.iter().map(|(name, metadata)| JoinGroupRequestProtocol {
            name: text(name),
            metadata: metadata.clone(),
        });
        let request = JoinGroupRequest {
            group_id: text(join.group),
            session_timeout_ms: join.session_ms,
            rebalance_timeout_ms: join.rebalance_ms,
            member_id: text(&join.member),
            group_instance_id: join.instance.map(text),
            protocol_type: text(join.protocol_type),
            protocols: protocols.collect(),
            reason: None,
        };
        let answer = self.ask(join.version, request);
        async move {
            match answer.await {
                Response::JoinGroup(answer) => answer,
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    /// Joins as clients do: the first answer may be no more than a member id.
    pub async fn enter(&self, join: &Join) -> JoinGroupResponse {
        let first = self.join(join).await;
        if first.error_code != ErrorCode::MEMBER_ID_REQUIRED.code() {
            return first;
        }
        self.join(&Join { member: first.member_id.to_string(), ..join.clone() }).await
    }

    pub fn sync(
        &self,
        member: &str,
        generation: i32,
        assignments: &[(&str, &str)],
    ) -> BoxFuture<'static, SyncGroupResponse> {
        self.sync_as(SyncGroupRequest {
            group_id: text(GROUP),
            generation_id: generation,
            member_id: text(member),
            assignments: assignments
                .iter()
                .map(|(member, bytes)| SyncGroupRequestAssignment {
                    member_id: text(member),
                    assignment: Bytes::copy_from_slice(bytes.as_bytes()),
                })
                .collect(),
            ..Default::default()
        })
    }

    pub fn sync_as(&self, request: SyncGroupRequest) -> BoxFuture<'static, SyncGroupResponse> {
        let answer = self.ask(5, request);
        async move {
            match answer.await {
                Response::SyncGroup(answer) => answer,
                other => panic!("{other:?}"),
            }
        }
        .boxed()
    }

    pub async fn heartbeat(&self, member: &str, generation: i32) -> ErrorCode {
        self.heartbeat_as(member, generation, None).await
    }

    pub async fn heartbeat_as(&self, member: &str, generation: i32, instance: Option<&str>) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: text(GROUP),
            generation_id: generation,
            member_id: text(member),
            group_instance_id: instance.map(text),
        };
        match self.ask(4, request).await {
            Response::Heartbeat(answer) => answer.error_code.into(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn leave(&self, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let members = members.iter().map(|(member, instance)| MemberIdentity {
            member_id: text(member),
            group_instance_id: instance.map(text),
            reason: None,
        });
        let request =
            LeaveGroupRequest { group_id: text(GROUP), members: members.collect(), ..Default::default() };
        match self.ask(5, request).await {
            Response::LeaveGroup(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub async fn describe(&self, group: &str) -> DescribedGroup {
        let request = DescribeGroupsRequest { groups: vec![text(group)], ..Default::default() };
        match self.ask(6, request).await {
            Response::DescribeGroups(answer) => answer.groups[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    pub async fn state(&self) -> String {
        self.describe(GROUP).await.group_state.to_string()
    }

    /// Commits one offset.
    pub async fn commit(&self, commit: &Commit) -> ErrorCode {
        let request = OffsetCommitRequest {
            group_id: text(commit.group),
            generation_id_or_member_epoch: commit.generation,
            member_id: text(&commit.member),
            group_instance_id: commit.instance.map(text),
            topics: vec![OffsetCommitRequestTopic {
                name: text(commit.topic),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: commit.partition,
                    committed_offset: commit.offset,
                    committed_leader_epoch: commit.epoch,
                    committed_metadata: commit.metadata.clone().map(Text::from),
                }],
            }],
            ..Default::default()
        };
        match self.ask(commit.version, request).await {
            Response::OffsetCommit(answer) => answer.topics[0].partitions[0].error_code.into(),
            other => panic!("{other:?}"),
        }
    }

    /// What a group committed for one partition; −1 for nothing.
    pub async fn committed(&self, group: &str, topic: &str, partition: i32) -> i64 {
        let topics = vec![OffsetFetchRequestTopics { name: text(topic), partition_indexes: vec![partition] }];
        let group =
            OffsetFetchRequestGroup { group_id: text(group), topics: Some(topics), ..Default::default() };
        match self.ask(9, OffsetFetchRequest { groups: vec![group], ..Default::default() }).await {
            Response::OffsetFetch(answer) => answer.groups[0].topics[0].partitions[0].committed_offset,
            other => panic!("{other:?}"),
        }
    }

    /// Two members of a stable group, the leader first, in its first generation with both.
    pub async fn two(&self) -> (String, String, i32) {
        self.two_as(&Join::default(), &Join::default()).await
    }

    pub async fn two_as(&self, first: &Join, second: &Join) -> (String, String, i32) {
        let a = self.enter(first).await;
        assert_eq!(a.error_code, 0, "{a:?}");
        let a = a.member_id.to_string();
        let again = Join { member: a.clone(), ..first.clone() };
        let (b, joined) = futures::join!(self.enter(second), async {
            // The second one first has to be there.
            self.sleep_ms(1).await;
            self.join(&again).await
        });
        assert_eq!((b.error_code, joined.error_code, joined.members.len()), (0, 0, 2), "{b:?} {joined:?}");
        let (b, generation) = (b.member_id.to_string(), b.generation_id);
        let (one, two) = futures::join!(
            self.sync(&b, generation, &[]),
            self.sync(&a, generation, &[(&a, "for a"), (&b, "for b")])
        );
        assert_eq!((&one.assignment[..], &two.assignment[..]), (&b"for b"[..], &b"for a"[..]));
        (a, b, generation)
    }
}

pub fn broker(site: &SimSite, store: Arc<dyn Store>, settings: &BrokerSettings) -> (Arc<Catalog>, Broker) {
    let sys = site.sys();
    let catalog = Arc::new(Catalog::open(store, &*sys.entropy).unwrap());
    catalog.begin().unwrap();
    let cluster = catalog.node().cluster;
    let logs = LogStore::open(
        sys.clone(),
        Path::new(DATA),
        cluster,
        LogSettings::default(),
        Arc::new(MemoryCheckpoints::default()),
    )
    .unwrap();
    let (logs, budget) = (Arc::new(logs), Budget::new(64 << 20));
    let broker = Broker::new(sys, Arc::clone(&catalog), logs, budget, settings.clone());
    (catalog, broker)
}

/// Begun at once, answered when it is awaited.
pub fn ask(broker: &Broker, version: i16, request: Request) -> BoxFuture<'static, Response> {
    let ask = Ask {
        version,
        host: "localhost".into(),
        port: 9092,
        client: "client".into(),
        client_host: "/127.0.0.1".into(),
    };
    let begun = broker.begin(ask, request).now_or_never().expect("requests of groups begin at once");
    async move {
        match begun.await.answer {
            Answer::Response(response) => response,
            other => panic!("{other:?}"),
        }
    }
    .boxed()
}

/// A consumer that joins.
#[derive(Clone, Debug)]
pub struct Join {
    pub version: i16,
    pub group: &'static str,
    pub member: String,
    pub instance: Option<&'static str>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
    pub protocol_type: &'static str,
    pub protocols: Vec<(&'static str, Bytes)>,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            version: 9,
            group: GROUP,
            member: String::new(),
            instance: None,
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
            protocol_type: "consumer",
            protocols: vec![("range", subscription(&["orders"]))],
        }
    }
}

impl Join {
    pub fn of(member: &str) -> Self {
        Self { member: member.into(), ..Self::default() }
    }

    pub fn at_instance(instance: &'static str) -> Self {
        Self { instance: Some(instance), ..Self::default() }
    }
}

/// What a consumer says to its assignor: version 0, topics, no bytes of its own.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

/// One offset, from outside of the group unless said otherwise.
#[derive(Clone, Debug)]
pub struct Commit {
    pub version: i16,
    pub group: &'static str,
    pub member: String,
    pub instance: Option<&'static str>,
    pub generation: i32,
    pub topic: &'static str,
    pub partition: i32,
    pub offset: i64,
    pub epoch: i32,
    pub metadata: Option<String>,
}

impl Commit {
    pub fn of(offset: i64) -> Self {
        Self {
            version: 9,
            group: GROUP,
            member: String::new(),
            instance: None,
            generation: -1,
            topic: "orders",
            partition: 0,
            offset,
            epoch: -1,
            metadata: None,
        }
    }

    pub fn by(member: &str, generation: i32, offset: i64) -> Self {
        Self { member: member.into(), generation, ..Self::of(offset) }
    }
}

/// Runs a test in a world of its own.
pub fn story<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    carrick_sim::run(7, async { test().await })
}
