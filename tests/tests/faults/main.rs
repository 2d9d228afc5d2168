//! Lines of the campaign that need real processes: a case is one fault with its checks, and its number the seed of what is drawn
//! in it. `CARRICK_CASES=from..to` names the cases; else each line runs the share of its ring.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

mod cut;
mod flipped;
mod full;
mod killed;
mod paused;
mod torn;
mod wounds;

use std::time::Duration;

use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);
const TOPIC: &str = "orders";

/// What a script printed, an object a line.
fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
