//! What a service manager is told: that a node is ready, that it is alive, that it stops.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: it touches sockets and ends at the first surprise"
)]

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use carrick_tests::{Program, Running, Site, deadline};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(30);
/// After which the manager would take a silent node for dead.
const PATIENCE_US: &str = "400000";

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// And the daemon that it starts on this site, to be alive within its patience.
    fn of(site: &Site) -> (Self, Program) {
        let path = site.file("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let program = site
            .program()
            .env("NOTIFY_SOCKET", path.to_str().unwrap())
            .env("WATCHDOG_USEC", PATIENCE_US)
            // Else those of whoever runs the tests.
            .env("WATCHDOG_PID", "");
        (Self { socket, heard: Vec::new() }, program)
    }

    /// All that was heard so far, a word each.
    fn listen(&mut self) -> &[String] {
        let mut datagram = [0; 4096];
        while let Ok(bytes) = self.socket.recv(&mut datagram) {
            let text = std::str::from_utf8(&datagram[..bytes]).unwrap();
            self.heard.extend(text.lines().map(String::from));
        }
        &self.heard
    }

    fn times(&mut self, word: &str) -> usize {
        self.listen().iter().filter(|it| *it == word).count()
    }

    /// Waits until it was heard that often.
    fn until(&mut self, word: &str, times: usize) {
        deadline(word, SOON, || (self.times(word) >= times).then_some(()));
    }
}

fn said_ready(node: &Running) -> bool {
    node.said().0.lines().any(|line| line == "ready")
}

#[test]
fn a_node_says_that_it_is_ready_then_that_it_is_alive_then_that_it_stops() {
    let site = Site::new();
    let (mut manager, program) = Manager::of(&site);
    let node = program.start();
    manager.until("READY=1", 1);
    assert!(said_ready(&node), "clients are served by then");
    assert_eq!(manager.times("STOPPING=1"), 0);
    let heard = manager.times("WATCHDOG=1");
    manager.until("WATCHDOG=1", heard + 3);

    node.signal(Signal::TERM);
    let ended = node.end(SOON);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!((manager.times("READY=1"), manager.times("STOPPING=1")), (1, 1), "{:?}", manager.heard);
    assert!(manager.heard.iter().all(|it| ["READY=1", "WATCHDOG=1", "STOPPING=1"].contains(&it.as_str())));
}

#[test]
fn a_node_whose_disk_hangs_at_the_start_is_alive_and_not_ready() {
    // Health is not served here: the word that it is alive does not hang on that.
    let site = Site::with_settings("");
    // Opened to be read, it waits for a writer: as a disk that does not answer.
    Program::new("mkfifo").arg(site.data().join("FORMAT")).run(SOON);
    let (mut manager, program) = Manager::of(&site);
    let node = program.start();
    manager.until("WATCHDOG=1", 5);
    assert_eq!(manager.times("READY=1"), 0);
    assert!(!said_ready(&node));
    node.kill();
}

#[test]
fn a_node_whose_manager_waits_for_no_word_sends_none_that_it_is_alive() {
    let site = Site::new();
    let (mut manager, program) = Manager::of(&site);
    // Meant for another process.
    let node = program.env("WATCHDOG_PID", "1").start();
    manager.until("READY=1", 1);
    node.signal(Signal::TERM);
    assert!(node.end(SOON).status.success());
    assert_eq!(manager.listen(), ["READY=1", "STOPPING=1"]);
}
