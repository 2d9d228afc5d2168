//! [`Decoder`]: a cursor over hostile bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::failure::{DecodeError, Place};
use crate::meter::Meter;
use crate::schema::Field;
use crate::wire::{Layout, Wire};
use crate::{Records, Text, encoder};

/// No less than the allocations with which `Bytes` and an `Arc` of it share what they hold.
const SHARED_BYTES: usize = 128;

/// Reads one message. Two bounds hold whatever the bytes are:
///
/// - An array is allocated once, exactly, and only if its count could be true: each element has a least size on the wire,
///   and what is left must hold that many.
/// - The allocation is charged to a [`Meter`] first, so that decoding takes at most 8 times the input plus 64 KiB.
///
/// Text and bytes are slices of the input, but for text that is not UTF-8, which is copied and charged.
#[derive(Debug)]
pub struct Decoder {
    input: Arc<Bytes>,
    position: usize,
    /// Where reading must stop: the end of the input, or of the tagged field that is being read.
    end: usize,
    meter: Meter,
    layout: Layout,
    message: &'static str,
    field: &'static str,
}

impl Decoder {
    /// A decoder of `input`, which is one frame without its length prefix, or one body.
    #[must_use]
    pub fn new(input: Bytes) -> Self {
        let end = input.len();
        let input = Arc::new(input);
        let layout = Layout { version: 0, flexible: false };
        Self { input, position: 0, end, meter: Meter::for_input(end), layout, message: "frame", field: "" }
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn left_bytes(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// Refuses what is left: an answer that is longer than its version says is a version misunderstood, and better known at
    /// once. Of requests Kafka's broker ignores it, and so do we.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.left_bytes() {
            0 => Ok(()),
            bytes => Err(DecodeError::TrailingBytes { at: self.place(), bytes }),
        }
    }

    pub(crate) fn begin(&mut self, message: &'static str, layout: Layout) {
        self.message = message;
        self.field = "";
        self.layout = layout;
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn place(&self) -> Place {
        Place { message: self.message, field: self.field, offset: self.position }
    }

    pub(crate) fn null(&self) -> DecodeError {
        DecodeError::Null { at: self.place(), version: self.layout.version }
    }

    fn bad_length(&self, length: usize) -> DecodeError {
        DecodeError::Length { at: self.place(), length: i64::try_from(length).unwrap_or(i64::MAX) }
    }

    fn too_large(&self, needed: usize) -> DecodeError {
        DecodeError::TooLarge { at: self.place(), needed, left: self.meter.left_bytes() }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let left = self.input.get(self.position..self.end).unwrap_or_default();
        let Some(bytes) = left.first_chunk::<N>() else {
            return Err(DecodeError::Short { at: self.place(), needed: N, left: left.len() });
        };
        self.position = self.position.saturating_add(N);
        Ok(*bytes)
    }

    /// Passes over the next `bytes` and says where they began.
    fn skip(&mut self, bytes: usize) -> Result<usize, DecodeError> {
        let left = self.left_bytes();
        if bytes > left {
            return Err(DecodeError::Short { at: self.place(), needed: bytes, left });
        }
        let start = self.position;
        self.position = start.saturating_add(bytes);
        Ok(start)
    }

    /// An unsigned varint of at most 32 bits.
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { at: self.place() })
    }

    /// A length, or `None` for null: a varint of the length + 1 in a flexible version, `classic` before.
    fn length(
        &mut self,
        classic: impl FnOnce(&mut Self) -> Result<i32, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        let length = if self.layout.flexible { i64::from(self.varint()?) - 1 } else { classic(self)?.into() };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::Length { at: self.place(), length }),
        }
    }

    fn classic_length(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn text(&mut self) -> Result<Option<Text>, DecodeError> {
        let short = |d: &mut Self| d.array().map(|bytes| i16::from_be_bytes(bytes).into());
        let Some(length) = self.length(short)? else { return Ok(None) };
        if length > encoder::TEXT_BYTES_MAX {
            return Err(self.bad_length(length));
        }
        let start = self.skip(length)?;
        match Text::slice_of(&self.input, start, self.position) {
            Some(text) => Ok(Some(text)),
            None => self.lossy_text(start).map(Some),
        }
    }

    /// The text from `start` on, which is not UTF-8. Kafka reads it all the same: a client id or a commit's metadata from
    /// a client in C may be anything. It grows by that, and is refused where it could not be said again in an answer.
    fn lossy_text(&mut self, start: usize) -> Result<Text, DecodeError> {
        let bytes = self.input.get(start..self.position).unwrap_or_default();
        let length = Text::lossy_bytes(bytes);
        if length > encoder::TEXT_BYTES_MAX {
            return Err(self.bad_length(length));
        }
        let needed = length.saturating_add(SHARED_BYTES);
        if !self.meter.charge(needed) {
            return Err(self.too_large(needed));
        }
        Ok(Text::lossy(bytes))
    }

    pub(crate) fn bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(length) = self.length(Self::classic_length)? else { return Ok(None) };
        let start = self.skip(length)?;
        Ok(Some(self.input.slice(start..self.position)))
    }

    pub(crate) fn records(&mut self) -> Result<Option<Records>, DecodeError> {
        Ok(self.bytes()?.map(Records::from))
    }

    pub(crate) fn vec<T: Wire>(&mut self) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.length(Self::classic_length)? else { return Ok(None) };
        let needed = count.saturating_mul(T::bytes_min(self.layout).max(1));
        let left = self.left_bytes();
        if needed > left {
            return Err(DecodeError::Short { at: self.place(), needed, left });
        }
        let needed = count.saturating_mul(size_of::<T>());
        let mut elements = Vec::new();
        if !self.meter.charge(needed) || elements.try_reserve_exact(count).is_err() {
            return Err(self.too_large(needed));
        }
        for _ in 0..count {
            elements.push(T::read(self)?);
        }
        Ok(Some(elements))
    }

    /// A field of a struct: its value, null only where the table allows it.
    pub(crate) fn field<T: Wire>(&mut self, field: &Field) -> Result<T, DecodeError> {
        self.field = field.name;
        let value = T::read(self)?;
        if value.is_null() && !field.null.contains(self.layout.version) {
            return Err(self.null());
        }
        Ok(value)
    }

    /// The tagged fields at the end of a struct. `known` reads the value of a tag that it knows and returns whether it
    /// did; other tags are passed over. As in Kafka, neither the order of tags nor their repetition is checked.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let said = self.varint()? as usize;
            let start = self.skip(said)?;
            let outer_end = std::mem::replace(&mut self.end, self.position);
            self.position = start;
            if !known(self, tag)? {
                self.position = self.end;
            }
            let left = self.left_bytes();
            if left > 0 {
                return Err(DecodeError::Tag { at: self.place(), said, read: said.saturating_sub(left) });
            }
            self.end = outer_end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
