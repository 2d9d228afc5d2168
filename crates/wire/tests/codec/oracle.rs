//! Against `kafka-protocol`, which follows Kafka 4.1's schemas.

use bytes::{Bytes, BytesMut};
use carrick_wire::{
    ApiKey, Encoder, Message, Request, RequestHeader, Response, decode_request, decode_response,
};
use carrick_wire::{encode_request, encode_response};
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::draw::{Direction, Taste, draw, every_message};

const SEEDS: u64 = 60;
const TASTE: Taste = Taste { elements_end: 4, unknown_tags: false };

fn their_key(key: ApiKey) -> TheirKey {
    TheirKey::try_from(key.code()).expect("the oracle knows the key")
}

/// A body through our codec.
fn ours(key: ApiKey, version: i16, direction: Direction, body: Bytes) -> Bytes {
    let header = RequestHeader { api_key: key, api_version: version, correlation_id: 1, client_id: None };
    match direction {
        Direction::Request => {
            let request = Request::decode(key, version, body).expect("ours decodes");
            let mut frame = encode_request(&header, &request).expect("ours encodes").to_body();
            carrick_wire::decode_request_header(&mut frame).expect("our header");
            frame
        }
        Direction::Response => {
            let response = Response::decode(key, version, body).expect("ours decodes");
            let frame = encode_response(1, version, &response).expect("ours encodes").to_body();
            let flexible = key.is_flexible(version) && key != ApiKey::ApiVersions;
            frame.slice(4 + usize::from(flexible)..)
        }
    }
}

/// A body through the oracle.
fn theirs(key: ApiKey, version: i16, direction: Direction, mut body: Bytes) -> Bytes {
    let mut bytes = BytesMut::new();
    match direction {
        Direction::Request => {
            let request = RequestKind::decode(their_key(key), &mut body, version).expect("theirs decodes");
            request.encode(&mut bytes, version).expect("theirs encodes");
        }
        Direction::Response => {
            let response = ResponseKind::decode(their_key(key), &mut body, version).expect("theirs decodes");
            response.encode(&mut bytes, version).expect("theirs encodes");
        }
    }
    assert!(body.is_empty(), "theirs reads all");
    bytes.freeze()
}

#[test]
fn every_message_in_every_version_reads_and_writes_as_the_oracle_does() {
    for (key, version, direction) in every_message() {
        for seed in 0..SEEDS {
            let body = Bytes::from(draw(key, version, direction, TASTE, seed).body);
            let (ours, theirs) =
                (ours(key, version, direction, body.clone()), theirs(key, version, direction, body.clone()));
            assert_eq!(ours, theirs, "{key} {version} {direction:?} seed {seed}");
            assert_eq!(ours, body, "{key} {version} {direction:?} seed {seed}");
        }
    }
}

#[test]
fn headers_are_the_oracles() {
    use kafka_protocol::messages::{RequestHeader as TheirRequest, ResponseHeader as TheirResponse};
    for (key, version, direction) in every_message() {
        let body = Bytes::from(draw(key, version, direction, TASTE, 0).body);
        let mut bytes = BytesMut::new();
        if direction == Direction::Request {
            let header_version = their_key(key).request_header_version(version);
            let header = TheirRequest::default()
                .with_request_api_key(key.code())
                .with_request_api_version(version)
                .with_correlation_id(7)
                .with_client_id(Some("me".into()));
            header.encode(&mut bytes, header_version).expect("their header");
            bytes.extend_from_slice(&body);
            let (header, request) = decode_request(bytes.clone().freeze()).expect("ours");
            assert_eq!((header.api_key, header.api_version, header.correlation_id), (key, version, 7));
            assert_eq!(header.client_id.as_deref(), Some("me"));
            assert_eq!(encode_request(&header, &request).expect("ours").to_body(), bytes);
        } else {
            let header_version = their_key(key).response_header_version(version);
            TheirResponse::default()
                .with_correlation_id(7)
                .encode(&mut bytes, header_version)
                .expect("their header");
            bytes.extend_from_slice(&body);
            let (correlation_id, response) =
                decode_response(key, version, bytes.clone().freeze()).expect("ours");
            assert_eq!(correlation_id, 7);
            let frame = encode_response(7, version, &response).expect("ours").to_body();
            assert_eq!(frame, bytes);
            TheirResponse::decode(&mut frame.clone(), header_version).expect("theirs");
        }
    }
}

#[test]
fn defaults_are_the_oracles() {
    use kafka_protocol::messages as their;

    /// What a message's default is at a version.
    fn assert_default<M: Message + Default, T: Encodable + Default>(version: i16) {
        let mut e = Encoder::new();
        M::default().encode(&mut e, version).expect("ours");
        let mut theirs = BytesMut::new();
        T::default().encode(&mut theirs, version).expect("theirs");
        assert_eq!(e.finish().expect("frame").to_body(), theirs, "{} {version}", M::NAME);
    }

    assert_default::<carrick_wire::FetchRequest, their::FetchRequest>(12);
    assert_default::<carrick_wire::CreateTopicsRequest, their::CreateTopicsRequest>(7);
    assert_default::<carrick_wire::InitProducerIdResponse, their::InitProducerIdResponse>(5);
    assert_default::<carrick_wire::OffsetForLeaderEpochRequest, their::OffsetForLeaderEpochRequest>(4);
    assert_default::<carrick_wire::DescribeTopicPartitionsRequest, their::DescribeTopicPartitionsRequest>(0);
    assert_default::<carrick_wire::MetadataResponse, their::MetadataResponse>(10);
    assert_default::<carrick_wire::JoinGroupRequest, their::JoinGroupRequest>(9);
    assert_default::<carrick_wire::OffsetCommitRequest, their::OffsetCommitRequest>(4);
    assert_default::<carrick_wire::DescribeClusterRequest, their::DescribeClusterRequest>(2);
}
