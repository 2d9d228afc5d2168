//! HTTP/2 by hand, so that it can be wrong.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const SESSION: &str = "/carrick.v1.Link/Session";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The preface, and settings: pairs of an id and a value.
pub fn greeting(settings: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, pairs(settings))].concat()
}

pub fn pairs(settings: &[(u16, u32)]) -> Vec<u8> {
    settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// A length as HPACK has it, in a prefix of seven bits that are free.
fn length(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![length as u8];
    }
    let mut said = vec![127];
    let mut rest = length - 127;
    while rest >= 128 {
        said.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    said.push(rest as u8);
    said
}

/// A header in full, and not to be remembered.
pub fn header(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    said(0, name.as_ref(), value.as_ref())
}

/// A header in full that the other end is to remember; the newest is [`REMEMBERED`].
pub fn remember(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    said(0x40, name.as_ref(), value.as_ref())
}

/// One byte that stands for the newest header that was to be remembered.
pub const REMEMBERED: u8 = 0x80 | 62;

fn said(how: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[how][..], &length(name.len()), name, &length(value.len()), value].concat()
}

pub fn request(path: &[u8], kind: &str, more: &[u8]) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "https"),
        header(":path", path),
        header(":authority", "localhost"),
        header("content-type", kind),
        header("te", "trailers"),
        more.to_vec(),
    ]
    .concat()
}

pub fn post(stream: u32, flags: u8, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, request(path.as_bytes(), "application/grpc", b""))
}

/// A session on stream 1, begun.
pub fn session() -> Vec<u8> {
    [greeting(&[]), post(1, 0, SESSION)].concat()
}

/// A message of gRPC in one frame.
pub fn message(stream: u32, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let framed = [&[0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    framed.chunks(16_384).flat_map(|some| frame(DATA, 0, stream, some)).collect()
}
