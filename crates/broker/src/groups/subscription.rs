//! The topics of a consumer's subscription, as the protocol type `consumer` writes it:
//! version (2), number of topics (4), each with its length (2); what follows is the assignor's.

use std::collections::BTreeSet;

/// The protocol type whose metadata is read here.
pub(super) const CONSUMER: &str = "consumer";

/// None if it cannot be read.
pub(super) fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let mut topics = BTreeSet::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, after) = after.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(topic).ok()?.to_string());
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_what_is_cut_short_is_not() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff\0\0\0\0";
        let expected = BTreeSet::from(["a".to_string(), "bc".to_string()]);
        assert_eq!(topics(metadata), Some(expected));
        for len in 0..13 {
            assert_eq!(topics(&metadata[..len]), None, "{len}");
        }
        assert_eq!(topics(b"\0\0\0\0\0\0"), Some(BTreeSet::new()));
        assert_eq!(topics(b"\0\0\x7f\xff\xff\xff"), None);
        assert_eq!(topics(b"\xff\xff\0\0\0\0"), None);
    }
}
