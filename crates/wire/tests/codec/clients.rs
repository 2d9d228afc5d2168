//! What real clients send is never refused for its size, however large and however short its names.

use bytes::Bytes;
use carrick_wire::schema::Kind;
use carrick_wire::{
    ApiKey, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, FetchPartition, FetchRequest,
    FetchTopic, ForgottenTopic, JoinGroupRequest, JoinGroupRequestProtocol, MetadataRequest,
    MetadataRequestTopic, PartitionProduceData, ProduceRequest, Request, RequestHeader, Response, Text,
    TopicProduceData, Uuid, decode_request, encode_request,
};

use crate::draw::{Direction, every_message, varint};

/// Ten thousand different names have three characters at least, and real ones have more.
const NAME_BYTES: usize = 5;

/// Writes the body that is worst for its decoder's memory: `outer` elements in each array of the message itself, `inner`
/// in each array of those, one in what is below, null wherever it may be, nothing in bytes.
struct Worst {
    version: i16,
    flexible: bool,
    outer: usize,
    inner: usize,
    name_bytes: usize,
    body: Vec<u8>,
}

impl Worst {
    fn value(&mut self, kind: &Kind, depth: usize) {
        match kind {
            Kind::Bool | Kind::Int8 => self.body.push(0),
            Kind::Int16 => self.body.extend([0; 2]),
            Kind::Int32 => self.body.extend([0; 4]),
            Kind::Int64 => self.body.extend([0; 8]),
            Kind::Uuid => self.body.extend([0; 16]),
            Kind::Text => {
                self.length(self.name_bytes, 2);
                self.body.extend(vec![b'n'; self.name_bytes]);
            }
            Kind::Bytes => self.length(0, 4),
            Kind::Array { of, .. } => {
                let count = match depth {
                    0 | 1 => self.outer,
                    2 | 3 => self.inner,
                    _ => 1,
                };
                self.length(count, 4);
                (0..count).for_each(|_| self.value(of, depth + 1));
            }
            Kind::Struct(fields) => {
                for field in fields.iter().filter(|field| field.in_body(self.version)).collect::<Vec<_>>() {
                    match &field.kind {
                        Kind::Nullable(kind) if field.null.contains(self.version) && depth > 0 => {
                            self.null(kind)
                        }
                        Kind::Nullable(kind) => {
                            if matches!(kind, Kind::Struct(_)) {
                                self.body.push(1);
                            }
                            self.value(kind, depth + 1);
                        }
                        kind => self.value(kind, depth + 1),
                    }
                }
                if self.flexible {
                    self.body.push(0);
                }
            }
            Kind::Nullable(kind) => self.value(kind, depth),
        }
    }

    fn length(&mut self, length: usize, classic_bytes: usize) {
        if self.flexible {
            self.body.extend(varint(length as u64 + 1));
        } else {
            self.body.extend(&(length as u32).to_be_bytes()[4 - classic_bytes..]);
        }
    }

    fn null(&mut self, kind: &Kind) {
        match kind {
            Kind::Struct(_) => self.body.push(0xff),
            _ if self.flexible => self.body.push(0),
            Kind::Text => self.body.extend([0xff; 2]),
            _ => self.body.extend([0xff; 4]),
        }
    }
}

/// The body that is worst for its decoder, with `outer` and `inner` elements in the arrays.
fn worst(key: ApiKey, version: i16, direction: Direction, outer: usize, inner: usize) -> Bytes {
    let mut worst = Worst {
        version,
        flexible: key.is_flexible(version),
        outer,
        inner,
        name_bytes: NAME_BYTES,
        body: Vec::new(),
    };
    let schema = if direction == Direction::Request { key.request_schema() } else { key.response_schema() };
    worst.value(&schema, 0);
    Bytes::from(worst.body)
}

#[test]
fn no_message_is_refused_for_its_size() {
    for (key, version, direction) in every_message() {
        for (outer, inner) in [(10_000, 1), (10_000, 0), (100, 300), (1, 10_000)] {
            let body = worst(key, version, direction, outer, inner);
            let bytes = body.len();
            let error = match direction {
                Direction::Request => Request::decode(key, version, body).err(),
                Direction::Response => Response::decode(key, version, body).err(),
            };
            assert_eq!(error, None, "{key} {version} {direction:?} {outer} {inner} {bytes}");
        }
    }
}

/// A request as a client would send it, in every version, through frame and back.
fn assert_goes_through(request: impl Into<Request>) {
    let request = request.into();
    let key = request.key();
    for version in key.range().min..=key.range().max {
        let header = RequestHeader { api_key: key, api_version: version, correlation_id: 1, client_id: None };
        // Not every version can say all of it; those that can must let it through.
        if let Ok(frame) = encode_request(&header, &request) {
            let (_, decoded) = decode_request(frame.to_body()).expect("a real client's request");
            let again = encode_request(&header, &decoded).expect("what was decoded can be encoded");
            assert_eq!(again.to_bytes(), frame.to_bytes(), "{key} {version}");
        }
    }
}

fn name(number: usize) -> Text {
    format!("t{number}").into()
}

#[test]
fn metadata_of_ten_thousand_topics_of_all_and_of_none_go_through() {
    let topic = |number| MetadataRequestTopic { name: Some(name(number)), ..MetadataRequestTopic::default() };
    for topics in [Some((0..10_000).map(topic).collect()), Some(Vec::new()), None] {
        assert_goes_through(MetadataRequest { topics, ..MetadataRequest::default() });
    }
}

#[test]
fn a_fetch_of_ten_thousand_partitions_goes_through_however_they_are_spread() {
    for topics in [1, 100, 10_000] {
        let partition = |partition| FetchPartition { partition, ..FetchPartition::default() };
        let topic = |number| FetchTopic {
            topic: name(number),
            topic_id: Uuid([7; 16]),
            partitions: (0..10_000 / topics).map(partition).collect(),
        };
        let topics = (0..topics as usize).map(topic).collect();
        assert_goes_through(FetchRequest { topics, ..FetchRequest::default() });
    }
    let forgotten =
        ForgottenTopic { topic: name(1), topic_id: Uuid([7; 16]), partitions: (0..10_000).collect() };
    assert_goes_through(FetchRequest { forgotten_topics_data: vec![forgotten], ..FetchRequest::default() });
}

#[test]
fn topics_with_many_configs_go_through() {
    let config = |number: usize| CreatableTopicConfig {
        name: name(number),
        value: (number > 3).then(|| name(number)),
    };
    let topic = |number| CreatableTopic {
        name: name(number),
        num_partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: (0..40).map(config).collect(),
    };
    let topics = (0..2_000).map(topic).collect();
    assert_goes_through(CreateTopicsRequest { topics, ..CreateTopicsRequest::default() });
}

#[test]
fn a_member_joins_with_many_topics_and_several_assignors() {
    let protocol = |name: &'static str| JoinGroupRequestProtocol {
        name: name.into(),
        metadata: Bytes::from(vec![0; 300_000]),
    };
    let protocols = ["range", "cooperative-sticky", ""].map(protocol).to_vec();
    assert_goes_through(JoinGroupRequest { group_id: "g".into(), protocols, ..JoinGroupRequest::default() });
    assert_goes_through(JoinGroupRequest { member_id: "m-1".into(), ..JoinGroupRequest::default() });
}

#[test]
fn a_produce_of_many_partitions_keeps_their_records_as_slices_of_the_frame() {
    let partition = |index| PartitionProduceData { index, records: Some(Bytes::from(vec![index as u8; 70])) };
    let topic = TopicProduceData {
        partition_data: (0..5_000).map(partition).collect(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() };
    assert_goes_through(request.clone());
    let header =
        RequestHeader { api_key: ApiKey::Produce, api_version: 13, correlation_id: 1, client_id: None };
    let frame = encode_request(&header, &request.into()).expect("sound").to_body();
    let Ok((_, Request::Produce(decoded))) = decode_request(frame.clone()) else { panic!("a produce") };
    let within = frame.as_ptr_range();
    for partition in &decoded.topic_data[0].partition_data {
        assert!(within.contains(&partition.records.as_ref().expect("records").as_ptr()));
    }
}
