//! How data is printed: a table for people, JSON for programs.

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;
use crate::print;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// What stands where nothing is known: never a number.
pub const UNKNOWN: &str = "unknown";

impl Output {
    /// Prints one of the two.
    pub fn show(self, table: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        match self {
            Self::Table => print(&table()),
            Self::Json => print(&format!("{:#}\n", json())),
        }
    }
}

/// Aligned columns under their names. A cell's control characters, which a peer may have chosen, are shown as `?`.
pub fn columns<const N: usize>(names: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let clean = |cell: String| cell.replace(char::is_control, "?");
    let mut lines = vec![names.map(String::from)];
    lines.extend(rows.into_iter().map(|row| row.map(clean)));
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let joined = cells.collect::<Vec<_>>().join("  ");
        text.push_str(joined.trim_end());
        text.push('\n');
    }
    text
}

/// How long ago, if ever.
pub fn ago(milliseconds: Option<u64>) -> String {
    match milliseconds {
        None => "never".into(),
        Some(ms @ 0..60_000) => format!("{}.{} s ago", ms / 1_000, ms % 1_000 / 100),
        Some(ms @ 60_000..3_600_000) => format!("{} min ago", ms / 60_000),
        Some(ms) => format!("{} h ago", ms / 3_600_000),
    }
}

/// A span of time, in its largest unit.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms @ 60_000..3_600_000 => format!("{} min", ms / 60_000),
        ms @ 3_600_000..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} days", ms / 86_400_000),
    }
}

/// Bytes, in the largest unit of which there is one; rounded down.
pub fn size(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    }
}

/// Milliseconds since 1970 as a date of the Gregorian calendar and a time of day, UTC.
pub fn utc(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years from March on, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", rest % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_795_382_384_841), "2026-11-22T21:19:44.841Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn sizes_and_spans_are_rounded_down() {
        let sizes = [0, 1_023, 1_536, (1 << 30) - 1, 5 << 40].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "1023.9 MiB", "5.0 TiB"]);
        let spans = [999, 1_950, 60_000, 7_200_000, 259_200_000].map(duration);
        assert_eq!(spans, ["999 ms", "1.9 s", "1 min", "2 h", "3 days"]);
    }

    #[test]
    fn columns_are_aligned_and_clean() {
        let rows =
            [["a".into(), "long cell".into(), String::new()], ["ä\x1b[2J".into(), "b".into(), "c".into()]];
        assert_eq!(
            columns(["ONE", "TWO", "THREE"], rows),
            "ONE    TWO        THREE\na      long cell\nä?[2J  b          c\n"
        );
    }
}
