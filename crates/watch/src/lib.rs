//! What operators see of a running node: health, metrics, one screen of status.
//!
//! **Place**: layer 5, over `node`; `daemon` serves what it says on HTTP and on the admin socket.
//!
//! **Guarantees**: who looks waits for no disk: numbers that a disk may hold up are taken by a thread of their own, and the last
//! ones are given with their age where new ones do not come. What is not known is not said, and never said as zero.
//!
//! **Limits**: a list of `status` names ten, and how many more there are.
//!
//! **Absent on purpose**: sockets, alerts, history: collectors keep those.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it looks at the process it is in: its own thread, the machine's clock, the free space of a disk"
)]

mod eyes;
mod lag;
mod metrics;
mod status;
mod told;

pub use eyes::{Eyes, Port};
pub use status::status;
pub use told::{link_info, millis, mirror_info};
