//! A peer with a good certificate that abuses HTTP/2, gRPC or the link's messages (line F30 of the campaign).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes};
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Ack, Describe, Durable, Role, Standing, Subscribe, Unsubscribe};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::cases::{Chance, cases, in_case};
use crate::engine::{TOPIC, encode, hello};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    PUSH_PROMISE, REMEMBERED, RST_STREAM, SESSION, SETTINGS, WINDOW_UPDATE, frame, greeting, header, message,
    pairs, post, remember, request, session,
};
use crate::pki::{NODE, Wish};
use crate::site::Site;

/// For a peer that must be shut out to be so.
const SHUT_MAX: Duration = Duration::from_secs(20);
/// For one that need not be: what it still waits for.
const LINGER: Duration = Duration::from_millis(3);
/// Of a peer that does not read, until it gives up.
const STUCK: Duration = Duration::from_millis(40);

/// What a peer does.
struct Act {
    says: Vec<u8>,
    /// Else what comes is left where it is.
    reads: bool,
    /// The port must shut it out.
    ends: bool,
    /// Byte by byte at the end.
    slowly: usize,
}

/// May be let be.
fn borne(says: Vec<u8>) -> Act {
    Act { says, reads: true, ends: false, slowly: 0 }
}

/// Must be shut out.
fn shut(says: Vec<u8>) -> Act {
    Act { ends: true, ..borne(says) }
}

fn deaf(act: Act) -> Act {
    Act { reads: false, ..act }
}

fn times(count: u64, of: impl FnMut(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count as u32).flat_map(of).collect()
}

fn with(first: Vec<u8>, more: impl AsRef<[u8]>) -> Vec<u8> {
    [&first[..], more.as_ref()].concat()
}

fn headers(block: impl AsRef<[u8]>) -> Vec<u8> {
    with(greeting(&[]), frame(HEADERS, END_HEADERS, 1, block))
}

/// Headers in pieces of one frame's size.
fn pieces(block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(16_000);
    let mut said = with(greeting(&[]), frame(HEADERS, 0, 1, pieces.next().unwrap()));
    let last = block.len().div_ceil(16_000).saturating_sub(2);
    for (at, piece) in pieces.enumerate() {
        said.extend(frame(CONTINUATION, if at == last { END_HEADERS } else { 0 }, 1, piece));
    }
    said
}

/// A session of the link's engine, with this after its first word.
fn engine_hears(more: impl AsRef<[u8]>) -> Act {
    let hello = encode(Body::Hello(hello(Role::Destination, 1)));
    borne([session(), message(1, hello), more.as_ref().to_vec()].concat())
}

fn engine_hears_body(body: Body) -> Act {
    engine_hears(message(1, encode(body)))
}

fn subscribe(number: u32, attempt: u64) -> Body {
    let topic_id = Bytes::copy_from_slice(&TOPIC.bytes());
    Body::Subscribe(Subscribe {
        subscription: number,
        attempt,
        topic_id,
        last_epoch: -1,
        ..Subscribe::default()
    })
}

/// Unknown groups within each other, which a decoder would follow.
fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = (99 << 3 | 3, 99 << 3 | 4);
    let mut bytes = Vec::new();
    for tag in std::iter::repeat_n(open, depth).chain(std::iter::repeat_n(close, depth)) {
        bytes.put_slice(&[(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8]);
    }
    bytes
}

type Kind = (&'static str, fn(&mut Chance) -> Act);

const KINDS: &[Kind] = &[
    ("rapid reset", |c| {
        let path = c.pick(&[SESSION, "/", "/carrick.v1.Admin/Status"]);
        borne(with(
            greeting(&[]),
            times(500, |n| with(post(n * 2 + 1, 0, path), frame(RST_STREAM, 0, n * 2 + 1, [0, 0, 0, 8]))),
        ))
    }),
    ("requests that provoke resets", |_| {
        borne(with(
            greeting(&[]),
            times(500, |n| with(post(n * 2 + 1, 0, "/"), frame(WINDOW_UPDATE, 0, n * 2 + 1, [0; 4]))),
        ))
    }),
    ("CONTINUATION flood", |_| {
        let begun =
            with(greeting(&[]), frame(HEADERS, 0, 1, request(SESSION.as_bytes(), "application/grpc", b"")));
        shut(with(begun, times(3_000, |_| frame(CONTINUATION, 0, 1, header("x", [b'x'; 100])))))
    }),
    ("empty CONTINUATION flood", |_| {
        let begun = with(greeting(&[]), frame(HEADERS, 0, 1, header(":method", "POST")));
        shut(with(begun, times(20_000, |_| frame(CONTINUATION, 0, 1, []))))
    }),
    ("ping flood", |_| borne(with(greeting(&[]), times(10_000, |n| frame(PING, 0, 0, [n as u8; 8]))))),
    ("ping flood, deaf", |_| {
        deaf(borne(with(session(), times(60_000, |n| frame(PING, 0, 0, [n as u8; 8])))))
    }),
    ("settings flood", |_| borne(with(greeting(&[]), times(10_000, |_| frame(SETTINGS, 0, 0, []))))),
    ("settings flood, deaf", |_| deaf(borne(with(session(), times(60_000, |_| frame(SETTINGS, 0, 0, [])))))),
    ("many settings in one frame", |c| {
        let many: Vec<_> = (0..2_700).map(|_| (c.within(7..60_000) as u16, c.u64() as u32)).collect();
        borne(greeting(&many))
    }),
    ("one huge header", |c| {
        let length = c.within(17_000..1_000_000) as usize;
        borne(pieces(&request(SESSION.as_bytes(), "application/grpc", &header("x", vec![b'x'; length]))))
    }),
    ("ten thousand headers", |_| {
        borne(pieces(&request(SESSION.as_bytes(), "application/grpc", &times(10_000, |_| header("x", "y")))))
    }),
    ("a header that is remembered and said ten thousand times", |_| {
        let bomb = with(remember("x", [b'x'; 3_900]), [REMEMBERED; 10_000]);
        borne(headers(request(SESSION.as_bytes(), "application/grpc", &bomb)))
    }),
    ("HPACK that is none", |c| {
        let length = c.within(1..2_000) as usize;
        borne(headers(c.bytes(length)))
    }),
    ("an index of no header", |_| shut(headers([0xff, 0xff, 0x7f]))),
    ("slow body", |_| Act { slowly: 20, ..borne(with(session(), frame(DATA, 0, 1, [0, 0, 16, 0, 0]))) }),
    ("a message that is too large", |c| {
        let length = c.within((1 << 20) + (64 << 10) + 1..1 << 32) as u32;
        borne(with(session(), frame(DATA, 0, 1, [&[0][..], &length.to_be_bytes(), &[7; 100]].concat())))
    }),
    ("a message with a wrong flag", |c| {
        borne(with(session(), frame(DATA, 0, 1, [c.within(1..256) as u8, 0, 0, 0, 1, 7])))
    }),
    ("a message that is torn", |_| borne(with(session(), frame(DATA, END_STREAM, 1, [0, 0, 0, 0, 9, 7])))),
    ("wrong content type", |c| {
        let kind = c.pick(&["", "text/plain", "application/json", "APPLICATION/GRPC"]);
        borne(headers(request(SESSION.as_bytes(), kind, b"")))
    }),
    ("unknown methods", |c| {
        let length = c.within(1..60) as usize;
        let path: Vec<u8> = c.bytes(length).iter().map(|byte| b'!' + byte % 90).collect();
        borne(headers(request(&[b"/", &path[..]].concat(), "application/grpc", b"")))
    }),
    ("a path that is not text", |c| borne(headers(request(&c.bytes(40), "application/grpc", b"")))),
    ("other methods of HTTP", |c| {
        let method = c.pick(&["GET", "PUT", "CONNECT", "OPTIONS", "PRI", "\0"]);
        borne(headers(
            [header(":method", method), header(":scheme", "https"), header(":path", SESSION)].concat(),
        ))
    }),
    ("headers that HTTP/2 has not", |c| {
        let more =
            c.pick(&[("connection", "close"), ("Upper", "x"), (":later", "x"), ("", ""), ("te", "gzip")]);
        borne(headers(request(SESSION.as_bytes(), "application/grpc", &header(more.0, more.1))))
    }),
    ("values that are not text", |c| {
        borne(headers(request(SESSION.as_bytes(), "application/grpc", &header("x", c.bytes(50)))))
    }),
    ("no pseudo headers", |_| borne(headers(header("x", "y")))),
    ("a content length that is not so", |c| {
        let length = c.pick(&["1", "100", "-1", "99999999999999999999"]);
        let asked = request(SESSION.as_bytes(), "application/grpc", &header("content-length", length));
        borne([headers(asked), message(1, [7; 50]), frame(DATA, END_STREAM, 1, [])].concat())
    }),
    ("window overflow", |_| {
        shut(with(greeting(&[]), times(2, |_| frame(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff]))))
    }),
    ("window overflow of a stream", |_| {
        borne(with(session(), times(2, |_| frame(WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff]))))
    }),
    ("a window that grows by nothing", |_| shut(with(greeting(&[]), frame(WINDOW_UPDATE, 0, 0, [0; 4])))),
    ("windows that flap", |_| {
        let flap =
            |n: u32| frame(SETTINGS, 0, 0, pairs(&[(4, if n.is_multiple_of(2) { 0 } else { 0x7fff_ffff })]));
        borne(with(session(), times(5_000, flap)))
    }),
    ("data in frames of one byte", |_| {
        let long = with(session(), frame(DATA, 0, 1, [0, 0, 8, 0, 0]));
        borne(with(long, times(50_000, |n| frame(DATA, 0, 1, [n as u8]))))
    }),
    ("empty messages, one a frame", |_| borne(with(session(), times(20_000, |_| frame(DATA, 0, 1, [0; 5]))))),
    ("empty data", |_| shut(with(session(), times(5_000, |_| frame(DATA, 0, 1, []))))),
    ("padding", |_| {
        let padded = [&[255][..], &[0; 5], &[0; 255]].concat();
        borne(with(session(), times(500, |_| frame(DATA, PADDED, 1, &padded))))
    }),
    ("padding longer than its frame", |_| shut(with(session(), frame(DATA, PADDED, 1, [200, 0, 0])))),
    ("frames where they may not be", |c| {
        let frames = [
            frame(DATA, 0, 0, [7; 9]),
            frame(DATA, 0, 99, [7; 9]),
            frame(RST_STREAM, 0, 99, [0; 4]),
            frame(RST_STREAM, 0, 1, [0; 3]),
            frame(PING, 0, 1, [0; 8]),
            frame(PING, 0, 0, [0; 7]),
            frame(SETTINGS, 0, 1, []),
            frame(SETTINGS, 0, 0, [0; 5]),
            frame(SETTINGS, 1, 0, [0; 6]),
            frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]),
            frame(CONTINUATION, END_HEADERS, 1, []),
            frame(WINDOW_UPDATE, 0, 0, [0; 3]),
            post(2, 0, SESSION),
        ];
        let at = c.below(frames.len() as u64) as usize;
        shut(with(session(), &frames[at]))
    }),
    ("streams that go back", |_| {
        shut([greeting(&[]), post(9, END_STREAM, "/"), post(3, 0, SESSION)].concat())
    }),
    ("a frame that is too long", |_| shut(with(session(), [0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]))),
    ("frames of unknown kinds", |c| {
        let kind = c.within(11..256) as u8;
        borne(with(session(), times(10_000, |n| frame(kind, n as u8, n, [7; 20]))))
    }),
    ("PRIORITY flood", |_| {
        borne(with(session(), times(10_000, |n| frame(PRIORITY, 0, n * 2 + 3, [0, 0, 0, 1, 200]))))
    }),
    ("GOAWAY flood", |_| borne(with(session(), times(5_000, |_| frame(GOAWAY, 0, 0, [0; 8]))))),
    ("no preface", |c| {
        let said = c.pick(&[
            &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
            b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
            &[0; 60],
        ]);
        shut(said.to_vec())
    }),
    // Bad manners that are borne for three seconds.
    ("a preface and no settings", |c| {
        let said = with(PREFACE.to_vec(), post(1, 0, SESSION));
        if c.below(8) == 0 { shut(said) } else { borne(said) }
    }),
    ("settings that cannot be", |c| shut(greeting(&[c.pick(&[(2, 2), (4, 1 << 31), (5, 1), (5, 1 << 24)])]))),
    ("a hundred streams", |_| borne(with(greeting(&[]), times(100, |n| post(n * 2 + 1, 0, SESSION))))),
    ("a thousand refused calls", |_| {
        borne(with(greeting(&[]), times(1_000, |n| post(n * 2 + 1, END_STREAM, "/"))))
    }),
    ("headers in the middle", |_| {
        borne(with(session(), times(3, |_| frame(HEADERS, END_HEADERS, 1, header("x", "y")))))
    }),
    ("nested groups", |c| engine_hears(message(1, nested(c.within(2..20_000) as usize)))),
    ("a name that is not text", |c| {
        let text = encode(Body::Describe(Describe { names: vec!["x".repeat(64)], ..Describe::default() }));
        let wrong: Vec<u8> =
            text.iter().map(|byte| if *byte == b'x' { c.u64() as u8 | 0x80 } else { *byte }).collect();
        engine_hears(message(1, wrong))
    }),
    ("noise for an envelope", |c| {
        let length = c.within(1..2_000) as usize;
        engine_hears(message(1, c.bytes(length)))
    }),
    ("a length that is more than there is", |_| {
        engine_hears(message(1, [0xa2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))
    }),
    ("a hundred thousand names", |_| {
        engine_hears_body(Body::Describe(Describe {
            names: vec!["t".into(); 100_000],
            ..Describe::default()
        }))
    }),
    ("opened topics that are none", |_| {
        engine_hears_body(Body::Standing(Standing { opened: vec![Default::default(); 10_000] }))
    }),
    ("acknowledgements of nothing", |c| {
        let durable =
            (0..20_000).map(|n| Durable { subscription: n, attempt: c.u64(), end_offset: c.u64() as i64 });
        engine_hears_body(Body::Ack(Ack { durable: durable.collect() }))
    }),
    ("subscriptions by the hundred", |_| engine_hears(times(300, |n| message(1, encode(subscribe(n, 1)))))),
    ("attempts by the hundred", |_| {
        engine_hears(times(300, |n| {
            let end = Body::Unsubscribe(Unsubscribe { subscription: 1, attempt: n.into() });
            with(message(1, encode(subscribe(1, n.into()))), message(1, encode(end)))
        }))
    }),
    ("an endless topic, deaf", |_| {
        let credit = carrick_proto::v1::Hello {
            credit_bytes: u64::MAX,
            subscription_credit_bytes: u64::MAX,
            ..hello(Role::Destination, 1)
        };
        let asked = with(message(1, encode(Body::Hello(credit))), message(1, encode(subscribe(1, 1))));
        let windows = frame(WINDOW_UPDATE, 0, 0, [0x70, 0, 0, 0]);
        deaf(borne([greeting(&[(4, 0x7000_0000)]), windows, post(1, 0, SESSION), asked].concat()))
    }),
    ("an endless topic without a window", |_| {
        let asked = with(
            message(1, encode(Body::Hello(hello(Role::Destination, 1)))),
            message(1, encode(subscribe(1, 1))),
        );
        borne([greeting(&[(4, 0)]), post(1, 0, SESSION), asked].concat())
    }),
    ("wrong bits anywhere", |c| {
        let Act { mut says, .. } = engine_hears(message(1, encode(subscribe(1, 1))));
        for _ in 0..c.within(1..20) {
            let at = c.within(PREFACE.len() as u64..says.len() as u64) as usize;
            says[at] ^= 1 << c.below(8);
        }
        borne(says)
    }),
    ("an end anywhere", |c| {
        let Act { mut says, .. } = engine_hears(message(1, encode(subscribe(1, 1))));
        says.truncate(c.below(says.len() as u64) as usize);
        borne(says)
    }),
];

async fn abuse(act: Act, port: u16, config: Arc<ClientConfig>, chance: &mut Chance) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    if chance.below(3) == 0 {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let saying = async {
        let all = timeout(if act.reads { SHUT_MAX } else { STUCK }, to.write_all(&act.says)).await;
        for _ in 0..act.slowly {
            let one = frame(DATA, 0, 1, [7]);
            if to.write_all(&one).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match all {
            // The port is done with it; or it waits a while for what comes.
            Ok(Err(_)) => {}
            _ if act.ends => std::future::pending().await,
            _ => tokio::time::sleep(if act.reads { LINGER } else { STUCK }).await,
        }
    };
    let hearing = async {
        if !act.reads {
            return std::future::pending().await;
        }
        let mut some = vec![0; 64 << 10];
        while from.read(&mut some).await.is_ok_and(|read| read > 0) {}
    };
    let (saying, hearing) = (std::pin::pin!(saying), std::pin::pin!(hearing));
    let over = timeout(SHUT_MAX, futures::future::select(saying, hearing)).await;
    assert!(over.is_ok(), "it is not shut out");
}

#[test]
fn abuse_of_every_kind_hurts_nobody_else_and_leaves_nothing_behind() {
    let mut site = Site::open();
    let config = site.pki.tls(&Wish { name: "bad", ..NODE }).client().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = site.endpoint.port;
    let visit = |case: u64| {
        let (name, kind) = KINDS[case as usize % KINDS.len()];
        let mut chance = Chance::of(case);
        let act = kind(&mut chance);
        let begun = Instant::now();
        in_case(case, || {
            println!("case {case}: {name}");
            runtime.block_on(abuse(act, port, Arc::clone(&config), &mut chance));
        });
        begun.elapsed().as_secs_f64()
    };
    site.note();
    let cases = cases(480, 2_400);
    let (used, mut seconds) = (site.used(), 0.0);
    for case in cases {
        seconds += visit(case);
    }
    let used = site.used() - used;
    println!("{seconds:.1} s of attacks; the site used {used:.1} s of a processor");
    assert!(used <= seconds + 2.0, "{used:.1} s of a processor for {seconds:.1} s of attacks");
    drop(runtime);
    site.survived(160);
}
