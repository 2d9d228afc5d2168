//! The programs: the daemon, and the operator's hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The daemon, made of the sources that are there: built once per test process, in the profile that the tests have.
/// `CARRICK_DAEMON` names another one to test.
pub fn carrickd() -> &'static Path {
    &programs().daemon
}

/// The operator's program, which lies beside the daemon.
pub fn cli() -> &'static Path {
    &programs().cli
}

struct Programs {
    daemon: PathBuf,
    cli: PathBuf,
}

fn programs() -> &'static Programs {
    static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
    match BUILT.get_or_init(build) {
        Ok(programs) => programs,
        Err(why) => panic!("{why}"),
    }
}

fn build() -> Result<Programs, String> {
    if let Some(path) = std::env::var_os("CARRICK_DAEMON") {
        let daemon = PathBuf::from(path);
        return Ok(Programs { cli: daemon.with_file_name("carrick"), daemon });
    }
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().unwrap();
    let dir = test.ancestors().nth(2).expect("a test lies in the target folder");
    let profile = match dir.file_name().and_then(|it| it.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    // The whole workspace, so that dependencies have the features that they were built with for the tests.
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "carrickd",
            "--bin",
            "carrick",
            "--profile",
            profile,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    match built {
        Ok(status) if status.success() => {
            Ok(Programs { daemon: dir.join("carrickd"), cli: dir.join("carrick") })
        }
        other => Err(format!("carrickd could not be built: {other:?}")),
    }
}
