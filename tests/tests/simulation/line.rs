//! The line between sites: ordered per connection, delayed by the seed, lost at a cut, nothing else promised. It may also
//! stop one way alone, which neither end is told of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use carrick_link::{Connection, DialError, Dialer, Engine};
use carrick_proto::Encoded;
use carrick_sim::{SimDisk, SimEntropy};
use carrick_sys::Entropy;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Messages in one direction of a connection that the line holds.
const IN_FLIGHT: usize = 8;

/// A connection that loses anything is given up by both ends after that: the transport asks for an answer and gets none.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// For a connection to be made.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// What becomes of what a site sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    #[default]
    Open,
    /// It comes once the way is open again.
    Held,
    /// It never comes, nor does anything behind it on its connection, until that is given up.
    Lost,
}

struct End {
    engine: Weak<Engine>,
    disk: Arc<SimDisk>,
}

/// All sites by address, and the state of the line.
pub struct Net {
    ends: Mutex<BTreeMap<String, End>>,
    entropy: Arc<SimEntropy>,
    /// Bumped by each cut: connections of an older count are lost.
    cuts: watch::Sender<u64>,
    down: Mutex<bool>,
    /// By sender; open where none is named.
    ways: watch::Sender<BTreeMap<String, Way>>,
    delay_ms_max: AtomicU64,
    /// When each receiver was last given anything.
    given: Mutex<BTreeMap<String, Instant>>,
}

impl Net {
    pub fn new(seed: u64, delay_ms_max: u64) -> Arc<Self> {
        Arc::new(Self {
            ends: Mutex::default(),
            entropy: Arc::new(SimEntropy::new(carrick_sim::derive(seed, 77))),
            cuts: watch::channel(0).0,
            down: Mutex::new(false),
            ways: watch::channel(BTreeMap::new()).0,
            delay_ms_max: AtomicU64::new(delay_ms_max),
            given: Mutex::default(),
        })
    }

    pub fn plug(&self, address: &str, engine: &Arc<Engine>, disk: Arc<SimDisk>) {
        self.ends.lock().insert(address.into(), End { engine: Arc::downgrade(engine), disk });
    }

    pub fn unplug(&self, address: &str) {
        self.ends.lock().remove(address);
        self.cut();
    }

    /// Every connection is lost, and what was on it; new ones can be made.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Until it is up again no connection is made.
    pub fn set_down(&self, down: bool) {
        *self.down.lock() = down;
        if down {
            self.cut();
        }
    }

    /// What `from` sends from here on, and has on the line.
    pub fn set_way(&self, from: &str, way: Way) {
        self.ways.send_modify(|ways| {
            ways.insert(from.into(), way);
        });
    }

    pub fn delay_ms_max(&self) -> u64 {
        self.delay_ms_max.load(Ordering::Relaxed)
    }

    pub fn set_delay(&self, ms_max: u64) {
        self.delay_ms_max.store(ms_max, Ordering::Relaxed);
    }

    /// How long ago `to` was given anything.
    pub fn silence(&self, to: &str) -> Option<Duration> {
        self.given.lock().get(to).map(Instant::elapsed)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis((&*self.entropy as &dyn Entropy).u64() % (self.delay_ms_max() + 1))
    }

    /// Waits while what `from` sends is held.
    async fn way(&self, from: &str) -> Way {
        let of = |ways: &BTreeMap<String, Way>| ways.get(from).copied().unwrap_or_default();
        let mut ways = self.ways.subscribe();
        // The sender lives as long as this.
        ways.wait_for(|ways| of(ways) != Way::Held).await.map_or(Way::Open, |ways| of(&ways))
    }

    async fn open(&self, from: &str) {
        let mut ways = self.ways.subscribe();
        let _ = ways.wait_for(|ways| ways.get(from).copied().unwrap_or_default() == Way::Open).await;
    }
}

/// How one site dials.
pub struct SimDialer {
    pub from: &'static str,
    pub net: Arc<Net>,
    pub disk: Arc<SimDisk>,
}

impl Dialer for SimDialer {
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (net, own, peer) = (Arc::clone(&self.net), Arc::clone(&self.disk), peer.to_string());
        let from = self.from;
        Box::pin(async move {
            tokio::time::sleep(net.delay()).await;
            let refused = |message: &str| DialError { message: message.into() };
            let shaken = async {
                net.open(from).await;
                net.open(&peer).await;
            };
            tokio::time::timeout(DIAL_MAX, shaken).await.map_err(|_| refused("no answer"))?;
            let (engine, disk) = {
                let ends = net.ends.lock();
                let end = ends.get(&peer).ok_or_else(|| refused("nobody listens there"))?;
                (end.engine.upgrade().ok_or_else(|| refused("nobody listens there"))?, Arc::clone(&end.disk))
            };
            if *net.down.lock() || disk.crashed() || own.crashed() {
                return Err(refused("no route"));
            }
            let (here, there) = ((from.to_string(), own), (peer.clone(), disk));
            let broken = Arc::new(watch::channel(false).0);
            let (here_out, there_in) = direction(&net, &broken, [here.clone(), there.clone()]);
            let (there_out, here_in) = direction(&net, &broken, [there, here]);
            engine.accept(Connection { outgoing: there_out, incoming: there_in, peer: "simulated".into() });
            Ok(Connection { outgoing: here_out, incoming: here_in, peer })
        })
    }
}

/// One way: a message counts as a call of the sender, and is lost with either end.
fn direction(
    net: &Arc<Net>,
    broken: &Arc<watch::Sender<bool>>,
    [(sender_name, from), (receiver_name, to)]: [(String, Arc<SimDisk>); 2],
) -> (mpsc::Sender<Encoded>, mpsc::Receiver<Bytes>) {
    let (sender, mut taken) = mpsc::channel::<Encoded>(IN_FLIGHT);
    let (given, receiver) = mpsc::channel(IN_FLIGHT);
    let (net, broken) = (Arc::clone(net), Arc::clone(broken));
    let mut cuts = net.cuts.subscribe();
    let made_at = *cuts.borrow_and_update();
    // In flight: each with the moment at which it comes, not before those ahead of it.
    let (flying, mut landing) = mpsc::channel::<(Instant, Bytes)>(IN_FLIGHT);
    tokio::spawn(async move {
        let take = async {
            // Gone with the sender, so that what is in flight has an end.
            let flying = flying;
            let mut due = Instant::now();
            while let Some(message) = taken.recv().await {
                if from.count_call().is_err() {
                    return;
                }
                due = due.max(Instant::now() + net.delay());
                if flying.send((due, message.whole())).await.is_err() {
                    return;
                }
            }
        };
        let give = async {
            while let Some((due, message)) = landing.recv().await {
                tokio::time::sleep_until(due).await;
                if net.way(&sender_name).await == Way::Lost {
                    return give_up(&broken).await;
                }
                if to.crashed() || given.send(message).await.is_err() {
                    return;
                }
                net.given.lock().insert(receiver_name.clone(), Instant::now());
            }
            // The end of a connection comes the same way.
            if net.way(&sender_name).await == Way::Lost {
                give_up(&broken).await;
            }
        };
        // Either end ends it: the receiver's by not taking, the sender's by what is given last.
        let carry = async {
            futures::pin_mut!(take, give);
            match futures::future::select(take, give).await {
                futures::future::Either::Left(((), give)) => give.await,
                futures::future::Either::Right(_) => {}
            }
        };
        let mut given_up = broken.subscribe();
        let cut = cuts.wait_for(|count| *count != made_at);
        let given_up = given_up.wait_for(|it| *it);
        futures::pin_mut!(carry, cut, given_up);
        futures::future::select(carry, futures::future::select(cut, given_up)).await;
    });
    (sender, receiver)
}

async fn give_up(broken: &watch::Sender<bool>) {
    tokio::time::sleep(ANSWER_MAX).await;
    broken.send_replace(true);
}
