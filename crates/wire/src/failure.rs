//! Why a frame could not be read or written: what was wrong, in which message and field, at which byte.

use std::fmt;

use crate::{ApiKey, Text};

/// Where decoding or encoding stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub message: &'static str,
    /// The field last begun; empty before the first.
    pub field: &'static str,
    /// In bytes from the start of what was given to the decoder, or of the frame that is written.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.field.is_empty() { "" } else { "." };
        write!(f, "{}{dot}{} at byte {}", self.message, self.field, self.offset)
    }
}

/// A version outside a message's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}: version {version} is not spoken")]
pub struct VersionNotSpoken {
    pub message: &'static str,
    pub version: i16,
}

/// Why bytes are not the message that they are said to be. All of these are the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{at}: {needed} bytes are needed, {left} are left")]
    Short { at: Place, needed: usize, left: usize },
    #[error("{at}: a length of {length} is not allowed here")]
    Length { at: Place, length: i64 },
    #[error("{at}: null is not allowed in version {version}")]
    Null { at: Place, version: i16 },
    #[error("{at}: a varint does not fit 32 bits")]
    Varint { at: Place },
    #[error("{at}: a tagged field says {said} bytes and has {read}")]
    Tag { at: Place, said: usize, read: usize },
    /// The message is larger in memory than the input could justify; see [`Meter`](crate::Meter).
    #[error("{at}: decoding would take {needed} more bytes of memory, {left} are allowed")]
    TooLarge { at: Place, needed: usize, left: usize },
    #[error("{at}: {bytes} bytes after the end of the message")]
    TrailingBytes { at: Place, bytes: usize },
    #[error(transparent)]
    Version(#[from] VersionNotSpoken),
}

/// Why a message cannot be written. All of these are the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Kafka allows 32,767 bytes of a text in all versions.
    #[error("{at}: a text of {bytes} bytes, {max} are allowed")]
    TextTooLong { at: Place, bytes: usize, max: usize },
    #[error("{at}: null is not allowed in version {version}")]
    Null { at: Place, version: i16 },
    /// A frame's length prefix is a signed 32-bit number.
    #[error("{at}: a frame over 2 GiB")]
    FrameTooLarge { at: Place },
    #[error(transparent)]
    Version(#[from] VersionNotSpoken),
    #[error("a header for {header} with a body of {body}")]
    Mismatch { header: ApiKey, body: ApiKey },
}

/// Why a request's header was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("api key {api_key} is unknown")]
    UnknownKey { api_key: i16, api_version: i16, correlation_id: i32, client_id: Option<Text> },
    /// Answer ApiVersions with a version 0 answer, error 35 and the ranges; close on any other.
    #[error("{api_key} version {api_version} is not spoken")]
    UnsupportedVersion { api_key: ApiKey, api_version: i16, correlation_id: i32, client_id: Option<Text> },
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("request header: {0}")]
    Header(#[from] HeaderError),
    /// The header was sound and the body is not.
    #[error("request {correlation_id} of {api_key} version {api_version}: {error}")]
    Body { api_key: ApiKey, api_version: i16, correlation_id: i32, error: DecodeError },
}
