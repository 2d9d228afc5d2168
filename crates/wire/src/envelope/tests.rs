use super::*;
use crate::{ApiVersion, ApiVersionsResponse, ErrorCode, MetadataRequest, MetadataResponse};

fn header(api_key: ApiKey, api_version: i16) -> RequestHeader {
    RequestHeader { api_key, api_version, correlation_id: 3, client_id: Some("me".into()) }
}

#[test]
fn an_api_versions_request_too_new_is_answered_in_version_0_and_that_answer_is_understood() {
    let mut frame = Bytes::from_static(&[0, 18, 0, 9, 0, 0, 0, 3, 0, 2, b'm', b'e', 0, 1, 2, 3]);
    let error = decode_request_header(&mut frame).expect_err("too new");
    let HeaderError::UnsupportedVersion { api_key, correlation_id, .. } = error else {
        panic!("{error}");
    };
    let range = ApiVersion { api_key: api_key.code(), min_version: 0, max_version: 4 };
    let answer = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.code(),
        api_keys: vec![range],
        ..ApiVersionsResponse::default()
    };
    let frame = encode_response(correlation_id, 0, &answer.clone().into()).expect("sound");
    let golden = [0, 0, 0, 16, 0, 0, 0, 3, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    assert_eq!(frame.to_bytes(), golden.as_slice());
    assert_eq!(decode_response(ApiKey::ApiVersions, 4, frame.to_body()), Ok((3, answer.into())));
}

#[test]
fn a_request_is_these_bytes() {
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    let classic = encode_request(&header(ApiKey::Metadata, 4), &request.clone().into()).expect("sound");
    let golden = [0, 0, 0, 17, 0, 3, 0, 4, 0, 0, 0, 3, 0, 2, b'm', b'e', 0, 0, 0, 0, 1];
    assert_eq!(classic.to_bytes(), golden.as_slice());
    let flexible = encode_request(&header(ApiKey::Metadata, 13), &request.into()).expect("sound");
    let golden = [0, 0, 0, 17, 0, 3, 0, 13, 0, 0, 0, 3, 0, 2, b'm', b'e', 0, 1, 1, 0, 0];
    assert_eq!(flexible.to_bytes(), golden.as_slice());
}

#[test]
fn a_header_is_taken_off_the_front_and_the_body_is_left() {
    let frame =
        encode_request(&header(ApiKey::Metadata, 13), &MetadataRequest::default().into()).expect("sound");
    let mut body = frame.to_body();
    assert_eq!(decode_request_header(&mut body), Ok(header(ApiKey::Metadata, 13)));
    assert_eq!(Request::decode(ApiKey::Metadata, 13, body), Ok(MetadataRequest::default().into()));
}

#[test]
fn a_body_that_is_not_sound_says_which_request_to_refuse() {
    let frame =
        encode_request(&header(ApiKey::Metadata, 13), &MetadataRequest::default().into()).expect("sound");
    let body = frame.to_body();
    let mut long = body.to_vec();
    long.push(0);
    assert!(decode_request(Bytes::from(long)).is_ok(), "what follows a request is ignored, as Kafka does");
    let error = decode_request(body.slice(..body.len() - 1)).expect_err("cut short");
    assert!(matches!(error, RequestError::Body { correlation_id: 3, .. }));
    assert!(error.to_string().starts_with("request 3 of Metadata version 13: MetadataRequest"), "{error}");
}

#[test]
fn a_header_of_one_api_does_not_carry_the_body_of_another() {
    let mismatch = encode_request(&header(ApiKey::Fetch, 13), &MetadataRequest::default().into());
    assert_eq!(
        mismatch.map(|_| ()),
        Err(EncodeError::Mismatch { header: ApiKey::Fetch, body: ApiKey::Metadata })
    );
}

#[test]
fn a_fallback_is_only_for_api_versions() {
    let answer = MetadataResponse { throttle_time_ms: 35 << 16, ..MetadataResponse::default() };
    let frame = encode_response(1, 8, &answer.clone().into()).expect("sound");
    assert_eq!(decode_response(ApiKey::Metadata, 8, frame.to_body()), Ok((1, answer.into())));
}
