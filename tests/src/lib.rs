//! What the tests of the whole share: nodes to start, stop and kill, foreign clients to run, an independent reader of what
//! a node wrote, and patience with a deadline.
//!
//! **Place**: beside the layers. Knows Carrick as a stranger does: by its programs, its files and the Kafka protocol.
//!
//! **Guarantees**: no process outlives the test that started it; the node that is tested is made of the sources that are
//! there; what a node said is printed when its test fails.
//!
//! **Environment**: that of `scripts/test` (ring, foreign clients, skips), and `CARRICK_SEED` to draw the same again,
//! `CARRICK_CASES` to run these cases of a line of the campaign, `CARRICK_DAEMON` to test a program that was built elsewhere, with its `carrick` beside it.
//!
//! **Limits**: Unix; everything listens on 127.0.0.1.
//!
//! **Absent on purpose**: the product's crates, which only the simulated scenarios import. What shares their code could
//! share their mistakes.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness for tests: it starts processes, waits, and ends the test at the first surprise"
)]

mod carrick;
mod carrickd;
mod case;
#[path = "../campaign/cases.rs"]
pub mod cases;
mod chance;
mod deadline;
mod files;
mod load;
mod pair;
mod ports;
mod program;
mod python;
mod relay;
mod ring;
mod seen;
mod site;
mod small;
mod stored;
mod talk;

pub use carrick::{carrick, carrick_refuses, carrick_status, carrick_table, until};
pub use carrickd::{carrickd, cli};
pub use case::in_case;
pub use cases::{cases, hold};
pub use chance::Chance;
pub use deadline::deadline;
pub use files::{files, kept, put};
pub use load::Load;
pub use pair::{Pair, Pki, Tls};
pub use ports::free_port;
pub use program::{Ended, Program, Running};
pub use python::{Python, kcat};
pub use relay::{Line, Relay};
pub use ring::{Ring, ring, skip};
pub use seen::seen;
pub use site::{Node, Site, Telling};
pub use small::{Frozen, Small};
pub use stored::{Stored, assert_equal, stored};
pub use talk::Talk;
