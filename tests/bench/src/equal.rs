//! Whether two sites hold the same: segment files, byte for byte behind their first pages. Shares no code with the product.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use crc_fast::{CrcAlgorithm, Digest};

/// A segment file's first page says whose it is, and differs from site to site.
pub const PAGE_BYTES: u64 = 4096;
const BLOCK_BYTES: usize = 1 << 20;

/// Compares the only topic's partitions of two data directories, whose nodes may run but do not write: the bytes of batches.
pub fn topics(one: &Path, other: &Path, partitions: i32) -> anyhow::Result<u64> {
    let (one, other) = (only_topic(one)?, only_topic(other)?);
    let mut bytes = 0;
    for partition in 0..partitions {
        let number = partition.to_string();
        let equal = compare(Batches::open(&one.join(&number))?, Batches::open(&other.join(&number))?)?;
        bytes += equal.with_context(|| {
            format!(
                "partition {partition} differs between {} and {}: a wrong copy is no result; next: tests/reader.py compare",
                one.display(),
                other.display()
            )
        })?;
    }
    Ok(bytes)
}

/// The first partitions of all topics of a data directory, whatever the topics' ids: digest and bytes of each, sorted.
pub fn digests(data: &Path) -> anyhow::Result<Vec<(u64, u64)>> {
    let entries = std::fs::read_dir(data.join("topics"))?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut found = entries
        .map(|entry| {
            let mut batches = Batches::open(&entry?.path().join("0"))?;
            let (mut digest, mut bytes) = (Digest::new(CrcAlgorithm::Crc64Nvme), 0);
            loop {
                match batches.read(&mut block)? {
                    0 => return Ok((digest.finalize(), bytes)),
                    read => {
                        digest.update(&block[..read]);
                        bytes += read as u64;
                    }
                }
            }
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    found.sort_unstable();
    Ok(found)
}

/// The folder of the one topic that a data directory holds.
pub fn only_topic(data: &Path) -> anyhow::Result<PathBuf> {
    let topics = data.join("topics");
    let mut found =
        std::fs::read_dir(&topics)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => bail!("{} does not hold exactly one topic", topics.display()),
    }
}

/// The segment files of a partition's folder, in the order of their offsets.
pub fn segments(partition: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(partition).with_context(|| format!("{}", partition.display()))?;
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    found.retain(|it| it.extension().is_some_and(|it| it == "seg"));
    found.sort();
    Ok(found)
}

/// A partition's batches as one run of bytes, however they are cut into files.
struct Batches {
    rest: Vec<PathBuf>,
    open: Option<File>,
}

impl Batches {
    fn open(partition: &Path) -> anyhow::Result<Self> {
        let mut rest = segments(partition)?;
        rest.reverse();
        Ok(Self { rest, open: None })
    }

    /// Fills `block`, but for the end.
    fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        let mut read = 0;
        while read < block.len() {
            let Some(open) = &mut self.open else {
                let Some(next) = self.rest.pop() else { break };
                let mut file = File::open(next)?;
                file.seek(SeekFrom::Start(PAGE_BYTES))?;
                self.open = Some(file);
                continue;
            };
            match open.read(&mut block[read..]) {
                Ok(0) => self.open = None,
                Ok(some) => read += some,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(read)
    }
}

/// None if a byte differs or one ends before the other.
fn compare(mut one: Batches, mut other: Batches) -> anyhow::Result<Option<u64>> {
    let (mut left, mut right) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut bytes = 0;
    loop {
        let (of_one, of_other) = (one.read(&mut left)?, other.read(&mut right)?);
        if left[..of_one] != right[..of_other] {
            return Ok(None);
        }
        if of_one == 0 {
            return Ok(Some(bytes));
        }
        bytes += of_one as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(partition: &[&[u8]]) -> tempfile::TempDir {
        let dir = tempfile::TempDir::new().unwrap();
        let folder = dir.path().join("topics/AAAA/0");
        std::fs::create_dir_all(&folder).unwrap();
        for (at, batches) in partition.iter().enumerate() {
            let page = vec![at as u8 + partition.len() as u8; PAGE_BYTES as usize];
            std::fs::write(folder.join(format!("{at:020}.seg")), [&page[..], batches].concat()).unwrap();
        }
        dir
    }

    #[test]
    fn the_same_bytes_are_equal_however_they_are_cut_and_any_other_are_not() {
        let whole = site(&[b"abcdefgh"]);
        let compare = |other: tempfile::TempDir| topics(whole.path(), other.path(), 1);
        assert_eq!(compare(site(&[b"abc", b"defgh"])).unwrap(), 8);
        for wrong in [&[&b"abcdefgH"[..]][..], &[b"abcdefg"], &[b"abcdefghi"], &[b"abc", b"abc"], &[]] {
            assert!(compare(site(wrong)).is_err(), "{wrong:?}");
        }
    }
}
