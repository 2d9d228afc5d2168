//! A link port under attack: what strangers and what a peer with a good certificate can do to it. In a process of their own, one
//! test at a time, since memory, handles and the processor's time are counted.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "tests; some modules are those of the other tests"
)]

mod abusers;
#[path = "../rpc/cases.rs"]
mod cases;
#[path = "../rpc/engine.rs"]
mod engine;
mod frames;
mod guests;
#[path = "../rpc/pki.rs"]
mod pki;
mod site;
