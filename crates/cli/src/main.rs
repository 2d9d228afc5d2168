//! `carrick`: the operator's hand. A noun, a verb; data to stdout, words to stderr; 0 done, 1 failed, 2 not understood, and of
//! `status` 3: answered, and not well. Of `segment check` 1 says that something was found.
//!
//! **Place**: layer 5, over `rpc`; knows a node by its admin service, and a dead one's files by `log`'s `inspect`.
//!
//! **Guarantees**: a verb that changes something draws a request id and says it before it asks, so that an answer that was
//! lost can be asked for again; every failure names the command to type next; nothing is overwritten.
//!
//! **Absent on purpose**: settings files, state of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: it reads and writes files"
)]

mod failover;
mod failure;
mod journal;
mod link;
mod mirror;
mod mutation;
mod node;
mod output;
mod pki;
mod segment;
mod status;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use failure::Failure;
use output::Output;

/// Exact mirrors of Kafka topics between regions.
#[derive(Parser)]
#[command(name = "carrick", version, about, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Args)]
struct Global {
    /// The node: its data directory, or its admin socket.
    #[arg(long, global = true, env = "CARRICK_NODE", default_value = "carrick-data", value_name = "PATH")]
    node: PathBuf,
    /// How data is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Subcommand)]
enum Noun {
    /// Links to other clusters.
    #[command(subcommand)]
    Link(link::Verb),
    /// Topics mirrored over a link.
    #[command(subcommand)]
    Mirror(mirror::Verb),
    /// Open mirrors for writing without asking their source, and say what is lost.
    Failover(failover::Arguments),
    /// What happened to the links, in order.
    Journal(journal::Arguments),
    /// The node, its disk, its links and what holds them up.
    ///
    /// Exits with 0 when every link is CONNECTED, no mirror is FAILED and the disk takes writes; with 3 when the node
    /// answered and one of these does not hold; with 1 when it did not answer.
    Status,
    /// What node this is.
    Node,
    /// The files of a node's logs, looked into without it.
    #[command(subcommand)]
    Segment(segment::Verb),
    /// Certificates for a trial: a development CA, and what it signs.
    #[command(subcommand)]
    Pki(pki::Verb),
}

fn main() -> ExitCode {
    let Arguments { global, noun } = Arguments::parse();
    let done = match noun {
        Noun::Link(verb) => verb.run(&global),
        Noun::Mirror(verb) => verb.run(&global),
        Noun::Failover(arguments) => failover::run(&global, &arguments),
        Noun::Journal(arguments) => journal::run(&global, &arguments),
        Noun::Status => match status::run(&global) {
            Ok(how) => return how,
            Err(failure) => Err(failure),
        },
        Noun::Segment(verb) => match verb.run(&global) {
            Ok(how) => return how,
            Err(failure) => Err(failure),
        },
        Noun::Node => node::describe(&global),
        Noun::Pki(verb) => verb.run(&global),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    say(&failure.to_string());
    ExitCode::from(failure.code())
}

/// Words: to stderr.
fn say(words: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Data: to stdout.
fn print(data: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("the output could not be written: {e}"), "df -h"))
        }
        _ => Ok(()),
    }
}
