//! What must not hurt anyone else.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use carrick_rpc::tls::Tls;
use carrick_rpc::{MESSAGE_BYTES_MAX, dial};
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ends::{Port, soon, within};
use crate::pki::Pki;

/// A body of some bytes, and then silence or an end.
struct Said {
    bytes: Option<Bytes>,
    ends: bool,
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.bytes.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// A trusted peer that speaks HTTP/2 by hand.
async fn stranger(port: &Port, tls: &Tls) -> SendRequest<Said> {
    let stream = TcpStream::connect(("127.0.0.1", port.endpoint.port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(tls.client().unwrap()).connect(name, stream).await.unwrap();
    let shaking = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = shaking.await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn post(sender: &mut SendRequest<Said>, path: &str, kind: &str, said: Said) -> Response<Incoming> {
    let request = Request::post(format!("https://localhost{path}")).header("content-type", kind);
    soon(sender.send_request(request.body(said).unwrap())).await.unwrap()
}

fn status(response: &Response<Incoming>) -> &str {
    response.headers().get("grpc-status").map_or("", |it| it.to_str().unwrap())
}

const SESSION: &str = "/carrick.v1.Link/Session";
const GRPC: &str = "application/grpc";

#[tokio::test]
async fn the_port_serves_one_session_a_connection_and_nothing_else() {
    let tls = Pki::new().node();
    let mut port = Port::open(tls.clone()).await;
    let mut sender = stranger(&port, &tls).await;
    let silent = || Said { bytes: None, ends: false };
    let unimplemented = "12";
    for path in ["/", "/carrick.v1.Admin/ListLinks", "/carrick.v1.Link/Other"] {
        assert_eq!(status(&post(&mut sender, path, GRPC, silent()).await), unimplemented, "{path}");
    }
    assert_eq!(status(&post(&mut sender, SESSION, "text/plain", silent()).await), unimplemented);
    // A stranger's gRPC is our own.
    let hello = Bytes::from_static(b"\0\0\0\0\x05hello");
    let good = post(&mut sender, SESSION, GRPC, Said { bytes: Some(hello), ends: false }).await;
    assert_eq!((good.status().as_u16(), status(&good)), (200, ""));
    let mut accepted = soon(port.connections.recv()).await.unwrap();
    assert_eq!(soon(accepted.incoming.recv()).await.unwrap(), "hello");
    let exhausted = "8";
    assert_eq!(status(&post(&mut sender, SESSION, GRPC, silent()).await), exhausted);
    assert_eq!(port.refusals.total(), 5);
}

#[tokio::test]
async fn a_bad_message_ends_its_connection_alone() {
    let tls = Pki::new().node();
    let mut port = Port::open(tls.clone()).await;
    let (dialled, mut good) = port.join(&tls).await;
    let mut large = vec![0];
    large.extend_from_slice(&u32::try_from(MESSAGE_BYTES_MAX + 1).unwrap().to_be_bytes());
    for (bad, ends) in
        [(large, false), (b"\x01\0\0\0\0".to_vec(), false), (b"\0\0\0\0\x05hel".to_vec(), true)]
    {
        let mut sender = stranger(&port, &tls).await;
        let answer = post(&mut sender, SESSION, GRPC, Said { bytes: Some(bad.into()), ends }).await;
        let mut accepted = soon(port.connections.recv()).await.unwrap();
        assert_eq!(soon(accepted.incoming.recv()).await, None);
        soon(accepted.outgoing.closed()).await;
        drop(answer);
    }
    dialled.outgoing.send("fine".into()).await.unwrap();
    assert_eq!(soon(good.incoming.recv()).await.unwrap(), "fine");
}

#[tokio::test]
async fn a_full_house_is_said() {
    let tls = Pki::new().node();
    let port = Port::open(tls.clone()).await;
    let mut open = Vec::new();
    // As many as the channel holds, and nobody takes them.
    for _ in 0..16 {
        open.push(dial(&port.endpoint, &tls).await.unwrap());
    }
    let error = dial(&port.endpoint, &tls).await.unwrap_err();
    assert!(error.to_string().contains("too many sessions wait to begin"), "{error}");
}

#[tokio::test]
async fn a_trusted_peer_that_opens_no_session_is_not_kept() {
    let tls = Pki::new().node();
    let port = Port::open(tls.clone()).await;
    let sender = stranger(&port, &tls).await;
    within(Duration::from_secs(8), async {
        while !sender.is_closed() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
