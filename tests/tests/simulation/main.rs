//! Two sites and the line between them, in one process and one paused runtime: the same node that `carrickd` runs.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod alone;
mod batch;
#[path = "../../campaign/cases.rs"]
mod cases;
mod chaos;
mod door;
mod failover;
mod groups;
mod halfway;
mod kept;
mod line;
mod mirror;
mod planted;
mod store;
mod world;
