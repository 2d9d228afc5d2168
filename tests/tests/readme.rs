//! What README.md shows is run as it stands there: its commands as one script, its settings file by `carrickd check`.
//!
//! Replaced are the ports, for others run beside it, and the release build, for the one that the tests have.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files, starts processes, and ends at the first surprise"
)]

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use carrick_tests::{Program, carrickd, deadline, free_port, kcat};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");

/// Blocks that are run elsewhere: the demo by `scripts/test`, and this test by it, too.
const ELSEWHERE: [&str; 2] = ["scripts/demo\n", "scripts/test\n"];
const PORTS: [&str; 6] = ["19092", "19590", "19592", "29092", "29590", "29592"];
const PATIENCE: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(20);

/// Fenced blocks: language and text.
fn blocks() -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut lines = README.lines();
    while let Some(fence) = lines.next() {
        if let Some(language) = fence.trim_start().strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| !line.starts_with("```"));
            found.push((language, block.map(|line| format!("{line}\n")).collect()));
        }
    }
    found
}

fn of(language: &str) -> Vec<String> {
    blocks().into_iter().filter(|(it, _)| *it == language).map(|(_, text)| text).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Where this test was built: the folder of the profile.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).expect("a test lies in the target folder").into()
}

#[test]
fn every_command_block_is_run_here_or_known_to_be_run_elsewhere() {
    for (language, text) in blocks() {
        assert!(["sh", "toml", "text"].contains(&language), "a block of {language:?}:\n{text}");
    }
    for block in ELSEWHERE {
        assert_eq!(of("sh").iter().filter(|it| *it == block).count(), 1, "{block}");
        assert!(root().join(block.trim()).exists(), "{block}");
    }
}

#[test]
fn the_commands_run_from_the_build_to_the_end_and_print_what_is_said() {
    let Some(kcat) = kcat() else { return };
    let dir = TempDir::new().unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    // A link would not do: what it stands for may look around itself.
    let wrapper = format!("#!/bin/sh\nexec '{}' \"$@\"\n", kcat.display());
    std::fs::write(bin.join("kcat"), wrapper).unwrap();
    std::fs::set_permissions(bin.join("kcat"), PermissionsExt::from_mode(0o755)).unwrap();

    let script = script();
    // What the commands build stands then.
    carrickd();
    let said = Script::start(dir.path(), &bin, &script).end();
    let mut printed = said.lines();
    for line in script.lines().filter_map(|line| line.split_once("# prints ")) {
        assert!(printed.any(|it| it.trim() == line.1), "{} does not print {}:\n{said}", line.0, line.1);
    }
    for what in ["ACTIVE", "OPEN", "failover of 1 mirrors decided", "superseded"] {
        assert!(said.contains(what), "{what} in\n{said}");
    }
}

/// The commands in order, with what has to be another here.
fn script() -> String {
    let blocks = of("sh").into_iter().filter(|it| !ELSEWHERE.contains(&it.as_str()));
    let mut script: String = blocks.collect();
    let target = target();
    let profile = match target.file_name().and_then(|it| it.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut replace = |what: &str, by: &str| {
        assert!(script.contains(what), "the commands have {what}");
        script = script.replace(what, by);
    };
    replace("--release", &format!("--profile {profile}"));
    replace("$PWD/target/release", &target.display().to_string());
    if std::env::var_os("ROCKSDB_LIB_DIR").is_none() {
        // This test was built without it; another environment would have everything built again.
        replace(". scripts/env\n", "");
    }
    for port in PORTS {
        replace(port, &free_port().to_string());
    }
    script
}

/// A script that runs, and all that it starts: dropped, they are killed.
struct Script {
    child: Child,
    dir: PathBuf,
}

impl Script {
    fn start(dir: &Path, bin: &Path, text: &str) -> Self {
        std::fs::write(dir.join("script"), text).unwrap();
        let said = File::create(dir.join("said")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let child = Command::new("bash")
            .args(["-euxo", "pipefail"])
            .arg(dir.join("script"))
            .current_dir(root())
            .env("PATH", format!("{}:{path}", bin.display()))
            // Where the commands make their own folder.
            .env("TMPDIR", dir)
            .env_remove("CARRICK_NODE")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, dir: dir.into() }
    }

    /// What it said, once it has come to a good end.
    fn end(mut self) -> String {
        let status = deadline("the commands of README.md", PATIENCE, || self.child.try_wait().unwrap());
        assert!(status.success(), "the commands of README.md: {status}");
        self.said()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("said")).unwrap()).into_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Nobody is left of it, most of the time.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("it said:\n{}", self.said());
            for log in logs(&self.dir) {
                println!("{}:\n{}", log.display(), std::fs::read_to_string(&log).unwrap_or_default());
            }
        }
    }
}

/// What the nodes said, in the folder that the commands made.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path());
    let found = list(dir).filter(|it| it.is_dir()).flat_map(|it| list(&it).collect::<Vec<_>>());
    found.filter(|it| it.extension().is_some_and(|of| of == "log")).collect()
}

#[test]
fn the_settings_file_is_accepted() {
    let [settings] = of("toml").try_into().expect("one settings file");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("carrickd.toml");
    std::fs::write(&file, settings).unwrap();
    let said = Program::new(carrickd()).args(["check", "--config"]).arg(&file).run(SOON);
    assert!(said.contains("good"), "{said}");
}
