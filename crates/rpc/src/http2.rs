//! HTTP/2 as both ends of both services set it.

use std::time::Duration;

use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Bytes that a sender may have under way, of a stream and of a connection. More than a link's credit: the credit decides.
pub const WINDOW_BYTES: u32 = 64 << 20;
/// The largest lever on throughput.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// Of one stream, given to HTTP/2 and not yet to the socket.
const SEND_BYTES_MAX: usize = 1 << 20;
/// A peer from which nothing came for so long is asked,
const PING_EVERY: Duration = Duration::from_secs(1);
/// and is lost if it does not answer for so long.
const PING_MAX: Duration = Duration::from_secs(2);
const STREAMS_MAX: u32 = 64;
const HEADERS_BYTES_MAX: u32 = 16 << 10;
/// Streams that a peer reset before anyone looked at them.
const RESETS_MAX: usize = 16;
/// Streams that this end reset for a peer's errors.
const ERRORS_MAX: usize = 64;

pub(crate) fn client<E: Clone>(executor: E) -> client::Builder<E> {
    let mut http2 = client::Builder::new(executor);
    http2
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_MAX)
        .keep_alive_while_idle(true);
    http2
}

pub(crate) fn server() -> server::Builder<TokioExecutor> {
    let mut http2 = server::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_MAX);
    http2
}
