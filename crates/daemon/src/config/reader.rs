//! Reads a TOML table key by key and keeps every fault on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::{Table, Value};

pub(super) struct Reader {
    path: String,
    table: Table,
    pub(super) faults: Vec<String>,
}

impl Reader {
    pub(super) fn new(path: &str, table: Table) -> Self {
        Self { path: path.into(), table, faults: Vec::new() }
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn fault(&mut self, key: &str, why: String) {
        let name = self.name(key);
        self.faults.push(format!("{name}: {why}"));
    }

    pub(super) fn required<T>(
        &mut self,
        key: &str,
        want: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(key, format!("is missing: {want} is wanted"));
        }
        self.optional(key, want, read)
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        want: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.table.remove(key)?;
        let read = read(&value);
        if read.is_none() {
            let name = self.name(key);
            self.faults.push(format!("{name} = {value}: {want} is wanted"));
        }
        read
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// An empty one if it is not there.
    pub(super) fn table(&mut self, key: &str) -> Self {
        let table = self.optional(key, "a table", |v| v.as_table().cloned());
        Self::new(&self.name(key), table.unwrap_or_default())
    }

    pub(super) fn tables(&mut self, key: &str) -> Vec<Self> {
        let tables = self.optional(key, "a list of tables, [[...]]", |v| {
            v.as_array()?.iter().map(|it| it.as_table().cloned()).collect::<Option<Vec<_>>>()
        });
        let tables = tables.unwrap_or_default().into_iter().enumerate();
        tables.map(|(at, table)| Self::new(&format!("{}[{at}]", self.name(key)), table)).collect()
    }

    /// A table of scalars, as text; `a.b = 1` and `"a.b" = 1` are the same.
    pub(super) fn strings(&mut self, key: &str) -> BTreeMap<String, String> {
        let table = self.table(key);
        let mut found = BTreeMap::new();
        flatten("", &table.table, &mut found);
        found
    }

    /// Takes over the faults of a table that was read, and names the keys that nobody asked for.
    pub(super) fn finish(&mut self, table: Self) {
        self.faults.extend(table.end());
    }

    pub(super) fn end(mut self) -> Vec<String> {
        for key in self.table.keys() {
            let name = self.name(key);
            self.faults.push(format!("{name}: there is no such key"));
        }
        self.faults
    }
}

fn flatten(prefix: &str, table: &Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, into),
            Value::String(text) => {
                into.insert(name, text.clone());
            }
            other => {
                into.insert(name, other.to_string());
            }
        }
    }
}

/// `"64MiB"`, or a plain number of bytes.
pub(super) fn bytes(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_integer() {
        return u64::try_from(number).ok();
    }
    let text = value.as_str()?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

/// `"250ms"`, `"30s"`, `"5m"`, `"1h"`; a plain number would be of nothing.
pub(super) fn duration(value: &Value) -> Option<Duration> {
    let text = value.as_str()?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match text.strip_prefix(digits)? {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}
