//! Segment files looked into from outside: no node, no checkpoint, and nothing is written.
//!
//! What is found may be damaged or made up. It is read in blocks, and a batch of at most `REQUEST_BYTES_MAX` at a time; what
//! stands behind a damaged place is searched for as long as a budget per file lasts. Without the catalog, three things
//! cannot be told: whether what stood below the first segment was removed or lost, whether anything is missing above the
//! newest batch, and how much of the newest segment was durable. Where a crash would explain what is seen, that is said.

mod check;
mod finding;
mod place;
mod segment;
mod sidecar;
mod walk;

pub use check::{Summary, check, check_syncs};
pub use finding::{Finding, Kind};
pub use place::{FindError, Place, Target, find};
pub use segment::{FirstPage, Segment};
pub use walk::{Bad, Found, Seen, Then, Walk, codec_name, time_type_name};
