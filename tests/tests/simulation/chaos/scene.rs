//! The stage: two sites, the line, the clock, and what is due to happen.

use std::sync::Arc;
use std::time::Duration;

use carrick_sim::{Cut, History, WALL_START, derive};
use tokio::time::{Instant, sleep, timeout};

use super::book::Book;
use super::plan::{ADDRESSES, Draw, EAST, Plan, WEST};
use super::promises::{Promises, View};
use super::takeover::Operator;
use crate::line::{Net, Way};
use crate::world::Site;

/// Between two looks at the promises.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const START_MAX: Duration = Duration::from_secs(60);
/// Put by for a failover.
pub const RESERVE_BYTES: u64 = 192 << 10;

/// What ends a fault, at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Up,
    Open(usize),
    Near,
    Resume(usize),
    Room(usize),
    Steady(usize),
    Crash(usize),
    Start(usize),
}

pub struct Scene {
    pub plan: Plan,
    pub net: Arc<Net>,
    pub sites: [Site; 2],
    pub book: Arc<Book>,
    pub promises: Promises,
    pub history: History,
    pub draw: Draw,
    /// Since the failover was asked for.
    pub operator: Option<Arc<Operator>>,
    due: Vec<(Instant, Due)>,
    /// Nothing new goes wrong.
    healed: bool,
    /// The last moment at which something was wrong.
    disturbed: Instant,
    woken: Instant,
    began: Instant,
}

impl Scene {
    pub fn new(plan: Plan, history: &History) -> Self {
        let net = Net::new(plan.seed, plan.delay_ms_max);
        let site = |at: usize| {
            let mut site = Site::new(ADDRESSES[at], derive(plan.seed, 1 + at as u64), &net, plan.log());
            site.settings.reserve_bytes = RESERVE_BYTES;
            site
        };
        let sites = [site(EAST), site(WEST)];
        let book = Arc::new(Book::default());
        Self {
            promises: Promises::new(&book),
            draw: Draw::new(plan.seed, 201),
            history: history.clone(),
            operator: None,
            due: Vec::new(),
            healed: false,
            disturbed: Instant::now(),
            woken: Instant::now(),
            began: Instant::now(),
            plan,
            net,
            sites,
            book,
        }
    }

    /// All is to be looked at again.
    pub fn forget_read(&mut self) {
        self.promises.forget_read();
    }

    /// A wall clock that nobody has moved.
    pub fn right_ms(&self) -> i64 {
        WALL_START.0 + self.began.elapsed().as_millis() as i64
    }

    pub fn note(&self, what: impl std::fmt::Display) {
        let calls = [EAST, WEST].map(|at| self.sites[at].sim.disk.calls());
        let line = format!("{:?} {calls:?} {} {what}", self.began.elapsed(), self.book.acks());
        // Beside the nodes' own words, if they are asked for.
        if std::env::var_os("CARRICK_LOG").is_some() {
            println!("      {line}");
        }
        self.history.note(line);
    }

    /// What ends a fault that begins now.
    pub fn until(&mut self, wait: Duration, due: Due) {
        self.disturbed = Instant::now();
        let wait = if self.healed { Duration::ZERO } else { wait };
        self.due.push((Instant::now() + wait, due));
    }

    pub fn is_due(&self, due: Due) -> bool {
        self.due.iter().any(|(_, it)| *it == due)
    }

    pub fn disturb(&mut self) {
        self.disturbed = Instant::now();
    }

    /// Ends every fault at its time or now, whichever comes first.
    pub fn heal(&mut self) {
        self.healed = true;
        let now = Instant::now();
        self.due.iter_mut().for_each(|(at, _)| *at = now);
        for site in &self.sites {
            site.sim.disk.crash_at(u64::MAX);
            site.sim.disk.fail_sync_after(u64::MAX);
        }
    }

    pub fn calm(&self) -> Duration {
        if self.due.is_empty() { self.disturbed.elapsed() } else { Duration::ZERO }
    }

    pub fn paused(&self, at: usize) -> bool {
        self.sites[at].sim.spawn.paused()
    }

    /// Lets time go by, and holds the world against its promises meanwhile.
    pub async fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.attend().await;
            while let Some(due) = self.next_due() {
                self.end_fault(due).await;
            }
            self.mind_operator();
            let view = self.view();
            // The look changes nothing but what it remembers.
            let mut promises = std::mem::replace(&mut self.promises, Promises::new(&self.book));
            promises.look(&view.of(&self.plan, &self.net)).await;
            self.promises = promises;
            let now = Instant::now();
            if now >= end {
                return;
            }
            sleep(LOOK_EVERY.min(end - now)).await;
        }
    }

    fn view(&self) -> Seen {
        Seen {
            lives: [EAST, WEST].map(|at| self.sites[at].door.life()),
            unsynced: [EAST, WEST].map(|at| self.sites[at].store.unsynced()),
            calm: self.calm(),
            awake: if self.paused(WEST) { Duration::ZERO } else { self.woken.elapsed() },
        }
    }

    fn next_due(&mut self) -> Option<Due> {
        let now = Instant::now();
        let at = self.due.iter().position(|(at, _)| *at <= now)?;
        self.disturbed = now;
        Some(self.due.remove(at).1)
    }

    async fn end_fault(&mut self, due: Due) {
        self.note(format_args!("{due:?}"));
        match due {
            Due::Up => self.net.set_down(false),
            Due::Open(at) => self.net.set_way(ADDRESSES[at], Way::Open),
            Due::Near => self.net.set_delay(self.plan.delay_ms_max),
            Due::Resume(at) => self.resume(at),
            Due::Room(at) => self.sites[at].sim.disk.full_at(u64::MAX),
            Due::Steady(at) => self.sites[at].sim.disk.stall_sync(Duration::ZERO),
            Due::Crash(at) => {
                let cut = self.plan.cut(&self.draw);
                self.crash(at, cut).await;
            }
            Due::Start(at) => self.start(at).await,
        }
    }

    fn resume(&mut self, at: usize) {
        self.sites[at].sim.spawn.resume();
        self.woken = Instant::now();
    }

    /// Ends a site; it starts again a little later.
    pub async fn crash(&mut self, at: usize, cut: Cut) {
        self.due.retain(
            |(_, due)| !matches!(due, Due::Crash(it) | Due::Start(it) | Due::Resume(it) if *it == at),
        );
        self.sites[at].crash(cut).await;
        let wait = if self.draw.one_in(4) { self.draw.ms(0, 15_000) } else { self.draw.ms(0, 1_500) };
        self.until(wait, Due::Start(at));
        self.note(format_args!("{} ended by {cut:?}", ADDRESSES[at]));
    }

    pub async fn start(&mut self, at: usize) {
        // Now and then it crashes again while it starts.
        if self.draw.one_in(8) && !self.healed {
            let calls = self.sites[at].sim.disk.calls() + self.draw.below(60);
            self.sites[at].sim.disk.crash_at(calls);
        }
        let started = timeout(START_MAX, self.sites[at].try_start()).await;
        self.sites[at].sim.disk.crash_at(u64::MAX);
        self.woken = Instant::now();
        match started {
            Ok(Ok(())) => {
                let view = self.view();
                self.promises.started(&view.of(&self.plan, &self.net), at);
            }
            _ if self.sites[at].sim.disk.crashed() => {
                let cut = self.plan.cut(&self.draw);
                Box::pin(self.crash(at, cut)).await;
            }
            // What a start has to write needs room.
            Ok(Err(_)) if self.is_due(Due::Room(at)) => {
                self.sites[at].sim.disk.full_at(u64::MAX);
                self.due.retain(|(_, due)| *due != Due::Room(at));
                self.until(Duration::ZERO, Due::Start(at));
            }
            Ok(Err(why)) => self.book.broken("P2", format!("{} does not start: {why}", ADDRESSES[at])),
            Err(_) => self.book.broken("O5", format!("{} starts for ever", ADDRESSES[at])),
        }
    }

    /// Sees to sites that crashed at a call, or whose disk failed.
    async fn attend(&mut self) {
        for at in [EAST, WEST] {
            if self.sites[at].node.is_none() {
                continue;
            }
            if self.sites[at].sim.disk.crashed() {
                let cut = self.plan.cut(&self.draw);
                self.crash(at, cut).await;
            } else if self.sites[at].sim.disk.failed_syncs() > 0 && !self.is_due(Due::Crash(at)) {
                // It says so at once, and is restarted by its operator some time.
                self.check_halted(at).await;
                let wait = self.draw.ms(0, 6_000);
                self.until(wait, Due::Crash(at));
            }
        }
    }

    /// P2: a node whose sync failed acknowledges nothing more, and says so.
    async fn check_halted(&self, at: usize) {
        let Some(life) = self.sites[at].door.life().filter(|_| !self.paused(at)) else { return };
        for _ in 0..20 {
            let refuses = timeout(Duration::from_secs(1), life.catalog.durable(&*life.sim.disk)).await;
            if life.logs.halted().is_some() || matches!(refuses, Ok(Err(_))) || life.sim.disk.crashed() {
                return;
            }
            // The failure itself may be slow.
            sleep(Duration::from_secs(1)).await;
        }
        self.book.broken("P2", format!("a sync of {} failed, and it goes on", ADDRESSES[at]));
    }
}

/// A view's own parts.
struct Seen {
    lives: [Option<crate::door::Life>; 2],
    unsynced: [usize; 2],
    calm: Duration,
    awake: Duration,
}

impl Seen {
    fn of<'a>(self, plan: &'a Plan, net: &'a Net) -> View<'a> {
        let Self { lives, unsynced, calm, awake } = self;
        View { plan, lives, unsynced, net, calm, awake }
    }
}
