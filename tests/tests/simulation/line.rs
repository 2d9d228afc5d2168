//! The line between sites: ordered per connection, delayed by the seed, lost at a cut, nothing else promised.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use carrick_link::{Connection, DialError, Dialer, Engine};
use carrick_sim::{SimDisk, SimEntropy};
use carrick_sys::Entropy;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

/// Messages in one direction of a connection that the line holds.
const IN_FLIGHT: usize = 8;

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
    delay_ms_max: u64,
}

impl Net {
    pub fn new(seed: u64, delay_ms_max: u64) -> Arc<Self> {
        Arc::new(Self {
            ends: Mutex::default(),
            entropy: Arc::new(SimEntropy::new(carrick_sim::derive(seed, 77))),
            cuts: watch::channel(0).0,
            down: Mutex::new(false),
            delay_ms_max,
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

    fn draw(&self, below: u64) -> u64 {
        (&*self.entropy as &dyn Entropy).u64() % below.max(1)
    }
}

/// How one site dials.
pub struct SimDialer {
    pub net: Arc<Net>,
    pub disk: Arc<SimDisk>,
}

impl Dialer for SimDialer {
    fn dial(&self, peer: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (net, own, peer) = (Arc::clone(&self.net), Arc::clone(&self.disk), peer.to_string());
        Box::pin(async move {
            pause(net.draw(net.delay_ms_max + 1)).await;
            let refused = |message: &str| DialError { message: message.into() };
            let (engine, disk) = {
                let ends = net.ends.lock();
                let end = ends.get(&peer).ok_or_else(|| refused("nobody listens there"))?;
                (end.engine.upgrade().ok_or_else(|| refused("nobody listens there"))?, Arc::clone(&end.disk))
            };
            if *net.down.lock() || disk.crashed() || own.crashed() {
                return Err(refused("no route"));
            }
            let (here_out, there_in) = direction(&net, [own.clone(), disk.clone()]);
            let (there_out, here_in) = direction(&net, [disk, own]);
            engine.accept(Connection { outgoing: there_out, incoming: there_in, peer: "simulated".into() });
            Ok(Connection { outgoing: here_out, incoming: here_in, peer })
        })
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// One way: a message counts as a call of the sender, and is lost with either end.
fn direction(net: &Arc<Net>, [from, to]: [Arc<SimDisk>; 2]) -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let (sender, mut taken) = mpsc::channel::<Bytes>(IN_FLIGHT);
    let (given, receiver) = mpsc::channel(IN_FLIGHT);
    let net = Arc::clone(net);
    let mut cuts = net.cuts.subscribe();
    let made_at = *cuts.borrow_and_update();
    tokio::spawn(async move {
        let carry = async {
            while let Some(message) = taken.recv().await {
                if from.count_call().is_err() {
                    return;
                }
                pause(net.draw(net.delay_ms_max + 1)).await;
                if to.crashed() || given.send(message).await.is_err() {
                    return;
                }
            }
        };
        let cut = cuts.wait_for(|count| *count != made_at);
        futures::pin_mut!(carry, cut);
        futures::future::select(carry, cut).await;
    });
    (sender, receiver)
}
