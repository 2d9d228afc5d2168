//! What stands in a data directory, as `reader.py` sees it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Python;

/// One partition that was ever written to.
#[derive(Clone, Debug)]
pub struct Stored {
    pub topic: String,
    /// Over all batches, their leader epochs zeroed.
    pub sha256: String,
    numbers: BTreeMap<String, u64>,
}

impl Stored {
    /// `partition`, `end`, `batches`, `records`, `bytes`, a codec's number of batches, ...: see `reader.py`.
    pub fn number(&self, name: &str) -> u64 {
        *self.numbers.get(name).unwrap_or_else(|| panic!("reader.py shows no {name}"))
    }

    /// The codecs of its batches.
    pub fn codecs(&self) -> Vec<&'static str> {
        ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().filter(|codec| self.number(codec) > 0).collect()
    }
}

/// Reads the data directory of a node that was stopped.
///
/// # Panics
/// If anything in it is not as it should be.
pub fn stored(python: &Python, data: &Path) -> Vec<Stored> {
    let shown = python.script("reader.py").arg("show").arg(data).run(Duration::from_secs(120));
    let partitions: Vec<Stored> = shown.lines().map(parse).collect();
    for it in &partitions {
        for fault in ["header_faults", "crc_failures", "disorder", "torn_bytes"] {
            assert_eq!(it.number(fault), 0, "{fault} of {it:?}");
        }
    }
    partitions
}

/// Compares topics of a source, by their ids, with their mirrors: both nodes were stopped. The bytes of all.
///
/// # Panics
/// If a byte differs, the leader epochs' too, or a batch stands at one of them alone.
pub fn assert_equal(python: &Python, source: &Path, mirror: &Path, topics: &[(String, String)]) -> u64 {
    let pairs = topics.iter().map(|(at_source, at_mirror)| format!("{at_source}={at_mirror}"));
    let compare = python.script("reader.py").arg("compare").args([source, mirror]).args(pairs);
    let compared: Vec<Stored> = compare.run(Duration::from_secs(120)).lines().map(parse).collect();
    for it in &compared {
        for what in ["bytes_differing", "epoch_bytes_differing", "only_a", "only_b", "faults"] {
            assert_eq!(it.number(what), 0, "{what} of {it:?}");
        }
        assert!(it.number("batches") > 0, "nothing was compared: {it:?}");
    }
    compared.iter().map(|it| it.number("bytes")).sum()
}

fn parse(line: &str) -> Stored {
    let shown: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let fields = shown.as_object().expect("reader.py prints an object per line");
    let text = |name: &str| fields[name].as_str().expect("a text").to_string();
    let numbers = fields.iter().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)));
    let sha256 = if fields.contains_key("sha256") { text("sha256") } else { String::new() };
    Stored { topic: text("topic"), sha256, numbers: numbers.collect() }
}
