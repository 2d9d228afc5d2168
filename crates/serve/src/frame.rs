//! Frames of the Kafka protocol: a length of four bytes, then as many bytes.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use carrick_sys::{Budget, Claim};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Without a byte inside a request or an answer.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Taken at once for a request that is still arriving.
const BLOCK: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a request of {length} bytes; 1 to {max} are taken")]
    Length { length: i32, max: usize },
    #[error("nothing moved for {}s inside a frame", STALL_MAX.as_secs())]
    Stalled,
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// The length of the next frame; None at the end of the stream. Cancel-safe as long as `head` is kept.
pub(crate) async fn read_length(
    stream: &mut (impl AsyncRead + Unpin),
    head: &mut Vec<u8>,
    max: usize,
) -> Result<Option<usize>, FrameError> {
    while head.len() < 4 {
        let mut rest = [0; 4];
        let want = rest.get_mut(head.len()..).unwrap_or_default();
        match stream.read(want).await? {
            0 if head.is_empty() => return Ok(None),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            n => {
                let from = head.len();
                head.extend_from_slice(rest.get(from..from + n).unwrap_or_default());
            }
        }
    }
    let length = i32::from_be_bytes(head.as_slice().try_into().unwrap_or_default());
    head.clear();
    match usize::try_from(length) {
        Ok(good) if (1..=max).contains(&good) => Ok(Some(good)),
        _ => Err(FrameError::Length { length, max }),
    }
}

/// The frame's bytes; memory grows with what has arrived, and was claimed before.
pub(crate) async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
    budget: &Budget,
) -> Result<(Bytes, Claim), FrameError> {
    // A length that was announced costs nobody anything yet: the whole is claimed once a first block is here.
    let mut claim = budget.claim(length.min(BLOCK)).await;
    let mut body = BytesMut::new();
    let mut announced = length > BLOCK;
    while body.len() < length {
        if announced && body.len() >= BLOCK {
            // Given back first: holding a part while waiting for the whole could lock all up.
            drop(claim);
            claim = budget.claim(length).await;
            announced = false;
        }
        let left = length - body.len();
        if body.capacity() == body.len() {
            body.reserve(left.min(body.len().max(BLOCK)));
        }
        let mut limited = (&mut *stream).take(left as u64);
        match timeout(STALL_MAX, limited.read_buf(&mut body)).await {
            Err(_) => return Err(FrameError::Stalled),
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(read) => read?,
        };
    }
    Ok((body.freeze(), claim))
}

/// Writes all segments without joining them.
pub(crate) async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    segments: &[Bytes],
) -> Result<(), FrameError> {
    const AT_ONCE: usize = 64;
    for some in segments.chunks(AT_ONCE) {
        let mut slices: Vec<IoSlice<'_>> = some.iter().map(|segment| IoSlice::new(segment)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match timeout(STALL_MAX, stream.write_vectored(left)).await {
                Err(_) => return Err(FrameError::Stalled),
                Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written?),
            }
        }
    }
    match timeout(STALL_MAX, stream.flush()).await {
        Err(_) => Err(FrameError::Stalled),
        Ok(flushed) => Ok(flushed?),
    }
}
