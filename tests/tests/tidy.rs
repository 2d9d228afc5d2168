//! What a reviewer would otherwise have to look for: layers, names in the wrong place, long files, loose ends.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it reads files and ends at the first surprise"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The crates, lower ones first, and what each may import: nothing that stands below it here. Development dependencies
/// are free.
const EDGES: &[(&str, &[&str])] = &[
    // 0: nouns
    ("types", &[]),
    // 1: one job each, for all above
    ("record", &["types"]),
    ("sys", &["types"]),
    ("proto", &[]),
    ("tls", &[]),
    // 2: one format, one protocol, one store
    ("sim", &["sys", "types"]),
    ("wire", &[]),
    ("log", &["record", "sys", "types"]),
    ("catalog", &["sys", "types"]),
    ("store", &["catalog"]),
    ("rpc", &["proto", "tls"]),
    // 3: what they mean
    ("broker", &["catalog", "log", "record", "sys", "types", "wire"]),
    ("link", &["proto", "record", "sys", "types"]),
    ("serve", &["broker", "sys", "tls", "types", "wire"]),
    // 4: a site
    ("node", &["broker", "catalog", "link", "log", "record", "sys", "types"]),
    // 5: what is started, and what is seen of it
    ("watch", &["catalog", "link", "log", "node", "proto", "serve", "sys", "tls", "types"]),
    // It looks into a dead node's segments by the code that wrote them: a second reader of the format would drift.
    ("cli", &["log", "proto", "rpc", "sys", "tls"]),
    (
        "daemon",
        &[
            "broker", "catalog", "link", "log", "node", "proto", "rpc", "serve", "store", "sys", "tls",
            "types", "watch",
        ],
    ),
];

/// What the bench beside the layers may import: it knows the product by its programs and by the protocol, which it speaks raw so
/// that the client costs little; the transport alone is measured from inside.
const BENCH: &[&str] = &["record", "rpc", "wire"];

/// Crates of others that only some may import, and those.
const KEPT: &[(&str, &[&str])] = &[
    ("anyhow", &["daemon", "cli"]),
    ("clap", &["daemon", "cli"]),
    ("flate2", &["record"]),
    ("hyper", &["rpc", "serve"]),
    ("lz4_flex", &["record"]),
    ("metrics-exporter-prometheus", &["watch"]),
    ("rand", &["sim"]),
    ("rcgen", &["cli"]),
    ("rocksdb", &["store"]),
    ("rustix", &["sys", "rpc", "serve", "watch", "daemon", "cli"]),
    ("rustls", &["tls", "rpc", "serve", "cli"]),
    ("ruzstd", &["record"]),
    ("sd-notify", &["daemon"]),
    ("snap", &["record"]),
    ("socket2", &["rpc", "serve"]),
    ("toml", &["daemon", "cli"]),
    ("tonic", &["rpc", "serve", "daemon", "cli"]),
    ("tracing-subscriber", &["daemon", "cli"]),
];

/// All that `types` may import: none of it does anything but compute.
const TYPES_MAY: &[&str] = &["base64", "serde", "thiserror"];

const LINES_MAX: usize = 600;

/// Made by tools, and in no commit; in a worktree `.git` is a file.
const NOT_OURS: &[&str] = &["target", ".git", ".local", "__pycache__", "carrick-data"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn refuse(faults: &[String], advice: &str) {
    let listed = faults.iter().fold(String::new(), |mut text, fault| {
        writeln!(text, "  {fault}").unwrap();
        text
    });
    assert!(faults.is_empty(), "\n{listed}{advice}");
}

/// The folders of `crates/`.
fn crates() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap);
    let dirs = entries.filter(|entry| entry.path().join("Cargo.toml").exists());
    dirs.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// What a crate imports to run or to be built; ours by their folders, others by their names.
fn dependencies(of: &str) -> BTreeSet<String> {
    dependencies_in(&Path::new("crates").join(of))
}

fn dependencies_in(package: &Path) -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join(package).join("Cargo.toml")).parse().unwrap();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let mut found = BTreeSet::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let named = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
            found.extend(named.map(|(name, _)| name.strip_prefix("carrick-").unwrap_or(name).to_string()));
        }
    }
    found
}

/// The files of the tree, by their paths in it.
fn files() -> Vec<PathBuf> {
    fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let kept = !NOT_OURS.iter().any(|name| entry.file_name() == *name);
            match entry.file_type().unwrap() {
                it if it.is_dir() && kept => walk(&entry.path(), into),
                it if it.is_file() && kept => {
                    into.push(entry.path().strip_prefix(root()).unwrap().to_path_buf());
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    found
}

/// Sources of a crate that ship, without the tests in them: path, text, and the crate's folder.
fn shipped() -> Vec<(PathBuf, String, String)> {
    let mut found = Vec::new();
    for path in files() {
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let ["crates", of, "src", .., name] = parts[..] else { continue };
        if !name.ends_with(".rs") || name == "tests.rs" || parts.contains(&"tests") {
            continue;
        }
        let text = read(&root().join(&path));
        let ships = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_string();
        found.push((path.clone(), ships, of.to_string()));
    }
    assert!(!found.is_empty());
    found
}

/// `path:line: line` of every line that holds one of `words`.
fn found(path: &Path, text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let hits = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    hits.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.trim())).collect()
}

#[test]
fn crates_import_only_what_the_table_of_layers_allows() {
    let mut faults = Vec::new();
    let ours = crates();
    for name in &ours {
        let Some(at) = EDGES.iter().position(|(row, _)| row == name) else {
            faults.push(format!("{name}: has no row in the table"));
            continue;
        };
        let edges = dependencies(name).into_iter().filter(|it| ours.contains(it));
        let foreign = edges.filter(|edge| !EDGES[at].1.contains(&edge.as_str()));
        faults.extend(foreign.map(|edge| format!("{name} -> {edge}")));
    }
    refuse(
        &faults,
        "the table of edges in tests/tests/tidy.rs does not allow this: a new edge is a commit of its own, with its reason",
    );
}

#[test]
fn the_bench_imports_only_what_it_may() {
    let ours = crates();
    let edges = dependencies_in(Path::new("tests/bench")).into_iter().filter(|it| ours.contains(it));
    let faults: Vec<_> = edges.filter(|edge| !BENCH.contains(&edge.as_str())).collect();
    refuse(
        &faults,
        "see BENCH in tests/tests/tidy.rs: what shares the product's code could share its mistakes",
    );
}

#[test]
fn the_table_of_layers_points_down() {
    let mut faults = Vec::new();
    for (at, (name, edges)) in EDGES.iter().enumerate() {
        let lower: BTreeSet<&str> = EDGES[..at].iter().map(|(row, _)| *row).collect();
        let up = edges.iter().filter(|edge| !lower.contains(*edge));
        faults.extend(up.map(|edge| format!("{name} -> {edge}")));
        assert!(edges.is_sorted(), "the edges of {name} are sorted");
    }
    refuse(&faults, "a crate imports what stands before it in the table");
}

#[test]
fn crates_of_others_are_imported_only_where_they_belong() {
    let mut faults = Vec::new();
    for name in crates() {
        for import in dependencies(&name) {
            let kept = KEPT.iter().find(|(kept, _)| *kept == import);
            if kept.is_some_and(|(_, may)| !may.contains(&name.as_str())) {
                faults.push(format!("{name} -> {import}"));
            }
        }
    }
    let types = dependencies("types").into_iter().filter(|it| !TYPES_MAY.contains(&it.as_str()));
    faults.extend(types.map(|import| format!("types -> {import}: types does no I/O")));
    refuse(&faults, "see KEPT in tests/tests/tidy.rs");
}

#[test]
fn only_the_store_names_rocksdb() {
    let sources = shipped().into_iter().filter(|(_, _, of)| of != "store");
    let faults: Vec<_> = sources.flat_map(|(path, text, _)| found(&path, &text, &["rocksdb::"])).collect();
    refuse(&faults, "the catalog reaches RocksDB through its trait Store");
}

#[test]
fn only_programs_read_the_environment() {
    let sources = shipped().into_iter().filter(|(_, _, of)| of != "daemon" && of != "cli");
    let words = ["std::env", "env::var", "env::args"];
    let faults: Vec<_> = sources.flat_map(|(path, text, _)| found(&path, &text, &words)).collect();
    refuse(&faults, "settings come down as arguments");
}

#[test]
fn types_record_and_wire_touch_nothing_outside() {
    let sources =
        shipped().into_iter().filter(|(_, _, of)| ["types", "record", "wire"].contains(&of.as_str()));
    let words = ["std::fs", "std::net", "std::process", "std::thread", "std::time::", "tokio::"];
    let faults: Vec<_> = sources.flat_map(|(path, text, _)| found(&path, &text, &words)).collect();
    refuse(&faults, "these crates compute, and do nothing else");
}

#[test]
fn no_source_file_is_longer_than_600_lines() {
    let long = shipped().into_iter().map(|(path, text, _)| (path, text.lines().count()));
    let faults: Vec<_> = long
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    refuse(&faults, "one idea per file: foo.rs + foo/");
}

#[test]
fn every_library_says_its_place() {
    let mut faults = Vec::new();
    for name in crates() {
        let src = root().join("crates").join(&name).join("src");
        let (lib, main) = (src.join("lib.rs"), src.join("main.rs"));
        let text = read(if lib.exists() { &lib } else { &main });
        let doc: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if doc.is_empty() {
            faults.push(format!("{name}: begins without a doc"));
        } else if lib.exists() && !doc.iter().any(|line| line.contains("**Place**")) {
            faults.push(format!("{name}: its doc has no **Place**"));
        }
    }
    refuse(
        &faults,
        "a lib.rs begins with //! purpose, **Place**, **Guarantees**, **Limits**, **Absent on purpose**",
    );
}

#[test]
fn no_file_names_a_machine_path_or_leaves_a_loose_end() {
    // Cut in two, so that this file does not name them.
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let anywhere = [concat!("FIX", "ME")];
    let in_rust = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("#[ig", "nore")];
    let mut faults = Vec::new();
    for path in files() {
        // Golden files and the like.
        let Ok(text) = String::from_utf8(std::fs::read(root().join(&path)).unwrap()) else { continue };
        faults.extend(found(&path, &text, &paths));
        faults.extend(found(&path, &text, &anywhere));
        if path.extension().is_some_and(|it| it == "rs") {
            faults.extend(found(&path, &text, &in_rust));
        }
    }
    refuse(&faults, "a clone works anywhere, and what is committed is done");
}

#[test]
fn links_between_documents_resolve() {
    let mut faults = Vec::new();
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let text = read(&root().join(&path));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !root().join(&path).parent().unwrap().join(target).exists() {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    refuse(&faults, "no such file");
}

#[test]
fn scripts_can_be_run_or_say_that_they_are_sourced() {
    let mut faults = Vec::new();
    for path in files().into_iter().filter(|path| path.starts_with("scripts") || path.starts_with(".ci")) {
        let full = root().join(&path);
        let executable = full.metadata().unwrap().permissions().mode() & 0o111 != 0;
        let text = read(&full);
        let module = path.extension().is_some_and(|it| it == "py") && text.starts_with("\"\"\"");
        let sourced = module || text.lines().any(|line| line == "# shellcheck shell=bash");
        let fault = match (text.starts_with("#!/"), executable, sourced) {
            (true, true, false) | (false, false, true) => continue,
            (true, false, _) => "begins with #! and is not executable",
            (false, true, _) => "is executable and does not begin with #!",
            (true, true, true) => "is run and sourced: which?",
            (false, false, false) => {
                "neither begins with #! nor says \"# shellcheck shell=bash\", nor is a module with a doc"
            }
        };
        faults.push(format!("{}: {fault}", path.display()));
    }
    refuse(&faults, "a script is run, or sourced");
}
