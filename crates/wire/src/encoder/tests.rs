use super::*;
use crate::schema::Versions;
use crate::{
    FetchResponse, FetchableTopicResponse, Message, MetadataRequest, MetadataResponse, MetadataResponseTopic,
    PartitionData, encode_response,
};

fn fetch_of(records: Records) -> FetchResponse {
    let partition = PartitionData { records: Some(records), ..PartitionData::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..FetchableTopicResponse::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

#[test]
fn record_bytes_are_segments_and_not_copies() {
    let batches = Bytes::from(vec![7; 300]);
    let slices = vec![batches.slice(..100), Bytes::new(), batches.slice(100..)];
    for version in FetchResponse::MIN..=FetchResponse::MAX {
        let frame = encode_response(1, version, &fetch_of(slices.clone().into()).into()).expect("sound");
        let shared =
            |slice: &Bytes| frame.segments().iter().any(|segment| segment.as_ptr() == slice.as_ptr());
        assert!(shared(&slices[0]) && shared(&slices[2]));
        assert!(frame.segments().iter().all(|segment| !segment.is_empty()));
        let whole = encode_response(1, version, &fetch_of(batches.clone().into()).into()).expect("sound");
        assert_eq!(frame.to_bytes(), whole.to_bytes());
        assert_eq!(frame.len(), frame.segments().iter().map(Bytes::len).sum::<usize>());
    }
}

#[test]
fn a_slice_in_a_tagged_field_goes_behind_the_fields_length() {
    const FIELD: Field = Field {
        name: "field",
        kind: Bytes::KIND,
        versions: Versions::ALL,
        null: Versions::ALL,
        tag: Some(5),
    };
    let mut e = Encoder::new();
    e.begin("Test", Layout { version: 1, flexible: true });
    let tags = e.begin_tags();
    e.tagged(&FIELD, &Bytes::from(vec![7; 100]), &Bytes::new()).expect("small");
    e.end_tags(tags);
    // One tag: 5, 101 bytes: a varint of 100 + 1 and the bytes.
    let body = [[1, 5, 101, 101].as_slice(), &[7; 100]].concat();
    assert_eq!(e.finish().expect("small").to_body(), body);
}

#[test]
fn a_frame_over_two_gib_is_refused_without_being_built() {
    // A thousand times the same four MiB.
    let slices = vec![Bytes::from(vec![0; 4 << 20]); 1000];
    let refused = encode_response(1, 12, &fetch_of(slices.into()).into());
    assert!(matches!(refused, Err(EncodeError::FrameTooLarge { .. })));
    let records = Records::from(vec![Bytes::from(vec![0; 4 << 20]); 300]);
    let mut response = fetch_of(records);
    response.responses.push(response.responses[0].clone());
    let refused = encode_response(1, 12, &response.into());
    assert!(matches!(refused, Err(EncodeError::FrameTooLarge { .. })), "each fits and both do not");
}

#[test]
fn a_text_longer_than_kafka_allows_is_refused() {
    let host = |bytes| MetadataResponse {
        cluster_id: Some("x".repeat(bytes).into()),
        ..MetadataResponse::default()
    };
    for version in [2, 13] {
        assert!(encode_response(1, version, &host(TEXT_BYTES_MAX).into()).is_ok());
        let error = encode_response(1, version, &host(TEXT_BYTES_MAX + 1).into()).expect_err("too long");
        assert!(error.to_string().starts_with("MetadataResponse.cluster_id at byte "), "{error}");
    }
}

#[test]
fn null_is_refused_in_a_version_that_has_none() {
    let response =
        MetadataResponse { topics: vec![MetadataResponseTopic::default()], ..MetadataResponse::default() };
    assert!(matches!(
        encode_response(1, 11, &response.clone().into()),
        Err(EncodeError::Null { version: 11, .. })
    ));
    assert!(encode_response(1, 12, &response.into()).is_ok());
}

#[test]
fn a_version_that_is_not_spoken_is_refused() {
    let mut e = Encoder::new();
    let error = MetadataRequest::default().encode(&mut e, 14).expect_err("not spoken");
    assert_eq!(error.to_string(), "MetadataRequest: version 14 is not spoken");
}
