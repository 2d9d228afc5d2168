//! What lies in `deploy/` is what the programs accept: each settings file is checked, each command shown is one that they know,
//! each file named is there. The image itself is run in `tests/containers`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it reads files, starts processes, and ends at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use carrick_tests::{Program, carrickd, skip};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);
/// As sysexits.h has it; the unit counts on it.
const EX_CONFIG: i32 = 78;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = deploy().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file below, with its path in `deploy`.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![deploy()];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path.strip_prefix(deploy()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}

fn program(name: &str) -> Program {
    Program::new(carrickd().with_file_name(name)).env("CARRICK_NODE", "/nowhere")
}

#[test]
fn carrickd_finds_no_fault_in_a_settings_file_of_ours() {
    let settings: Vec<_> = files().into_iter().filter(|it| ends_with(it, "toml")).collect();
    assert!(settings.len() >= 7, "{settings:?}");
    for path in settings {
        let ended = program("carrickd").args(["check", "--config"]).arg(deploy().join(&path)).end(SOON);
        assert!(ended.status.success(), "{}", ended.stderr);
    }
}

#[test]
fn each_example_is_in_their_table() {
    let table = read("examples/README.md");
    for path in files().iter().filter(|it| it.starts_with("examples") && ends_with(it, "toml")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(table.contains(&format!("| [{name}]({name}) |")), "{name}");
    }
}

/// The lines of a file that are commands; those that go on in the next line are one.
fn command_lines(path: &Path) -> Vec<String> {
    let text = read(path).replace("\\\n", " ");
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut in_block = false;
    let line = |line: &str| {
        let line = line.trim();
        if line.starts_with("```") {
            in_block = line == "```sh";
            return None;
        }
        let command = match name {
            "Dockerfile" => line.strip_prefix("CMD ").or_else(|| line.split_once(" CMD ").map(|it| it.1)),
            _ if ends_with(path, "service") => line.strip_prefix("ExecStart="),
            _ if ends_with(path, "toml") => line.strip_prefix("#   "),
            _ if ends_with(path, "sh") => Some(line),
            _ => Some(line).filter(|_| in_block),
        };
        command.map(String::from)
    };
    text.lines().filter_map(line).collect()
}

/// Program and arguments of each command of ours in a line.
fn commands(line: &str) -> Vec<(String, Vec<String>)> {
    let line = line.replace("||", "|").replace("&&", "|").replace(';', "|").replace("$site", "east");
    let one = |command: &str| {
        let plain = |word: &str| word.trim_matches(['"', '\'']).to_string();
        let words: Vec<String> = command.split_whitespace().map(plain).collect();
        let at =
            words.iter().position(|it| ["carrick", "carrickd"].contains(&it.rsplit('/').next().unwrap()))?;
        let before: Vec<&str> = words[..at].iter().map(String::as_str).collect();
        // What takes the user's name, the container's or the service's, and then a command.
        let runs = match before[..] {
            [] | ["docker", "exec", _] | ["docker", "compose", "exec", _] => at,
            ["sudo", "-u"] => at + 1,
            _ => return None,
        };
        let name = words.get(runs)?.rsplit('/').next()?.to_string();
        Some((name, words[runs + 1..].to_vec()))
    };
    line.split('|').filter_map(one).collect()
}

#[test]
fn each_command_shown_is_one_that_the_programs_know() {
    let mut known = 0;
    for path in files() {
        for line in command_lines(&path) {
            for (name, arguments) in commands(&line) {
                // Flags and values before it are looked at first.
                let ended = program(&name).args(&arguments).arg("--help").end(SOON);
                assert!(ended.status.success(), "{}: {line}\n{}", path.display(), ended.stderr);
                known += 1;
            }
        }
    }
    assert!(known >= 15, "{known} commands");
    let refused = program("carrick").args(["link", "create", "--surprise", "--help"]).end(SOON);
    assert_eq!(refused.status.code(), Some(2), "a flag that is none shows");
}

#[test]
fn the_compose_file_names_only_what_is_there() {
    let compose = read("compose/compose.yaml");
    let (services, rest) = compose.split_once("\nnetworks:\n").expect("services, then networks");
    let (networks, volumes) = rest.split_once("\nvolumes:\n").expect("networks, then volumes");
    let declared = |of: &str, name: &str| of.lines().any(|line| line == format!("  {name}:"));

    let mounts = services.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let mounts: Vec<_> = mounts.filter(|it| it.contains(":/")).collect();
    assert!(mounts.len() >= 10, "{mounts:?}");
    for mount in mounts {
        let from = mount.split(':').next().unwrap();
        match from.strip_prefix("./") {
            Some(file) => assert!(deploy().join("compose").join(file).is_file(), "{mount}"),
            None => assert!(declared(volumes, from), "{mount}"),
        }
    }
    for line in services.lines().filter_map(|line| line.trim().strip_prefix("networks: [")) {
        let names = line.trim_end_matches(']').split(", ");
        names.for_each(|name| assert!(declared(networks, name), "{line}"));
    }
    let after = |key: &str| services.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
    let context = deploy().join("compose").join(after("context: "));
    assert!(context.join(after("dockerfile: ")).is_file() && context.join("Cargo.lock").is_file());
}

#[test]
fn the_sites_of_the_compose_file_find_their_certificates_and_ports() {
    let made = read("compose/certificates.sh");
    assert!(made.contains("for site in east west; do") && made.contains(r#"--name "$site""#));
    let compose = read("compose/compose.yaml");
    for (site, kafka) in [("east", 19_092), ("west", 29_092)] {
        let settings: toml::Table = read(format!("compose/{site}.toml")).parse().unwrap();
        let files = ["cert", "key", "ca"].map(|key| settings["tls"][key].as_str().unwrap());
        let wanted = [&format!("{site}.pem"), &format!("{site}.key"), "ca.pem"];
        assert_eq!(files, wanted.map(|it| format!("/etc/carrick/pki/{it}")));
        assert!(compose.contains(&format!("- {site}-pki:/etc/carrick/pki:ro\n")));
        assert_eq!(settings["node"]["data"].as_str(), Some("/var/lib/carrick"));
        assert!(compose.contains(&format!("- {site}-data:/var/lib/carrick\n")));

        let first = &settings["listener"][0];
        assert_eq!(first["advertised"].as_str(), Some(format!("127.0.0.1:{kafka}").as_str()));
        for (host, inside) in [(kafka, first), (kafka + 500, &settings["http"])] {
            let port = inside["bind"].as_str().unwrap().rsplit(':').next().unwrap();
            assert!(compose.contains(&format!("- 127.0.0.1:{host}:{port}\n")), "{host}: {port}");
        }
    }
}

/// The last value of a key of the unit.
fn unit(key: &str) -> String {
    let unit = read("systemd/carrickd.service");
    let found = unit.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("the unit has no {key}")).to_string()
}

#[test]
fn the_unit_agrees_with_the_program_and_its_user() {
    let start = unit("ExecStart");
    let (path, arguments) = start.split_once(' ').unwrap();
    assert_eq!((path, arguments), ("/usr/bin/carrickd", "--config /etc/carrick/carrickd.toml"));
    let ended = program("carrickd").args(["--config", "/nowhere.toml"]).end(SOON);
    assert_eq!(
        (ended.status.code(), unit("RestartPreventExitStatus")),
        (Some(EX_CONFIG), EX_CONFIG.to_string())
    );
    assert_eq!((unit("Type").as_str(), unit("StateDirectory").as_str()), ("notify", "carrick"));
    assert!(read("systemd/carrick.sysusers.conf").contains(&format!("\nu {} - ", unit("User"))));
    for path in ["examples/source.toml", "examples/destination.toml", "examples/hardened.toml"] {
        assert!(
            read(path).contains("\ndata = \"/var/lib/carrick\""),
            "{path}: the one that the unit can write"
        );
    }
}

#[test]
fn systemd_finds_no_fault_in_the_unit() {
    let dir = TempDir::new().unwrap();
    // It looks whether the program is there.
    let here = read("systemd/carrickd.service").replace("/usr/bin/carrickd", carrickd().to_str().unwrap());
    let path = dir.path().join("carrickd.service");
    std::fs::write(&path, here).unwrap();
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|it| it.join("systemd-analyze")).find(|it| it.is_file())
    });
    let Some(analyze) = found else {
        return skip("no systemd-analyze; type: sudo apt-get install -y systemd");
    };
    let ended = Program::new(analyze).args(["verify", "--man=no"]).arg(path).end(SOON);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn files_that_the_pages_name_are_there() {
    let mut named = 0;
    for path in files().into_iter().filter(|it| ends_with(it, "md")) {
        for line in command_lines(&path) {
            for word in line.split_whitespace().filter_map(|it| it.strip_prefix("deploy/")) {
                assert!(deploy().join(word).exists(), "{}: {line}", path.display());
                named += 1;
            }
        }
    }
    assert!(named >= 5, "{named}");
}
