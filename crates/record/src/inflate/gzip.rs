//! Members one after the other, as Java reads them. The state of an inflating member is some 50 KiB.

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::{Inflate, InflateError, RUN_BYTES};

pub(super) struct Gzip<'a> {
    /// None at the end.
    member: Option<GzDecoder<&'a [u8]>>,
    run: Vec<u8>,
}

impl<'a> Gzip<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { member: Some(GzDecoder::new(body)), run: vec![0; RUN_BYTES] }
    }
}

impl Inflate for Gzip<'_> {
    fn run(&mut self) -> Result<Option<&[u8]>, InflateError> {
        let Some(member) = &mut self.member else { return Ok(None) };
        // Looks at the member's own checksum at its end.
        let len = member.read(&mut self.run).map_err(|_| InflateError::Broken)?;
        if len == 0 {
            let rest = self.member.take().map(GzDecoder::into_inner).unwrap_or_default();
            self.member = (!rest.is_empty()).then(|| GzDecoder::new(rest));
        }
        Ok(self.run.get(..len))
    }
}
