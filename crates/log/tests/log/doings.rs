//! A drawn workload over three partitions: appends, waits, rolls, deletions, checkpoints, clean marks; and a book of what it
//! was told, against which any later life is held.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{
    AppendError, Bound, Checkpoints, Durability, LogSettings, MirrorError, Role, StartError, TopicLog,
    WaitError,
};
use carrick_record::Batch;
use carrick_sys::Clock as _;

use crate::batches::{batch, standing};
use crate::chance::Chance;
use crate::home::pieces;
use crate::life::{Life, Look as _, OS, TOPIC, mirror, offset, small, writable};

pub const PARTITIONS: u32 = 3;

pub struct Doings {
    pub chance: Chance,
    pub settings: LogSettings,
    pub role: Role,
    keeps: TopicLog,
    /// All that was appended, in order.
    pub appended: Vec<Vec<Batch>>,
    pub told: Told,
    /// Below it, what a partition was told to delete is gone, if only a kill follows.
    deleted: [i64; PARTITIONS as usize],
    sent: u64,
    /// Of a mirror: what its source has next, and has for ever, whether it is taken or not.
    next: Vec<Option<Batch>>,
    /// Where checkpoints go, if not straight to the life's.
    pub home: Option<Arc<dyn Checkpoints>>,
}

/// What has to stand of each partition, whatever happens, and how much of its beginning may be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub ends: [i64; PARTITIONS as usize],
    /// A deletion whose home is durable.
    starts: [i64; PARTITIONS as usize],
    asked: [i64; PARTITIONS as usize],
}

impl Told {
    /// More may be gone: as much as was asked for by `later`.
    pub fn allow(&mut self, later: &Self) {
        self.asked = later.asked;
    }
}

/// Why a step was not done.
#[derive(Debug)]
pub enum Refused {
    Disk(std::io::Error),
    Halted,
}

impl Refused {
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Disk(e) if e.kind() == std::io::ErrorKind::StorageFull)
    }
}

impl From<AppendError> for Refused {
    fn from(refused: AppendError) -> Self {
        match refused {
            AppendError::Disk(e) => Self::Disk(e),
            AppendError::Halted { .. } => Self::Halted,
            other => panic!("{other}"),
        }
    }
}

impl From<WaitError> for Refused {
    fn from(refused: WaitError) -> Self {
        match refused {
            WaitError::Halted { .. } => Self::Halted,
            WaitError::Gone => panic!("{refused}"),
        }
    }
}

impl Doings {
    pub fn draw(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let role = if chance.one_in(2) { writable(0) } else { mirror() };
        let durability = if chance.one_in(4) { OS.durability } else { Durability::Fsync };
        let open_files_max = [1, 2, 50][chance.below(3) as usize];
        let settings = LogSettings {
            durability,
            open_files_max,
            ..small([1, 700, 2_500, 9_000][chance.below(4) as usize])
        };
        let keeps = TopicLog {
            retention_bytes: [None, Some(1), Some(4_000)][chance.below(3) as usize],
            ..TopicLog::FOR_EVER
        };
        let appended = vec![Vec::new(); PARTITIONS as usize];
        Self {
            chance,
            settings,
            role,
            keeps,
            appended,
            told: Told::default(),
            deleted: Default::default(),
            sent: 0,
            next: vec![None; PARTITIONS as usize],
            home: None,
        }
    }

    pub fn open(&self, life: &Life, clean: bool) {
        life.store.open_topic(TOPIC, PARTITIONS, self.role, clean, self.keeps).unwrap();
    }

    pub async fn step(&mut self, life: &Life) -> Result<(), Refused> {
        let at = self.chance.below(u64::from(PARTITIONS)) as usize;
        let log = life.partition(at as u32);
        match self.chance.below(24) {
            0 => life.site.clock.sleep(Duration::from_millis(self.chance.below(7_000))).await,
            1 => life.site.clock.sleep(Duration::from_secs(301)).await,
            2..6 => self.wait(life, at).await?,
            6 => {
                life.store.flush().await?;
                self.all_told(life);
            }
            7 => self.delete(life, at).await?,
            8 => {
                // A mirror begins where its first batch is, before anything is saved of it.
                self.home(life).durable().await.unwrap();
                for at in 0..PARTITIONS as usize {
                    let saved = !pieces(&life.checkpoints, at as u32).is_empty();
                    self.told.starts[at] = if saved { self.deleted[at] } else { 0 };
                }
            }
            9 if self.chance.one_in(3) => {
                life.store.close().await?;
                self.all_told(life);
            }
            _ => drop(self.append(life, at)?),
        }
        let (os, offsets) = (self.settings.durability == Durability::Os, log.offsets());
        assert!(offsets.ordered(!os), "{offsets:?}");
        Ok(())
    }

    pub fn append(&mut self, life: &Life, at: usize) -> Result<i64, Refused> {
        let log = life.partition(at as u32);
        self.sent += 1;
        let time = 1_000 + (self.sent as i64 * 7_919) % 1_000;
        let len = if self.chance.one_in(12) { 5_000 } else { self.chance.below(500) as usize };
        let build = batch(2).tag(self.sent).times([time, time + 3]).values(len);
        let (stands, end) = match self.role {
            Role::Mirror { .. } => {
                let hole = if self.chance.one_in(4) { self.chance.below(30) as i64 } else { 0 };
                let sent = build.at(log.end() + hole).epoch((self.sent / 40) as i32).build();
                let sent = self.next[at].get_or_insert(sent).clone();
                let end = log.append_mirrored(&sent, None, life.now()).map_err(|refused| match refused {
                    MirrorError::Append(refused) => Refused::from(refused),
                    other => panic!("{other}"),
                })?;
                log.set_source_high(end);
                self.next[at] = None;
                (sent, end)
            }
            _ => {
                let sent = build.build();
                let appended = log.append(&sent, None, life.now())?;
                (Batch::split_from(&mut standing(&sent, appended.base.get(), 0)).unwrap(), appended.end)
            }
        };
        self.appended[at].push(stands);
        Ok(end.get())
    }

    /// Until all of a partition is durable; at `os` an acknowledgement says less.
    async fn wait(&mut self, life: &Life, at: usize) -> Result<(), Refused> {
        let log = life.partition(at as u32);
        let end = log.end();
        if self.settings.durability == Durability::Fsync {
            log.acknowledged(offset(end)).await?;
        } else {
            log.durable(offset(end)).await?;
        }
        self.told.ends[at] = self.told.ends[at].max(end);
        Ok(())
    }

    async fn delete(&mut self, life: &Life, at: usize) -> Result<(), Refused> {
        let log = life.partition(at as u32);
        let [start, _, high, ..] = log.five();
        let to = start + self.chance.below((high - start) as u64 / 2 + 2) as i64;
        self.told.asked[at] = self.told.asked[at].max(to);
        if matches!(self.role, Role::Mirror { .. }) {
            log.follow_start(offset(to));
            return Ok(());
        }
        match log.delete_records(Some(offset(to))).await {
            Ok(start) => {
                self.deleted[at] = self.deleted[at].max(start.get());
                Ok(())
            }
            Err(StartError::OutOfRange { .. }) => Ok(()),
            Err(StartError::NotSaved) => Err(Refused::Disk(std::io::ErrorKind::StorageFull.into())),
            Err(StartError::Wait(refused)) => Err(refused.into()),
            Err(other) => panic!("{other}"),
        }
    }

    fn home(&self, life: &Life) -> Arc<dyn Checkpoints> {
        self.home.clone().unwrap_or_else(|| Arc::clone(&life.checkpoints) as _)
    }

    fn all_told(&mut self, life: &Life) {
        for at in 0..PARTITIONS as usize {
            self.told.ends[at] = self.told.ends[at].max(life.partition(at as u32).five()[4]);
        }
    }

    /// Retention asks as well.
    pub fn look_at_starts(&mut self, life: &Life) {
        for (at, start) in self.starts(life).into_iter().enumerate() {
            self.told.asked[at] = self.told.asked[at].max(start);
        }
    }

    fn starts(&self, life: &Life) -> [i64; PARTITIONS as usize] {
        std::array::from_fn(|at| life.partition(at as u32).five()[0])
    }

    /// Holds what a life found against what was done: all that was told is there, nothing that was not done is, nothing is
    /// missing in between.
    pub async fn check(&self, life: &Life, told: &Told) {
        for (at, appended) in self.appended.iter().enumerate() {
            let log = life.partition(at as u32);
            assert_eq!((log.damage(), log.wounds()), (None, vec![]), "partition {at}");
            let [start, _, _, end, _] = log.five();
            assert!(end >= told.ends[at], "partition {at} ends at {end}, {} was told", told.ends[at]);
            // A mirror's first batch may stand anywhere.
            let first =
                appended.first().or(self.next[at].as_ref()).map_or(0, |it| it.header.base_offset.get());
            let last = if self.keeps.retention_bytes.is_some() { end } else { told.asked[at].max(first) };
            let starts = told.starts[at]..=last;
            assert!(starts.contains(&start), "partition {at} starts at {start}, not in {starts:?}");
            let found = log.all(Bound::LogEnd).await;
            let should = appended.iter().filter(|it| it.header.last_offset() >= offset(start));
            let same =
                should.clone().zip(&found).take_while(|(should, found)| should.bytes == found.bytes).count();
            assert_eq!(same, found.len(), "partition {at}: batch {same} is none that was appended");
            let missing = should.clone().nth(found.len()).map(|it| it.header.base_offset.get());
            assert!(
                missing.is_none_or(|it| it >= end),
                "partition {at} ends at {end} and has nothing at {missing:?}"
            );
        }
    }

    /// Takes what a life found for what was done, and its log goes on.
    pub fn settle(&mut self, life: &Life) {
        for (at, appended) in self.appended.iter_mut().enumerate() {
            let end = life.partition(at as u32).end();
            let lost = appended.iter().position(|it| it.header.next_offset().get() > end);
            // What the source has, it has: what was lost comes again, as it was.
            if let Some(lost) = lost {
                self.next[at] = Some(appended[lost].clone());
                appended.truncate(lost);
            }
        }
        self.look_at_starts(life);
    }

    /// Each partition takes a batch, and says that it is durable.
    pub async fn goes_on(&mut self, life: &Life) {
        for at in 0..PARTITIONS as usize {
            let end = self.append(life, at).unwrap_or_else(|e| panic!("partition {at} takes nothing: {e:?}"));
            life.partition(at as u32).durable(offset(end)).await.unwrap();
            self.told.ends[at] = end;
        }
        self.look_at_starts(life);
    }
}
