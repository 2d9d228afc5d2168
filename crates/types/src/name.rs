//! Topic names by Kafka's rule: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that Kafka would refuse with INVALID_TOPIC_EXCEPTION.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a topic name: {why}")]
pub struct BadTopicName {
    pub name: String,
    pub why: &'static str,
}

/// A valid topic name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Box<str>);

impl TopicName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = BadTopicName;

    fn from_str(name: &str) -> Result<Self, BadTopicName> {
        let why = if name.is_empty() {
            "it is empty"
        } else if name.len() > 249 {
            "it is longer than 249 characters"
        } else if name == "." || name == ".." {
            "it is a folder's name"
        } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            "only ASCII letters, digits, '.', '_' and '-' are allowed"
        } else {
            return Ok(Self(name.into()));
        };
        Err(BadTopicName { name: name.chars().take(64).collect(), why })
    }
}

impl TryFrom<String> for TopicName {
    type Error = BadTopicName;

    fn try_from(name: String) -> Result<Self, BadTopicName> {
        name.parse()
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.into()
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rule() {
        for good in ["a", "orders.v1", "__consumer_offsets", "A-b_C.9", &"x".repeat(249)] {
            assert!(good.parse::<TopicName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(bad.parse::<TopicName>().is_err(), "{bad}");
        }
    }
}
