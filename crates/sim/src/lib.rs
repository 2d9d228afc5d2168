//! The seeded twins of `sys`: virtual time, a disk that forgets and tears, chance and tasks that replay.
//!
//! **Place**: layer 2, over `sys`; named by tests only, never by what ships.
//!
//! **Guarantees**: one seed gives one history. A [`SimDisk`] keeps what was synced byte for byte; of the rest a power cut
//! keeps what its seed draws, sector by sector (512 bytes) and name by name, and a kill keeps all. From the k-th call on, a
//! crashed disk changes no more and answers errors only. A sync covers what was written before it was asked for, not what
//! came while it ran. What a failed sync was to cover stays droppable for ever, whatever later syncs say.
//!
//! **Limits**: everything is in memory; a file has at most 1 GiB. The clock needs [`run`]'s paused runtime. A kill falls
//! between two calls, never inside one. Handles given to [`Disk::sync`](carrick_sys::Disk::sync) that are not this disk's
//! are made durable when the sync begins, even when it then fails.
//!
//! **Absent on purpose**: the network. What crosses between sites is a `Line`, whose twin counts its calls by
//! [`SimDisk::count_call`]; threads, the machine's clock and iteration over hash maps.
#![allow(clippy::disallowed_methods, reason = "this crate is a twin of the seam")]

mod clock;
mod disk;
mod entropy;
mod history;
mod run;
mod site;
mod spawn;

pub use clock::{SimClock, WALL_START};
pub use disk::{Cut, DATA, Moment, SECTOR_BYTES, SimDisk, Survivors};
pub use entropy::{SimEntropy, derive};
pub use history::{Difference, History};
pub use run::run;
pub use site::SimSite;
pub use spawn::SimSpawn;
