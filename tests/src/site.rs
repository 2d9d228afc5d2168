//! A place in which nodes live one after the other: a data directory, ports, and all that the nodes ever said.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Program, Running, Tls, carrickd, deadline, free_port};

const START_MAX: Duration = Duration::from_secs(30);
/// What DESIGN promises of SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Shown of a failed test.
const LINES_MAX: usize = 300;

/// A data directory and ports that outlive a node.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    pub port: u16,
    /// Used where there are certificates.
    link_port: u16,
    run: Run,
}

/// How the daemon is started.
#[derive(Debug)]
enum Run {
    Dev { arguments: Vec<String> },
    Settings(PathBuf),
}

impl Site {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// `arguments` go to `carrickd dev`.
    pub fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self {
            dir: TempDir::new().unwrap(),
            port: free_port(),
            link_port: free_port(),
            run: Run::Dev { arguments },
        }
    }

    /// A node with a settings file, to whose table `[node]` `more` lines are added.
    pub fn with_settings(more: &str) -> Self {
        let mut site = Self::new();
        site.set(more, "");
        site
    }

    /// A node that has links.
    pub fn linked(tls: &Tls) -> Self {
        let mut site = Self::new();
        let (port, path) = (site.link_port.to_string(), |it: &PathBuf| it.display().to_string());
        let values = [port, path(&tls.cert), path(&tls.key), path(&tls.ca)];
        let names = ["--link-port", "--cert", "--key", "--ca"].map(String::from);
        site.run = Run::Dev { arguments: names.into_iter().zip(values).flat_map(<[_; 2]>::from).collect() };
        site
    }

    /// With more arguments to `carrickd dev`.
    ///
    /// # Panics
    /// If this site has a settings file.
    #[must_use]
    pub fn and(mut self, more: &[&str]) -> Self {
        match &mut self.run {
            Run::Dev { arguments } => arguments.extend(more.iter().map(ToString::to_string)),
            Run::Settings(path) => panic!("it is started with {}", path.display()),
        }
        self
    }

    /// As [`Site::with_settings`], with links.
    pub fn linked_with_settings(tls: &Tls, more: &str) -> Self {
        let mut site = Self::new();
        let Tls { cert, key, ca } = tls;
        let tables =
            format!("[tls]\ncert = {cert:?}\nkey = {key:?}\nca = {ca:?}\n[link]\nbind = {:?}\n", site.link());
        site.set(more, &tables);
        site
    }

    fn set(&mut self, more: &str, tables: &str) {
        let (data, port, path) = (self.data(), self.port, self.file("carrickd.toml"));
        let listener = format!("[[listener]]\nname = \"kafka\"\nbind = \"127.0.0.1:{port}\"\n");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&path, format!("[node]\ndata = {data:?}\n{more}\n{tables}{listener}")).unwrap();
        self.run = Run::Settings(path);
    }

    /// Where peers dial.
    pub fn link(&self) -> String {
        format!("127.0.0.1:{}", self.link_port)
    }

    /// Where Kafka clients dial, also while no node is there.
    pub fn kafka(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A path for a test's own file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What all nodes of this site said to stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The id of a topic that was created here, by its name.
    pub fn topic_id(&self, name: &str) -> String {
        let log = self.log();
        let created = log.lines().rfind(|line| line.contains(&format!("topic created topic={name} ")));
        let id = created.and_then(|line| line.split_once(" id=")?.1.split(' ').next());
        id.unwrap_or_else(|| panic!("no node said that it made the topic {name}")).to_string()
    }

    fn log_path(&self) -> PathBuf {
        self.file("stderr")
    }

    /// The daemon on this site, not started.
    pub fn program(&self) -> Program {
        let program = Program::new(carrickd());
        match &self.run {
            Run::Settings(path) => program.arg("--config").arg(path),
            Run::Dev { arguments } => {
                let (data, port) = (self.data().display().to_string(), self.port.to_string());
                program
                    .args(["dev", "--data", &data, "--kafka-port", &port, "--http-port", "0"])
                    .args(arguments)
            }
        }
    }

    /// A node, ready.
    pub fn start(&self) -> Node {
        Node::start(self.program(), &self.log_path())
    }

    /// A node, ready; or how it ended before it was.
    pub fn try_start(&self) -> Result<Node, ExitStatus> {
        Node::try_start(self.program(), &self.log_path())
    }

    /// What was said so far was said by others.
    pub fn forget(&self) {
        File::create(self.log_path()).unwrap();
    }

    /// A node that is killed while it starts, or soon after.
    pub fn start_and_kill(&self, after: Duration) {
        let running = self.program().stderr(open_log(&self.log_path())).start();
        // Not a wait for a state: the moment of the kill.
        std::thread::sleep(after);
        running.kill();
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(Telling(self));
    }
}

/// Tells what the site's nodes said, if it is dropped by a panic.
#[derive(Debug)]
pub struct Telling<'a>(pub &'a Site);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.0.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LINES_MAX)..];
            println!("carrickd said, {} of {} lines:\n{}", shown.len(), lines.len(), shown.join("\n"));
        }
    }
}

/// A node that runs; dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    running: Running,
    /// Where its Kafka listener is.
    pub kafka: String,
    /// Where health and metrics are, if they are served.
    pub http: Option<String>,
}

impl Node {
    /// Returns when the node says that it is ready.
    pub fn start(program: Program, log: &Path) -> Self {
        Self::try_start(program, log).unwrap_or_else(|status| panic!("carrickd did not start: {status}"))
    }

    fn try_start(program: Program, log: &Path) -> Result<Self, ExitStatus> {
        let mut running = program.stderr(open_log(log)).start();
        let said = deadline("carrickd to be ready", START_MAX, || {
            let status = running.status();
            let (said, _) = running.said();
            match status {
                _ if said.lines().any(|line| line == "ready") => Some(Ok(said)),
                None => None,
                Some(status) => Some(Err(status)),
            }
        })?;
        let named = |what: &str| said.lines().find_map(|line| line.strip_prefix(what)).map(str::to_string);
        let kafka = named("kafka kafka ").expect("a node names its listener kafka");
        let http = named("http ");
        Ok(Self { running, kafka, http })
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Stops the clock for it: it is there, and does nothing.
    pub fn pause(&self) {
        self.running.signal(Signal::STOP);
    }

    /// After [`Node::pause`].
    pub fn go_on(&self) {
        self.running.signal(Signal::CONT);
    }

    /// None while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.running.status()
    }

    /// As a crash does it.
    pub fn kill(self) {
        self.running.kill();
    }

    /// As an operator does it: SIGTERM, and 0 within ten seconds.
    pub fn stop(mut self) {
        self.running.signal(Signal::TERM);
        let status = deadline("carrickd to stop", STOP_MAX, || self.running.status());
        assert!(status.success(), "carrickd stopped with {status}");
    }
}

fn open_log(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}
