//! Programs that a test runs: with patience, and never left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::deadline::within;

/// A program and its arguments.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
    stderr: Option<File>,
}

/// How it went.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        let name = Path::new(path.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        Self { name, command, stderr: None }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Appended to, instead of kept.
    #[must_use]
    pub fn stderr(mut self, file: File) -> Self {
        self.stderr = Some(file);
        self
    }

    /// What it is called when it fails.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn start(mut self) -> Running {
        // Into files: a full pipe would stop it.
        let said = TempDir::new().unwrap();
        let file = |name: &str| File::create(said.path().join(name)).unwrap();
        let stderr = file("stderr");
        self.command.stdout(file("stdout")).stderr(self.stderr.unwrap_or(stderr));
        let child = self.command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.name));
        Running { name: self.name, child, said }
    }

    /// Starts it with a pipe to it and one from it.
    pub(crate) fn converse(mut self) -> (Running, ChildStdin, ChildStdout) {
        let said = TempDir::new().unwrap();
        let file = |name: &str| File::create(said.path().join(name)).unwrap();
        file("stdout");
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file("stderr"));
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (Running { name: self.name, child, said }, stdin, stdout)
    }

    /// Runs it to its end, whatever that is.
    pub fn end(self, patience: Duration) -> Ended {
        self.start().end(patience)
    }

    /// Runs it to its good end, and returns what it said to stdout.
    ///
    /// # Panics
    /// If it fails or takes longer than `patience`, with what it said.
    pub fn run(self, patience: Duration) -> String {
        self.start().finish(patience)
    }
}

/// A program that runs; dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    said: TempDir,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap_or_else(|e| panic!("{}: {signal:?}: {e}", self.name));
    }

    /// Kills it and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// None while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it said so far, to stdout and to stderr.
    pub fn said(&self) -> (String, String) {
        let read = |name: &str| std::fs::read(self.said.path().join(name)).unwrap();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
        (text("stdout"), text("stderr"))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `patience` is over, with what it said.
    pub fn end(mut self, patience: Duration) -> Ended {
        let status = within(patience, || self.status());
        let (stdout, stderr) = self.said();
        match status {
            Some(status) => Ended { status, stdout, stderr },
            None => {
                panic!("{} took longer than {}s; {}", self.name, patience.as_secs(), quote(&stdout, &stderr))
            }
        }
    }

    /// As [`Program::run`].
    pub fn finish(self, patience: Duration) -> String {
        let name = self.name.clone();
        let ended = self.end(patience);
        let Ended { status, stdout, stderr } = &ended;
        assert!(status.success(), "{name}: {status}; {}", quote(stdout, stderr));
        ended.stdout
    }
}

fn quote(stdout: &str, stderr: &str) -> String {
    format!("it said:\n{stdout}\n{stderr}")
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already, most of the time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
