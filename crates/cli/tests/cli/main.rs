//! The command as it is typed, against a node that a test plays.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod fake;
mod links;
mod pki;
mod segments;
mod status;

use std::process::Command;

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn carrick(arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrick"));
    let ended = command.args(arguments).env_remove("CARRICK_NODE").output().unwrap();
    Said {
        code: ended.status.code().unwrap(),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    }
}

impl Said {
    /// Done; with what it printed.
    fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Failed, and named what to type next.
    fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains("error: ") && self.stderr.contains("\n next: "), "{self:?}");
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}
