//! What was measured: one object for programs, a table for people, a file with every run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::samples::Samples;

/// What a row found.
#[derive(Debug, Default)]
pub struct Report {
    pub metrics: Vec<Metric>,
    /// Every repeat as it was, for whoever doubts the medians.
    pub runs: Vec<Value>,
}

/// One number: the median of the repeats, with its control of the same run where it has one.
#[derive(Clone, Debug, Serialize)]
pub struct Metric {
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    pub min: f64,
    pub max: f64,
    pub control: Option<f64>,
    pub ratio: Option<f64>,
    pub mark: Option<f64>,
    pub met: Option<bool>,
    /// Beyond what blocks a release.
    #[serde(skip)]
    pub blocks: bool,
}

/// On which side of it a number is good.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    AtLeast(f64),
    AtMost(f64),
}

impl Mark {
    fn number(self) -> f64 {
        match self {
            Self::AtLeast(mark) | Self::AtMost(mark) => mark,
        }
    }

    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(mark) => value >= mark,
            Self::AtMost(mark) => value <= mark,
        }
    }
}

impl Metric {
    pub fn new(metric: impl Into<String>, unit: &'static str, samples: &Samples) -> Self {
        Self {
            metric: metric.into(),
            value: samples.median(),
            unit,
            min: samples.min(),
            max: samples.max(),
            control: None,
            ratio: None,
            mark: None,
            met: None,
            blocks: false,
        }
    }

    /// The same number of the control: its median, and the share of it that was reached.
    #[must_use]
    pub fn against(mut self, control: &Samples) -> Self {
        let control = control.median();
        self.control = Some(control);
        self.ratio = (control != 0.0).then(|| self.value / control);
        self
    }

    /// The mark is for the value.
    #[must_use]
    pub fn marked(mut self, mark: Mark) -> Self {
        self.mark = Some(mark.number());
        self.met = Some(mark.met(self.value));
        self
    }

    /// A value on the wrong side of this blocks a release.
    #[must_use]
    pub fn no_go(mut self, limit: Mark) -> Self {
        self.blocks = !limit.met(self.value);
        self
    }

    /// Each repeat's share of its own control, and the mark that is set for it.
    pub fn ratio(metric: impl Into<String>, ratios: &Samples, mark: Mark) -> Self {
        Self::new(metric, "of control", ratios).marked(mark)
    }
}

/// All rows of one run of the bench, as they were asked for.
pub type Rows = Vec<(&'static str, Report)>;

/// What blocks a release: rows and their metrics.
pub fn blocking(rows: &Rows) -> Vec<String> {
    let all = rows.iter().flat_map(|(row, report)| report.metrics.iter().map(move |it| (row, it)));
    all.filter(|(_, it)| it.blocks).map(|(row, it)| format!("{row} {}: {:.3}", it.metric, it.value)).collect()
}

/// What `--json` prints: row → metrics.
pub fn object(rows: &Rows) -> Value {
    rows.iter().map(|(row, report)| (row.to_string(), json!(report.metrics))).collect()
}

/// What is printed otherwise.
pub fn table(rows: &Rows) -> String {
    let mut lines =
        vec![["ROW", "METRIC", "VALUE", "MIN–MAX", "CONTROL", "RATIO", "MARK", ""].map(String::from)];
    for (row, report) in rows {
        for it in &report.metrics {
            let or_none = |number: Option<f64>| number.map_or_else(|| "-".into(), short);
            lines.push([
                row.to_string(),
                it.metric.clone(),
                format!("{} {}", short(it.value), it.unit),
                format!("{}–{}", short(it.min), short(it.max)),
                or_none(it.control),
                or_none(it.ratio),
                or_none(it.mark),
                it.met.map_or("", |met| if met { "met" } else { "MISSED" }).into(),
            ]);
        }
    }
    let widths: Vec<usize> =
        (0..8).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    lines.iter().fold(String::new(), |mut text, line| {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // A String takes everything.
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        text
    })
}

/// Three digits that count.
fn short(number: f64) -> String {
    match number.abs() {
        it if it >= 100.0 => format!("{number:.0}"),
        it if it >= 10.0 => format!("{number:.1}"),
        it if it >= 1.0 || it == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Keeps everything in `dir`, under the time at which it was begun.
pub fn keep(rows: &Rows, dir: &Path, begun: OffsetDateTime, how: &Value) -> anyhow::Result<PathBuf> {
    let (date, clock) = (begun.date(), begun.time());
    let (hour, minute, second) = clock.as_hms();
    let path = dir.join(format!("{date}T{hour:02}-{minute:02}-{second:02}Z.json"));
    let found: Value = rows
        .iter()
        .map(|(row, report)| (row.to_string(), json!({ "metrics": report.metrics, "runs": report.runs })))
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "how": how, "rows": found }))?;
    std::fs::write(&path, text).with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}
