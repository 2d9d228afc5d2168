//! `carrick-bench`: measures rows of the list of benchmarks, each against its control of the same run.
//!
//! **Place**: beside the layers, as the tests are. Runs the release build's programs as an operator does, and speaks to them
//! in the Kafka protocol; only the transport's own row calls a crate of the product.
//!
//! **Guarantees**: subject and control alternate; the CPU of all processes concerned is counted; every copy is compared with
//! its original, and one that differs ends the bench.
//!
//! **Limits**: Linux; everything listens on 127.0.0.1; what is measured at the same time by others shows.
//!
//! **Absent on purpose**: rivals, long lines, Kafka's own clients.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program beside the product: it starts processes, opens sockets and files, and asks for the time"
)]

mod bench;
mod catch_up;
mod durability;
mod equal;
mod failover;
mod floor;
mod guard;
mod kafka;
mod lag;
mod load;
mod memory;
mod recovery;
mod samples;
mod site;
mod start;
mod table;
mod usage;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;

use bench::Bench;
use site::{Pki, Programs};
use table::{Report, Rows};

/// Measures Carrick, each row against a control of the same run. Results are kept in target/bench.
#[derive(Parser)]
#[command(name = "scripts/bench")]
struct Arguments {
    /// What to measure; tests/bench/README.md says what each is.
    #[arg(required = true, value_enum)]
    rows: Vec<Row>,
    /// Print one object, row → metrics, instead of a table.
    #[arg(long)]
    json: bool,
    /// Runs of subject and of control.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// How much is produced, instead of what the row has: 300MB, 5GB, 256MiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Option<u64>,
    /// Fail if a row finds what blocks a release.
    #[arg(long)]
    gate: bool,
}

/// The rows that can be measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Row {
    #[value(name = "B2")]
    CatchUp,
    #[value(name = "B23")]
    Guard,
    #[value(name = "B7")]
    Lag,
    #[value(name = "B12")]
    Memory,
    #[value(name = "B13")]
    Start,
    #[value(name = "B14")]
    Recovery,
    #[value(name = "B15")]
    Failover,
    #[value(name = "B21")]
    Durability,
}

impl Row {
    fn name(self) -> &'static str {
        match self {
            Self::CatchUp => "B2",
            Self::Guard => "B23",
            Self::Lag => "B7",
            Self::Memory => "B12",
            Self::Start => "B13",
            Self::Recovery => "B14",
            Self::Failover => "B15",
            Self::Durability => "B21",
        }
    }

    fn measure(self, bench: &Bench) -> anyhow::Result<Report> {
        match self {
            Self::CatchUp => catch_up::report(bench),
            Self::Guard => guard::report(bench),
            Self::Lag => lag::report(bench),
            Self::Memory => memory::report(bench),
            Self::Start => start::report(bench),
            Self::Recovery => recovery::report(bench),
            Self::Failover => failover::report(bench),
            Self::Durability => durability::report(bench),
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("bench: {failed:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let begun = OffsetDateTime::now_utc();
    let programs = Programs::beside_this()?;
    let target = programs.dir().parent().context("the programs lie in no target folder")?;
    let kept = target.join("bench");
    std::fs::create_dir_all(&kept)?;
    let mut dir = TempDir::new_in(&kept)?;
    let pki = Pki::new(&programs, dir.path().join("pki"))?;
    let whole = Bench {
        programs,
        pki,
        dir: dir.path().to_path_buf(),
        repeat: arguments.repeat.into(),
        bytes: arguments.bytes,
    };
    let (mut rows, mut path) = (Rows::new(), kept.clone());
    for row in &arguments.rows {
        whole.say(&format!("{} begins", row.name()));
        let bench = whole.within(&dir.path().join(row.name()));
        let measured = row.measure(&bench).inspect_err(|_| dir.disable_cleanup(true));
        let next = || format!("{}; next: read the nodes' stderr in {}", row.name(), bench.dir.display());
        rows.push((row.name(), measured.with_context(next)?));
        bench.clear()?;
        // After each, so that a row that fails takes no other with it.
        path = table::keep(&rows, &kept, begun, &how(arguments))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&table::object(&rows))?);
    } else {
        print!("{}", table::table(&rows));
    }
    eprintln!("bench: every run is kept in {}", path.display());
    let blocking = table::blocking(&rows);
    if arguments.gate && !blocking.is_empty() {
        bail!("this blocks a release: {}; next: git bisect, with scripts/bench --gate", blocking.join("; "));
    }
    Ok(())
}

/// The machine, and what else it did.
fn how(arguments: &Arguments) -> serde_json::Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_string();
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load": read("/proc/loadavg"),
        "repeat": arguments.repeat,
        "bytes": arguments.bytes,
    })
}

/// `300MB`, `256MiB`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let found = UNITS.iter().find_map(|(unit, of)| Some((text.strip_suffix(unit)?, *of)));
    let (number, of) = found.unwrap_or((text, 1));
    let bytes = number.trim().parse::<u64>().ok().and_then(|it| it.checked_mul(of)).filter(|it| *it > 0);
    bytes.ok_or_else(|| "a size is wanted, such as 300MB, 5GB or 256MiB".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_tens_and_of_twos() {
        let all = ["7", "300MB", "5GB", "256MiB", "1GiB", "2 KB"].map(|it| size(it).unwrap());
        assert_eq!(all, [7, 300_000_000, 5_000_000_000, 256 << 20, 1 << 30, 2_000]);
        assert!(["", "GB", "-1", "0", "99999999999GB", "1.5GB"].iter().all(|it| size(it).is_err()));
    }
}
