//! [`Records`]: record batches of a fetch answer, in as many slices as they lie in.

use bytes::{Bytes, BytesMut};

/// Bytes of whole record batches, of one slice or several; two are equal if their bytes are, however they are cut.
///
/// Decoding gives one slice of the frame. Encoding makes each slice a segment of the [`Frame`](crate::Frame) and copies
/// none.
#[derive(Clone, Debug)]
pub struct Records(Slices);

#[derive(Clone, Debug)]
enum Slices {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Records {
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices().iter().fold(0, |sum, slice| sum.saturating_add(slice.len()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices().iter().all(Bytes::is_empty)
    }

    #[must_use]
    pub fn slices(&self) -> &[Bytes] {
        match &self.0 {
            Slices::One(slice) => std::slice::from_ref(slice),
            Slices::Many(slices) => slices,
        }
    }

    /// All in one slice: free for what was decoded, a copy for what was made of several.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Slices::One(slice) => slice,
            Slices::Many(slices) => slices
                .iter()
                .fold(BytesMut::new(), |mut all, slice| {
                    all.extend_from_slice(slice);
                    all
                })
                .freeze(),
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self(Slices::One(Bytes::new()))
    }
}

impl From<Bytes> for Records {
    fn from(slice: Bytes) -> Self {
        Self(Slices::One(slice))
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(slices: Vec<Bytes>) -> Self {
        Self(Slices::Many(slices))
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |records: &Self| records.slices().to_vec().into_iter().flatten();
        self.len() == other.len() && bytes(self).eq(bytes(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_equal_however_they_are_cut() {
        let whole = Records::from(Bytes::from_static(b"abcdef"));
        let cut = Records::from(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cdef")]);
        assert_eq!(whole, cut);
        assert_ne!(whole, Records::from(Bytes::from_static(b"abcdeF")));
        assert_eq!(cut.len(), 6);
        assert!(Records::from(vec![Bytes::new()]).is_empty() && !cut.is_empty());
        assert_eq!(cut.into_bytes(), whole.into_bytes());
    }
}
