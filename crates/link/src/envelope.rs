//! Envelopes on a connection: encoding, decoding, and the checks that protobuf does not make.

use bytes::Bytes;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Envelope, Refusal};
pub(crate) use carrick_proto::{Encoded, encode};
use carrick_types::Offset;
use prost::Message as _;
use tokio::sync::mpsc;

/// Records of one Data message at most.
pub(crate) const FRAME_BYTES: usize = 256 * 1024;

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the connection was lost")]
    Lost,
    #[error("the peer was silent for 3 s")]
    Silent,
    #[error("the peer refused: {message} ({code})")]
    Refused { code: String, message: String },
    #[error("the peer said goodbye: {reason}")]
    Goodbye { reason: String },
    #[error("a newer session of the same link took over")]
    Replaced,
    #[error("the peer broke the protocol: {what}")]
    Protocol { what: String },
    #[error("{code}: {message}")]
    Local { code: &'static str, message: String },
}

pub(crate) fn protocol(what: impl Into<String>) -> End {
    End::Protocol { what: what.into() }
}

pub(crate) async fn send(to: &mpsc::Sender<Encoded>, body: Body) -> Result<(), End> {
    to.send(encode(body)).await.map_err(|_| End::Lost)
}

/// A message of a kind that this version does not know is skipped.
pub(crate) fn decode(bytes: Bytes) -> Result<Option<Body>, End> {
    let envelope =
        Envelope::decode(bytes).map_err(|e| protocol(format!("an envelope does not decode: {e}")))?;
    match envelope.body {
        Some(Body::Refusal(Refusal { code, message })) => Err(End::Refused { code, message }),
        Some(Body::Goodbye(goodbye)) => Err(End::Goodbye { reason: goodbye.reason }),
        body => Ok(body),
    }
}

pub(crate) fn id(bytes: &[u8], what: &str) -> Result<[u8; 16], End> {
    bytes.try_into().map_err(|_| protocol(format!("{what} has {} bytes, an id has 16", bytes.len())))
}

pub(crate) fn offset(value: i64, what: &str) -> Result<Offset, End> {
    Offset::new(value).ok_or_else(|| protocol(format!("{what} is {value}")))
}
