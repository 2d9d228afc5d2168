//! Two sites from the image, from their start to a failover, with what an orchestrator goes by: probes, the image's health check,
//! exit codes.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches files and ends at the first surprise"
)]

use std::path::Path;
use std::time::Duration;

use carrick_containers::{Image, Site, Sites};
use carrick_tests::{Program, deadline, kcat};
use serde_json::Value;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";
/// Of a killed container: 128 and SIGKILL.
const KILLED: i64 = 137;
/// As sysexits.h has it: the settings are at fault.
const EX_CONFIG: i64 = 78;
/// Of `carrick status`: answered, and not all is well.
const UNWELL: i64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_of_the_image_mirror_fail_over_and_end_as_an_orchestrator_expects() {
    let Some(kcat) = kcat() else { return };
    let Some(image) = Image::build().await else { return };
    let sites = Sites::new();
    let kafka = Kafka { kcat: &kcat, dir: TempDir::new().unwrap() };
    the_image_says_how_it_is_run(&image).await;
    bad_settings_end_it_with_their_own_code(&image, &sites).await;

    let (east, west) = (sites.start(&image, "east").await, sites.start(&image, "west").await);
    for site in [&east, &west] {
        until_ready(site);
        assert_eq!(site.get("/healthz"), Some((200, "ok\n".into())));
        assert_eq!(site.health_check().await.code, 0, "healthy");
    }

    kafka.produce(&east, 1..=1000);
    told(&west, &["link", "create", "east-west", "--peer", &sites.link("east")]).await;
    until(&west, "link", "name", "east-west", "CONNECTED").await;
    told(&west, &["mirror", "create", "--link", "east-west", TOPIC]).await;
    until(&west, "mirror", "topic", TOPIC, "ACTIVE").await;
    let original = kafka.records(&east);
    assert_eq!(original.len(), 1000);
    assert_eq!(kafka.records(&west), original, "offsets, timestamps, keys and values");
    assert_eq!(west.carrick(&["status"]).await.code, 0);

    east.kill().await;
    assert_eq!(east.exit_code().await, KILLED);
    assert_eq!(east.get("/healthz"), None);
    deadline("the loss to be seen", SOON, || {
        west.get("/metrics")
            .filter(|(_, text)| text.lines().any(|it| it == "carrick_link_connected{link=\"east-west\"} 0"))
    });
    // A node that lost its peer is to be failed over to, and not to be restarted.
    assert_eq!(west.carrick(&["status"]).await.code, UNWELL);
    assert_eq!((west.get("/healthz").unwrap().0, west.get("/readyz").unwrap().0), (200, 200));
    assert_eq!(west.health_check().await.code, 0, "healthy");

    let plan = told(&west, &["failover", "--link", "east-west", "--dry-run"]).await;
    assert_eq!(
        (&plan["applied"], &plan["topics"][0]["outcome"]),
        (&false.into(), &"OPEN".into()),
        "{plan:#}"
    );
    let done = told(&west, &["failover", "--link", "east-west", "--yes"]).await;
    assert_eq!(done["applied"], true, "{done:#}");
    kafka.produce(&west, 1001..=1010);
    let opened = kafka.records(&west);
    assert_eq!(opened.len(), 1010);
    assert!(original.iter().all(|it| opened.contains(it)), "what was mirrored stands");

    west.stop(20).await;
    assert_eq!(west.exit_code().await, 0, "SIGTERM is a good end");
    assert_eq!(west.health_check().await.code, 1, "unhealthy");
    west.start_again().await;
    until_ready(&west);
    assert_eq!(kafka.records(&west), opened, "the volume has it all");

    drop((east, west));
    image.remove().await;
}

async fn the_image_says_how_it_is_run(image: &Image) {
    let config = image.config().await;
    let user = config.user.unwrap_or_default();
    let uid = user.split(':').next().and_then(|it| it.parse::<u32>().ok());
    assert!(uid.is_some_and(|it| it > 0), "a number, so that it can be seen not to be root: {user:?}");
    assert_eq!(config.stop_signal.as_deref(), Some("SIGTERM"));
    let ports = config.exposed_ports.expect("ports");
    assert_eq!(ports.len(), 3, "{ports:?}");
    for command in ["carrickd", "carrick"] {
        let ran = image.run(command, &["--version"], Default::default()).await;
        assert_eq!((ran.code, ran.stdout.trim()), (0, &*format!("{command} {}", env!("CARGO_PKG_VERSION"))));
    }
}

async fn bad_settings_end_it_with_their_own_code(image: &Image, sites: &Sites) {
    let ran = sites.run_with_settings(image, "surprise = 1\n[node]\n").await;
    assert_eq!(ran.code, EX_CONFIG, "{ran:?}");
    for fault in ["surprise", "node.data", "listener"] {
        assert!(ran.stderr.contains(fault), "{fault}: {ran:?}");
    }
}

fn until_ready(site: &Site<'_>) {
    deadline("a site to be ready", SOON, || site.get("/readyz").filter(|(status, _)| *status == 200));
}

/// What the operator's program answers.
async fn told(site: &Site<'_>, arguments: &[&str]) -> Value {
    let ran = site.carrick(&[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {ran:?}"))
}

/// Returns when the one of that name is in that state.
async fn until(site: &Site<'_>, noun: &str, key: &str, name: &str, state: &str) {
    // Each time is a container: a deadline in tries.
    for _ in 0..40 {
        let listed = told(site, &[noun, "list"]).await;
        let found = listed.as_array().unwrap().iter().find(|it| it[key] == name);
        if found.is_some_and(|it| it["state"] == state) {
            return;
        }
    }
    panic!("{noun} {name} does not become {state}");
}

/// An ordinary client.
struct Kafka<'a> {
    kcat: &'a Path,
    dir: TempDir,
}

impl Kafka<'_> {
    fn produce(&self, site: &Site<'_>, numbers: std::ops::RangeInclusive<u32>) {
        let lines: String = numbers.map(|n| format!("key-{}:value {n}\n", n % 100)).collect();
        let file = self.dir.path().join("lines");
        std::fs::write(&file, lines).unwrap();
        let produce = Program::new(self.kcat).args([
            "-P",
            "-b",
            &site.kafka,
            "-t",
            TOPIC,
            "-z",
            "lz4",
            "-K",
            ":",
            "-l",
        ]);
        produce.arg(file).run(SOON);
    }

    /// Partition, offset, timestamp, key and value of each.
    fn records(&self, site: &Site<'_>) -> Vec<String> {
        let consume = ["-C", "-b", &site.kafka, "-t", TOPIC, "-o", "beginning", "-e", "-q"];
        let said = Program::new(self.kcat).args(consume).args(["-f", "%p %o %T %k %s\n"]).run(SOON);
        let mut lines: Vec<_> = said.lines().map(String::from).collect();
        lines.sort();
        lines
    }
}
