//! Ports that a node keeps over restarts.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Below the ports that systems hand out to connections: else a client that calls while its node is down may be given the
/// node's own port, and talk to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// A process takes so many at a time, and holds them by the lock of a file: while a node is down nobody else is given its ports.
const BLOCK: u16 = 100;

#[derive(Debug)]
struct Blocks {
    /// Of the block that is handed out now.
    next: u16,
    end: u16,
    held: Vec<File>,
}

/// A port of 127.0.0.1 that nobody listens on; no other process of these tests is given it, nor this one twice.
pub fn free_port() -> u16 {
    static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks { next: 0, end: 0, held: Vec::new() });
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if blocks.next == blocks.end {
            let (first, lock) = block();
            (blocks.next, blocks.end) = (first, first + BLOCK);
            blocks.held.push(lock);
        }
        let port = blocks.next;
        blocks.next += 1;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The first port of a block that no process holds, and what holds it now.
fn block() -> (u16, File) {
    let blocks = COUNT / BLOCK;
    // A process begins where others probably do not.
    let begin = (std::process::id() % u32::from(blocks)) as u16;
    let mut free = (0..blocks).filter_map(|step| {
        let first = FIRST + (begin + step) % blocks * BLOCK;
        let path = std::env::temp_dir().join(format!("carrick-ports-{first}"));
        let file = File::options().create(true).truncate(false).write(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some((first, file))
    });
    free.next().expect("ports that no other test has")
}
