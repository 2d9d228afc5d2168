//! The audit log: one line per mutation that was asked for, appended, each with the hash of the line before it.
//!
//! A line is JSON and ends with `"hash"`: SHA-256 over the hash of the line before and the line up to there. A line that was
//! changed or taken out breaks the chain from there on.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

pub struct Audit {
    log: Mutex<Log>,
}

struct Log {
    file: File,
    last: String,
}

/// The newest line is looked for within this much of the end.
const TAIL_BYTES: u64 = 64 * 1024;

impl Audit {
    /// Goes on behind the newest whole line.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        if !tail.is_empty() && !tail.ends_with(b"\n") {
            // A torn line stays as it is, and ends here.
            file.write_all(b"\n")?;
        }
        let tail = String::from_utf8_lossy(&tail);
        let newest =
            tail.lines().rev().find_map(|line| line.rsplit_once("\"hash\":\"")?.1.strip_suffix("\"}"));
        let last = newest.unwrap_or_default().to_string();
        Ok(Self { log: Mutex::new(Log { file, last }) })
    }

    /// Durable when it returns.
    pub fn write(&self, verb: &str, of: &str, who: &str, request: &[u8], dry_run: bool) -> io::Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let line = format!(
            "{{\"at_ms\":{at},\"verb\":{},\"of\":{},\"who\":{},\"request\":\"{}\",\"dry_run\":{dry_run},",
            quoted(verb),
            quoted(of),
            quoted(who),
            hex(request)
        );
        let mut log = self.log.lock().map_err(|_| io::Error::other("a writer of the audit log panicked"))?;
        let hash = hex(&Sha256::digest([log.last.as_bytes(), line.as_bytes()].concat()));
        log.file.write_all(format!("{line}\"hash\":\"{hash}\"}}\n").as_bytes())?;
        log.file.sync_data()?;
        log.last = hash;
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As JSON has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_goes_on_over_restarts_and_shows_a_changed_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for n in 0..3u8 {
            Audit::open(&path).unwrap().write("verb", "a \"b\"\n", "uid 0", &[n; 16], false).unwrap();
        }
        let check = |text: &str| {
            text.lines().try_fold(String::new(), |last, line| {
                let (body, hash) = line.split_once("\"hash\":\"").unwrap();
                let hash = hash.strip_suffix("\"}").unwrap().to_string();
                let found = hex(&Sha256::digest([last.as_bytes(), body.as_bytes()].concat()));
                (found == hash).then_some(hash)
            })
        };
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(check(&text).is_some(), "{text}");
        assert!(check(&text.replacen("verb", "verc", 1)).is_none());
    }
}
