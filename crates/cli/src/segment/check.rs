//! `carrick segment check`

use std::path::PathBuf;
use std::process::ExitCode;

use carrick_log::inspect::{Finding, Summary, check, check_syncs};
use clap::Args;
use serde_json::{Value, json};

use super::{Given, Lines, clean};
use crate::failure::Failure;
use crate::output::{Output, size};
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// A .seg file, or the directory of a partition, a topic or a node.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Something was found.
const FOUND: u8 = 1;

pub fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    // All of them before anything is read.
    let given = arguments.paths.iter().map(|path| Given::new(path)).collect::<Result<Vec<_>, _>>()?;
    let mut lines = Lines::new();
    let (mut all, mut partitions) = (Summary::default(), 0);
    for it in &given {
        if let Some(data) = &it.held {
            let node = it.shown(data);
            say(&format!(
                "a node runs on {node}: its newest batches may be half-written, and files may come and go"
            ));
        }
        let mut printed = Ok(());
        let mut report = |finding: Finding| {
            let line = match global.output {
                Output::Table => row(it, &finding),
                Output::Json => to_json(it, &finding).to_string(),
            };
            // As it is found: a check may take long.
            let done = lines.line(&line).and_then(|()| lines.flush());
            printed = std::mem::replace(&mut printed, Ok(())).and(done);
        };
        if let Some(finding) = it.target.data.as_deref().and_then(|data| check_syncs(&it.disk, data)) {
            all.findings += 1;
            report(finding);
        }
        for place in &it.target.places {
            all.add(&check(&it.disk, place, it.held.is_some(), &mut report));
        }
        partitions += it.target.places.len();
        printed?;
    }
    let summary = match global.output {
        Output::Table => in_words(&all, partitions),
        Output::Json => in_json(&all, partitions).to_string(),
    };
    lines.line(&summary)?;
    lines.flush()?;
    Ok(if all.findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn row(given: &Given, it: &Finding) -> String {
    let position = it.position.map_or(String::new(), |at| format!(" byte {at}"));
    let offsets = match it.offsets {
        None => String::new(),
        Some((first, Some(last))) => format!(" offsets {first}-{last}"),
        Some((first, None)) => format!(" offsets {first} and above"),
    };
    let (code, file, next) = (it.kind.code(), given.shown(&it.file), it.kind.next_step());
    format!("{code} {file}{position}{offsets}: {}; next: {next}", clean(&it.what))
}

fn to_json(given: &Given, it: &Finding) -> Value {
    json!({
        "code": it.kind.code(),
        "file": given.shown(&it.file),
        "byte": it.position,
        "first_offset": it.offsets.map(|(first, _)| first.get()),
        "last_offset": it.offsets.and_then(|(_, last)| last).map(|it| it.get()),
        "what": it.what,
        "next": it.kind.next_step(),
    })
}

fn in_words(all: &Summary, partitions: usize) -> String {
    let found = if all.findings == 0 { "all well".into() } else { count(all.findings, "finding", "s") };
    let more = [
        (all.holes, "places where offsets are left out"),
        (all.without_index, "segments whose index is made when it is needed"),
        (all.unfinished, "places that were being written"),
    ];
    let more = more.into_iter().filter(|(count, _)| *count > 0);
    let more = more.map(|(count, what)| format!("; {what}: {count}")).collect::<String>();
    let counted = [
        count(partitions as u64, "partition", "s"),
        count(all.segments, "segment", "s"),
        count(all.batches, "batch", "es"),
        count(all.records, "record", "s"),
    ];
    format!("{found}: {}, {}{more}", counted.join(", "), size(all.bytes))
}

fn count(number: u64, what: &str, plural: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { plural })
}

fn in_json(all: &Summary, partitions: usize) -> Value {
    json!({
        "findings": all.findings,
        "partitions": partitions,
        "segments": all.segments,
        "batches": all.batches,
        "records": all.records,
        "bytes": all.bytes,
        "holes": all.holes,
        "without_index": all.without_index,
        "unfinished": all.unfinished,
    })
}
