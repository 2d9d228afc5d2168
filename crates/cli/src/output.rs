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

#[cfg(test)]
mod tests {
    use super::*;

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
