//! One frame. Its blocks are at most 4 MiB, of which the decoder holds one as it came and two, if they are linked, inflated.

use std::io::BufRead as _;

use lz4_flex::frame::FrameDecoder;

use super::{Inflate, InflateError};

/// Little-endian. The decoder knows other kinds of frames, Kafka does not.
const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

pub(super) struct Lz4<'a> {
    /// None before a body that is no frame.
    frame: Option<FrameDecoder<&'a [u8]>>,
    /// Of the last run, which the decoder still holds.
    len: usize,
    ended: bool,
}

impl<'a> Lz4<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { frame: body.starts_with(&MAGIC).then(|| FrameDecoder::new(body)), len: 0, ended: false }
    }
}

impl Inflate for Lz4<'_> {
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError> {
        let frame = self.frame.as_mut().ok_or(InflateError::Broken)?;
        if self.ended {
            return Ok(None);
        }
        frame.consume(self.len);
        let run = frame.fill_buf().map_err(|_| InflateError::Broken)?;
        self.len = run.len();
        // What follows the frame is not read, so nothing may be asked for again.
        self.ended = run.is_empty();
        Ok((!run.is_empty()).then_some(run))
    }
}
