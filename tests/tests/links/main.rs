//! Two nodes and a link between them: exact copies, kills, failover, fences, refusals, and what operators are told.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

mod audit;
mod boot;
mod copies;
mod failover;
mod gone;
mod lag;
mod refusals;

use std::time::Duration;

use carrick_tests::{Program, Python};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(300);
const TOPIC: &str = "orders";

/// A case of `clients/linked.py`.
fn linked(python: &Python, arguments: &[&str]) -> Program {
    python.script("clients/linked.py").args(arguments)
}

/// Runs it to its end: the JSON lines that it prints.
fn ask(python: &Python, arguments: &[&str]) -> Vec<Value> {
    lines(&linked(python, arguments).run(SOON))
}

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn number(it: &Value, key: &str) -> u64 {
    it[key].as_u64().unwrap_or_else(|| panic!("no {key} in {it}"))
}
