//! Load that goes on until it is told to stop.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Program, Running, Site, deadline};

const PATIENCE: Duration = Duration::from_secs(90);

/// A script that writes until it is told to stop, and the file to which it adds a line per acknowledgement.
#[derive(Debug)]
pub struct Load {
    running: Running,
    pub acks: PathBuf,
    stop: PathBuf,
    /// Bytes of `acks` that were looked at, and lines in them.
    counted: (u64, usize),
}

impl Load {
    /// `program` takes the two files from here.
    pub fn start(site: &Site, program: impl FnOnce(&Path, &Path) -> Program) -> Self {
        let (acks, stop) = (site.file("acks"), site.file("stop"));
        Self { running: program(&acks, &stop).start(), acks, stop, counted: (0, 0) }
    }

    pub fn acknowledged(&mut self) -> usize {
        if let Some(status) = self.running.status() {
            let (stdout, stderr) = self.running.said();
            panic!("the load ended by itself: {status}\n{stdout}\n{stderr}");
        }
        let (bytes, lines) = &mut self.counted;
        if let Ok(mut file) = File::open(&self.acks) {
            let mut new = Vec::new();
            file.seek(SeekFrom::Start(*bytes)).unwrap();
            *bytes += file.read_to_end(&mut new).unwrap() as u64;
            *lines += new.iter().filter(|byte| **byte == b'\n').count();
        }
        *lines
    }

    /// Returns when `more` were acknowledged.
    pub fn go_on(&mut self, more: usize) {
        let begun = self.acknowledged();
        deadline("acknowledgements", PATIENCE, || (self.acknowledged() >= begun + more).then_some(()));
    }

    pub fn finish(self) {
        std::fs::write(&self.stop, "").unwrap();
        self.end();
    }

    /// Waits until it ends by itself, well.
    pub fn end(self) {
        println!("{}", self.running.finish(PATIENCE));
    }
}
