//! The seam: every effect on the world outside, as traits, and the real ones.
//!
//! **Place**: layer 1, over `types`. Everything above asks a [`Sys`] for time, disk, chance and tasks, so that the same
//! code runs on a machine and in a simulated world, where one seed gives one history.
//!
//! **Guarantees**: file calls are synchronous and short; only making durable and reading what is not in the page cache are
//! awaited. One thread syncs. Tasks that must not wait for a disk have threads of their own.
//!
//! **Absent on purpose**: sockets. The Kafka listener and the link's transport are not in the simulated world; what crosses
//! between sites there is a `Line`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this crate is the seam")]

mod budget;
mod clock;
mod disk;
mod entropy;
mod real;
mod spawn;
mod wake;

pub use budget::{Budget, Claim};
pub use clock::{Clock, Elapsed, Mono};
pub use disk::{Disk, Durable, File, Opening};
pub use entropy::{Entropy, id_bytes};
pub use real::{RealClock, RealDisk, RealEntropy, RealSpawn, SyncMode};
pub use spawn::{Spawn, Task};
pub use wake::{Waiters, Wake};

use std::sync::Arc;

/// What a node is given of the world.
#[derive(Clone)]
pub struct Sys {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
    pub entropy: Arc<dyn Entropy>,
    pub spawn: Arc<dyn Spawn>,
    /// For tasks that never wait for a disk, apart from those that do: a peer hears from a node whose disk is stuck.
    pub prompt: Arc<dyn Spawn>,
}
