//! A link's transport over a line that is cut at any byte, by every fault, in memory and in virtual time.

use std::cell::Cell;
use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use carrick_rpc::tls::Tls;
use carrick_rpc::{
    Connection, DialError, HANDSHAKE_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_HOST_MAX, LinkServer,
    MESSAGE_BYTES_MAX, QUEUE_MESSAGES, dial_over,
};
use rustls::pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::cases::{Chance, cases, in_case};
use crate::ends::at;
use crate::pipe::{Cut, Cutter, Fault, PipePort, Road, Way, port};
use crate::pki::Pki;

/// Of each way: within a frame, over several frames, and over what the pipe holds.
const SIZES: [usize; 6] = [0, 1, 700, 40_000, 5, 100_000];
/// For each of a dialler's four steps.
const STEP_MAX: Duration = Duration::from_secs(5);
/// From a cut that nobody is told of to an end: silence, ping, and the grace of an end.
const LOSS_MAX: Duration = Duration::from_secs(5);
/// A stall that no peer may be lost by.
const STALL_MAX_MS: u64 = 1_900;

/// What dialled sessions are measured in: where, in bytes of a way, one phase ends and the next begins.
const PHASES: [&str; 4] = ["hello", "certificates", "preface and headers", "frames"];

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Panics of this thread, those of tasks that nobody asked for among them.
fn panics() -> u32 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            PANICS.set(PANICS.get() + 1);
            usual(what);
        }));
    });
    PANICS.get()
}

pub fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn message(n: usize) -> Bytes {
    let size = SIZES[n % SIZES.len()];
    (0..size).map(|at| (at * 31 + n) as u8).collect::<Vec<_>>().into()
}

/// A port, what leads to it, and what it hands over.
pub struct Site {
    pub road: Road,
    pub connections: mpsc::Receiver<Connection>,
    pub stop: watch::Sender<bool>,
    pub served: JoinHandle<()>,
}

impl Site {
    pub fn open(tls: &Tls) -> Self {
        let (road, listener): (Road, PipePort) = port();
        let (sender, connections) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(LinkServer::new(listener, tls.clone()).serve(sender, stopped));
        Self { road, connections, stop, served }
    }

    pub async fn dial(&self, tls: &Tls, cut: Option<Cut>) -> (Result<Connection, DialError>, Cutter) {
        let (end, cutter) = self.road.take(cut);
        let dialled = dial_over(&at(9_590), tls, end, "the peer".into()).await;
        (dialled, cutter)
    }

    pub async fn join(&mut self, tls: &Tls) -> (Connection, Connection, Cutter) {
        let (dialled, cutter) = self.dial(tls, None).await;
        (dialled.unwrap(), self.connections.recv().await.unwrap(), cutter)
    }

    /// Nothing is left behind, neither by what went over it nor by the port itself.
    pub async fn close(self) {
        let Self { road, connections, stop, served } = self;
        sleep(LOSS_MAX).await;
        assert_eq!(tasks(), 1, "tasks, where the port's is the only one");
        drop(connections);
        stop.send_replace(true);
        timeout(Duration::from_secs(4), served).await.expect("the port does not close").unwrap();
        assert_eq!(tasks(), 0, "tasks of a port that is shut");
        drop(road);
    }
}

/// Sends all messages and takes all of the peer's, in order; how many came, and the connection if it still stands.
async fn exchange(connection: Connection) -> (usize, Option<Connection>) {
    let Connection { outgoing, mut incoming, peer } = connection;
    let sending = async {
        for n in 0..SIZES.len() {
            if outgoing.send(message(n).into()).await.is_err() {
                return;
            }
        }
    };
    let taking = async {
        for n in 0..SIZES.len() {
            match incoming.recv().await {
                Some(came) => assert!(came == message(n), "message {n} came as {} bytes", came.len()),
                None => return n,
            }
        }
        SIZES.len()
    };
    let ((), came) = futures::join!(sending, taking);
    let stands = (came == SIZES.len()).then_some(Connection { outgoing, incoming, peer });
    (came, stands)
}

/// Bytes of each way at the ends of the phases, in a session that nothing happens to.
fn phases(tls: &Tls) -> [[u64; 4]; 2] {
    let name = || ServerName::try_from("127.0.0.1").unwrap();
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(tls.client().unwrap(), name()).unwrap();
    client.write_tls(&mut hello).unwrap();
    carrick_sim::run(0, async {
        let (near, far, cutter) = crate::pipe::pipe(None);
        let connecting = tokio_rustls::TlsConnector::from(tls.client().unwrap()).connect(name(), near);
        let accepting = tokio_rustls::TlsAcceptor::from(tls.server()).accept(far);
        let (near, far) = futures::join!(connecting, accepting);
        let shaken = cutter.passed();
        drop((near.unwrap(), far.unwrap()));
        let mut site = Site::open(tls);
        let (dialled, accepted, cutter) = site.join(tls).await;
        let opened = cutter.passed();
        let accepted = tokio::spawn(exchange(accepted));
        let (came, dialled) = exchange(dialled).await;
        assert_eq!(came, SIZES.len());
        let accepted = accepted.await.unwrap();
        let all = cutter.passed();
        drop((dialled, accepted));
        let hello = [hello.len() as u64, 120];
        let phases = [0, 1].map(|way| [hello[way], shaken[way], opened[way], all[way]]);
        for way in phases {
            assert!(way.is_sorted(), "{phases:?}");
        }
        phases
    })
}

/// The cut of case `n`: every fault in every phase of each way, at another byte each time around.
fn cut_of(n: u64, phases: &[[u64; 4]; 2]) -> (Cut, usize) {
    let mut chance = Chance::of(n);
    let way = if n.is_multiple_of(2) { Way::Out } else { Way::Back };
    let phase = (n / 2 % 4) as usize;
    let stall = Duration::from_millis(chance.within(1..STALL_MAX_MS));
    let faults =
        [Fault::Reset, Fault::ResetAtOnce, Fault::Shut, Fault::Silent, Fault::Dead, Fault::Stall(stall)];
    let fault = faults[(n / 8) as usize % faults.len()];
    let ends = phases[way as usize];
    let begins = phase.checked_sub(1).map_or(0, |before| ends[before]);
    let after = begins + (n / 48 * 7_919 + chance.below(2)) % (ends[phase] - begins).max(1);
    (Cut { way, after, fault }, phase)
}

/// A dialler is told the address, what went wrong, and what to look at.
fn helps(error: &DialError) {
    let said = error.to_string();
    let next = ["; is it", "; is its", "; look at", "; the log there"];
    assert!(said.contains("127.0.0.1:9590") && next.iter().any(|it| said.contains(it)), "{said}");
    assert!(
        !matches!(error, DialError::Untrusted { .. } | DialError::NotLink { .. }) || said.contains("within"),
        "{said}"
    );
}

/// Whether the cut was made.
async fn run_case(tls: &Tls, cut: Cut) -> bool {
    let before = panics();
    let mut site = Site::open(tls);
    // A link beside it, and one message of it each tenth of a second.
    let (mut beside, mut other, _) = site.join(tls).await;
    let (end, cutter) = site.road.take(Some(cut));
    let begun = Instant::now();
    let peer = at(9_590);
    let dialled = timeout(STEP_MAX * 4, dial_over(&peer, tls, end, "the peer".into())).await;
    let dialled = dialled.expect("the dialler hangs");
    let dialling = begun.elapsed();
    if cutter.made().is_some() && !matches!(cut.fault, Fault::Stall(_)) {
        assert!(dialling < STEP_MAX * 2, "it dialled for {dialling:?}");
    }
    if let Err(error) = &dialled {
        helps(error);
        assert!(cutter.made().is_some(), "it failed without a fault: {error}");
        assert!(!matches!(cut.fault, Fault::Stall(_)), "a stall ended it: {error}");
    }
    let accepted = site.connections.try_recv().ok();
    let accepted = tokio::spawn(async move {
        match accepted {
            Some(connection) => Some(exchange(connection).await),
            None => None,
        }
    });
    let mut came = [None, None];
    if let Ok(connection) = dialled {
        let ends = timeout(LOSS_MAX, exchange(connection)).await.expect("the dialler's end hangs");
        came[0] = Some(ends.0);
    }
    let ends = timeout(LOSS_MAX, accepted).await.expect("the port's end hangs").unwrap();
    came[1] = ends.as_ref().map(|it| it.0);
    let whole = Some(SIZES.len());
    if cutter.made().is_none() || matches!(cut.fault, Fault::Stall(_)) {
        assert_eq!(came, [whole, whole], "messages that came to the dialler and to the port");
    }
    drop(ends);
    for _ in 0..5 {
        beside.outgoing.send("beside".into()).await.unwrap();
        let came = timeout(STEP_MAX, other.incoming.recv()).await.expect("the link beside it hangs");
        assert_eq!(came.as_deref(), Some(&b"beside"[..]));
        sleep(Duration::from_millis(100)).await;
    }
    // A session that the port was handed after its dialler gave up, and the next one.
    while site.connections.try_recv().is_ok() {}
    let (dialled, mut accepted, _) = site.join(tls).await;
    dialled.outgoing.send("again".into()).await.unwrap();
    assert_eq!(accepted.incoming.recv().await.unwrap(), "again");
    drop((dialled, accepted, beside.incoming.try_recv(), beside, other));
    site.close().await;
    assert_eq!(panics(), before, "tasks panicked");
    cutter.made().is_some()
}

#[test]
fn a_cut_at_any_byte_ends_a_session_cleanly_and_the_next_one_works() {
    let tls = Pki::new().node();
    let phases = phases(&tls);
    let cases = cases(480, 6_000);
    let (count, mut made) = (cases.end - cases.start, 0);
    for case in cases {
        let (cut, phase) = cut_of(case, &phases);
        in_case(case, || {
            println!("case {case}: {cut:?} ({})", PHASES[phase]);
            made += u64::from(carrick_sim::run(case, run_case(&tls, cut)));
        });
    }
    // Certificates' lengths differ by some bytes: the last ones of a session are not always reached.
    assert!(made * 100 >= count * 95, "{made} of {count} cuts were made");
}

/// The largest messages, sent until nothing is taken for a minute; how many were.
async fn fill(outgoing: &mpsc::Sender<carrick_proto::Encoded>) -> usize {
    let large = Bytes::from(vec![7; MESSAGE_BYTES_MAX]);
    let mut taken = 0;
    while let Ok(Ok(())) = timeout(Duration::from_secs(60), outgoing.send(large.clone().into())).await {
        taken += 1;
    }
    taken
}

/// What this end holds of messages that the line does not take: a queue, what HTTP/2 and TLS have under way, and the line.
const HELD_MESSAGES: usize = QUEUE_MESSAGES + 3;

#[test]
fn a_line_that_takes_nothing_costs_a_bounded_number_of_messages_and_four_seconds() {
    let tls = Pki::new().node();
    for way in [Way::Out, Way::Back] {
        carrick_sim::run(0, async {
            let mut site = Site::open(&tls);
            let (dialled, accepted, cutter) = site.join(&tls).await;
            cutter.cut(way, Fault::Silent);
            let (sender, other) = if way == Way::Out { (dialled, accepted) } else { (accepted, dialled) };
            let begun = Instant::now();
            let taken = fill(&sender.outgoing).await;
            assert!((1..=HELD_MESSAGES).contains(&taken), "{taken} messages were taken");
            assert!(begun.elapsed() < LOSS_MAX, "it took {:?}", begun.elapsed());
            drop((sender, other));
            site.close().await;
        });
    }
}

#[test]
fn a_session_that_is_not_read_holds_up_itself_alone() {
    let tls = Pki::new().node();
    carrick_sim::run(0, async {
        let mut site = Site::open(&tls);
        // Its control connection, a further one that nobody reads at either end, and another link.
        let (control, control_far, _) = site.join(&tls).await;
        let (full, full_far, _) = site.join(&tls).await;
        let (beside, beside_far, _) = site.join(&tls).await;
        let window = carrick_rpc::WINDOW_BYTES as usize / MESSAGE_BYTES_MAX;
        for outgoing in [&full.outgoing, &full_far.outgoing] {
            let taken = fill(outgoing).await;
            // Two queues, the window, and what stands between them.
            assert!((window..=window + QUEUE_MESSAGES + HELD_MESSAGES).contains(&taken), "{taken} messages");
        }
        for (near, far) in [(control, control_far), (beside, beside_far)] {
            let near = tokio::spawn(exchange(near));
            let (came, far) = timeout(LOSS_MAX, exchange(far)).await.expect("it is held up");
            assert_eq!((came, near.await.unwrap().0), (SIZES.len(), SIZES.len()));
            drop(far);
        }
        // Ten minutes later it stands, and it flows when it is read.
        sleep(Duration::from_secs(600)).await;
        let mut full_far = full_far;
        for _ in 0..window {
            let came = timeout(LOSS_MAX, full_far.incoming.recv()).await.expect("it does not flow");
            assert_eq!(came.expect("it ended").len(), MESSAGE_BYTES_MAX);
        }
        full.outgoing.send("more".into()).await.unwrap();
        drop((full, full_far));
        site.close().await;
    });
}

#[test]
fn a_dialler_that_gives_up_at_any_moment_leaves_nothing_behind() {
    let tls = Pki::new().node();
    for way in [Way::Out, Way::Back] {
        for after in (0..6_000).step_by(300) {
            carrick_sim::run(after, async {
                let mut site = Site::open(&tls);
                let cut = Cut { way, after, fault: Fault::Dead };
                let patience = Duration::from_millis(after % 2_000);
                // Dropped in the middle; its pipe goes with it, and the port notices by itself.
                drop(timeout(patience, site.dial(&tls, Some(cut))).await);
                sleep(STEP_MAX * 2).await;
                while site.connections.try_recv().is_ok() {}
                let (dialled, accepted, _) = site.join(&tls).await;
                drop((dialled, accepted));
                site.close().await;
            });
        }
    }
}

#[test]
fn handshakes_of_a_host_that_never_end_keep_no_other_host_out() {
    let tls = Pki::new().node();
    carrick_sim::run(0, async {
        let mut site = Site::open(&tls);
        let mut held: Vec<_> = (0..2_000).map(|_| site.road.take_from([10, 0, 0, 9], None)).collect();
        let begun = Instant::now();
        let (dialled, accepted, _) = site.join(&tls).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "it waited {:?}", begun.elapsed());
        drop((dialled, accepted));
        // Its own next peer is refused until the others have had their time.
        let (end, _) = site.road.take_from([10, 0, 0, 9], None);
        let error = dial_over(&at(9_590), &tls, end, "the peer".into()).await.unwrap_err();
        assert!(matches!(error, DialError::Refused { .. } | DialError::Handshake { .. }), "{error}");
        sleep(HANDSHAKE_MAX).await;
        let (end, _) = site.road.take_from([10, 0, 0, 9], None);
        drop(dial_over(&at(9_590), &tls, end, "the peer".into()).await.unwrap());
        drop(site.connections.recv().await);
        // Many hosts together fill the port: the next one stands in line, in order of arrival.
        for n in 0..HANDSHAKES_MAX {
            held.push(site.road.take_from([10, 0, 1, (n / HANDSHAKES_PER_HOST_MAX) as u8], None));
        }
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        let (dialled, accepted, _) = site.join(&tls).await;
        assert!(begun.elapsed() > HANDSHAKE_MAX / 2, "there was room after {:?}", begun.elapsed());
        drop((dialled, accepted, held));
        site.close().await;
    });
}
