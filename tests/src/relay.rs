//! A line between two sites that can be cut: what is sent through it comes, waits, or breaks.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::free_port;

const LOOK_EVERY: Duration = Duration::from_millis(15);

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Line {
    Good,
    /// Nothing comes through, in either direction, and nothing is closed.
    Stuck,
    /// What stands is closed, and whatever comes anew.
    Broken,
}

/// A port that leads to another one, while it is good; gone when dropped.
#[derive(Debug)]
pub struct Relay {
    line: Arc<AtomicU8>,
    port: u16,
}

const GONE: u8 = u8::MAX;

impl Relay {
    /// `to` is a host and a port, which nobody needs to listen on yet.
    pub fn new(to: String) -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let line = Arc::new(AtomicU8::new(Line::Good as u8));
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            for came in listener.incoming().map_while(Result::ok) {
                if shared.load(Ordering::SeqCst) == GONE {
                    return;
                }
                let (line, to) = (Arc::clone(&shared), to.clone());
                std::thread::spawn(move || lead(&line, &came, &to));
            }
        });
        Self { line, port }
    }

    /// Where to dial.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set(&self, line: Line) {
        self.line.store(line as u8, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.line.store(GONE, Ordering::SeqCst);
        // So that the listener looks up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Waits while it is stuck; whether it is good then.
fn good(line: &AtomicU8) -> bool {
    loop {
        match line.load(Ordering::SeqCst) {
            at if at == Line::Good as u8 => return true,
            at if at == Line::Stuck as u8 => std::thread::sleep(LOOK_EVERY),
            _ => return false,
        }
    }
}

fn lead(line: &Arc<AtomicU8>, came: &TcpStream, to: &str) {
    if !good(line) {
        return;
    }
    let Ok(goes) = TcpStream::connect(to) else { return };
    let (line_back, goes_back, came_back) = (Arc::clone(line), goes.try_clone(), came.try_clone());
    let (Ok(goes_back), Ok(came_back)) = (goes_back, came_back) else { return };
    let back = std::thread::spawn(move || pump(&line_back, &goes_back, &came_back));
    pump(line, came, &goes);
    let _ = back.join();
}

/// Until one of the two is closed, or the line breaks: then both are.
fn pump(line: &AtomicU8, mut from: &TcpStream, mut to: &TcpStream) {
    let mut bytes = vec![0; 64 << 10];
    let _ = (from.set_read_timeout(Some(LOOK_EVERY)), to.set_nodelay(true));
    while good(line) {
        let count = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        // What was read just when it was cut waits, too.
        if !good(line) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
