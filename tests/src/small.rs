//! A file system of a few dozen MiB, which somebody else fills.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Site, skip};

/// An ext4 of its own, mounted where a site has its data; taken away when dropped.
#[derive(Debug)]
pub struct Small {
    at: PathBuf,
}

impl Small {
    /// None, said, where it cannot be had.
    pub fn mount(site: &Site, mib: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("a sized file system needs root; type: sudo -E scripts/test");
            return None;
        }
        let (image, at) = (site.file("disk.img"), site.data());
        std::fs::create_dir_all(&at).unwrap();
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let ran = |program: &str, arguments: &[&str]| {
            let ended = Command::new(program).args(arguments).output();
            ended.is_ok_and(|it| it.status.success())
        };
        let (image, path) = (image.display().to_string(), at.display().to_string());
        let made =
            ran("mkfs.ext4", &["-q", "-m", "0", &image]) && ran("mount", &["-o", "loop", &image, &path]);
        if !made {
            skip("no file system could be made in a file and mounted: mkfs.ext4, loop devices");
            return None;
        }
        Some(Self { at })
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Takes all the room there is, and gives `bytes` of it back, in whole blocks.
    pub fn fill_but(&self, bytes: u64) {
        let mut file = File::options().append(true).create(true).open(self.filler()).unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        let taken = file.metadata().unwrap().len();
        file.set_len(taken.saturating_sub(bytes)).unwrap();
    }

    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    /// Nothing is written until the guard is dropped: who tries waits.
    ///
    /// # Panics
    /// If the system cannot do it.
    pub fn freeze(&self) -> Frozen<'_> {
        assert!(self.fsfreeze("--freeze"), "fsfreeze of util-linux is wanted");
        Frozen { disk: self, since: Instant::now() }
    }

    fn fsfreeze(&self, how: &str) -> bool {
        Command::new("fsfreeze").arg(how).arg(&self.at).status().is_ok_and(|it| it.success())
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

/// A stuck disk.
#[derive(Debug)]
pub struct Frozen<'a> {
    disk: &'a Small,
    since: Instant,
}

impl Frozen<'_> {
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        assert!(self.disk.fsfreeze("--unfreeze") || std::thread::panicking());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A node that a failed test left holds it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
