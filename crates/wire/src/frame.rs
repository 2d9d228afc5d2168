//! [`Frame`]: what is to be sent, in pieces that need not be copied together.

use bytes::{Bytes, BytesMut};

/// A whole frame, its 4-byte length prefix first, as segments to be written one after the other. None is empty.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    segments: Vec<Bytes>,
    len: usize,
}

impl Frame {
    pub(crate) fn new(segments: Vec<Bytes>) -> Self {
        let len = segments.iter().fold(0_usize, |sum, segment| sum.saturating_add(segment.len()));
        Self { segments, len }
    }

    /// In bytes, with the length prefix.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    #[must_use]
    pub fn into_segments(self) -> Vec<Bytes> {
        self.segments
    }

    /// A copy in one piece, with the length prefix.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.len);
        self.segments.iter().for_each(|segment| bytes.extend_from_slice(segment));
        bytes.freeze()
    }

    /// A copy in one piece without the length prefix: what the decoders take.
    #[must_use]
    pub fn to_body(&self) -> Bytes {
        self.to_bytes().slice(self.len.min(4)..)
    }
}
