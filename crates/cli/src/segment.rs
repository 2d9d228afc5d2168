//! `carrick segment ...`: the files of a node's logs, looked into without it. Nothing is written.

mod check;
mod dump;

use std::fs::File;
use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use carrick_log::inspect::{Target, find};
use carrick_sys::{RealDisk, SyncMode};
use clap::Subcommand;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Global;
use crate::failure::Failure;

#[derive(Subcommand)]
pub enum Verb {
    /// Print what batches say of themselves, one line each.
    Dump(dump::Arguments),
    /// Look for anything that is not as it should be.
    ///
    /// Exits with 0 when all is well, and with 1 when something was found: one line each, with a code, the file, the byte,
    /// the offsets, and what to do next. Every byte is read. What the catalog alone knows cannot be told: whether anything is
    /// missing above the newest batch, and whether what stood below the first segment was removed or lost.
    Check(check::Arguments),
}

impl Verb {
    pub fn run(self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::Dump(arguments) => dump::run(global, &arguments).map(|()| ExitCode::SUCCESS),
            Self::Check(arguments) => check::run(global, &arguments),
        }
    }
}

const HELP: &str = "carrick segment check --help";

/// A path that was given.
struct Given {
    /// As it was typed, and where it is.
    typed: PathBuf,
    path: PathBuf,
    disk: RealDisk,
    target: Target,
    /// The node's directory, if a node holds it.
    held: Option<PathBuf>,
}

impl Given {
    fn new(typed: &Path) -> Result<Self, Failure> {
        let unusable = |e: &dyn std::fmt::Display| {
            let dir = typed.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Failure::misuse(format!("{}: {e}", typed.display()), format!("ls -l {}", dir.display()))
        };
        // The names above it tell whose the files should be.
        let path = typed.canonicalize().map_err(|e| unusable(&e))?;
        let dir = if path.is_dir() { &path } else { path.parent().unwrap_or(&path) };
        let disk = RealDisk::open(dir, SyncMode::default()).map_err(|e| unusable(&e))?;
        let target = find(&disk, &path).map_err(|e| Failure::misuse(e.to_string(), HELP))?;
        let held = path.ancestors().find(|dir| dir.join("FORMAT").is_file()).filter(|dir| is_held(dir));
        Ok(Self { typed: typed.into(), held: held.map(PathBuf::from), path, disk, target })
    }

    /// As whoever typed the path would name a file in it.
    fn shown(&self, file: &Path) -> String {
        let shown = match file.strip_prefix(&self.path) {
            Ok(rest) if !rest.as_os_str().is_empty() => self.typed.join(rest),
            Ok(_) => self.typed.clone(),
            Err(_) => file.into(),
        };
        clean(&shown.display().to_string())
    }
}

/// Whether a node runs on a data directory. The lock is shared for a moment, so that two who look do not see each other.
fn is_held(data: &Path) -> bool {
    let lock = File::open(data.join("LOCK"));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
}

/// What a file's name or bytes say must not move a terminal's cursor.
fn clean(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// Lines to stdout, many of them. Nobody may be reading any more: then it is full.
struct Lines {
    to: BufWriter<StdoutLock<'static>>,
    full: bool,
}

impl Lines {
    fn new() -> Self {
        Self { to: BufWriter::new(io::stdout().lock()), full: false }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let done = writeln!(self.to, "{line}");
        self.ended(done)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let done = self.to.flush();
        self.ended(done)
    }

    fn ended(&mut self, done: io::Result<()>) -> Result<(), Failure> {
        match done {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.full = true;
                Ok(())
            }
            Err(e) => Err(Failure::new(format!("the output could not be written: {e}"), "df -h")),
        }
    }
}
