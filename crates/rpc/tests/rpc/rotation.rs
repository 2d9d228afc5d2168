//! Certificates and their CA are exchanged under load (line F36 of the campaign): no session fails to begin, none is cut, no message
//! is lost.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use carrick_rpc::tls::{Files, Look, Purpose, Tls};
use carrick_rpc::{Connection, DialError, Endpoint, Refusals, dial};
use futures::FutureExt as _;
use tempfile::TempDir;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::cases::{Chance, cases, words};
use crate::ends::{Port, soon, until};
use crate::pki::{NODE, Pki, Wish};

/// Messages of a session that begins and ends while certificates change.
const SHORT: u64 = 50;
/// Sessions that begin all the time, at once.
const DIALLERS: usize = 3;

/// A node's certificate, key and trust, in files of its own.
struct Place {
    files: Files,
    tls: Tls,
}

impl Place {
    fn new(dir: &Path, name: &str, of: &Pki) -> Self {
        let at = |kind: &str| dir.join(format!("{name}.{kind}"));
        let files = Files { cert: at("pem"), key: at("key"), ca: Some(at("ca")) };
        let made = of.files(&Wish { name, ..NODE });
        fs::copy(made.cert, &files.cert).unwrap();
        fs::copy(made.key, &files.key).unwrap();
        fs::copy(of.ca(), at("ca")).unwrap();
        let tls = Tls::open(files.clone(), Purpose::Grpc).unwrap();
        Self { files, tls }
    }

    fn trust(&self, of: &[&Pki]) {
        let bundle: Vec<u8> = of.iter().flat_map(|pki| fs::read(pki.ca()).unwrap()).collect();
        fs::write(self.files.ca.as_ref().unwrap(), bundle).unwrap();
        assert_eq!(self.tls.look(), Look::Renewed, "new trust");
    }

    /// One file after the other: a look between them finds a pair that is none, and keeps what is in use.
    fn renew(&self, name: &str, of: &Pki, key_first: bool) {
        let made = of.files(&Wish { name, ..NODE });
        let mut steps = [(&made.cert, &self.files.cert), (&made.key, &self.files.key)];
        if key_first {
            steps.reverse();
        }
        fs::copy(steps[0].0, steps[0].1).unwrap();
        let (own, failures) = (self.tls.own(), self.tls.failures());
        assert_eq!(self.tls.look(), Look::Kept, "half a pair");
        assert_eq!((self.tls.own(), self.tls.failures(), self.tls.stale()), (own, failures + 1, true));
        fs::copy(steps[1].0, steps[1].1).unwrap();
        assert_eq!((self.tls.look(), self.tls.stale()), (Look::Renewed, false), "a new pair");
    }

    /// Something that is not good, and back.
    fn spoil(&self, chance: &mut Chance, of: &Pki) {
        let ca = self.files.ca.as_ref().unwrap();
        let late = of.files(&Wish { name: "late", days: -1, ..NODE });
        let early = of.files(&Wish { name: "early", begins: 1, ..NODE });
        let cert = fs::read(&self.files.cert).unwrap();
        let half = chance.within(1..cert.len() as u64 - 30) as usize;
        let path = chance.pick(&[&self.files.cert, &self.files.key, ca]);
        let bad = match chance.below(4) {
            0 => vec![(path, Vec::new())],
            1 => vec![(path, chance.bytes(500))],
            2 => vec![(&self.files.cert, cert[..half].to_vec())],
            _ => {
                let out_of_time = chance.pick(&[&late, &early]);
                let read = |path| fs::read(path).unwrap();
                vec![(&self.files.cert, read(&out_of_time.cert)), (&self.files.key, read(&out_of_time.key))]
            }
        };
        let good: Vec<_> = bad.iter().map(|(path, _)| (*path, fs::read(path).unwrap())).collect();
        let write = |all: &[(&PathBuf, Vec<u8>)]| {
            all.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap())
        };
        write(&bad);
        let before = (self.tls.own(), self.tls.failures() + 1);
        // Said and counted once, however often it is looked at.
        for _ in 0..3 {
            assert_eq!(
                self.tls.look(),
                Look::Kept,
                "spoilt: {:?}",
                bad.iter().map(|it| it.0).collect::<Vec<_>>()
            );
        }
        assert_eq!((self.tls.own(), self.tls.failures()), before);
        write(&good);
        assert_eq!((self.tls.look(), self.tls.stale()), (Look::Same, false));
    }
}

async fn echo(mut connection: Connection) {
    while let Some(message) = connection.incoming.recv().await {
        if connection.outgoing.send(message.into()).await.is_err() {
            return;
        }
    }
}

/// Sends `count` numbers, or until told; each comes back in its turn. How many did.
async fn talk(connection: Connection, count: u64, done: &AtomicBool) -> u64 {
    let Connection { outgoing, mut incoming, .. } = connection;
    let mut said = 0;
    while said < count && !done.load(Ordering::Relaxed) {
        let number = Bytes::copy_from_slice(&said.to_be_bytes());
        outgoing.send(number.clone().into()).await.expect("a session was cut");
        assert_eq!(soon(incoming.recv()).await.expect("a session was cut"), number);
        said += 1;
    }
    said
}

/// Begins sessions all the time; how many words it said. While `turn` is held nobody dials.
async fn sessions(
    to: Endpoint,
    tls: Tls,
    turn: Arc<RwLock<()>>,
    done: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
) -> u64 {
    let mut said = 0;
    while !done.load(Ordering::Relaxed) {
        let dialled = {
            let _turn = turn.read().await;
            dial(&to, &tls).await
        };
        let dialled = dialled.unwrap_or_else(|e| panic!("a session did not begin: {e}"));
        let never = AtomicBool::new(false);
        said += talk(dialled, SHORT, &never).await;
        begun.fetch_add(1, Ordering::Relaxed);
    }
    said
}

/// Two nodes, and sessions between them.
struct World {
    dir: TempDir,
    east: Place,
    west: Place,
    endpoint: Endpoint,
    refusals: Refusals,
    /// Held by those who dial.
    turn: Arc<RwLock<()>>,
    begun: Arc<AtomicU64>,
    refused: u64,
}

impl World {
    /// Lets what dials come to an end: a handshake sees one step of a change at most, as a look comes every ten seconds only.
    async fn step(&self) {
        let seen = self.begun.load(Ordering::Relaxed);
        drop(self.turn.write().await);
        until("a session begins", || self.begun.load(Ordering::Relaxed) > seen).await;
    }

    /// Both nodes go from one CA to the next.
    async fn rotate(&mut self, mut chance: Chance, old: &Pki) -> Pki {
        let new = Pki::new();
        let (east, west) = (&self.east, &self.west);
        let ends = if chance.below(2) == 0 { [east, west] } else { [west, east] };
        for end in ends {
            end.trust(&[old, &new]);
            self.step().await;
        }
        for (end, name) in [(east, "east"), (west, "west")] {
            if chance.below(2) == 0 {
                end.spoil(&mut chance, old);
            }
            end.renew(name, &new, chance.below(2) == 0);
            self.step().await;
        }
        // Of the old CA, and still in time.
        let late = Place::new(self.dir.path(), "late", old);
        late.trust(&[old, &new]);
        for end in ends {
            end.trust(&[&new]);
            self.step().await;
        }
        let error = dial(&self.endpoint, &late.tls).await.expect_err("the old CA is trusted");
        assert!(matches!(error, DialError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("this node's certificate is of another CA"), "{error}");
        self.refused += 1;
        until("it is counted", || self.refusals.total() >= self.refused).await;
        assert_eq!(self.refusals.total(), self.refused, "peers that were refused");
        new
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_their_ca_change_under_load_and_nothing_is_lost() {
    let dir = TempDir::new().unwrap();
    let mut old = Pki::new();
    let (east, west) = (Place::new(dir.path(), "east", &old), Place::new(dir.path(), "west", &old));
    let Port { endpoint, refusals, mut connections, stop, served } = Port::open(east.tls.clone()).await;
    tokio::spawn(async move {
        while let Some(connection) = connections.recv().await {
            tokio::spawn(echo(connection));
        }
    });
    let (turn, done, begun) = (Arc::default(), Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    // One that stands from the first certificate to the last, and many that begin in between.
    let (long, told) = (dial(&endpoint, &west.tls).await.unwrap(), Arc::clone(&done));
    let mut talkers = JoinSet::new();
    talkers.spawn(async move { talk(long, u64::MAX, &told).await });
    for _ in 0..DIALLERS {
        let (turn, done, begun) = (Arc::clone(&turn), Arc::clone(&done), Arc::clone(&begun));
        talkers.spawn(sessions(endpoint.clone(), west.tls.clone(), turn, done, begun));
    }
    let mut world = World { dir, east, west, endpoint, refusals, turn, begun, refused: 0 };
    for case in cases(16, 150) {
        println!("case {case}");
        let rotation = AssertUnwindSafe(world.rotate(Chance::of(case), &old)).catch_unwind().await;
        // What ended before its time did so because something broke.
        let talker = talkers.try_join_next().map(|it| it.expect_err("it ended in peace").into_panic());
        match (talker, rotation) {
            (Some(broke), _) | (None, Err(broke)) => panic!("case {case}: {}", words(&*broke)),
            (None, Ok(new)) => old = new,
        }
    }
    done.store(true, Ordering::Relaxed);
    let mut said = 0;
    while let Some(ended) = talkers.join_next().await {
        said += ended.unwrap_or_else(|e| panic!("at the end: {}", words(&*e.into_panic())));
    }
    println!("{} sessions began; {said} words came back in all", world.begun.load(Ordering::Relaxed));
    stop.send_replace(true);
    soon(served).await.unwrap();
}
