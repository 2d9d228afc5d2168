//! Groups as their last change of members or generation left them. Their offsets stand apart, in `group_offset`.
//!
//! | key | family | value |
//! |---|---|---|
//! | `group/` + id | catalog | [`GroupRecord`] |

use bytes::Bytes;
use carrick_types::Timestamp;
use serde::{Deserialize, Serialize};

use crate::value::Stored;

pub(crate) const PREFIX: &[u8] = b"group/";

pub(crate) fn key(id: &str) -> Vec<u8> {
    [PREFIX, id.as_bytes()].concat()
}

pub(crate) fn id_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()
}

/// Where a group is between two assignments. A group that Kafka calls Dead is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupPhase {
    /// No members; maybe offsets.
    #[default]
    Empty,
    /// Its members are to join again.
    Preparing,
    /// Its members know the generation, and wait for the leader's assignment.
    Completing,
    /// The assignment of this generation is given, once and for all.
    Stable,
}

impl GroupPhase {
    /// Kafka's name of the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// One group that ever had members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub phase: GroupPhase,
    /// Of the last completed join; no generation is ever told twice.
    pub generation: i32,
    /// `consumer`, `connect`, ...
    pub protocol_type: String,
    /// The assignor that the members agreed on; None without members.
    pub protocol: Option<String>,
    /// A member's id.
    pub leader: Option<String>,
    /// By member id.
    pub members: Vec<MemberRecord>,
    /// When it last changed: without members, since when it is empty.
    pub changed: Timestamp,
}

/// A member that was told its generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    pub id: String,
    /// A static member's `group.instance.id` (KIP-345).
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: u32,
    pub rebalance_timeout_ms: u32,
    /// By falling preference.
    pub protocols: Vec<ProtocolRecord>,
    /// Empty but in [`GroupPhase::Stable`].
    #[serde(with = "opaque")]
    pub assignment: Bytes,
}

/// An assignor that a member knows, and what the member says to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRecord {
    pub name: String,
    #[serde(with = "opaque")]
    pub metadata: Bytes,
}

impl Stored for GroupRecord {
    const ENTITY: &'static str = "a group";
    const VERSION: u8 = 1;
}

/// Bytes that only clients understand.
mod opaque {
    use std::fmt;

    use bytes::Bytes;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        struct Copied;

        impl Visitor<'_> for Copied {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(bytes))
            }
        }

        from.deserialize_bytes(Copied)
    }
}
