//! `carrickd`: one node. Parse, bind, build, log the addresses, start, wait, drain.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the composition root: it reads files and the environment"
)]

mod admin;
mod audit;
mod config;
mod control;
mod dev;
mod hands;
mod links;
mod run;
mod systemd;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A node of Carrick: a log store that Kafka clients speak to.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The node's settings.
    #[arg(long, default_value = "/etc/carrick/carrickd.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check a settings file and report every fault.
    Check {
        #[arg(long, default_value = "/etc/carrick/carrickd.toml")]
        config: PathBuf,
    },
    /// Run a node on loopback, without a settings file.
    Dev(dev::Arguments),
}

/// As sysexits.h has it: the settings are at fault.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match arguments.command {
        Some(Command::Check { config }) => {
            return match config::read(&config) {
                Ok(_) => {
                    println!("{}: good", config.display());
                    ExitCode::SUCCESS
                }
                Err(faults) => faulty(&faults),
            };
        }
        Some(Command::Dev(arguments)) => dev::settings(&arguments),
        None => config::read(&arguments.config),
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(faults) => return faulty(&faults),
    };
    match run::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("carrickd: {failed:#}");
            ExitCode::FAILURE
        }
    }
}

fn faulty(faults: &config::Faults) -> ExitCode {
    eprint!("{faults}");
    ExitCode::from(EX_CONFIG)
}
