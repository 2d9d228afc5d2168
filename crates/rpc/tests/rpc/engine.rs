//! The links' engine over the transport: a cluster with one endless topic, which counts whatever is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use carrick_link::{
    Behind, Connection, DialError, Dialer, Engine, Identity, Ledger, LedgerError, MirrorTopic, Opened, Ports,
    Position, Sink, SinkError, SinkPartition, Source, SourceError, SourceGroup, SourcePartition, SourceTopic,
};
use carrick_proto::PROTOCOL;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Envelope, Hello, Role};
use carrick_sys::{Sys, Wake};
use carrick_types::{
    ClusterId, DurableEnd, HighWatermark, LastStable, LeaderEpoch, LinkId, LogEnd, LogStart, NodeId, Offset,
    Offsets, Partition, TopicId, TopicName,
};
use futures::future::{BoxFuture, ready};
use prost::Message as _;
use tokio::sync::mpsc;

pub const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
pub const PEER: ClusterId = ClusterId::from_bytes([2; 16]);
pub const TOPIC: TopicId = TopicId::from_bytes([3; 16]);
pub const RECORDS: usize = 1_000;

/// Source, sink and ledger of a cluster that has nothing but [`TOPIC`].
#[derive(Default)]
pub struct Cluster {
    /// Durable writes that were asked for, by the sessions of peers.
    pub writes: AtomicUsize,
    pub ledgers: Mutex<BTreeMap<LinkId, Vec<Bytes>>>,
    pub endless: Arc<Endless>,
}

/// A partition without an end. Whoever reads it has a clone of its `Arc`.
#[derive(Default)]
pub struct Endless;

impl Cluster {
    fn write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }
}

/// An engine over `cluster`, which dials by `dialer`.
pub async fn engine(cluster: &Arc<Cluster>, dialer: Arc<dyn Dialer>, sys: Sys) -> Arc<Engine> {
    let ports = Ports {
        source: Arc::clone(cluster) as _,
        sink: Arc::clone(cluster) as _,
        ledger: Arc::clone(cluster) as _,
        dialer,
        sys,
    };
    let identity = Identity { cluster: CLUSTER, node: NodeId::from_bytes([9; 16]) };
    Engine::open(ports, identity).await.unwrap()
}

pub fn converted(connection: carrick_rpc::Connection) -> Connection {
    let carrick_rpc::Connection { outgoing, incoming, peer } = connection;
    Connection { outgoing, incoming, peer: peer.address }
}

/// For an engine that has no links of its own.
pub struct Nowhere;

impl Dialer for Nowhere {
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        Box::pin(ready(Err(DialError { message: format!("{peer} is nowhere") })))
    }
}

/// A peer's first word: good, of cluster [`PEER`].
pub fn hello(role: Role, session: u8) -> Hello {
    Hello {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        role: role.into(),
        link_id: Bytes::from_static(&[7; 16]),
        link_name: "west".into(),
        cluster_id: Bytes::copy_from_slice(&PEER.bytes()),
        node_id: Bytes::from_static(&[8; 16]),
        session_id: Bytes::from(vec![session; 16]),
        connections: 1,
        credit_bytes: 1 << 20,
        subscription_credit_bytes: 1 << 20,
        ..Hello::default()
    }
}

pub fn encode(body: Body) -> Bytes {
    Envelope { body: Some(body) }.encode_to_vec().into()
}

/// The next message but heartbeats; None at the end.
pub async fn next(incoming: &mut mpsc::Receiver<Bytes>) -> Option<Body> {
    loop {
        match Envelope::decode(incoming.recv().await?).unwrap().body.unwrap() {
            Body::Heartbeat(_) => {}
            other => return Some(other),
        }
    }
}

fn refused<T>() -> Result<T, SinkError> {
    Err(SinkError::Unavailable { message: "not in this test".into() })
}

impl Source for Cluster {
    fn topics(&self) -> Vec<SourceTopic> {
        Vec::new()
    }

    fn topic(&self, _: &str) -> Option<SourceTopic> {
        None
    }

    fn partition(&self, topic: TopicId, partition: Partition) -> Option<Arc<dyn SourcePartition>> {
        (topic == TOPIC && partition.0 == 0).then(|| Arc::clone(&self.endless) as _)
    }

    fn groups(&self, _: LinkId) -> BoxFuture<'_, Result<Vec<SourceGroup>, SinkError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn note_link(&self, _: TopicId, _: LinkId) -> BoxFuture<'_, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(Ok(())))
    }

    fn hear(&self, _: LinkId, _: Vec<Opened>) -> BoxFuture<'_, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(Ok(())))
    }
}

impl SourcePartition for Endless {
    fn offsets(&self) -> Offsets {
        let end = Offset::clamped(i64::MAX / 2);
        Offsets {
            log_start: LogStart::new(Offset::ZERO),
            last_stable: LastStable::new(end),
            high_watermark: HighWatermark::new(end),
            log_end: LogEnd::new(end),
            durable_end: DurableEnd::new(end),
        }
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::new(0).unwrap()
    }

    fn end_of_epoch(&self, _: LeaderEpoch) -> Option<Offset> {
        None
    }

    fn behind(&self, _: Offset) -> Option<Behind> {
        None
    }

    fn gone(&self) -> bool {
        false
    }

    fn watch(&self, _: &Wake) {}

    fn read(&self, from: Offset, _: usize) -> BoxFuture<'_, Result<(Bytes, Offset), SourceError>> {
        Box::pin(ready(Ok((Bytes::from(vec![7; RECORDS]), from.plus(1)))))
    }
}

impl Sink for Cluster {
    fn named(&self, _: &str) -> Option<TopicId> {
        None
    }

    fn of_lineage(&self, _: carrick_types::LineageId) -> Option<TopicName> {
        None
    }

    fn create(&self, _: MirrorTopic) -> BoxFuture<'_, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(refused()))
    }

    fn partition(&self, _: TopicId, _: Partition) -> Option<Arc<dyn SinkPartition>> {
        None
    }

    fn write_group<'a>(
        &'a self,
        _: &'a str,
        _: Vec<(TopicName, Partition, Position)>,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(refused()))
    }

    fn group_offset(&self, _: &str, _: &TopicName, _: Partition) -> Option<Offset> {
        None
    }

    fn synced_groups(&self, _: &[TopicName]) -> Vec<String> {
        Vec::new()
    }

    fn delete_group<'a>(&'a self, _: &'a str, _: Duration) -> BoxFuture<'a, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(refused()))
    }

    fn make_room(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn open(&self, _: TopicId, _: LeaderEpoch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.write();
        Box::pin(ready(refused()))
    }
}

impl Ledger for Cluster {
    fn links(&self) -> Result<Vec<LinkId>, LedgerError> {
        Ok(self.ledgers.lock().unwrap().keys().copied().collect())
    }

    fn read(&self, link: LinkId) -> Result<Vec<Bytes>, LedgerError> {
        Ok(self.ledgers.lock().unwrap().get(&link).cloned().unwrap_or_default())
    }

    fn append(&self, link: LinkId, expected: u64, event: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        let mut ledgers = self.ledgers.lock().unwrap();
        let events = ledgers.entry(link).or_default();
        let appended = if events.len() as u64 == expected {
            events.push(event);
            Ok(())
        } else {
            Err(LedgerError::Moved)
        };
        Box::pin(ready(appended))
    }
}
