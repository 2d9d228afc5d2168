//! Two sites in containers, on a network of their own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrick_tests::{Program, carrickd, free_port};
use tempfile::TempDir;
use testcontainers::bollard::models::HostConfig;
use testcontainers::bollard::query_parameters::{InspectContainerOptions, KillContainerOptionsBuilder};
use testcontainers::core::logs::LogFrame;
use testcontainers::core::{AccessMode, IntoContainerPort as _, Mount};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use crate::{Image, Ran};

const SOON: Duration = Duration::from_secs(20);
const KAFKA: u16 = 9092;
const LINK: u16 = 9590;
const HTTP: u16 = 9592;

/// What sites have in common: an authority, and a network.
pub struct Sites {
    dir: TempDir,
    network: String,
}

impl Sites {
    pub fn new() -> Self {
        let it = Self { dir: TempDir::new().unwrap(), network: format!("carrick-{}", std::process::id()) };
        it.pki(&["ca"]);
        it
    }

    fn authority(&self) -> PathBuf {
        self.dir.path().join("pki")
    }

    fn pki(&self, arguments: &[&str]) {
        let carrick = Program::new(carrickd().with_file_name("carrick"));
        carrick.arg("pki").args(arguments).arg("--out").arg(self.authority()).run(SOON);
    }

    /// The name of a site's container, which others dial.
    fn host(&self, site: &str) -> String {
        format!("{}-{site}", self.network)
    }

    /// Where a site's peers dial.
    pub fn link(&self, site: &str) -> String {
        format!("{}:{LINK}", self.host(site))
    }

    /// A container of the image, started; it may not be ready yet.
    pub async fn start<'a>(&self, image: &'a Image, site: &str) -> Site<'a> {
        let (kafka, http) = (free_port(), free_port());
        let etc = self.etc(site, kafka).display().to_string();
        let settings = Mount::bind_mount(etc, "/etc/carrick").with_access_mode(AccessMode::ReadOnly);
        let log = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&log);
        let keep = move |frame: &LogFrame| said.lock().unwrap().extend_from_slice(frame.bytes());
        let request = image
            .daemon()
            .with_container_name(self.host(site))
            .with_network(&self.network)
            // Chosen here, since clients are told the port that they dial.
            .with_mapped_port(kafka, KAFKA.tcp())
            .with_mapped_port(http, HTTP.tcp())
            .with_mount(settings)
            .with_log_consumer(keep);
        let container = request.start().await.unwrap_or_else(|e| panic!("{site}: {e}"));
        Site { image, container, kafka: format!("127.0.0.1:{kafka}"), http, log }
    }

    /// The folder that the site finds as /etc/carrick.
    fn etc(&self, site: &str, kafka: u16) -> PathBuf {
        let ca = self.authority().display().to_string();
        self.pki(&["cert", "--ca", &ca, "--name", site, "--role", "link", "--host", &self.host(site)]);
        let etc = self.dir.path().join(site);
        fs::create_dir(&etc).unwrap();
        for (from, to) in [
            (format!("{site}.pem"), "node.pem"),
            (format!("{site}.key"), "node.key"),
            ("ca.pem".into(), "ca.pem"),
        ] {
            put(&etc.join(to), &fs::read_to_string(self.authority().join(from)).unwrap());
        }
        let text = format!(
            "[node]\ndata = \"/var/lib/carrick\"\n\
             [[listener]]\nname = \"kafka\"\nbind = \"0.0.0.0:{KAFKA}\"\nadvertised = \"127.0.0.1:{kafka}\"\n\
             allow_unauthenticated = true\n\
             [tls]\ncert = \"/etc/carrick/node.pem\"\nkey = \"/etc/carrick/node.key\"\nca = \"/etc/carrick/ca.pem\"\n\
             [link]\nbind = \"0.0.0.0:{LINK}\"\n\
             [http]\nbind = \"0.0.0.0:{HTTP}\"\nallow_unauthenticated = true\n\
             [kafka]\nauto.create.topics.enable = true\nnum.partitions = 3\n"
        );
        put(&etc.join("carrickd.toml"), &text);
        fs::set_permissions(&etc, PermissionsExt::from_mode(0o755)).unwrap();
        etc
    }

    /// A node whose settings file is this, until it ends by itself.
    pub async fn run_with_settings(&self, image: &Image, text: &str) -> Ran {
        let etc = TempDir::new_in(self.dir.path()).unwrap();
        put(&etc.path().join("carrickd.toml"), text);
        fs::set_permissions(etc.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let bind = format!("{}:/etc/carrick:ro", etc.path().display());
        let host = HostConfig { binds: Some(vec![bind]), ..Default::default() };
        image.run("carrickd", &[], host).await
    }
}

impl Default for Sites {
    fn default() -> Self {
        Self::new()
    }
}

/// Readable by the image's user, keys included.
fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
}

/// A node in a container; dropped, it is gone with its volume.
pub struct Site<'a> {
    image: &'a Image,
    container: ContainerAsync<GenericImage>,
    /// Where Kafka clients dial.
    pub kafka: String,
    http: u16,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Site<'_> {
    /// A program of the image beside the node, with its volume.
    pub async fn beside(&self, entrypoint: &str, arguments: &[&str]) -> Ran {
        let volumes = Some(vec![self.container.id().to_string()]);
        let host = HostConfig { volumes_from: volumes, ..Default::default() };
        self.image.run(entrypoint, arguments, host).await
    }

    /// The image's health check, run as an engine does it; not every engine that these tests meet does so by itself.
    pub async fn health_check(&self) -> Ran {
        let seen = self.image.docker.inspect_container(self.container.id(), None::<InspectContainerOptions>);
        let check = seen.await.unwrap().config.and_then(|it| it.healthcheck).and_then(|it| it.test);
        match check.as_deref() {
            Some([kind, command]) if kind == "CMD-SHELL" => self.beside("/bin/sh", &["-c", command]).await,
            other => panic!("{other:?}"),
        }
    }

    /// The operator's program.
    pub async fn carrick(&self, arguments: &[&str]) -> Ran {
        self.beside("carrick", arguments).await
    }

    /// The answer's status and body; None where nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: carrick\r\n\r\n").as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        let (head, body) = said.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_string()))
    }

    /// With SIGKILL.
    pub async fn kill(&self) {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        self.image.docker.kill_container(self.container.id(), Some(options)).await.unwrap();
    }

    /// As `docker stop` does it: the image's signal, and so many seconds for it.
    pub async fn stop(&self, patience_seconds: i32) {
        self.container.stop_with_timeout(Some(patience_seconds)).await.unwrap();
    }

    /// The same container anew.
    pub async fn start_again(&self) {
        self.container.start().await.unwrap();
    }

    /// Once it has ended.
    pub async fn exit_code(&self) -> i64 {
        self.image.exit_code(self.container.id()).await
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            println!("{} said:\n{}", self.kafka, String::from_utf8_lossy(&log));
        }
    }
}
