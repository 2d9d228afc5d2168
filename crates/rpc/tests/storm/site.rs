//! The site that is attacked: a port with an engine behind it, and a good link that must not notice.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use carrick_rpc::tls::Tls;
use carrick_rpc::{Connection, Endpoint, LinkServer, Refusals, dial};
use carrick_sys::{RealClock, RealEntropy, RealSpawn, Sys};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use crate::engine::{Cluster, Nowhere, converted, engine};
use crate::pki::{NODE, Pki, Wish};

const THREADS: &str = "site";
/// Between two words of the good link.
const PACE: Duration = Duration::from_millis(2);
/// For a word of the good link, there and back, on a machine that does other things too.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// After an attack, until nothing is left of it.
const QUIET_MAX: Duration = Duration::from_secs(20);

pub struct Site {
    pub pki: Pki,
    pub endpoint: Endpoint,
    pub refusals: Refusals,
    site: Runtime,
    stop: watch::Sender<bool>,
    good: Option<Good>,
    before: Before,
    _alone: MutexGuard<'static, ()>,
}

/// What is to be as it was.
#[derive(Clone, Copy, Debug)]
struct Before {
    handles: usize,
    tasks: usize,
    memory_mib: u64,
}

struct Good {
    runtime: Runtime,
    done: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Duration>,
}

impl Site {
    pub fn open() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let pki = Pki::new();
        let site = Builder::new_multi_thread().worker_threads(2).thread_name(THREADS).enable_all().build();
        let site = site.unwrap();
        let tls = pki.node();
        let (server, engine) = site.block_on(async {
            let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), tls.clone()).await.unwrap();
            let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current()));
            let sys = Sys {
                clock: Arc::new(RealClock::new()),
                disk: carrick_sim::SimSite::new(1).sys().disk,
                entropy: Arc::new(RealEntropy),
                spawn: Arc::clone(&spawn) as _,
                prompt: spawn,
            };
            let engine = engine(&Arc::new(Cluster::default()), Arc::new(Nowhere), sys).await;
            (server, engine)
        });
        let port = server.address().unwrap().port();
        let endpoint = Endpoint { host: "127.0.0.1".into(), port, server_name: None };
        let refusals = server.refusals();
        let (sender, mut connections) = mpsc::channel::<Connection>(16);
        let (stop, stopped) = watch::channel(false);
        site.spawn(server.serve(sender, stopped));
        site.spawn(async move {
            while let Some(connection) = connections.recv().await {
                if connection.peer.names[0] == "good" {
                    tokio::spawn(echo(connection));
                } else {
                    engine.accept(converted(connection));
                }
            }
        });
        let good = Good::begin(&endpoint, pki.tls(&Wish { name: "good", ..NODE }));
        let before = Before { handles: 0, tasks: 0, memory_mib: 0 };
        let mut site = Self { pki, endpoint, refusals, site, stop, good: Some(good), before, _alone: alone };
        site.note();
        site
    }

    /// What stands now is what is to be left afterwards.
    pub fn note(&mut self) {
        self.before = Before { handles: handles(), tasks: self.tasks(), memory_mib: memory_mib("VmRSS") };
    }

    fn tasks(&self) -> usize {
        self.site.metrics().num_alive_tasks()
    }

    /// Seconds of a processor that the site has used.
    pub fn used(&self) -> f64 {
        let mut nanos = 0;
        for thread in fs::read_dir("/proc/self/task").unwrap() {
            let thread = thread.unwrap().path();
            if fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == THREADS) {
                let stat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
                nanos += stat.split(' ').next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        nanos as f64 / 1e9
    }

    /// After an attack: the good link lived on, a new one is taken, and memory, handles and tasks are back.
    pub fn survived(&mut self, memory_mib_max: u64) {
        let rounds = self.good.as_ref().unwrap().rounds.load(Ordering::Relaxed);
        assert!(rounds > 0, "the good link never spoke");
        let (handles_now, tasks_now) = (handles, || self.tasks());
        let begun = Instant::now();
        let before = self.before;
        while handles_now() > before.handles || tasks_now() > before.tasks {
            let left = (handles_now(), tasks_now());
            assert!(begun.elapsed() < QUIET_MAX, "handles and tasks: {left:?}, and before {before:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let good = self.good.take().unwrap();
        let slowest = good.end();
        // Nothing goes on by itself.
        let used = self.used();
        std::thread::sleep(Duration::from_millis(400));
        let idle = self.used() - used;
        assert!(idle < 0.2, "an idle site used {idle:.2} s of a processor within 0.4 s");
        let (now, peak) = (memory_mib("VmRSS"), memory_mib("VmHWM"));
        println!("{rounds} rounds of the good link, {slowest:?} the slowest; {now} MiB, {peak} MiB at most");
        assert!(now < before.memory_mib + memory_mib_max, "{now} MiB, and {} before", before.memory_mib);
        assert!(
            peak < before.memory_mib + 2 * memory_mib_max,
            "{peak} MiB at most, {} before",
            before.memory_mib
        );
        Good::begin(&self.endpoint, self.pki.tls(&Wish { name: "good", ..NODE })).end();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Good {
    fn begin(endpoint: &Endpoint, tls: Tls) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("good").enable_all().build();
        let runtime = runtime.unwrap();
        let mut connection = runtime.block_on(dial(endpoint, &tls)).unwrap();
        let (done, rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, counted) = (Arc::clone(&done), Arc::clone(&rounds));
        let task = runtime.spawn(async move {
            let mut slowest = Duration::ZERO;
            while !told.load(Ordering::Relaxed) {
                let round = counted.load(Ordering::Relaxed);
                let begun = Instant::now();
                connection
                    .outgoing
                    .send(round.to_be_bytes().to_vec().into())
                    .await
                    .expect("the good link ended");
                let back = tokio::time::timeout(ROUND_MAX, connection.incoming.recv()).await;
                let back = back.expect("the good link hangs").expect("the good link ended");
                assert_eq!(back[..], round.to_be_bytes(), "the good link is out of order");
                slowest = slowest.max(begun.elapsed());
                counted.store(round + 1, Ordering::Relaxed);
                tokio::time::sleep(PACE).await;
            }
            slowest
        });
        while rounds.load(Ordering::Relaxed) == 0 && !task.is_finished() {
            std::thread::sleep(PACE);
        }
        Self { runtime, done, rounds, task }
    }

    fn end(self) -> Duration {
        self.done.store(true, Ordering::Relaxed);
        self.runtime.block_on(self.task).expect("the good link was harmed")
    }
}

async fn echo(mut connection: Connection) {
    while let Some(message) = connection.incoming.recv().await {
        if connection.outgoing.send(message.into()).await.is_err() {
            return;
        }
    }
}

fn handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn memory_mib(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap() >> 10
}
