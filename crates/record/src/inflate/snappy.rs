//! Xerial's frames: 16 bytes (magic, version, oldest version that reads it), then blocks with their lengths before them,
//! big-endian, of 32 KiB each. Without the magic, the body is one block.

use snap::raw::{Decoder, decompress_len};

use super::{Inflate, InflateError};

const MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_LEN: usize = 16;

/// A block states its inflated length, and is inflated in one piece.
const BLOCK_BYTES_MAX: usize = 24 << 20;
/// Three bytes copy at most 64.
const RATIO_MAX: usize = 22;

pub(super) struct Snappy<'a> {
    rest: &'a [u8],
    framed: bool,
    decoder: Decoder,
    run: Vec<u8>,
}

impl<'a> Snappy<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        let framed = body.starts_with(MAGIC);
        let rest = if framed { body.get(XERIAL_HEADER_LEN..).unwrap_or_default() } else { body };
        Self { rest, framed, decoder: Decoder::new(), run: Vec::new() }
    }

    fn next_block(&mut self) -> Result<&'a [u8], InflateError> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        // Bodies that were written one after the other.
        if self.rest.starts_with(MAGIC) {
            self.rest = self.rest.get(XERIAL_HEADER_LEN..).unwrap_or_default();
        }
        let (len, rest) = self.rest.split_first_chunk().ok_or(InflateError::Broken)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| InflateError::Broken)?;
        let (block, rest) = rest.split_at_checked(len).ok_or(InflateError::Broken)?;
        self.rest = rest;
        Ok(block)
    }
}

impl Inflate for Snappy<'_> {
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let block = self.next_block()?;
        let stated = decompress_len(block).map_err(|_| InflateError::Broken)?;
        if stated > block.len().saturating_mul(RATIO_MAX) {
            return Err(InflateError::Broken);
        }
        if stated > BLOCK_BYTES_MAX {
            return Err(InflateError::Memory { needed: stated as u64, max: BLOCK_BYTES_MAX as u64 });
        }
        if self.run.len() < stated {
            // Not both at once.
            self.run = Vec::new();
            self.run = vec![0; stated];
        }
        let len = self.decoder.decompress(block, &mut self.run).map_err(|_| InflateError::Broken)?;
        Ok(self.run.get(..len))
    }
}
