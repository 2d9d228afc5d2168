//! [`Text`]: a string of the protocol that is a slice of the frame it came in.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;
use std::ops::Deref;
use std::str::Utf8Chunk;
use std::sync::Arc;

use bytes::Bytes;

const REPLACEMENT: &str = "\u{fffd}";

/// UTF-8 text that shares the frame it was decoded from, so that decoding a string allocates nothing.
///
/// 16 bytes, also as an `Option`: a request of many short names stays within the allocation bound of
/// [`Decoder`](crate::Decoder). What outlives its frame should be [`detached`](Self::detached), since the least slice
/// keeps the whole frame.
#[derive(Clone)]
pub struct Text {
    source: Option<Arc<Bytes>>,
    start: u32,
    /// The end within `source`, plus one: the niche for `Option<Text>`.
    end_plus_one: NonZeroU32,
}

impl Text {
    pub(crate) const EMPTY: Self = Self { source: None, start: 0, end_plus_one: NonZeroU32::MIN };

    /// The bytes `start..end` of `source`, if they are UTF-8 and the bounds are sound.
    pub(crate) fn slice_of(source: &Arc<Bytes>, start: usize, end: usize) -> Option<Self> {
        std::str::from_utf8(source.get(start..end)?).ok()?;
        let end_plus_one = u32::try_from(end).ok()?.checked_add(1)?;
        let source = Some(Arc::clone(source));
        Some(Self { source, start: u32::try_from(start).ok()?, end_plus_one: NonZeroU32::new(end_plus_one)? })
    }

    /// How many bytes [`lossy`](Self::lossy) allocates.
    pub(crate) fn lossy_bytes(bytes: &[u8]) -> usize {
        let replaced = |chunk: Utf8Chunk<'_>| if chunk.invalid().is_empty() { 0 } else { REPLACEMENT.len() };
        bytes.utf8_chunks().map(|chunk| chunk.valid().len().saturating_add(replaced(chunk))).sum()
    }

    /// Text of bytes that are not, with U+FFFD for each part that is none: what Kafka makes of it.
    pub(crate) fn lossy(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(Self::lossy_bytes(bytes));
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.push_str(if chunk.invalid().is_empty() { "" } else { REPLACEMENT });
        }
        Self::from(text)
    }

    #[must_use]
    pub fn from_static(text: &'static str) -> Self {
        Self::whole(Bytes::from_static(text.get(..carried(text)).unwrap_or_default().as_bytes()))
    }

    /// A copy that holds its own bytes and keeps no frame alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::whole(Bytes::copy_from_slice(self.as_bytes()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when the slice was made. Checking again costs a few nanoseconds on a name and keeps this crate free
        // of unsafe code.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        let end = self.end_plus_one.get() as usize - 1;
        self.source.as_ref().and_then(|source| source.get(self.start as usize..end)).unwrap_or_default()
    }

    /// All of `source`, which is UTF-8 of a length that [`carried`] allows.
    fn whole(source: Bytes) -> Self {
        let end = u32::try_from(source.len()).unwrap_or_default();
        let source = (end > 0).then(|| Arc::new(source));
        Self { source, start: 0, end_plus_one: NonZeroU32::MIN.saturating_add(end) }
    }
}

/// How much of a text is kept: all of it, but for what is past 4 GiB, which no frame can carry.
fn carried(text: &str) -> usize {
    text.floor_char_boundary(u32::MAX as usize - 1)
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl From<String> for Text {
    fn from(mut text: String) -> Self {
        text.truncate(carried(&text));
        Self::whole(Bytes::from(text))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sixteen_bytes_even_when_it_may_be_null() {
        assert_eq!(size_of::<Text>(), 16);
        assert_eq!(size_of::<Option<Text>>(), 16);
    }

    #[test]
    fn a_slice_that_cuts_a_character_is_no_text() {
        let source = Arc::new(Bytes::from_static("aé".as_bytes()));
        assert_eq!(Text::slice_of(&source, 0, 3).expect("whole"), *"aé");
        assert_eq!(Text::slice_of(&source, 0, 2), None);
        assert_eq!(Text::slice_of(&source, 2, 4), None);
        assert_eq!(Text::slice_of(&source, 2, 1), None);
    }

    #[test]
    fn what_is_no_text_is_replaced_where_it_is_none() {
        let bytes = b"caf\xe9 \xff\xfe\xc3";
        assert_eq!(Text::lossy(bytes), *String::from_utf8_lossy(bytes));
        assert_eq!(Text::lossy(bytes).len(), Text::lossy_bytes(bytes));
        assert_eq!(Text::lossy_bytes(b""), 0);
    }

    #[test]
    fn texts_compare_by_what_they_say_and_not_by_where_they_lie() {
        let source = Arc::new(Bytes::from_static(b"xxabc"));
        let slice = Text::slice_of(&source, 2, 5).expect("text");
        assert_eq!(slice, Text::from("abc"));
        assert_eq!(slice.detached(), Text::from(String::from("abc")));
        assert_eq!(format!("{slice} {slice:?}"), "abc \"abc\"");
        assert!(Text::default() < slice && slice.is_ascii());
        assert_eq!(Text::from(""), Text::default());
    }
}
