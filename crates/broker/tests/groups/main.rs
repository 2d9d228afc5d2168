//! The coordinator of consumer groups, asked as clients ask it, in a world whose time moves by itself.
//!
//! [`world`] is one node from a start to a power cut, and what its clients send.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: they end at the first surprise"
)]

mod admin;
#[path = "../../../../tests/campaign/cases.rs"]
mod cases;
mod failures;
mod members;
mod offsets;
mod rebalances;
mod restarts;
mod retention;
mod simulation;
mod statics;
mod synced;
mod world;
