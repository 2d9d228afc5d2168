//! [`Message`]: what every request and response is.

use crate::ApiKey;
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::failure::{DecodeError, EncodeError, VersionNotSpoken};
use crate::wire::Layout;

/// A flexible version that no message has: for messages that were never made flexible.
pub(crate) const NEVER: i16 = i16::MAX;

/// A request's or a response's body.
pub trait Message: Sized {
    const KEY: ApiKey;
    const NAME: &'static str;
    /// The lowest version spoken.
    const MIN: i16;
    /// The highest version spoken.
    const MAX: i16;
    /// The first version with varint lengths and tagged fields (KIP-482).
    const FLEXIBLE_FROM: i16;

    /// Reads a body and leaves what follows; see [`Decoder::finish`].
    fn decode(d: &mut Decoder, version: i16) -> Result<Self, DecodeError>;

    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

/// How `M` is laid out in `version`, if it is spoken.
pub(crate) fn layout<M: Message>(version: i16) -> Result<Layout, VersionNotSpoken> {
    if (M::MIN..=M::MAX).contains(&version) {
        Ok(Layout { version, flexible: version >= M::FLEXIBLE_FROM })
    } else {
        Err(VersionNotSpoken { message: M::NAME, version })
    }
}
