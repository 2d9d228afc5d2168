//! 128-bit identities. Random, made once, never reused; shown as Kafka shows a `Uuid`: URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Text that is not the 22 characters of a 128-bit id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: an id is 22 characters of URL-safe base64")]
pub struct BadId {
    pub text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            pub const ZERO: Self = Self([0; 16]);

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub const fn bytes(self) -> [u8; 16] {
                self.0
            }

            pub fn is_zero(self) -> bool {
                self == Self::ZERO
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = || BadId { text: text.chars().take(64).collect() };
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
                bytes.try_into().map(Self).map_err(|_| bad())
            }
        }
    };
}

id!(
    /// A cluster: what a node stands in front of. Loops are found by it, never by a name.
    ClusterId
);
id!(
    /// A node: one daemon and its data directory.
    NodeId
);
id!(
    /// A topic in one cluster. Every cluster gives its own; a re-created topic gets a new one.
    TopicId
);
id!(
    /// What travels with a topic's records from cluster to cluster: born with the topic, kept by its mirrors.
    LineageId
);
id!(
    /// A link: one source cluster joined to one destination cluster.
    LinkId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        let id = TopicId::from_bytes([0xfb; 16]);
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse::<TopicId>(), Ok(id));
    }

    #[test]
    fn other_text_is_refused_and_named() {
        for text in ["", "abc", "!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(text.parse::<TopicId>().is_err_and(|e| e.text == text));
        }
    }
}
