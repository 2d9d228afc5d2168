//! The broker: what all requests share, and which request goes where.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carrick_catalog::{Catalog, TopicRecord};
use carrick_log::{LogStore, Partition};
use carrick_sys::{Budget, Claim, Sys, Task};
use carrick_types::{Partition as Index, TopicId};
use carrick_wire::{ApiKey, ErrorCode, Request, Response, Text, Uuid};
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::groups::Groups;
use crate::settings::BrokerSettings;

/// Who asks, and how they came.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub version: i16,
    /// The advertised address of the listener that was asked.
    pub host: Text,
    pub port: u16,
    /// The client's own name for itself; empty if it said none.
    pub client: Text,
    /// Where it came from, as Kafka writes it: `/127.0.0.1`.
    pub client_host: Text,
}

/// What goes back.
#[derive(Debug)]
pub enum Answer {
    Response(Response),
    /// Produce with acks 0.
    Nothing,
    /// The connection is closed, for this reason.
    Close(String),
}

/// An answer, and the memory it holds until it was written.
#[derive(Debug)]
pub struct Reply {
    pub answer: Answer,
    pub claims: Vec<Claim>,
}

impl<T: Into<Response>> From<T> for Reply {
    fn from(response: T) -> Self {
        Self { answer: Answer::Response(response.into()), claims: Vec::new() }
    }
}

/// A request that was begun: its appends are done, its answer may take a while.
pub type Begun = BoxFuture<'static, Reply>;

/// Everything that answers Kafka clients.
#[derive(Clone)]
pub struct Broker(Arc<Shared>);

/// What every request finds.
pub struct Shared {
    pub(crate) sys: Sys,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) budget: Budget,
    pub(crate) settings: BrokerSettings,
    pub(crate) broker_id: i32,
    pub(crate) groups: Arc<Groups>,
    closing: AtomicBool,
    closed: Notify,
    /// Ends with the broker.
    _coordinator: Task,
}

// `Shared` is not named outside of this crate.
impl std::ops::Deref for Broker {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Broker {
    pub fn new(
        sys: Sys,
        catalog: Arc<Catalog>,
        logs: Arc<LogStore>,
        budget: Budget,
        settings: BrokerSettings,
    ) -> Self {
        // From the cluster id, so that two sites never share one: clients cache addresses by it.
        let cluster = catalog.node().cluster.bytes();
        let id = u32::from_le_bytes([cluster[12], cluster[13], cluster[14], cluster[15]]);
        let broker_id = (id % 1_000_000_000) as i32 + 1;
        let (closing, closed) = (AtomicBool::new(false), Notify::new());
        let groups = Groups::load(sys.clone(), Arc::clone(&catalog), settings.clone());
        let _coordinator = groups.start();
        Self(Arc::new(Shared {
            sys,
            catalog,
            logs,
            budget,
            settings,
            broker_id,
            groups,
            closing,
            closed,
            _coordinator,
        }))
    }

    /// Which requests are answered; a client that sends another is cut off, as Kafka does.
    pub const SERVED: &'static [ApiKey] = &[
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::ListOffsets,
        ApiKey::Metadata,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::Heartbeat,
        ApiKey::LeaveGroup,
        ApiKey::SyncGroup,
        ApiKey::DescribeGroups,
        ApiKey::ListGroups,
        ApiKey::ApiVersions,
        ApiKey::CreateTopics,
        ApiKey::DeleteTopics,
        ApiKey::DeleteRecords,
        ApiKey::InitProducerId,
        ApiKey::OffsetForLeaderEpoch,
        ApiKey::DescribeConfigs,
        ApiKey::DeleteGroups,
        ApiKey::OffsetDelete,
        ApiKey::DescribeCluster,
    ];

    /// Does what must be done in order of arrival, and returns the rest as a future that may run beside others. Waits while
    /// too much is written and not yet durable.
    pub async fn begin(&self, ask: Ask, request: Request) -> Begun {
        let broker = self.clone();
        match request {
            Request::Produce(request) => {
                self.logs.room().await;
                self.wait_open(&ask, &request).await;
                self.produce(&ask, request)
            }
            Request::Fetch(request) => Box::pin(async move { broker.fetch(&ask, request).await }),
            Request::ListOffsets(request) => {
                Box::pin(async move { broker.list_offsets(&ask, request).await.into() })
            }
            Request::Metadata(request) => {
                Box::pin(async move { broker.metadata(&ask, request).await.into() })
            }
            Request::CreateTopics(request) => {
                Box::pin(async move { broker.create_topics(&ask, request).await.into() })
            }
            Request::DeleteTopics(request) => {
                Box::pin(async move { broker.delete_topics(request).await.into() })
            }
            Request::DeleteRecords(request) => {
                Box::pin(async move { broker.delete_records(&ask, request).await.into() })
            }
            Request::InitProducerId(request) => {
                Box::pin(async move { broker.init_producer_id(request).await.into() })
            }
            Request::ApiVersions(request) => ready(self.api_versions(&ask, &request)),
            Request::FindCoordinator(request) => ready(self.find_coordinator(&ask, request)),
            Request::OffsetForLeaderEpoch(request) => ready(self.offset_for_leader_epoch(request)),
            Request::DescribeConfigs(request) => ready(self.describe_configs(request)),
            Request::DescribeCluster(request) => ready(self.describe_cluster(&ask, &request)),
            Request::JoinGroup(request) => self.groups.join(&ask, request),
            Request::SyncGroup(request) => self.groups.sync(request),
            Request::Heartbeat(request) => self.groups.heartbeat(request),
            Request::LeaveGroup(request) => self.groups.leave(&ask, request),
            Request::OffsetCommit(request) => self.groups.commit(&ask, request),
            Request::OffsetFetch(request) => self.groups.fetch(&ask, request),
            Request::OffsetDelete(request) => self.groups.delete_offsets(request),
            Request::ListGroups(request) => self.groups.list(&request),
            Request::DescribeGroups(request) => self.groups.describe(&ask, request),
            Request::DeleteGroups(request) => self.groups.delete(request),
            other => {
                let why = format!("{} is not served", other.key());
                Box::pin(async move { Reply { answer: Answer::Close(why), claims: Vec::new() } })
            }
        }
    }

    /// Parked fetches are answered with what there is, and members of groups who wait are told to come back.
    pub fn close(&self) {
        self.groups.close();
        self.closing.store(true, Ordering::Release);
        self.closed.notify_waiters();
    }

    pub(crate) async fn closed(&self) {
        let closed = self.closed.notified();
        if !self.closing.load(Ordering::Acquire) {
            closed.await;
        }
    }
}

fn ready(response: impl Into<Response>) -> Begun {
    let reply = Reply::from(response);
    Box::pin(async move { reply })
}

/// A topic as a request names it.
#[derive(Clone, Debug)]
pub(crate) enum TopicKey {
    Name(Text),
    Id(Uuid),
}

impl Shared {
    /// By id from the version on that has ids, else by name.
    pub(crate) fn topic(&self, key: &TopicKey) -> Result<Arc<TopicRecord>, ErrorCode> {
        match key {
            TopicKey::Name(name) => self.catalog.topic(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            TopicKey::Id(id) => {
                self.catalog.topic_by_id(TopicId::from_bytes(id.0)).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)
            }
        }
    }

    pub(crate) fn partition(&self, topic: &TopicRecord, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let index = Index::from_wire(index).filter(|index| index.0 < topic.partitions);
        let index = index.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        // In the catalog, and its logs not open yet: it is being created.
        self.logs.partition(topic.id, index).ok_or(ErrorCode::LEADER_NOT_AVAILABLE)
    }
}

/// Checks the leader epoch that a client believes in (KIP-320).
pub(crate) fn check_epoch(partition: &Partition, believed: i32) -> Result<(), ErrorCode> {
    match believed.cmp(&partition.leader_epoch().get()) {
        _ if believed < 0 => Ok(()),
        std::cmp::Ordering::Less => Err(ErrorCode::FENCED_LEADER_EPOCH),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
    }
}

pub(crate) fn uuid(topic: &TopicRecord) -> Uuid {
    Uuid(topic.id.bytes())
}

pub(crate) fn text(name: impl ToString) -> Text {
    Text::from(name.to_string())
}
