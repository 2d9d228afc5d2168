//! Both ends of the link's transport and of the admin service, over real sockets and over pipes in memory.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod abuse;
mod admin;
#[allow(dead_code, reason = "shared with the other tests")]
mod cases;
mod cuts;
mod ends;
mod engine;
mod handshakes;
mod line;
mod peers;
mod pipe;
mod pki;
mod rotation;
mod sessions;
mod throughput;
