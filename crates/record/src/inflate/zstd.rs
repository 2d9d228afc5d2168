//! Frames one after the other.
//!
//! A frame's header states how far back its matches may reach, and the decoder holds back as much before it hands anything
//! out. Compressors state it by their level and not by the input: level 22 says 128 MiB before a body of 1 KiB. So the
//! decoder is given a header of our own, that states at most 8 MiB (level 19) and no length: a match that reaches back
//! farther is an error if it comes.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Inflate, InflateError, RUN_BYTES};

const MAGIC: u32 = 0xfd2f_b528;
/// Skippable frames: any of sixteen.
const SKIPPABLE: u32 = 0x184d_2a50;

/// Bits of the frame header's descriptor.
const CHECKSUM: u8 = 0x04;
const RESERVED: u8 = 0x08;
const SINGLE_SEGMENT: u8 = 0x20;

/// 8 MiB, as a window descriptor: exponent and eighths of a power of two from 1 KiB on.
const WINDOW_MAX: u8 = 13 << 3;

pub(super) struct Zstd<'a> {
    rest: &'a [u8],
    decoder: FrameDecoder,
    run: Vec<u8>,
    /// What the frame states, if that is more than it gets.
    wide: Option<u64>,
    /// Whether the frame has been inflated to more than its window.
    outgrown: bool,
}

impl<'a> Zstd<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        let run = vec![0; RUN_BYTES];
        Self { rest: body, decoder: FrameDecoder::new(), run, wide: None, outgrown: false }
    }

    fn open(&mut self) -> Option<()> {
        let magic = u32::from_le_bytes(take(&mut self.rest)?);
        if magic & !0x0f == SKIPPABLE {
            let len = usize::try_from(u32::from_le_bytes(take(&mut self.rest)?)).ok()?;
            self.rest = self.rest.get(len..)?;
            return Some(());
        }
        let [descriptor] = take(&mut self.rest)?;
        if magic != MAGIC || descriptor & RESERVED != 0 {
            return None;
        }
        let window =
            if descriptor & SINGLE_SEGMENT == 0 { Some(take::<1>(&mut self.rest)?[0]) } else { None };
        let dictionary = little_endian(&mut self.rest, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
        if dictionary != 0 {
            return None;
        }
        let content = match (descriptor >> 6, window) {
            (0, Some(_)) => 0,
            (0, None) => little_endian(&mut self.rest, 1)?,
            (1, _) => little_endian(&mut self.rest, 2)? + 256,
            (2, _) => little_endian(&mut self.rest, 4)?,
            _ => little_endian(&mut self.rest, 8)?,
        };
        // A single segment's window is its content.
        let stated = window.map_or(content, window_bytes);
        let window = window
            .unwrap_or_else(|| (0..WINDOW_MAX).find(|it| window_bytes(*it) >= content).unwrap_or(WINDOW_MAX));
        self.wide = (stated > window_bytes(WINDOW_MAX)).then_some(stated);
        self.outgrown = false;
        let [a, b, c, d] = MAGIC.to_le_bytes();
        let header = [a, b, c, d, descriptor & CHECKSUM, window.min(WINDOW_MAX)];
        self.decoder.reset(header.as_slice()).ok()
    }

    fn fault(&self) -> InflateError {
        match self.wide {
            Some(needed) if self.outgrown => InflateError::Memory { needed, max: window_bytes(WINDOW_MAX) },
            _ => InflateError::Broken,
        }
    }
}

impl Inflate for Zstd<'_> {
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError> {
        if self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                if self.rest.is_empty() {
                    return Ok(None);
                }
                self.open().ok_or(InflateError::Broken)?;
                return Ok(Some(&[]));
            }
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if self.decoder.decode_blocks(&mut self.rest, one).is_err() {
                return Err(self.fault());
            }
        }
        let len = self.decoder.read(&mut self.run).map_err(|_| InflateError::Broken)?;
        self.outgrown |= len > 0;
        Ok(self.run.get(..len))
    }
}

fn window_bytes(descriptor: u8) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn little_endian(rest: &mut &[u8], len: usize) -> Option<u64> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
