//! A small Kafka client over one socket that blocks: requests leave when they are made, answers are read when they are asked
//! for, and record bytes are never looked into.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use carrick_wire::{
    ApiKey, CreatableTopic, CreateTopicsRequest, ErrorCode, FetchPartition, FetchRequest, FetchTopic,
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, PartitionProduceData, ProduceRequest,
    Request, RequestHeader, Response, Text, TopicProduceData, Uuid, decode_response, encode_request,
};

/// The last versions that name topics by their names.
const PRODUCE: i16 = 12;
const FETCH: i16 = 12;
const LIST_OFFSETS: i16 = 7;
const CREATE_TOPICS: i16 = 7;
/// For an answer; more than anything here waits.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const LATEST: i64 = -1;

/// A connection to a node's Kafka listener.
#[derive(Debug)]
pub struct Kafka {
    stream: TcpStream,
    sent: i32,
    answered: i32,
}

/// Of a topic, a partition and what is appended to it or was read of it.
pub type OfPartition = (i32, Bytes);

impl Kafka {
    pub fn dial(address: &str) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("no Kafka listener at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream, sent: 0, answered: 0 })
    }

    /// The same socket for another thread: one sends, the other takes the answers in.
    pub fn twin(&self) -> anyhow::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, sent: self.sent, answered: self.answered })
    }

    /// Requests that were sent and whose answers were not read.
    pub fn outstanding(&self) -> i32 {
        self.sent - self.answered
    }

    fn send(&mut self, api_version: i16, request: &Request) -> anyhow::Result<()> {
        let client_id = Some(Text::from_static("carrick-bench"));
        let header =
            RequestHeader { api_key: request.key(), api_version, correlation_id: self.sent, client_id };
        for segment in encode_request(&header, request)?.segments() {
            self.stream.write_all(segment)?;
        }
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, key: ApiKey, version: i16) -> anyhow::Result<Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("the node gave no answer")?;
        let mut frame = BytesMut::zeroed(u32::from_be_bytes(length) as usize);
        self.stream.read_exact(&mut frame)?;
        let (id, response) = decode_response(key, version, frame.freeze())?;
        if id != self.answered {
            bail!("answer {id} came where {} was due", self.answered);
        }
        self.answered += 1;
        Ok(response)
    }

    /// Makes topics, and returns when they are there: their ids.
    pub fn create(&mut self, topics: &[String], partitions: i32) -> anyhow::Result<Vec<Uuid>> {
        let topics = topics.iter().map(|name| CreatableTopic {
            name: name.clone().into(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        });
        let request = CreateTopicsRequest { topics: topics.collect(), ..Default::default() };
        self.send(CREATE_TOPICS, &request.into())?;
        let Response::CreateTopics(answer) = self.receive(ApiKey::CreateTopics, CREATE_TOPICS)? else {
            bail!("another answer than was asked for")
        };
        let made = answer.topics.iter().map(|it| good(it.error_code).map(|()| it.topic_id));
        made.collect()
    }

    /// Appends batches, durable as the node has it; the answer is read by [`Kafka::produced`].
    pub fn produce(&mut self, topic: &str, batches: Vec<OfPartition>) -> anyhow::Result<()> {
        let partition_data = batches
            .into_iter()
            .map(|(index, records)| PartitionProduceData { index, records: Some(records) })
            .collect();
        let topic = TopicProduceData { name: topic.to_string().into(), partition_data, ..Default::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
        self.send(PRODUCE, &request.into())
    }

    /// The answer to the oldest produce that has none yet.
    pub fn produced(&mut self) -> anyhow::Result<()> {
        let Response::Produce(answer) = self.receive(ApiKey::Produce, PRODUCE)? else {
            bail!("another answer than was asked for")
        };
        let mut partitions = answer.responses.iter().flat_map(|it| &it.partition_responses);
        partitions.try_for_each(|it| good(it.error_code))
    }

    /// Waits for records at or after `offsets`, by partition from 0 on, for `patience` at most.
    pub fn fetch(
        &mut self,
        topic: &str,
        offsets: &[i64],
        patience: Duration,
    ) -> anyhow::Result<Vec<OfPartition>> {
        let partitions = offsets.iter().zip(0..).map(|(offset, partition)| FetchPartition {
            partition,
            fetch_offset: *offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topics = vec![FetchTopic {
            topic: topic.to_string().into(),
            partitions: partitions.collect(),
            ..Default::default()
        }];
        let (max_wait_ms, min_bytes) = (i32::try_from(patience.as_millis())?, 1);
        self.send(FETCH, &FetchRequest { max_wait_ms, min_bytes, topics, ..Default::default() }.into())?;
        let Response::Fetch(answer) = self.receive(ApiKey::Fetch, FETCH)? else {
            bail!("another answer than was asked for")
        };
        good(answer.error_code)?;
        let mut read = Vec::new();
        for it in answer.responses.into_iter().flat_map(|it| it.partitions) {
            good(it.error_code)?;
            read.extend(it.records.map(|records| (it.partition_index, records.into_bytes())));
        }
        read.retain(|(_, records)| !records.is_empty());
        Ok(read)
    }

    /// The offsets below which partitions can be read, from 0 on.
    pub fn ends(&mut self, topic: &str, partitions: i32) -> anyhow::Result<Vec<i64>> {
        let partitions = (0..partitions).map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..Default::default()
        });
        let topics =
            vec![ListOffsetsTopic { name: topic.to_string().into(), partitions: partitions.collect() }];
        self.send(LIST_OFFSETS, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }.into())?;
        let Response::ListOffsets(answer) = self.receive(ApiKey::ListOffsets, LIST_OFFSETS)? else {
            bail!("another answer than was asked for")
        };
        let ends = answer.topics.iter().flat_map(|it| &it.partitions);
        ends.map(|it| good(it.error_code).map(|()| it.offset)).collect()
    }
}

fn good(code: i16) -> anyhow::Result<()> {
    if code != 0 {
        bail!("the node answered {}", ErrorCode(code).name());
    }
    Ok(())
}
