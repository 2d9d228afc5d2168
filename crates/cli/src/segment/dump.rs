//! `carrick segment dump`

use std::io;
use std::path::{Path, PathBuf};

use carrick_log::inspect::{Bad, FirstPage, Found, Seen, Segment, Then, codec_name, time_type_name};
use clap::Args;
use serde_json::{Value, json};

use super::{Given, Lines};
use crate::failure::Failure;
use crate::output::{Output, utc};
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// A .seg or .cut file, or the directory of a partition, a topic or a node.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Batches that hold this offset or a higher one.
    #[arg(long, value_name = "OFFSET", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    from: i64,
    /// Batches that hold this offset or a lower one.
    #[arg(long, value_name = "OFFSET", default_value_t = i64::MAX, hide_default_value = true,
        value_parser = clap::value_parser!(i64).range(0..))]
    to: i64,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let given = arguments.paths.iter().map(|path| Given::new(path)).collect::<Result<Vec<_>, _>>()?;
    let mut lines = Lines::new();
    for it in &given {
        if let Some(data) = &it.held {
            let node = it.shown(data);
            say(&format!(
                "a node runs on {node}: its newest batches may be half-written, and files may come and go"
            ));
        }
        for place in &it.target.places {
            let segments = place.segments(&it.disk).map_err(|e| unreadable(it, &place.dir, &e))?;
            let mut segments = segments.iter().peekable();
            while let Some(file) = segments.next() {
                let below =
                    segments.peek().and_then(|next| base_of(next)).is_some_and(|next| next <= arguments.from);
                if below || base_of(file).is_some_and(|base| base > arguments.to) {
                    continue;
                }
                match segment(global, arguments, it, file, &mut lines) {
                    Ok(done) => done?,
                    // Retention has taken it.
                    Err(e) if it.held.is_some() && e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(unreadable(it, file, &e)),
                }
                if lines.full {
                    return Ok(());
                }
            }
        }
    }
    lines.flush()
}

/// The outer error is of the file, the inner of the output.
fn segment(
    global: &Global,
    arguments: &Arguments,
    given: &Given,
    file: &Path,
    lines: &mut Lines,
) -> io::Result<Result<(), Failure>> {
    let segment = Segment::open(&given.disk, file)?;
    let shown = given.shown(file);
    let table = global.output == Output::Table;
    if table {
        let head = format!("{shown}: {}\n{}", page_line(segment.first_page()), row(NAMES.map(String::from)));
        if let Err(failed) = lines.line(&head) {
            return Ok(Err(failed));
        }
    }
    for found in segment.batches() {
        let (first, last) = match found.as_ref().map_err(|e| io::Error::from(e.kind())) {
            Ok(Found::Batch(seen)) => (seen.header().base_offset.get(), seen.header().last_offset().get()),
            Ok(Found::Bad(bad)) => (bad.expected.get(), end_of(bad)),
            Err(_) => (0, i64::MAX),
        };
        if last < arguments.from || first > arguments.to {
            continue;
        }
        let line = match (found?, table) {
            (Found::Batch(seen), true) => batch_row(&seen),
            (Found::Batch(seen), false) => batch_json(&shown, &seen).to_string(),
            (Found::Bad(bad), true) => bad_row(&bad),
            (Found::Bad(bad), false) => bad_json(&shown, &bad).to_string(),
        };
        if let Err(failed) = lines.line(&line) {
            return Ok(Err(failed));
        }
        if lines.full {
            break;
        }
    }
    Ok(Ok(()))
}

fn unreadable(given: &Given, path: &Path, e: &io::Error) -> Failure {
    let shown = given.shown(path);
    Failure::new(format!("{shown} cannot be read: {e}"), format!("ls -l {shown}"))
}

fn base_of(file: &Path) -> Option<i64> {
    file.file_stem()?.to_str()?.parse().ok()
}

/// What may stand up to there was in the bad place.
fn end_of(bad: &Bad) -> i64 {
    match bad.then {
        Then::Batch { base, .. } => (base.get() - 1).max(bad.expected.get()),
        Then::Nothing | Then::Unknown { .. } => i64::MAX,
    }
}

fn page_line(page: Result<Option<FirstPage>, String>) -> String {
    match page {
        Ok(None) => "set aside by a recovery, without a first page".into(),
        Err(bad) => bad,
        Ok(Some(it)) => {
            let FirstPage { cluster, topic, partition, base, log_start, log_end, log_durable } = it;
            format!(
                "cluster {cluster} topic {topic} partition {partition} base {base}; when it was begun the log had \
                 start {log_start} end {log_end} durable {log_durable}"
            )
        }
    }
}

const COLUMNS: usize = 11;
const NAMES: [&str; COLUMNS] = [
    "OFFSETS",
    "POSITION",
    "SIZE",
    "EPOCH",
    "CODEC",
    "TIME-TYPE",
    "COUNT",
    "PRODUCER",
    "KIND",
    "MAX-TIME",
    "CRC",
];
/// Of most cells; a longer one moves what stands behind it.
const WIDTHS: [usize; COLUMNS] = [19, 10, 8, 6, 6, 13, 6, 20, 13, 24, 0];

fn row(cells: [String; COLUMNS]) -> String {
    let cells = cells.into_iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}"));
    cells.collect::<Vec<_>>().join("  ").trim_end().into()
}

fn time(ms: i64) -> String {
    if ms == -1 { "none".into() } else { utc(ms) }
}

fn batch_row(seen: &Seen) -> String {
    let kind = seen.control().unwrap_or_else(|| kind_of(seen.header().is_transactional()).into());
    cells(seen.position, seen, &kind)
}

fn kind_of(transactional: bool) -> &'static str {
    if transactional { "transactional" } else { "data" }
}

fn cells(position: u64, seen: &Seen, kind: &str) -> String {
    let header = seen.header();
    let producer = header.producer_id.map_or("-".into(), |id| {
        let sequence = header.base_sequence.map_or("-".into(), |it| it.get().to_string());
        format!("{id}/{}/{sequence}", header.producer_epoch.0)
    });
    row([
        format!("{}-{}", header.base_offset, header.last_offset()),
        position.to_string(),
        header.size().to_string(),
        header.leader_epoch.to_string(),
        codec_name(header).into(),
        time_type_name(header).into(),
        header.count.to_string(),
        producer,
        kind.into(),
        time(header.max_timestamp.0),
        "ok".into(),
    ])
}

fn bad_row(bad: &Bad) -> String {
    let claims = bad.header.as_ref().map_or(["-".into(), "-".into()], |it| {
        [format!("{}-{}?", it.base_offset, it.last_offset()), format!("{}?", it.size())]
    });
    let [offsets, size] = claims;
    let then = match bad.then {
        Then::Batch { base, position } => {
            format!("the next good batch is that of offset {base} at byte {position}")
        }
        Then::Nothing => "no good batch stands behind it".into(),
        Then::Unknown { position } => format!("nobody looked behind byte {position}"),
    };
    format!("{offsets:19}  {:10}  {size:8}  BAD: {}; {then}", bad.position, bad.why)
}

fn batch_json(file: &str, seen: &Seen) -> Value {
    let header = seen.header();
    json!({
        "file": file,
        "base_offset": header.base_offset.get(),
        "last_offset": header.last_offset().get(),
        "position": seen.position,
        "size": header.size(),
        "leader_epoch": header.leader_epoch,
        "codec": codec_name(header),
        "time_type": time_type_name(header),
        "count": header.count,
        "producer_id": header.producer_id.map(|it| it.get()),
        "producer_epoch": header.producer_id.map(|_| header.producer_epoch.0),
        "base_sequence": header.base_sequence.map(|it| it.get()),
        "transactional": header.is_transactional(),
        "control": seen.control(),
        "base_time_ms": header.base_timestamp.0,
        "max_time_ms": header.max_timestamp.0,
        "crc": header.crc,
        "crc_ok": true,
    })
}

/// None of what it says of itself is repeated: it need not be true.
fn bad_json(file: &str, bad: &Bad) -> Value {
    let (next_offset, next_position) = match bad.then {
        Then::Batch { base, position } => (Some(base.get()), Some(position)),
        Then::Nothing | Then::Unknown { .. } => (None, None),
    };
    json!({
        "file": file,
        "position": bad.position,
        "expected_offset": bad.expected.get(),
        "crc_ok": false,
        "why": bad.why,
        "next_offset": next_offset,
        "next_position": next_position,
    })
}
