//! Health, readiness and metrics over HTTP/1: for probes and collectors, on whatever runtime calls [`HttpListener::serve`].
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 `ok`; 503 and why the process must be looked after |
//! | `/readyz` | 200 `ready`; 503 and why clients should stay away |
//! | `/metrics` | Prometheus' text |
//!
//! A connection carries one request. Nothing is read of a request but its head.

use std::convert::Infallible;
use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_tls::Refusals;
use futures::future::{BoxFuture, Either, select};
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, info, warn};

/// What the answers are made of. They are asked for on the listener's own thread: none may wait for a disk.
pub trait Eyes: Send + Sync + 'static {
    /// Whether the process does its work; else why not.
    fn health(&self) -> Result<(), String>;
    /// Whether clients are served; else why not.
    fn ready(&self) -> Result<(), String>;
    /// In Prometheus' text format.
    fn metrics(&self) -> BoxFuture<'_, String>;
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    /// A request's line and headers.
    head_bytes: usize,
    /// For them to come.
    head: Duration,
    /// From accept to close.
    whole: Duration,
}

const LIMITS: Limits = Limits {
    connections: 256,
    head_bytes: 16 * 1024,
    head: Duration::from_secs(10),
    whole: Duration::from_secs(30),
};

/// After an accept that failed, which is nearly always a want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// A listener that holds its port.
#[derive(Debug)]
pub struct HttpListener {
    socket: net::TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl HttpListener {
    /// Takes the port, on no runtime yet.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { address: socket.local_addr()?, socket, limits: LIMITS })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until `stop` is told or its sender is gone; requests under way end with the runtime.
    pub async fn serve(self, eyes: Arc<dyn Eyes>, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let Self { socket, address, limits } = self;
        let listener = TcpListener::from_std(socket)?;
        info!(%address, "health and metrics are served");
        let places = Arc::new(Semaphore::new(limits.connections));
        let refusals = Refusals::new("http");
        loop {
            let accepted = {
                let next = std::pin::pin!(listener.accept());
                // Gone is as good as told.
                let stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
                match select(stopped, next).await {
                    Either::Left(_) => return Ok(()),
                    Either::Right((accepted, _)) => accepted,
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    warn!(error = %e, "accept failed on the HTTP port");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                refusals.note(peer, &format_args!("{} connections are open", limits.connections));
                continue;
            };
            let eyes = Arc::clone(&eyes);
            tokio::spawn(async move {
                let ended = tokio::time::timeout(limits.whole, converse(stream, eyes, limits)).await;
                if let Ok(Err(e)) = ended {
                    debug!(%peer, error = %e, "an HTTP connection ended");
                }
                drop(place);
            });
        }
    }
}

async fn converse(stream: TcpStream, eyes: Arc<dyn Eyes>, limits: Limits) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let eyes = Arc::clone(&eyes);
        async move { Ok::<_, Infallible>(answer(&*eyes, &request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer<B>(eyes: &dyn Eyes, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let told = |told: Result<(), String>, good: &str| match told {
        Ok(()) => respond(StatusCode::OK, PLAIN, format!("{good}\n")),
        Err(why) => respond(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
    };
    match request.uri().path() {
        "/healthz" => told(eyes.health(), "ok"),
        "/readyz" => told(eyes.ready(), "ready"),
        "/metrics" => respond(StatusCode::OK, PROMETHEUS, eyes.metrics().await),
        _ => respond(StatusCode::NOT_FOUND, PLAIN, "there are /healthz, /readyz and /metrics\n".into()),
    }
}

fn respond(status: StatusCode, kind: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
