//! The operator: `carrick`, asked of a site's node.

use std::time::Duration;

use serde_json::Value;

use crate::carrickd::cli;
use crate::deadline::within;
use crate::{Program, Site};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn command(site: &Site, arguments: &[&str]) -> Program {
    Program::new(cli()).arg("--node").arg(site.data()).args(arguments).named(&arguments.join(" "))
}

/// What the command answers with `--output json`.
///
/// # Panics
/// If it is refused, with what it said.
pub fn carrick(site: &Site, arguments: &[&str]) -> Value {
    let said = command(site, arguments).args(["--output", "json"]).run(PATIENCE);
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {said}"))
}

/// `carrick status`: whether all is well, and what it tells.
pub fn carrick_status(site: &Site) -> (bool, Value) {
    let ended = command(site, &["status"]).args(["--output", "json"]).end(PATIENCE);
    assert!(matches!(ended.status.code(), Some(0 | 3)), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    let well = ended.status.success();
    assert_eq!(told["well"], well, "{told:#}");
    (well, told)
}

/// What the command prints for people.
pub fn carrick_table(site: &Site, arguments: &[&str]) -> String {
    command(site, arguments).run(PATIENCE)
}

/// What a command that must be refused says: with code 1, and what to type next.
pub fn carrick_refuses(site: &Site, arguments: &[&str]) -> String {
    let ended = command(site, arguments).end(PATIENCE);
    let next = ended.stderr.lines().any(|line| line.starts_with(" next: carrick"));
    assert!(ended.status.code() == Some(1) && next, "{arguments:?}: {ended:?}");
    ended.stderr
}

/// The one link or mirror of that name, once it is as `wanted`.
///
/// # Panics
/// With how it is, when `patience` is over.
pub fn until(
    site: &Site,
    noun: &str,
    name: &str,
    patience: Duration,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let key = if noun == "link" { "name" } else { "topic" };
    let mut seen = Value::Null;
    let found = within(patience, || {
        let listed = carrick(site, &[noun, "list"]);
        seen = listed.as_array().unwrap().iter().find(|it| it[key] == name).cloned().unwrap_or(Value::Null);
        wanted(&seen).then(|| seen.clone())
    });
    found.unwrap_or_else(|| panic!("{noun} {name} after {}s: {seen:#}", patience.as_secs()))
}
