//! The Kafka protocol, sans-IO and in both directions: frames to messages and messages to frames.
//!
//! **Place**: layer 2, below the broker, which gives the messages their meaning, and the listener and the client, which move frames. This
//! crate touches no socket, clock or file.
//!
//! **Guarantees**:
//!
//! - Each message is described once, in a table of [`messages`]; struct, decoder, encoder and schema follow from it.
//! - Any input costs at most 8 times its length plus 64 KiB of memory to decode, and never a panic ([`Decoder`], [`Meter`]).
//! - Text and record bytes of a decoded message are slices of its frame (text that is not UTF-8 is mended in a copy, as
//!   Kafka does). Record bytes are not copied into a [`Frame`].
//! - Bytes after the end of a request are ignored, as Kafka's broker does: librdkafka writes a null array of Metadata in four
//!   bytes where one belongs. After an answer they are refused ([`Decoder::finish`]).
//! - Tagged fields that the table does not know are passed over. Null where a version has none is refused, both ways.
//!
//! **Limits**: a text has at most 32,767 bytes, as in Kafka; a frame at most 2 GiB, and what a listener accepts should be far less.
//! The highest versions are Kafka 4.1's, the lowest Kafka 4.0's (KIP-896); [`ApiKey::range`] has them,
//! [`ApiRange::advertised`] what to tell clients.
//!
//! **Absent on purpose**: record batches, which are opaque here; unknown tagged fields, which are not kept; requests between brokers (but WriteTxnMarkers); share
//! groups, KIP-848 groups and telemetry.

mod api;
mod decoder;
mod encoder;
mod envelope;
pub mod error;
mod failure;
mod frame;
mod message;
pub mod messages;
mod meter;
mod records;
pub mod schema;
mod table;
mod text;
mod uuid;
mod wire;

pub use api::{ApiKey, ApiRange, Request, Response, UnknownApiKey};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use envelope::{
    RequestHeader, decode_request, decode_request_header, decode_response, encode_request, encode_response,
};
pub use error::ErrorCode;
pub use failure::{DecodeError, EncodeError, HeaderError, Place, RequestError, VersionNotSpoken};
pub use frame::Frame;
pub use message::Message;
pub use messages::*;
pub use meter::Meter;
pub use records::Records;
pub use text::Text;
pub use uuid::Uuid;
