//! Two sites that know each other: certificates of one authority, ports that stay, and a link.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::carrick::until;
use crate::carrickd::cli;
use crate::{Program, Site, carrick};

const PATIENCE: Duration = Duration::from_secs(60);

/// Who a node is to its peers, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// A certificate authority for a trial.
#[derive(Debug)]
pub struct Pki(TempDir);

impl Pki {
    pub fn new() -> Self {
        let it = Self(TempDir::new().unwrap());
        it.run(["ca"]);
        it
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) {
        Program::new(cli()).arg("pki").args(arguments).arg("--out").arg(self.dir()).run(PATIENCE);
    }

    /// A node's, for 127.0.0.1.
    pub fn node(&self, name: &str) -> Tls {
        self.certificate(name, "link")
    }

    pub fn certificate(&self, name: &str, role: &str) -> Tls {
        let ca = self.dir().display().to_string();
        self.run(["cert", "--ca", &ca, "--name", name, "--role", role, "--host", "127.0.0.1"]);
        let file = |extension| self.dir().join(format!("{name}.{extension}"));
        Tls { cert: file("pem"), key: file("key"), ca: self.dir().join("ca.pem") }
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// East, whose topics are read, and west, which keeps the mirrors.
#[derive(Debug)]
pub struct Pair {
    pub east: Site,
    pub west: Site,
    pub pki: Pki,
}

impl Pair {
    pub const LINK: &str = "east-west";

    pub fn new() -> Self {
        let pki = Pki::new();
        Self { east: Site::linked(&pki.node("east")), west: Site::linked(&pki.node("west")), pki }
    }

    /// As [`Site::linked_with_settings`], both.
    pub fn with_settings(more: &str) -> Self {
        let pki = Pki::new();
        let site = |name| Site::linked_with_settings(&pki.node(name), more);
        Self { east: site("east"), west: site("west"), pki }
    }

    /// West makes a link to east, and it connects.
    pub fn connect(&self) {
        self.connect_by(&self.east.link());
    }

    /// As [`Pair::connect`], where `peer` leads to east.
    pub fn connect_by(&self, peer: &str) {
        carrick(&self.west, &["link", "create", Self::LINK, "--peer", peer]);
        until(&self.west, "link", Self::LINK, PATIENCE, |it| it["state"] == "CONNECTED");
    }

    /// West mirrors these topics of east, and has caught up once.
    pub fn mirror(&self, topics: &[&str]) {
        let create = ["mirror", "create", "--link", Self::LINK];
        carrick(&self.west, &[&create, topics].concat());
        for topic in topics {
            until(&self.west, "mirror", topic, PATIENCE, |it| it["state"] == "ACTIVE");
        }
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}
