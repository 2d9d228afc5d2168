//! Sites of the simulated world, and what tests do with them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_broker::{Answer, Ask};
use carrick_link::Ports;
use carrick_log::{Bound, LogSettings};
use carrick_node::{DataDir, Node, NodeSettings};
use carrick_sim::{Cut, DATA, SimEntropy, SimSite};
use carrick_sys::Entropy;
use carrick_types::{Offset, Partition};
use carrick_wire::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, Request, Response, Text, TopicProduceData,
};

use crate::door::{Door, Life};
use crate::line::{Net, SimDialer};
use crate::store::SimStore;

/// Stands between a node's links and their world.
pub type Wrap = Arc<dyn Fn(Ports) -> Ports + Send + Sync>;

/// One site: the same node that the daemon runs, over a seeded world.
pub struct Site {
    pub address: &'static str,
    pub sim: SimSite,
    pub store: Arc<SimStore>,
    pub net: Arc<Net>,
    /// None between a crash and the next start.
    pub node: Option<Node>,
    pub door: Arc<Door>,
    pub settings: NodeSettings,
    pub wrap: Option<Wrap>,
    chance: SimEntropy,
}

impl Site {
    pub fn new(address: &'static str, seed: u64, net: &Arc<Net>, log: LogSettings) -> Self {
        let sim = SimSite::new(seed);
        Self {
            address,
            store: Arc::new(SimStore::new(&sim.disk)),
            sim,
            net: Arc::clone(net),
            node: None,
            door: Arc::default(),
            wrap: None,
            settings: NodeSettings { log, memory_bytes: 64 << 20, ..NodeSettings::default() },
            chance: SimEntropy::new(carrick_sim::derive(seed, 9)),
        }
    }

    /// False if it crashed while it started.
    pub async fn start(&mut self) -> bool {
        match self.try_start().await {
            Ok(()) => true,
            Err(failed) => {
                assert!(self.sim.disk.crashed(), "a site that did not crash opens: {failed}");
                false
            }
        }
    }

    pub async fn try_start(&mut self) -> Result<(), String> {
        let sys = self.sim.sys();
        let data = DataDir::open(&*sys.disk, Path::new(DATA)).map_err(|e| words_of(&e))?;
        let (net, disk) = (Arc::clone(&self.net), Arc::clone(&self.sim.disk));
        let dialer = Arc::new(SimDialer { from: self.address, net, disk });
        let (store, wrap) = (Arc::clone(&self.store) as _, self.wrap.clone());
        let wrap = move |ports| match wrap {
            Some(wrap) => wrap(ports),
            None => ports,
        };
        let opening = Node::open_with(&sys, data, store, dialer, self.settings.clone(), wrap);
        let node = opening.await.map_err(|e| words_of(&e))?;
        self.net.plug(self.address, &node.links, Arc::clone(&self.sim.disk));
        self.door.open(Life::of(&node, &self.sim));
        self.node = Some(node);
        Ok(())
    }

    /// Ends it as `cut` does; what that leaves waits for a start.
    pub async fn crash(&mut self, cut: Cut) {
        self.net.unplug(self.address);
        self.door.close();
        self.node = None;
        self.sim = self.sim.reboot(cut).await;
        let kept = match cut {
            Cut::Kill => usize::MAX,
            Cut::Power => self.draw(self.store.unsynced() as u64 + 1) as usize,
        };
        self.store = Arc::new(self.store.after_power_cut(kept, &self.sim.disk));
    }

    /// Ends it as `cut` does, and starts it again on what is left.
    pub async fn crash_and_start(&mut self, cut: Cut) {
        loop {
            self.crash(cut).await;
            if self.start().await {
                return;
            }
        }
    }

    pub fn draw(&self, below: u64) -> u64 {
        (&self.chance as &dyn Entropy).u64() % below.max(1)
    }

    pub fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    pub async fn ask(&self, version: i16, request: impl Into<Request>) -> Option<Response> {
        let broker = self.node.as_ref()?.broker.clone();
        ask(&broker, version, request.into()).await
    }

    pub async fn create_topic(&self, name: &'static str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    pub async fn create_topic_with(&self, name: &'static str, partitions: i32, configs: &[(&str, String)]) {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: Text::from((*name).to_string()),
            value: Some(Text::from(value.clone())),
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, validate_only: false };
        match self.ask(7, request).await {
            Some(Response::CreateTopics(answer)) => assert_eq!(answer.topics[0].error_code, 0, "{answer:?}"),
            other => panic!("{other:?}"),
        }
    }

    /// What a partition's log holds, without the leader epoch of each batch, from its start to its end.
    pub async fn contents(&self, topic: &str, partition: u32) -> Contents {
        let node = self.node();
        let record = node.catalog.topic(topic).unwrap();
        let log = node.logs.partition(record.id, Partition(partition)).unwrap();
        let offsets = log.offsets();
        let mut contents =
            Contents { start: offsets.log_start.at(), end: offsets.log_end.at(), bytes: Vec::new() };
        let mut from = contents.start;
        while from < contents.end {
            let slice = log.read(from, 1 << 20, Bound::LogEnd).await.unwrap();
            assert!(
                !slice.bytes.is_empty(),
                "{topic}-{partition} reads nothing at {from} below {}",
                contents.end
            );
            contents.bytes.extend_from_slice(&slice.bytes);
            from = slice.next;
        }
        contents
    }
}

pub async fn ask(broker: &carrick_broker::Broker, version: i16, request: Request) -> Option<Response> {
    let ask = Ask { version, host: "localhost".into(), port: 1, ..Ask::default() };
    match broker.begin(ask, request).await.await.answer {
        Answer::Response(response) => Some(response),
        _ => None,
    }
}

/// Sends one batch; None if there was no answer.
pub async fn produce(
    broker: &carrick_broker::Broker,
    topic: &str,
    partition: u32,
    records: Bytes,
) -> Option<PartitionProduceResponse> {
    match ask(broker, 9, produce_request(topic, partition, records).into()).await? {
        Response::Produce(answer) => Some(answer.responses[0].partition_responses[0].clone()),
        other => panic!("{other:?}"),
    }
}

pub fn produce_request(topic: &str, partition: u32, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: Text::from(topic.to_string()),
            partition_data: vec![PartitionProduceData { index: partition as i32, records: Some(records) }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// An error with all that caused it.
fn words_of(failed: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(failed), |it| it.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    pub start: Offset,
    pub end: Offset,
    pub bytes: Vec<u8>,
}

/// Polls a condition until it holds; the world's time passes meanwhile.
pub async fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// With CARRICK_LOG set, the nodes' own words.
pub fn words() {
    if let Ok(filter) = std::env::var("CARRICK_LOG") {
        let _ =
            tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().without_time().try_init();
    }
}
