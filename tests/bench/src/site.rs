//! Real nodes on loopback: the programs that were built beside this one, certificates as operators make them.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use carrick_rpc::tls::Files;
use serde_json::Value;

/// What an operator waits for at most.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);

/// The folder in which carrickd and carrick lie.
#[derive(Clone, Debug)]
pub struct Programs(PathBuf);

impl Programs {
    pub fn beside_this() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let dir = own.parent().context("this program lies in no folder")?;
        for name in ["carrickd", "carrick"] {
            if !dir.join(name).exists() {
                bail!("{} is missing; next: scripts/bench, which builds it", dir.join(name).display());
            }
        }
        Ok(Self(dir.to_path_buf()))
    }

    /// The folder of the build's profile: `target/release`.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Runs `carrick` and gives what it printed.
    fn carrick(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ran = Command::new(self.0.join("carrick")).args(arguments).stdin(Stdio::null()).output()?;
        if !ran.status.success() {
            bail!("carrick {}: {}", arguments.join(" "), String::from_utf8_lossy(&ran.stderr).trim());
        }
        Ok(String::from_utf8(ran.stdout)?)
    }
}

/// A certificate authority, in a folder.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
    programs: Programs,
}

impl Pki {
    pub fn new(programs: &Programs, dir: PathBuf) -> anyhow::Result<Self> {
        programs.carrick(&["pki", "ca", "--out", path(&dir)?])?;
        Ok(Self { dir, programs: programs.clone() })
    }

    /// A node's certificate, for 127.0.0.1; made if it is not there.
    pub fn node(&self, name: &str) -> anyhow::Result<Files> {
        let file = |extension: &str| self.dir.join(format!("{name}.{extension}"));
        let files = Files { cert: file("pem"), key: file("key"), ca: Some(self.dir.join("ca.pem")) };
        if !files.cert.exists() {
            let dir = path(&self.dir)?;
            let made = ["pki", "cert", "--ca", dir, "--out", dir, "--name", name, "--role", "link"];
            self.programs.carrick(&[&made[..], &["--host", "127.0.0.1"]].concat())?;
        }
        Ok(files)
    }
}

/// When a node acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Os,
    Fsync,
}

impl Durability {
    pub fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Fsync => "fsync",
        }
    }
}

/// Where nodes live one after the other: data, ports and what they say stay.
#[derive(Debug)]
pub struct Site {
    name: String,
    dir: PathBuf,
    programs: Programs,
    tls: Files,
    durability: Durability,
    /// 0 until a node has drawn them.
    kafka_port: u16,
    link_port: u16,
}

impl Site {
    /// In a new folder of `within`.
    pub fn new(
        programs: &Programs,
        pki: &Pki,
        within: &Path,
        name: &str,
        durability: Durability,
    ) -> anyhow::Result<Self> {
        let dir = within.join(name);
        std::fs::create_dir_all(&dir)?;
        let (name, programs, tls) = (name.to_string(), programs.clone(), pki.node(name)?);
        Ok(Self { name, dir, programs, tls, durability, kafka_port: 0, link_port: 0 })
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn kafka(&self) -> String {
        format!("127.0.0.1:{}", self.kafka_port)
    }

    pub fn link_port(&self) -> u16 {
        self.link_port
    }

    fn log(&self) -> PathBuf {
        self.dir.join("stderr")
    }

    /// Begins a node and does not wait for it.
    pub fn exec(&self) -> anyhow::Result<Node> {
        let begun = Instant::now();
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(self.programs.0.join("carrickd"));
        command.args(["dev", "--http-port", "0", "--data"]).arg(self.data());
        command.args([
            "--kafka-port",
            &self.kafka_port.to_string(),
            "--link-port",
            &self.link_port.to_string(),
        ]);
        command.arg("--cert").arg(&self.tls.cert).arg("--key").arg(&self.tls.key);
        command.args(["--ca".as_ref(), self.tls.ca.as_deref().unwrap_or(Path::new("")).as_os_str()]);
        if self.durability == Durability::Os {
            command.arg("--durability-os");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let said = child.stdout.take().map(BufReader::new);
        Ok(Node { child, said, begun })
    }

    /// A node that is ready; draws the ports if none has before.
    pub fn start(&mut self) -> anyhow::Result<Node> {
        let mut node = self.exec()?;
        let mut line = String::new();
        while let Some(said) = &mut node.said {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                bail!("{} did not start; next: read {}", self.name, self.log().display());
            }
            let port = || line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            match line.split_whitespace().next() {
                Some("kafka") => self.kafka_port = port().unwrap_or(self.kafka_port),
                Some("link") => self.link_port = port().unwrap_or(self.link_port),
                Some("ready") => break,
                _ => {}
            }
        }
        Ok(node)
    }

    /// What the operator's command answers.
    pub fn carrick(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let data = self.data();
        let said =
            self.programs.carrick(&[&["--node", path(&data)?], arguments, &["--output", "json"]].concat())?;
        Ok(serde_json::from_str(&said)?)
    }

    /// Links this site, the destination, to `source`, and waits until it is connected.
    pub fn link(&self, source: &Site) -> anyhow::Result<()> {
        let peer = format!("127.0.0.1:{}", source.link_port);
        self.carrick(&["link", "create", LINK, "--peer", &peer])?;
        until("the link is connected", || Ok(self.carrick(&["link", "list"])?[0]["state"] == "CONNECTED"))
    }

    /// Mirrors topics of the link's source: names, or one pattern.
    pub fn mirror(&self, topics: &[&str]) -> anyhow::Result<()> {
        self.carrick(&[&["mirror", "create", "--link", LINK], topics].concat()).map(drop)
    }
}

/// The one link that a site here has.
pub const LINK: &str = "east-west";

fn path(it: &Path) -> anyhow::Result<&str> {
    it.to_str().context("a folder's name is not text")
}

/// Asks until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds()? {
        if begun.elapsed() > PATIENCE {
            bail!("not within {} s: {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// A node that runs; dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    child: Child,
    /// Open as long as the node, which would otherwise speak into a closed pipe.
    said: Option<BufReader<ChildStdout>>,
    /// Just before it was executed.
    pub begun: Instant,
}

impl Node {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As an operator does it.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("a process id")?, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a node ended with {status} when it was told to stop");
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
