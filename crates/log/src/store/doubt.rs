//! What a sync was about when the node was killed. The page cache keeps what a failed sync did not write, shows it to the next
//! life, and no later sync writes it: so where a sync was under way, what it covered is written again before it is trusted.
//!
//! One small file, written before each sync and never synced itself: a power cut takes the page cache along, and then nothing
//! is in doubt that a start would find. It says where each partition was durable. A reader that cannot read it doubts all.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use carrick_sys::{Disk, File, Opening};
use carrick_types::{Offset, Partition, TopicId};
use tracing::warn;

use crate::checkpoint::crc;

const NAME: &str = "SYNCING";
const MAGIC: [u8; 4] = *b"CSYN";
const VERSION: u16 = 1;
/// Magic, version, whether it names all, how many it names, the sum of what follows.
const HEAD_LEN: usize = 4 + 2 + 2 + 4 + 4;
const ENTRY_LEN: usize = 16 + 4 + 8;
/// One page: a kill leaves it as it was or as it was to be.
const BYTES_MAX: usize = 4_096;
const ENTRIES_MAX: usize = (BYTES_MAX - HEAD_LEN) / ENTRY_LEN;

/// Partitions whose un-durable tails the disk may not have, with where each was durable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Doubts {
    All,
    Some(BTreeMap<(TopicId, Partition), Offset>),
}

impl Doubts {
    pub(crate) fn none() -> Self {
        Self::Some(BTreeMap::new())
    }

    /// These, and those of a sync that begins; each from where it was durable.
    pub(super) fn and(&self, syncing: impl Iterator<Item = ((TopicId, Partition), Offset)>) -> Self {
        let Self::Some(of) = self else { return Self::All };
        let mut both = of.clone();
        for (place, durable) in syncing {
            both.entry(place).and_modify(|from| *from = durable.min(*from)).or_insert(durable);
        }
        Self::Some(both)
    }

    /// It was written again.
    pub(crate) fn settle(&mut self, topic: TopicId, partition: Partition) {
        if let Self::Some(of) = self {
            of.remove(&(topic, partition));
        }
    }

    /// From where on a partition is in doubt.
    pub(crate) fn of(&self, topic: TopicId, partition: Partition) -> Option<Offset> {
        match self {
            Self::All => Some(Offset::ZERO),
            Self::Some(of) => of.get(&(topic, partition)).copied(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        let (all, count) = match self {
            Self::Some(of) if of.len() <= ENTRIES_MAX => {
                for ((topic, partition), durable) in of {
                    entries.extend_from_slice(&topic.bytes());
                    entries.extend_from_slice(&partition.0.to_be_bytes());
                    entries.extend_from_slice(&durable.get().to_be_bytes());
                }
                (0_u16, of.len())
            }
            Self::Some(_) | Self::All => (1, 0),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&all.to_be_bytes());
        bytes.extend_from_slice(&(count as u32).to_be_bytes());
        bytes.extend_from_slice(&crc(&entries).to_be_bytes());
        bytes.extend_from_slice(&entries);
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        Self::decoded(bytes).unwrap_or(Self::All)
    }

    fn decoded(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
        let (magic, head) = head.split_first_chunk::<4>()?;
        let (version, head) = head.split_first_chunk::<2>()?;
        let (all, head) = head.split_first_chunk::<2>()?;
        let (count, head) = head.split_first_chunk::<4>()?;
        let sum = head.first_chunk::<4>()?;
        let count = u32::from_be_bytes(*count) as usize;
        if *magic != MAGIC || u16::from_be_bytes(*version) != VERSION || u16::from_be_bytes(*all) != 0 {
            return None;
        }
        let entries = rest.get(..count.checked_mul(ENTRY_LEN)?)?;
        if u32::from_be_bytes(*sum) != crc(entries) {
            return None;
        }
        let of = entries.chunks_exact(ENTRY_LEN).map(|entry| {
            let (topic, entry) = entry.split_first_chunk::<16>()?;
            let (partition, entry) = entry.split_first_chunk::<4>()?;
            let durable = Offset::new(i64::from_be_bytes(*entry.first_chunk::<8>()?))?;
            Some(((TopicId::from_bytes(*topic), Partition(u32::from_be_bytes(*partition))), durable))
        });
        Some(Self::Some(of.collect::<Option<_>>()?))
    }
}

/// Where the next sync is noted.
pub(super) struct SyncNote {
    /// None: there was no room for it.
    file: Option<Arc<dyn File>>,
}

impl SyncNote {
    /// With what the last life's said.
    pub(super) fn open(disk: &dyn Disk, root: &Path) -> io::Result<(Self, Doubts)> {
        let path = root.join(NAME);
        match disk.open(&path, Opening::Write) {
            Ok(file) => {
                let was = file.read_at(BYTES_MAX, 0)?;
                // Its name survived a power cut, and nothing of it.
                let doubts = if was.is_empty() { Doubts::none() } else { Doubts::decode(&was) };
                Ok((Self { file: Some(file) }, doubts))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // Its room is taken now, not when the disk is full.
                let made = disk.open(&path, Opening::New).and_then(|file| {
                    let mut page = Doubts::none().encode();
                    page.resize(BYTES_MAX, 0);
                    file.write_at(&[&page], 0).map(|()| file)
                });
                if let Err(failed) = &made {
                    let _ = disk.remove_file(&path);
                    warn!(file = %path.display(), error = %failed, "syncs are not noted until the next start: after a sync that fails then, restart the machine");
                }
                Ok((Self { file: made.ok() }, Doubts::none()))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) fn write(&self, about: &Doubts) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.write_at(&[&about.encode()], 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: u32) -> Doubts {
        let id = TopicId::from_bytes([7; 16]);
        Doubts::Some((0..count).map(|n| ((id, Partition(n)), Offset::clamped(n.into()))).collect())
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_is_doubted() {
        for count in [0, 1, 2, ENTRIES_MAX as u32] {
            let mut bytes = some(count).encode();
            assert!(bytes.len() <= BYTES_MAX);
            assert_eq!(Doubts::decode(&bytes), some(count));
            bytes.extend_from_slice(&[9; 100]);
            assert_eq!(Doubts::decode(&bytes), some(count), "of a longer one before it");
        }
        assert_eq!(Doubts::decode(&some(ENTRIES_MAX as u32 + 1).encode()), Doubts::All);
        assert_eq!(Doubts::decode(&Doubts::All.encode()), Doubts::All);
        let whole = some(3).encode();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(Doubts::decode(&bytes), Doubts::All, "byte {at}");
            assert_eq!(Doubts::decode(&whole[..at]), Doubts::All, "{at} bytes");
        }
    }
}
