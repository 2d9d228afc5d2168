//! The partition log over a disk that forgets, tears, fails and fills up.
//!
//! [`batches`] builds what clients and sources send, [`life`] is one node's logs from a boot to a crash, [`chance`] draws.
//! What a log should hold is kept in plain lists by the tests themselves.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: they end at the first surprise"
)]

mod append_and_read;
mod batches;
#[path = "../../../../tests/campaign/cases.rs"]
mod cases;
mod chance;
mod checkpoints;
mod crash;
mod damage;
mod delete_records;
mod deletion;
mod doings;
mod failures;
mod flips;
mod golden;
mod handles;
mod histories;
mod home;
mod inspect;
mod known;
mod life;
mod lives;
mod metered;
mod mirror;
mod offsets_model;
mod pieces;
mod producers;
mod retention;
mod sites;
mod stale;
mod states;
mod swapped;
mod sync;
mod tails;
mod threads;
mod times;
mod transactions;
