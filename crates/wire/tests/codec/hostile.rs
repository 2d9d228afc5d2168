//! Bytes that mean harm: no panic, and never more memory than 8 times the input plus 64 KiB.

use bytes::Bytes;
use carrick_wire::{ApiKey, Decoder, HeaderError, Request, Response, decode_request, decode_response};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::cases::{cases, hold, own_share};
use crate::counting::peak_bytes_of;
use crate::draw::{Direction, Taste, draw, every_message, varint};

/// How many inputs are drawn.
const INPUTS: u64 = 200_000;

pub const TASTE: Taste = Taste { elements_end: 4, unknown_tags: true };

/// What was seen while trying.
#[derive(Debug, Default)]
pub struct Seen {
    pub inputs: usize,
    accepted: usize,
    /// The largest part of its bound that an input used, in percent.
    bound_used_percent_max: usize,
}

impl Seen {
    /// Decodes a body and holds it to the bound.
    pub fn decode(&mut self, key: ApiKey, version: i16, direction: Direction, body: Vec<u8>) {
        let bound = body.len() * 8 + 64 * 1024;
        let body = Bytes::from(body);
        let (accepted, peak) = peak_bytes_of(|| match direction {
            Direction::Request => Request::decode(key, version, body).is_ok(),
            Direction::Response => Response::decode(key, version, body).is_ok(),
        });
        assert!(peak <= bound, "{key} {version} {direction:?}: {peak} bytes where {bound} are allowed");
        self.note(accepted, peak, bound);
    }

    /// Decodes a whole frame, whatever its header says.
    fn decode_frame(&mut self, frame: Vec<u8>) {
        let bound = frame.len() * 8 + 64 * 1024;
        let frame = Bytes::from(frame);
        let (accepted, peak) = peak_bytes_of(|| decode_request(frame.clone()).is_ok());
        assert!(peak <= bound, "frame: {peak} bytes where {bound} are allowed");
        self.note(accepted, peak, bound);
        let (accepted, peak) = peak_bytes_of(|| decode_response(ApiKey::ApiVersions, 4, frame).is_ok());
        assert!(peak <= bound, "frame: {peak} bytes where {bound} are allowed");
        self.note(accepted, peak, bound);
    }

    fn note(&mut self, accepted: bool, peak: usize, bound: usize) {
        self.inputs += 1;
        self.accepted += usize::from(accepted);
        self.bound_used_percent_max = self.bound_used_percent_max.max(peak * 100 / bound);
    }
}

/// One input of its own: noise, or a well-formed body that was changed in a few places.
fn drawn(case: u64, messages: &[(ApiKey, i16, Direction)], seen: &mut Seen) {
    let mut rng = SmallRng::seed_from_u64(case);
    let (key, version, direction) = messages[rng.random_range(0..messages.len())];
    let body = match case % 4 {
        0 => random_bytes(&mut rng),
        _ => mutated(draw(key, version, direction, TASTE, rng.random()).body, &mut rng),
    };
    if case % 16 < 2 {
        let mut frame = vec![0, key.code() as u8, 0, version as u8];
        frame.extend(body);
        seen.decode_frame(frame);
    } else {
        seen.decode(key, version, direction, body);
    }
}

#[test]
fn hostile_bodies_stay_within_the_bound() {
    let mut seen = Seen::default();
    let messages: Vec<_> = every_message().collect();
    if own_share() {
        same_byte_all_over(&mut seen);
    }
    hold(cases(INPUTS, INPUTS), |case| drawn(case, &messages, &mut seen));
    println!("{seen:?}");
    assert!(seen.accepted > seen.inputs / 50, "some mutations are harmless: {seen:?}");
    assert!(
        !own_share() || seen.bound_used_percent_max > 97,
        "the bound is reached, so it is this bound that holds: {seen:?}"
    );
}

/// One byte repeated: nested arrays that each claim as much as they can.
fn same_byte_all_over(seen: &mut Seen) {
    for (key, version, direction) in every_message() {
        for byte in [0, 1, 2, 3, 4, 8, 0x20, 0x7f, 0x81, 0xff] {
            for bytes in [500, 20_000] {
                seen.decode(key, version, direction, vec![byte; bytes]);
            }
        }
        // Counts up to where the elements no longer fit the bound, or the input.
        let mut body = vec![0; 60_000];
        let mut count = 1000_u32;
        while count < 60_000 {
            body[..4].copy_from_slice(&count.to_be_bytes());
            seen.decode(key, version, direction, body.clone());
            let mut flexible = varint(count.into());
            flexible.resize(60_000, 1);
            seen.decode(key, version, direction, flexible);
            count += count / 12;
        }
    }
}

fn random_bytes(rng: &mut SmallRng) -> Vec<u8> {
    let bytes = if rng.random_ratio(1, 200) { 50_000 } else { rng.random_range(0..200) };
    // Small numbers make plausible lengths.
    let end = [256, 256, 16, 4][rng.random_range(0..4)];
    (0..bytes).map(|_| rng.random_range(0..end) as u8).collect()
}

fn mutated(mut body: Vec<u8>, rng: &mut SmallRng) -> Vec<u8> {
    for _ in 0..rng.random_range(1..4) {
        if body.is_empty() {
            return vec![rng.random()];
        }
        let at = rng.random_range(0..body.len());
        match rng.random_range(0..5) {
            0 => body[at] = rng.random(),
            1 => body[at] ^= 1 << rng.random_range(0..8),
            2 => body.truncate(at),
            3 => body.insert(at, rng.random()),
            _ => {
                let end = rng.random_range(at..body.len());
                let part = body[at..end].to_vec();
                body.splice(at..at, part);
            }
        }
    }
    body
}

#[test]
fn seven_bytes_cannot_ask_for_gigabytes() {
    // Metadata version 12: a count of 2^32 - 2 topics.
    let body = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    let (refused, peak) = peak_bytes_of(|| Request::decode(ApiKey::Metadata, 12, body).is_err());
    assert!(refused && peak < 1024, "{peak}");
}

#[test]
fn a_refused_header_still_says_whom_to_answer() {
    let header = |key: u8, version: u8| {
        let bytes = [&[0, key, 0, version, 0, 0, 0, 42, 0, 2], b"me".as_slice(), &[0xde, 0xad]].concat();
        carrick_wire::decode_request_header(&mut Bytes::from(bytes))
    };
    let client_id = || Some("me".into());
    assert_eq!(
        header(18, 9),
        Err(HeaderError::UnsupportedVersion {
            api_key: ApiKey::ApiVersions,
            api_version: 9,
            correlation_id: 42,
            client_id: client_id()
        })
    );
    assert_eq!(
        header(0, 2),
        Err(HeaderError::UnsupportedVersion {
            api_key: ApiKey::Produce,
            api_version: 2,
            correlation_id: 42,
            client_id: client_id()
        })
    );
    assert_eq!(
        header(99, 1),
        Err(HeaderError::UnknownKey {
            api_key: 99,
            api_version: 1,
            correlation_id: 42,
            client_id: client_id()
        })
    );
    // A header that ends after the correlation id is enough to answer.
    let short = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 42]);
    assert!(matches!(
        carrick_wire::decode_request_header(&mut short.clone()),
        Err(HeaderError::UnsupportedVersion { correlation_id: 42, client_id: None, .. })
    ));
}

#[test]
fn a_decoder_of_nothing_is_done() {
    assert!(Decoder::new(Bytes::new()).finish().is_ok());
}
