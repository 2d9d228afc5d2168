//! The messages between nodes and to operators, as generated from `proto/`.
//!
//! **Place**: layer 1. The link's engine and its simulation use the messages alone; the services around them are `rpc`'s.
//!
//! **Guarantees**: the byte fields of a decoded message are slices of what was decoded.
//!
//! **Absent on purpose**: gRPC.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{Message as _, encode_length_delimiter, length_delimiter_len};

use v1::envelope::Body;
use v1::{Data, Envelope};

/// Version 1, spoken from the first release on.
pub mod v1 {
    #![allow(clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/carrick.v1.rs"));
}

/// The version of the link's protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

/// A message as it is sent, in two pieces, so that what a batch is made of is not copied once more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub head: Bytes,
    pub tail: Bytes,
}

impl Encoded {
    /// As bytes in a row, which copies them.
    pub fn whole(self) -> Bytes {
        if self.tail.is_empty() { self.head } else { [self.head, self.tail].concat().into() }
    }

    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Into<Bytes>> From<T> for Encoded {
    fn from(whole: T) -> Self {
        Self { head: whole.into(), tail: Bytes::new() }
    }
}

/// Keys on the wire: number << 3 | 2, which stands for a length.
const DATA: [u8; 2] = [0xa2, 0x01];
const RECORDS: u8 = 0x7a;
const LENGTH_MAX: usize = 10;

/// An envelope as it is sent.
pub fn encode(body: Body) -> Encoded {
    match body {
        Body::Data(data) => encode_data(data),
        other => Envelope { body: Some(other) }.encode_to_vec().into(),
    }
}

/// The records are the last field of the last message: what stands before them is the head.
fn encode_data(mut data: Data) -> Encoded {
    let tail = std::mem::take(&mut data.records);
    let fields = data.encoded_len();
    let records = if tail.is_empty() { 0 } else { 1 + length_delimiter_len(tail.len()) + tail.len() };
    let mut head = BytesMut::with_capacity(DATA.len() + 1 + fields + 2 * LENGTH_MAX);
    head.put_slice(&DATA);
    put_length(&mut head, fields + records);
    data.encode_raw(&mut head);
    if !tail.is_empty() {
        head.put_u8(RECORDS);
        put_length(&mut head, tail.len());
    }
    Encoded { head: head.freeze(), tail }
}

fn put_length(to: &mut BytesMut, length: usize) {
    // Refused for want of room alone, and it grows.
    let _ = encode_length_delimiter(length, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_two_pieces_it_is_the_same_message() {
        for records in [0, 1, 127, 128, 300, 20_000, 300_000] {
            for number in [0_u64, 1, u64::MAX] {
                let data = Data {
                    subscription: number as u32,
                    attempt: number,
                    sequence: number,
                    part: 3,
                    parts: number as u32,
                    change: number,
                    high_watermark: number as i64,
                    log_start: -7,
                    records: vec![9; records].into(),
                };
                let whole = Envelope { body: Some(Body::Data(data.clone())) }.encode_to_vec();
                let encoded = encode(Body::Data(data.clone()));
                assert_eq!((encoded.tail.len(), encoded.len()), (records, whole.len()));
                assert_eq!(encoded.whole(), whole);
            }
        }
    }
}
