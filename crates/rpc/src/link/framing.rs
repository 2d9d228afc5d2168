//! gRPC's frame of a message: a flag (0: not compressed), a length of four bytes, as many bytes.

use bytes::buf::Chain;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use carrick_proto::Encoded;

/// Of one message, either way: the largest part of a batch, and what is said of it.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) + (64 << 10);

const HEAD: usize = 5;
/// Taken at once for a message that is still arriving.
const BLOCK: usize = 256 << 10;

/// What a peer may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadMessage {
    #[error("a message of {length} bytes: {MESSAGE_BYTES_MAX} are taken")]
    TooLarge { length: usize },
    #[error("a message with the flag {flag}: only 0 is taken")]
    Flag { flag: u8 },
}

/// A message as it goes out, its last piece not copied.
pub(crate) fn frame(message: Encoded) -> Result<Chain<Bytes, Bytes>, BadMessage> {
    let length = message.len();
    let told = u32::try_from(length).ok().filter(|_| length <= MESSAGE_BYTES_MAX);
    let told = told.ok_or(BadMessage::TooLarge { length })?;
    let Encoded { head: first, tail } = message;
    // What is said of records is short; a message of one piece is the last.
    let (first, tail) = if tail.is_empty() { (tail, first) } else { (first, tail) };
    let mut head = BytesMut::with_capacity(HEAD + first.len());
    head.put_u8(0);
    head.put_u32(told);
    head.put(first);
    Ok(head.freeze().chain(tail))
}

/// Makes messages of what arrives. Memory grows with what has arrived, whatever a length says.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Arrived, and not looked at.
    rest: Bytes,
    head: [u8; HEAD],
    headed: usize,
    /// Begun in an earlier frame.
    begun: BytesMut,
}

impl Messages {
    /// Whether a message has begun and not ended.
    pub(crate) fn is_torn(&self) -> bool {
        self.headed > 0 || !self.rest.is_empty()
    }

    /// Call [`Messages::next`] until there is none before the next one.
    pub(crate) fn arrived(&mut self, frame: Bytes) {
        debug_assert!(self.rest.is_empty());
        self.rest = frame;
    }

    /// A message that lies in one frame is a slice of it; another one is put together.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, BadMessage> {
        while self.headed < HEAD {
            let Some((slot, byte)) = self.head.get_mut(self.headed).zip(self.rest.first()) else {
                return Ok(None);
            };
            *slot = *byte;
            self.rest.advance(1);
            self.headed += 1;
        }
        let [flag, length @ ..] = self.head;
        let length = u32::from_be_bytes(length) as usize;
        if flag != 0 {
            return Err(BadMessage::Flag { flag });
        }
        if length > MESSAGE_BYTES_MAX {
            return Err(BadMessage::TooLarge { length });
        }
        if self.begun.is_empty() && self.rest.len() >= length {
            self.headed = 0;
            return Ok(Some(self.rest.split_to(length)));
        }
        let wanted = length - self.begun.len();
        let some = self.rest.split_to(wanted.min(self.rest.len()));
        if self.begun.capacity() - self.begun.len() < some.len() {
            self.begun.reserve(wanted.min(BLOCK.max(self.begun.len()).max(some.len())));
        }
        self.begun.extend_from_slice(&some);
        if some.len() < wanted {
            return Ok(None);
        }
        self.headed = 0;
        Ok(Some(std::mem::take(&mut self.begun).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_two_pieces_goes_out_as_one() {
        let whole = frame(Bytes::from_static(b"head and tail").into()).unwrap();
        let parted = Encoded { head: Bytes::from_static(b"head and "), tail: Bytes::from_static(b"tail") };
        let (mut one, mut two) = (BytesMut::new(), BytesMut::new());
        one.put(whole);
        two.put(frame(parted).unwrap());
        assert_eq!(one, two);
    }

    fn wire(messages: &[Bytes]) -> Bytes {
        let mut all = BytesMut::new();
        for message in messages {
            all.put(frame(message.clone().into()).unwrap());
        }
        all.freeze()
    }

    fn read(pieces: impl IntoIterator<Item = Bytes>) -> Result<(Vec<Bytes>, Messages), BadMessage> {
        let (mut reader, mut read) = (Messages::default(), Vec::new());
        for piece in pieces {
            reader.arrived(piece);
            while let Some(message) = reader.next()? {
                read.push(message);
            }
        }
        Ok((read, reader))
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let sizes = [0, 1, 5, 4_096, 0, 300_000, MESSAGE_BYTES_MAX];
        let messages: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![*size as u8; *size])).collect();
        let wire = wire(&messages);
        for cut in [1, 3, 5, 6, 1_000, 65_536, 1 << 20, wire.len()] {
            let pieces = (0..wire.len()).step_by(cut).map(|at| wire.slice(at..wire.len().min(at + cut)));
            let (read, rest) = read(pieces).unwrap();
            assert!(read == messages && !rest.is_torn(), "cut every {cut}");
        }
    }

    #[test]
    fn a_whole_message_is_not_copied() {
        let wire = wire(&[Bytes::from(vec![7; 100]), Bytes::from(vec![8; 100])]);
        let (read, _) = read([wire.clone()]).unwrap();
        assert_eq!(read[1].as_ptr(), wire[105 + 5..].as_ptr());
    }

    #[test]
    fn what_may_not_come_is_refused_before_it_arrives() {
        let length = MESSAGE_BYTES_MAX + 1;
        let mut large = vec![0];
        large.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        assert_eq!(read([large.into()]).unwrap_err(), BadMessage::TooLarge { length });
        assert_eq!(frame(vec![0; length].into()).unwrap_err(), BadMessage::TooLarge { length });
        assert_eq!(read([Bytes::from_static(&[1, 0, 0, 0, 0])]).unwrap_err(), BadMessage::Flag { flag: 1 });
    }

    #[test]
    fn a_length_alone_takes_no_memory_and_a_torn_message_shows() {
        let mut head = vec![0];
        head.extend_from_slice(&u32::try_from(MESSAGE_BYTES_MAX).unwrap().to_be_bytes());
        let (_, reader) = read([Bytes::from(head)]).unwrap();
        assert!(reader.is_torn() && reader.begun.capacity() == 0);
    }
}
