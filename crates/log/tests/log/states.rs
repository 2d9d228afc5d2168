//! The power goes at each call of a workload, and leaves each state that it may: [`carrick_sim::Moment::states`]. A case is one of
//! them. What was told to be durable stands with its bytes, and what stands is what was appended, without a hole.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use carrick_log::{Bound, Change, Checkpoints, MemoryCheckpoints, Pieces};
use carrick_sim::{Cut, DATA, Moment, SimDisk, SimSite, Survivors, WALL_START, derive, run};
use carrick_types::{Partition, TopicId};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::cases::{cases, hold};
use crate::doings::{Doings, PARTITIONS, Told};
use crate::life::{Files, Life, Look as _};

/// Changes of the disk that a workload makes, about.
const CHANGES: u64 = 300;

/// A home of checkpoints that keeps what was saved, and when by its disk's changes.
struct Recorder {
    disk: Arc<SimDisk>,
    kept: Arc<MemoryCheckpoints>,
    /// None: all before was made durable.
    saves: Mutex<Vec<(u64, Option<Vec<Change>>)>>,
}

impl Checkpoints for Recorder {
    fn load(&self, topic: TopicId, partition: Partition) -> io::Result<Pieces> {
        self.kept.load(topic, partition)
    }

    fn save(&self, changes: Vec<Change>) -> io::Result<()> {
        self.saves.lock().push((self.disk.changes(), Some(changes.clone())));
        self.kept.save(changes)
    }

    fn durable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            self.kept.durable().await?;
            self.saves.lock().push((self.disk.changes(), None));
            Ok(())
        })
    }
}

/// One workload, as its disk, its home and its clients saw it.
struct Recording {
    doings: Doings,
    moments: Vec<Arc<Moment>>,
    saves: Vec<(u64, Option<Vec<Change>>)>,
    told: Vec<(u64, Told)>,
    states: Vec<State>,
}

/// A moment, what survived of the disk's changes, and how many of the saves that were not durable.
struct State {
    moment: usize,
    survivors: Survivors,
    saves: usize,
}

impl Recording {
    fn of(seed: u64) -> Self {
        run(seed, async {
            let mut doings = Doings::draw(seed);
            let site = SimSite::new(seed);
            let kept: Arc<MemoryCheckpoints> = Arc::default();
            let recorder = Arc::new(Recorder {
                disk: Arc::clone(&site.disk),
                kept: Arc::clone(&kept),
                saves: Mutex::default(),
            });
            let (disk, sys, home) =
                (Arc::clone(&site.disk), site.sys(), Arc::clone(&recorder) as Arc<dyn Checkpoints>);
            doings.home = Some(Arc::clone(&home));
            disk.record();
            let life =
                Life::given(site, sys, doings.settings, home, kept).unwrap_or_else(|(_, e)| panic!("{e}"));
            doings.open(&life, true);
            let mut told = vec![(0, Told::default())];
            while disk.changes() < CHANGES {
                doings.step(&life).await.unwrap();
                doings.look_at_starts(&life);
                if told.last().is_none_or(|(_, last)| *last != doings.told) {
                    told.push((disk.changes(), doings.told.clone()));
                }
            }
            let saves = recorder.saves.lock().clone();
            let mut recording = Self { moments: disk.recorded(), doings, saves, told, states: Vec::new() };
            recording.states = recording.all_states();
            recording
        })
    }

    /// Each state once for each thing that was told.
    fn all_states(&self) -> Vec<State> {
        let mut seen = BTreeSet::new();
        let mut states = Vec::new();
        for (moment, it) in self.moments.iter().enumerate() {
            let (told, saved) = (self.told_until(it.at()), self.saves_until(it.at()));
            for (n, survivors) in it.states().into_iter().enumerate() {
                // All of them where it is cheap: the store of checkpoints loses from its end.
                let volatile = saved.end - saved.start;
                let some = if n < 3 { 0..volatile + 1 } else { n % (volatile + 1)..n % (volatile + 1) + 1 };
                for saves in some {
                    if seen.insert((survivors.clone(), told, saved.start, saves)) {
                        states.push(State { moment, survivors: survivors.clone(), saves });
                    }
                }
            }
        }
        states
    }

    /// The newest of what was told by then.
    fn told_until(&self, at: u64) -> usize {
        self.told.partition_point(|(when, _)| *when <= at) - 1
    }

    /// The saves by then that a power cut may take.
    fn saves_until(&self, at: u64) -> Range<usize> {
        let until = &self.saves[..self.saves.partition_point(|(when, _)| *when <= at)];
        let durable = until.iter().rposition(|(_, save)| save.is_none());
        durable.map_or(0, |it| it + 1)..until.len()
    }

    fn home(&self, durable: usize, volatile: usize) -> MemoryCheckpoints {
        let home = MemoryCheckpoints::default();
        let saves = self.saves[..durable + volatile].iter().filter_map(|(_, save)| save.clone());
        saves.for_each(|changes| home.save(changes).unwrap());
        home.durable().now_or_never().unwrap().unwrap();
        home
    }

    /// A start on what is left, and for some of them another on what that one left.
    fn recovers(&self, state: &State) {
        let moment = &self.moments[state.moment];
        let mut told = self.told[self.told_until(moment.at())].1.clone();
        // What retention has taken is known at the end alone.
        told.allow(&self.doings.told);
        let saved = self.home(self.saves_until(moment.at()).start, state.saves);
        let disk = moment.disk(&state.survivors, moment.at());
        run(moment.at(), async {
            let site = SimSite::on(derive(moment.at(), 7), disk, WALL_START);
            let life = Life::knowing(site, self.doings.settings, Arc::new(saved));
            let life = life.unwrap_or_else(|(_, e)| panic!("{e}"));
            self.doings.open(&life, false);
            self.doings.check(&life, &told).await;
            if moment.at().is_multiple_of(4) {
                let mut found = Vec::new();
                for at in 0..PARTITIONS {
                    found.push(life.partition(at).all(Bound::LogEnd).await);
                }
                life.store.flush().await.unwrap();
                let life = life.reboot(Cut::Power).await;
                self.doings.open(&life, false);
                for (at, found) in found.iter().enumerate() {
                    let log = life.partition(at as u32);
                    assert_eq!(
                        (log.damage(), &log.all(Bound::LogEnd).await),
                        (None, found),
                        "partition {at} again"
                    );
                }
            }
        });
    }

    fn words(&self, state: &State) -> String {
        let moment = &self.moments[state.moment];
        let files = Files::of(&moment.disk(&state.survivors, 1));
        let sizes = files
            .0
            .iter()
            .map(|(path, bytes)| format!("{} {}", path.strip_prefix(DATA).unwrap().display(), bytes.len()));
        let sizes: Vec<_> = sizes.collect();
        format!("{:?}, {} saves, files {}", state.survivors, state.saves, sizes.join(", "))
    }
}

/// Workloads one after the other, as long as cases reach.
struct Recordings {
    seed: u64,
    first: u64,
    now: Recording,
}

impl Recordings {
    fn begin() -> Self {
        Self { seed: 0, first: 0, now: Recording::of(0) }
    }

    fn find(&mut self, case: u64) -> usize {
        while case - self.first >= self.now.states.len() as u64 {
            (self.seed, self.first) = (self.seed + 1, self.first + self.now.states.len() as u64);
            self.now = Recording::of(self.seed);
        }
        // From all over the workload, whatever range is asked for.
        let count = self.now.states.len() as u64;
        let step = [7_919, 6_007].into_iter().find(|step| !count.is_multiple_of(*step)).unwrap();
        ((case - self.first) * step % count) as usize
    }
}

/// Says what a state is on whose account a test ends.
struct Tell<'a>(&'a Recording, &'a State);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.words(self.1));
        }
    }
}

#[test]
fn whatever_a_power_cut_leaves_what_was_told_stands() {
    let mut recordings = Recordings::begin();
    hold(cases(2_000, 20_000), |case| {
        let at = recordings.find(case);
        let state = &recordings.now.states[at];
        let _told = Tell(&recordings.now, state);
        recordings.now.recovers(state);
    });
}
