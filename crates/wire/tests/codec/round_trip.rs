//! The codec against itself.

use bytes::Bytes;
use carrick_wire::{
    Request, RequestHeader, Response, decode_request, decode_response, encode_request, encode_response,
};
use proptest::prelude::*;

use crate::draw::{Direction, Taste, draw, every_message};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same_in_every_version(seed: u64, elements_end in 2_usize..5) {
        let taste = Taste { elements_end, unknown_tags: false };
        for (key, version, direction) in every_message() {
            let body = Bytes::from(draw(key, version, direction, taste, seed).body);
            if direction == Direction::Request {
                let header =
                    RequestHeader { api_key: key, api_version: version, correlation_id: -5, client_id: Some("é".into()) };
                let request = Request::decode(key, version, body).expect("a drawn body is sound");
                let frame = encode_request(&header, &request).expect("what was decoded can be encoded");
                prop_assert_eq!(decode_request(frame.to_body()).expect("sound"), (header, request));
                prop_assert_eq!(frame.len(), frame.to_body().len() + 4);
            } else {
                let response = Response::decode(key, version, body).expect("a drawn body is sound");
                let frame = encode_response(9, version, &response).expect("what was decoded can be encoded");
                prop_assert_eq!(decode_response(key, version, frame.to_body()).expect("sound"), (9, response));
                let prefix = (frame.len() as u32 - 4).to_be_bytes();
                prop_assert_eq!(&frame.to_bytes()[..4], &prefix);
            }
        }
    }

    #[test]
    fn unknown_tagged_fields_change_nothing(seed: u64) {
        let unknown = Taste { elements_end: 3, unknown_tags: true };
        for (key, version, direction) in every_message().filter(|(key, version, _)| key.is_flexible(*version)) {
            let body = Bytes::from(draw(key, version, direction, unknown, seed).body);
            // Written again, what was unknown is gone; what was known is as it was.
            if direction == Direction::Request {
                let request = Request::decode(key, version, body).expect("a drawn body is sound");
                let header = RequestHeader { api_key: key, api_version: version, correlation_id: 1, client_id: None };
                let frame = encode_request(&header, &request).expect("sound").to_body();
                prop_assert_eq!(decode_request(frame).expect("sound").1, request);
            } else {
                let response = Response::decode(key, version, body).expect("a drawn body is sound");
                let frame = encode_response(1, version, &response).expect("sound").to_body();
                prop_assert_eq!(decode_response(key, version, frame).expect("sound").1, response);
            }
        }
    }

    #[test]
    fn a_body_cut_short_or_run_long_is_refused(seed: u64, cut in 1_usize..40) {
        let taste = Taste { elements_end: 3, unknown_tags: false };
        for (key, version, direction) in every_message() {
            let body = Bytes::from(draw(key, version, direction, taste, seed).body);
            let short = body.slice(..body.len().saturating_sub(cut));
            let mut long = body.to_vec();
            long.push(0);
            let refused = |body: Bytes| match direction {
                Direction::Request => Request::decode(key, version, body).is_err(),
                Direction::Response => Response::decode(key, version, body).is_err(),
            };
            prop_assert!(body.is_empty() || refused(short), "{} {} {:?}", key, version, direction);
            prop_assert!(refused(Bytes::from(long)), "{} {} {:?}", key, version, direction);
        }
    }
}
