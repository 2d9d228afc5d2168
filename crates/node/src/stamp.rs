//! The stamp: how many of the catalog's commits were durable when the logs were last saved. A catalog that has fewer is an
//! older copy, or lost some to damage: RocksDB drops all behind a damaged record without a word.
//!
//! The file `STAMP` has two slots of 512 bytes, written in turn; the newest that checks counts. Big-endian.
//!
//! | bytes of a slot | what |
//! |---|---|
//! | 0..8 | magic `CARRSTMP` |
//! | 8..10 | version, 1 |
//! | 10..26 | cluster id |
//! | 26..34 | the slot's turn |
//! | 34..42 | durable commits |
//! | 42..508 | zeros |
//! | 508..512 | CRC-32C of all before |

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use carrick_sys::{Disk, File, Opening};
use carrick_types::ClusterId;
use crc_fast::{CrcAlgorithm, checksum};
use parking_lot::Mutex;

const NAME: &str = "STAMP";
const SLOT: usize = 512;
const MAGIC: &[u8; 8] = b"CARRSTMP";
const VERSION: u16 = 1;

#[derive(Debug, thiserror::Error)]
pub enum StampError {
    #[error("the file STAMP cannot be used")]
    Disk(#[from] io::Error),
    #[error("the file STAMP is of version {found}, this program knows {VERSION}: start a newer carrickd")]
    Newer { found: u16 },
    #[error(
        "CATALOG_STALE: the catalog holds {found} commits, {stated} were durable: catalog/ is an older copy or lost records to \
         damage; restore the newer one, or start with an empty data directory and mirror the topics again"
    )]
    OldCatalog { found: u64, stated: u64 },
    #[error(
        "the file STAMP is of cluster {found}, the catalog of {cluster}: one of them is from another node"
    )]
    Foreign { found: ClusterId, cluster: ClusterId },
}

/// An open stamp file.
pub(crate) struct Stamp {
    cluster: ClusterId,
    file: Arc<dyn File>,
    last: Mutex<Slot>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    turn: u64,
    commits: u64,
}

impl Stamp {
    /// Opens or makes it, and holds `commits`, what the catalog has, against it. Blocking.
    pub(crate) fn open(
        disk: &dyn Disk,
        root: &Path,
        cluster: ClusterId,
        commits: u64,
    ) -> Result<Self, StampError> {
        let path = root.join(NAME);
        let file = match disk.open(&path, Opening::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let file = disk.open(&path, Opening::New)?;
                disk.dir(root)?.make_durable()?;
                file
            }
            opened => opened?,
        };
        let mut last = Slot::default();
        for at in [0, SLOT] {
            if let Some(slot) = parse(&file.read_at(SLOT, at as u64)?, cluster)? {
                last = last.max(slot);
            }
        }
        if commits < last.commits {
            return Err(StampError::OldCatalog { found: commits, stated: last.commits });
        }
        Ok(Self { cluster, file, last: Mutex::new(last) })
    }

    /// `commits` are durable. Not made durable itself: a power cut leaves an earlier one.
    pub(crate) fn write(&self, commits: u64) -> io::Result<()> {
        let mut last = self.last.lock();
        if commits <= last.commits {
            return Ok(());
        }
        let next = Slot { turn: last.turn + 1, commits };
        let at = if next.turn.is_multiple_of(2) { 0 } else { SLOT as u64 };
        self.file.write_at(&[&encode(next, self.cluster)], at)?;
        *last = next;
        Ok(())
    }

    /// Blocking; at a clean end.
    pub(crate) fn make_durable(&self) -> io::Result<()> {
        self.file.make_durable()
    }
}

fn encode(slot: Slot, cluster: ClusterId) -> Vec<u8> {
    let mut to = Vec::with_capacity(SLOT);
    to.put_slice(MAGIC);
    to.put_u16(VERSION);
    to.put_slice(&cluster.bytes());
    to.put_u64(slot.turn);
    to.put_u64(slot.commits);
    to.resize(SLOT - 4, 0);
    let sum = crc(&to);
    to.put_u32(sum);
    to
}

/// None if it is torn or was never written.
fn parse(bytes: &[u8], cluster: ClusterId) -> Result<Option<Slot>, StampError> {
    let Some((covered, mut stated)) = bytes.split_at_checked(SLOT - 4) else { return Ok(None) };
    let Some(mut rest) = covered.strip_prefix(MAGIC.as_slice()) else { return Ok(None) };
    if stated.len() < 4 || crc(covered) != stated.get_u32() {
        return Ok(None);
    }
    let found = rest.get_u16();
    if found != VERSION {
        return Err(StampError::Newer { found });
    }
    let mut id = [0; 16];
    rest.copy_to_slice(&mut id);
    let found = ClusterId::from_bytes(id);
    if found != cluster {
        return Err(StampError::Foreign { found, cluster });
    }
    Ok(Some(Slot { turn: rest.get_u64(), commits: rest.get_u64() }))
}

fn crc(bytes: &[u8]) -> u32 {
    // A 32-bit algorithm's sum fits its low half.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use carrick_sim::{Cut, DATA, SimSite, run};

    use super::*;

    const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);

    fn open(site: &SimSite, commits: u64) -> Result<Stamp, StampError> {
        Stamp::open(&*site.sys().disk, Path::new(DATA), CLUSTER, commits)
    }

    #[test]
    fn a_catalog_with_fewer_commits_than_were_durable_is_refused() {
        run(1, async {
            let site = SimSite::new(1);
            let stamp = open(&site, 3).unwrap();
            for commits in [3, 9, 7, 20] {
                stamp.write(commits).unwrap();
            }
            assert!(matches!(open(&site, 19), Err(StampError::OldCatalog { found: 19, stated: 20 })));
            assert!(open(&site, 20).is_ok());
            let other = Stamp::open(&*site.sys().disk, Path::new(DATA), ClusterId::from_bytes([2; 16]), 99);
            assert!(matches!(other, Err(StampError::Foreign { .. })));
        });
    }

    #[test]
    fn a_power_cut_leaves_an_earlier_stamp_and_never_a_later_one() {
        for seed in 0..100 {
            run(seed, async {
                let site = SimSite::new(seed);
                let stamp = open(&site, 0).unwrap();
                for commits in 1..=seed % 7 + 1 {
                    stamp.write(commits * 10).unwrap();
                }
                stamp.make_durable().unwrap();
                stamp.write(1_000).unwrap();
                let next = site.reboot(Cut::Power).await;
                let found = open(&next, 1_000).unwrap().last.lock().commits;
                assert!(found == 1_000 || found == (seed % 7 + 1) * 10, "seed {seed}: {found}");
            });
        }
    }

    #[test]
    fn a_slot_is_whole_or_none_and_a_newer_one_is_refused() {
        let slot = Slot { turn: 5, commits: 6 };
        let bytes = encode(slot, CLUSTER);
        assert_eq!(parse(&bytes, CLUSTER).unwrap(), Some(slot));
        for at in 0..SLOT {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad, CLUSTER).unwrap(), None, "byte {at}");
            assert_eq!(parse(&bytes[..at], CLUSTER).unwrap(), None);
        }
        let mut newer = bytes[..SLOT - 4].to_vec();
        newer[9] = 2;
        let sum = crc(&newer);
        newer.put_u32(sum);
        assert!(matches!(parse(&newer, CLUSTER), Err(StampError::Newer { found: 2 })));
    }
}
