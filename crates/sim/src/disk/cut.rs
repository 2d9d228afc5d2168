//! What a crash leaves.
//!
//! A sector holds what it held at some moment since the last sync, as a page cache writes it out: it is a version of its
//! own, older or newer than its neighbours'. The length and each name are versions, too.

use std::ops::Range;

use rand::Rng as _;
use rand::rngs::SmallRng;

use super::content::{Content, Deed, SECTOR_BYTES, index};

/// How a site goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// SIGKILL: the page cache lives on, so all that was done is there; what was not synced still is not.
    Kill,
    /// Of what was not synced, the seed chooses what survives.
    Power,
}

/// How much of the un-synced survives. A whole disk of one temper is drawn as often as a mix: the extremes are where
/// recovery breaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Temper {
    Nothing,
    Everything,
    /// In order up to a moment, the write of that moment torn.
    Prefix,
    /// Each for itself.
    Mixed,
}

impl Temper {
    pub(super) fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Prefix,
            _ => Self::Mixed,
        }
    }

    /// For each of `changes` directory operations: does it survive? Each is atomic.
    pub(super) fn names(self, changes: usize, rng: &mut SmallRng) -> Vec<bool> {
        let prefix = rng.random_range(0..=changes);
        (0..changes)
            .map(|i| match self {
                Self::Nothing => false,
                Self::Everything => true,
                Self::Prefix => i < prefix,
                Self::Mixed => rng.random(),
            })
            .collect()
    }
}

/// What a cut does to one file.
struct Fate {
    /// Per change, the sectors of it that reached the medium.
    kept: Vec<Range<u64>>,
    /// How many changes the surviving length has seen.
    len_version: usize,
    len: u64,
}

impl Content {
    /// The bytes that a power cut leaves.
    pub(super) fn after_power_cut(&self, temper: Temper, rng: &mut SmallRng) -> Vec<u8> {
        if self.pending.is_empty() {
            return self.durable.clone();
        }
        let lens = self.len_versions();
        let fate = self.fate(temper, &lens, rng);
        let mut image = Vec::with_capacity(index(fate.len));
        for sector in 0..fate.len.div_ceil(SECTOR_BYTES) {
            let version = self.sector_version(sector, &fate, &lens);
            image.extend_from_slice(&self.sector_at(sector, version));
        }
        image.truncate(index(fate.len));
        image
    }

    /// The length after none, one, two … of the changes.
    fn len_versions(&self) -> Vec<u64> {
        let mut lens = vec![self.durable.len() as u64];
        for change in &self.pending {
            let before = lens.last().copied().unwrap_or_default();
            lens.push(match &change.deed {
                Deed::Write { at, bytes } => before.max(at + bytes.len() as u64),
                Deed::Len(len) => *len,
            });
        }
        lens
    }

    fn fate(&self, temper: Temper, lens: &[u64], rng: &mut SmallRng) -> Fate {
        let changes = self.pending.len();
        let len_version = match temper {
            Temper::Nothing => 0,
            Temper::Everything => changes,
            Temper::Prefix | Temper::Mixed => rng.random_range(0..=changes),
        };
        let mut kept = Vec::with_capacity(changes);
        for (i, change) in self.pending.iter().enumerate() {
            let all = match &change.deed {
                Deed::Write { at, bytes } => sectors(*at, at + bytes.len() as u64),
                Deed::Len(_) => 0..0,
            };
            kept.push(match temper {
                Temper::Nothing => 0..0,
                Temper::Everything => all,
                Temper::Prefix if i < len_version => all,
                Temper::Prefix if i == len_version => all.start..rng.random_range(all.start..=all.end),
                Temper::Prefix => 0..0,
                Temper::Mixed => torn(all, rng),
            });
        }
        let mut len = lens[len_version];
        let torn_growth = match temper {
            Temper::Prefix => kept.get(len_version).map(|sectors| sectors.end),
            Temper::Mixed if rng.random() => lens.get(len_version + 1).map(|next| {
                let (low, high) = (len.min(*next) / SECTOR_BYTES, next / SECTOR_BYTES);
                rng.random_range(low..=high)
            }),
            _ => None,
        };
        if let (Some(end), Some(next)) = (torn_growth, lens.get(len_version + 1))
            && *next > len
        {
            len = (end * SECTOR_BYTES).clamp(len, *next);
        }
        Fate { kept, len_version, len }
    }

    /// How many changes the sector that survives has seen. Where the surviving length has seen a cut of the file, so has
    /// what stood behind it; where it has not, nothing that was written there since is to be found.
    fn sector_version(&self, sector: u64, fate: &Fate, lens: &[u64]) -> usize {
        let drawn = fate.kept.iter().rposition(|kept| kept.contains(&sector)).map_or(0, |i| i + 1);
        let (mut low, mut high) = (0, self.pending.len());
        for (i, change) in self.pending.iter().enumerate() {
            if let Deed::Len(len) = change.deed
                && len < lens[i]
                && (sector + 1) * SECTOR_BYTES > len
            {
                if i < fate.len_version { low = i + 1 } else { high = high.min(i) }
            }
        }
        drawn.clamp(low, high)
    }

    /// The sector's bytes after the first `version` changes.
    fn sector_at(&self, sector: u64, version: usize) -> [u8; SECTOR_BYTES as usize] {
        let mut image = [0; SECTOR_BYTES as usize];
        let (start, end) = (sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
        overlay(&mut image, start, 0, &self.durable);
        for change in &self.pending[..version] {
            match &change.deed {
                Deed::Write { at, bytes } => overlay(&mut image, start, *at, bytes),
                Deed::Len(len) if *len < end => image[index(len.saturating_sub(start))..].fill(0),
                Deed::Len(_) => {}
            }
        }
        image
    }
}

/// The part of `bytes`, which stand at `at`, that lies in the sector that begins at `start`.
fn overlay(image: &mut [u8; SECTOR_BYTES as usize], start: u64, at: u64, bytes: &[u8]) {
    let from = start.max(at);
    let to = (start + SECTOR_BYTES).min(at + bytes.len() as u64);
    if from < to {
        image[index(from - start)..index(to - start)]
            .copy_from_slice(&bytes[index(from - at)..index(to - at)]);
    }
}

fn sectors(start: u64, end: u64) -> Range<u64> {
    start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)
}

/// All of it, none of it, or what lies on one side of a sector's boundary.
fn torn(all: Range<u64>, rng: &mut SmallRng) -> Range<u64> {
    let boundary = rng.random_range(all.start..=all.end);
    match rng.random_range(0..4) {
        0 => all,
        1 => 0..0,
        2 => all.start..boundary,
        _ => boundary..all.end,
    }
}
