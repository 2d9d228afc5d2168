//! What a message table says, as constants: the same table from which the codec is made, open to be read.
//!
//! Tests draw well-formed bytes from it without asking the codec that they test; a tool may print it.

/// An inclusive range of API versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const ALL: Self = Self { min: 0, max: i16::MAX };

    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// One field of a struct, in the order in which it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The versions that carry the field.
    pub versions: Versions,
    /// The versions that may carry null, if `kind` is nullable.
    pub null: Versions,
    /// Set for a field that is sent, in flexible versions, among the tagged fields and only if it is not its default.
    pub tag: Option<u32>,
}

impl Field {
    /// Whether the field has its fixed place in the body at this version.
    #[must_use]
    pub const fn in_body(&self, version: i16) -> bool {
        self.tag.is_none() && self.versions.contains(version)
    }

    /// Whether the field is one of the tagged fields at this version.
    #[must_use]
    pub const fn in_tags(&self, version: i16) -> bool {
        self.tag.is_some() && self.versions.contains(version)
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uuid,
    /// A length of 2 bytes, or a varint of the length + 1.
    Text,
    /// A length of 4 bytes, or a varint of the length + 1. Record batches too.
    Bytes,
    /// A count of 4 bytes, or a varint of the count + 1.
    Array {
        of: &'static Kind,
        /// What one element takes in memory, without what it points to.
        element_bytes: usize,
    },
    Struct(&'static [Field]),
    /// Null is the length −1 (varint 0); before a struct, a byte −1 instead of 1.
    Nullable(&'static Kind),
}
