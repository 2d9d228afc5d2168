//! [`Encoder`]: writes a message into a [`Frame`] and copies no record bytes.

use bytes::Bytes;

use crate::failure::{EncodeError, Place};
use crate::frame::Frame;
use crate::schema::Field;
use crate::wire::{Layout, Wire};
use crate::{Records, Text};

/// Kafka writes and reads no longer text, whatever the version could express.
pub(crate) const TEXT_BYTES_MAX: usize = 0x7fff;

/// The header of a record batch. A `Bytes` of at least this becomes a segment of its own, so a batch is never copied; what
/// is shorter is not worth one.
const SEGMENT_BYTES_MIN: usize = 61;

/// The frame's length prefix.
const PREFIX_BYTES: usize = 4;

/// Collects a frame: one buffer of what is written, and the slices to be spliced into it.
#[derive(Debug)]
pub struct Encoder {
    buffer: Vec<u8>,
    /// Where in `buffer` each slice goes, in rising order.
    splices: Vec<(usize, Bytes)>,
    spliced_bytes: usize,
    /// Tagged fields written of the struct that is being written.
    tags: u8,
    layout: Layout,
    message: &'static str,
    field: &'static str,
}

impl Encoder {
    /// An encoder of one frame, with room for its length prefix.
    #[must_use]
    pub fn new() -> Self {
        let layout = Layout { version: 0, flexible: false };
        let mut buffer = Vec::with_capacity(256);
        buffer.extend_from_slice(&[0; PREFIX_BYTES]);
        Self { buffer, splices: Vec::new(), spliced_bytes: 0, tags: 0, layout, message: "frame", field: "" }
    }

    /// The frame, its length prefix filled in.
    pub fn finish(mut self) -> Result<Frame, EncodeError> {
        let length = self.len().saturating_sub(PREFIX_BYTES);
        let Ok(length) = i32::try_from(length) else {
            return Err(EncodeError::FrameTooLarge { at: self.place() });
        };
        if let Some(prefix) = self.buffer.first_chunk_mut() {
            *prefix = length.to_be_bytes();
        }
        let mut rest = Bytes::from(self.buffer);
        let mut segments = Vec::with_capacity(self.splices.len().saturating_mul(2).saturating_add(1));
        let mut taken = 0;
        for (at, slice) in self.splices {
            let head = rest.split_to(at.saturating_sub(taken).min(rest.len()));
            taken = at;
            segments.extend([head, slice].into_iter().filter(|segment| !segment.is_empty()));
        }
        segments.extend(Some(rest).filter(|rest| !rest.is_empty()));
        Ok(Frame::new(segments))
    }

    pub(crate) fn begin(&mut self, message: &'static str, layout: Layout) {
        self.message = message;
        self.field = "";
        self.layout = layout;
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    fn len(&self) -> usize {
        self.buffer.len().saturating_add(self.spliced_bytes)
    }

    fn place(&self) -> Place {
        Place { message: self.message, field: self.field, offset: self.len() }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn varint(&mut self, value: u32) {
        let (bytes, len) = varint(value);
        self.buffer.extend(bytes.iter().take(len));
    }

    /// A length, or null: a varint of the length + 1 in a flexible version, 4 bytes before.
    fn length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let Ok(length) = length.map_or(Ok(-1), i32::try_from) else {
            return Err(EncodeError::FrameTooLarge { at: self.place() });
        };
        if self.layout.flexible {
            self.varint(length.wrapping_add(1).cast_unsigned());
        } else {
            self.raw(&length.to_be_bytes());
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, text: Option<&Text>) -> Result<(), EncodeError> {
        let bytes = text.map(Text::as_bytes);
        let length = match bytes {
            None => -1,
            Some(bytes) if bytes.len() > TEXT_BYTES_MAX => {
                let (bytes, max) = (bytes.len(), TEXT_BYTES_MAX);
                return Err(EncodeError::TextTooLong { at: self.place(), bytes, max });
            }
            Some(bytes) => i16::try_from(bytes.len()).unwrap_or(i16::MAX),
        };
        if self.layout.flexible {
            self.varint(u32::from(length.wrapping_add(1).cast_unsigned()));
        } else {
            self.raw(&length.to_be_bytes());
        }
        self.raw(bytes.unwrap_or_default());
        Ok(())
    }

    pub(crate) fn bytes(&mut self, bytes: Option<&Bytes>) -> Result<(), EncodeError> {
        self.length(bytes.map(Bytes::len))?;
        match bytes {
            Some(bytes) if bytes.len() >= SEGMENT_BYTES_MIN => self.splice(bytes),
            Some(bytes) => self.raw(bytes),
            None => {}
        }
        Ok(())
    }

    pub(crate) fn records(&mut self, records: Option<&Records>) -> Result<(), EncodeError> {
        self.length(records.map(Records::len))?;
        records.into_iter().flat_map(Records::slices).for_each(|slice| self.splice(slice));
        Ok(())
    }

    fn splice(&mut self, slice: &Bytes) {
        if !slice.is_empty() {
            self.splices.push((self.buffer.len(), slice.clone()));
            self.spliced_bytes = self.spliced_bytes.saturating_add(slice.len());
        }
    }

    pub(crate) fn vec<T: Wire>(&mut self, elements: Option<&[T]>) -> Result<(), EncodeError> {
        self.length(elements.map(<[T]>::len))?;
        elements.unwrap_or_default().iter().try_for_each(|element| element.write(self))
    }

    /// A field of a struct; null only where the table allows it.
    pub(crate) fn field<T: Wire>(&mut self, field: &Field, value: &T) -> Result<(), EncodeError> {
        self.field = field.name;
        if value.is_null() && !field.null.contains(self.layout.version) {
            return Err(EncodeError::Null { at: self.place(), version: self.layout.version });
        }
        value.write(self)
    }

    /// Begins the tagged fields of a struct, for [`end_tags`](Self::end_tags).
    pub(crate) fn begin_tags(&mut self) -> Tags {
        // No struct has 128 known tags, so their count is a varint of one byte.
        self.raw(&[0]);
        Tags { outer: std::mem::replace(&mut self.tags, 0), at: self.buffer.len().saturating_sub(1) }
    }

    pub(crate) fn end_tags(&mut self, tags: Tags) {
        if let Some(count) = self.buffer.get_mut(tags.at) {
            *count = self.tags;
        }
        self.tags = tags.outer;
    }

    /// A tagged field that is not its default: its tag, its length, its value.
    pub(crate) fn tagged<T: Wire + PartialEq>(
        &mut self,
        field: &Field,
        value: &T,
        default: &T,
    ) -> Result<(), EncodeError> {
        let Some(tag) = field.tag.filter(|_| value != default) else { return Ok(()) };
        self.tags = self.tags.saturating_add(1);
        self.varint(tag);
        let (start, start_len, first_splice) = (self.buffer.len(), self.len(), self.splices.len());
        self.field(field, value)?;
        let Ok(length) = u32::try_from(self.len().saturating_sub(start_len)) else {
            return Err(EncodeError::FrameTooLarge { at: self.place() });
        };
        let (prefix, prefix_len) = varint(length);
        self.buffer.splice(start..start, prefix.into_iter().take(prefix_len));
        for (at, _) in self.splices.iter_mut().skip(first_splice) {
            *at = at.saturating_add(prefix_len);
        }
        Ok(())
    }
}

/// The tagged fields of a struct that are being written.
#[derive(Debug)]
pub(crate) struct Tags {
    /// How many the enclosing struct had so far.
    outer: u8,
    /// Where in the buffer their count goes.
    at: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of an unsigned varint and how many of them count.
fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    for byte in &mut bytes {
        len += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, len)
}

#[cfg(test)]
mod tests;
