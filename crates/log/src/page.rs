//! The first page of a segment file: whose it is, so that a swapped or foreign file is seen.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `CARRKSEG` |
//! | 8..10 | version, 1; big-endian like everything here |
//! | 10..26 | cluster id |
//! | 26..42 | topic id |
//! | 42..46 | partition |
//! | 46..54 | base offset |
//! | 54..62 | where the log began when the segment was begun |
//! | 62..70 | where it ended then: what stands before has to reach there |
//! | 70..78 | where its durable end was then: a crash has taken nothing below |
//! | 78..4092 | zeros |
//! | 4092..4096 | CRC-32C of all before |

use bytes::{Buf as _, BufMut as _};
use carrick_types::{ClusterId, Offset, Partition, TopicId};
use crc_fast::{CrcAlgorithm, checksum};

pub(crate) const PAGE_LEN: usize = 4096;
const MAGIC: &[u8; 8] = b"CARRKSEG";
const VERSION: u16 = 1;
const CRC_AT: usize = PAGE_LEN - 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub cluster: ClusterId,
    pub topic: TopicId,
    pub partition: Partition,
    pub base: Offset,
}

/// The log at the moment when a segment was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    pub start: Offset,
    /// Below the segment's base where a mirror's source has a hole between the two.
    pub end: Offset,
    pub durable: Offset,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPage {
    #[error("its first page is not a segment's")]
    NotOurs,
    #[error("its first page is of layout {found}, this program knows {VERSION}: start a newer carrickd")]
    Newer { found: u16 },
    #[error("it belongs to cluster {} topic {} partition {} at offset {}", .0.cluster, .0.topic, .0.partition, .0.base)]
    Foreign(Page),
}

impl Page {
    pub(crate) fn encode(&self, before: Before) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE_LEN);
        page.put_slice(MAGIC);
        page.put_u16(VERSION);
        page.put_slice(&self.cluster.bytes());
        page.put_slice(&self.topic.bytes());
        page.put_u32(self.partition.0);
        for offset in [self.base, before.start, before.end, before.durable] {
            page.put_i64(offset.get());
        }
        page.resize(CRC_AT, 0);
        page.put_u32(crc(&page));
        page
    }

    /// Checks that `bytes` are this page; what was before is theirs to say.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<Before, BadPage> {
        let (page, before) = Self::read(bytes)?;
        if page == *self { Ok(before) } else { Err(BadPage::Foreign(page)) }
    }

    /// Whatever page they are.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, Before), BadPage> {
        let (Some(covered), Some(mut stated)) = (bytes.get(..CRC_AT), bytes.get(CRC_AT..PAGE_LEN)) else {
            return Err(BadPage::NotOurs);
        };
        if !covered.starts_with(MAGIC) || crc(covered) != stated.get_u32() {
            return Err(BadPage::NotOurs);
        }
        let mut rest = &covered[MAGIC.len()..];
        let found = rest.get_u16();
        if found != VERSION {
            return Err(BadPage::Newer { found });
        }
        let mut id = || {
            let mut id = [0; 16];
            rest.copy_to_slice(&mut id);
            id
        };
        let (cluster, topic) = (ClusterId::from_bytes(id()), TopicId::from_bytes(id()));
        let partition = Partition(rest.get_u32());
        let [base, start, end, durable] = std::array::from_fn(|_| Offset::clamped(rest.get_i64()));
        Ok((Self { cluster, topic, partition, base }, Before { start, end, durable }))
    }
}

fn crc(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page {
            cluster: ClusterId::from_bytes([1; 16]),
            topic: TopicId::from_bytes([2; 16]),
            partition: Partition(3),
            base: Offset::clamped(4),
        }
    }

    fn before() -> Before {
        Before { start: Offset::clamped(1), end: Offset::clamped(3), durable: Offset::clamped(2) }
    }

    #[test]
    fn a_page_knows_its_own_and_no_other() {
        assert_eq!(page().check(&page().encode(before())), Ok(before()));
        let other = Page { base: Offset::clamped(5), ..page() };
        assert_eq!(page().check(&other.encode(before())), Err(BadPage::Foreign(other)));
    }

    #[test]
    fn a_damaged_or_newer_page_is_refused() {
        for at in 0..PAGE_LEN {
            let mut bytes = page().encode(before());
            bytes[at] ^= 1;
            assert_eq!(page().check(&bytes), Err(BadPage::NotOurs));
        }
        let mut newer = page().encode(before());
        newer[9] = 2;
        let sum = crc(&newer[..CRC_AT]).to_be_bytes();
        newer[CRC_AT..].copy_from_slice(&sum);
        assert_eq!(page().check(&newer), Err(BadPage::Newer { found: 2 }));
    }
}
