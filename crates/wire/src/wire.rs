//! [`Wire`]: how each type of a message table is read and written.

use bytes::Bytes;

use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::failure::{DecodeError, EncodeError};
use crate::schema::Kind;
use crate::{Records, Text, Uuid};

/// What decides how a message is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub version: i16,
    /// KIP-482: varint lengths and tagged fields.
    pub flexible: bool,
}

/// A type that a message table may name. The decoder or encoder knows the layout.
pub trait Wire: Sized {
    const KIND: Kind;

    /// The least that a value takes on the wire, which is what a count is checked against. Never more than the truth.
    fn bytes_min(layout: Layout) -> usize;

    /// The least that a value takes where it may be null.
    fn nullable_bytes_min(_: Layout) -> usize {
        1
    }

    fn read(d: &mut Decoder) -> Result<Self, DecodeError>;

    fn write(&self, e: &mut Encoder) -> Result<(), EncodeError>;

    /// A value or null. As it stands it is a struct's: a byte 1 or −1 first.
    fn read_nullable(d: &mut Decoder) -> Result<Option<Self>, DecodeError> {
        match i8::read(d)? {
            1 => Self::read(d).map(Some),
            -1 => Ok(None),
            length => Err(DecodeError::Length { at: d.place(), length: length.into() }),
        }
    }

    fn write_nullable(value: Option<&Self>, e: &mut Encoder) -> Result<(), EncodeError> {
        e.raw(&[if value.is_some() { 1 } else { 0xff }]);
        value.map_or(Ok(()), |value| value.write(e))
    }

    fn is_null(&self) -> bool {
        false
    }
}

macro_rules! fixed_width {
    ($($type:ty, $kind:ident, $read:expr, $write:expr;)*) => { $(
        impl Wire for $type {
            const KIND: Kind = Kind::$kind;

            fn bytes_min(_: Layout) -> usize {
                size_of::<$type>()
            }

            fn read(d: &mut Decoder) -> Result<Self, DecodeError> {
                d.array().map($read)
            }

            fn write(&self, e: &mut Encoder) -> Result<(), EncodeError> {
                e.raw(&$write(*self));
                Ok(())
            }
        }
    )* };
}

fixed_width! {
    bool, Bool, |bytes: [u8; 1]| bytes != [0], |truth: bool| [u8::from(truth)];
    i8, Int8, Self::from_be_bytes, Self::to_be_bytes;
    i16, Int16, Self::from_be_bytes, Self::to_be_bytes;
    i32, Int32, Self::from_be_bytes, Self::to_be_bytes;
    i64, Int64, Self::from_be_bytes, Self::to_be_bytes;
    Uuid, Uuid, Self, |id: Self| id.0;
}

/// The types whose null is a length of −1.
macro_rules! length_first {
    ($(($($generics:tt)*) $type:ty, $kind:expr, $classic_bytes:literal, $read:expr, $write:expr;)*) => { $(
        impl<$($generics)*> Wire for $type {
            const KIND: Kind = $kind;

            fn bytes_min(layout: Layout) -> usize {
                if layout.flexible { 1 } else { $classic_bytes }
            }

            fn nullable_bytes_min(layout: Layout) -> usize {
                Self::bytes_min(layout)
            }

            fn read(d: &mut Decoder) -> Result<Self, DecodeError> {
                $read(d)?.ok_or_else(|| d.null())
            }

            fn write(&self, e: &mut Encoder) -> Result<(), EncodeError> {
                $write(e, Some(self))
            }

            fn read_nullable(d: &mut Decoder) -> Result<Option<Self>, DecodeError> {
                $read(d)
            }

            fn write_nullable(value: Option<&Self>, e: &mut Encoder) -> Result<(), EncodeError> {
                $write(e, value)
            }
        }
    )* };
}

length_first! {
    () Text, Kind::Text, 2, Decoder::text, Encoder::text;
    () Bytes, Kind::Bytes, 4, Decoder::bytes, Encoder::bytes;
    () Records, Kind::Bytes, 4, Decoder::records, Encoder::records;
    (T: Wire) Vec<T>, Kind::Array { of: &T::KIND, element_bytes: size_of::<T>() }, 4, Decoder::vec,
        |e: &mut Encoder, value: Option<&Self>| e.vec(value.map(Self::as_slice));
}

impl<T: Wire> Wire for Option<T> {
    const KIND: Kind = Kind::Nullable(&T::KIND);

    fn bytes_min(layout: Layout) -> usize {
        T::nullable_bytes_min(layout)
    }

    fn read(d: &mut Decoder) -> Result<Self, DecodeError> {
        T::read_nullable(d)
    }

    fn write(&self, e: &mut Encoder) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), e)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}
