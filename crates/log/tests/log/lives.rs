//! Logs that lose their beginning, over many lives: appends, deletions, looks at what has to go, ends, kills and power cuts
//! anywhere, few open files. What each life finds is held against all that was ever appended.

use std::sync::Arc;
use std::time::Duration;

use carrick_log::{Bound, LogSettings, MemoryCheckpoints, Partition, ReadError, Role, StartError, TopicLog};
use carrick_record::Batch;
use carrick_sim::{Cut, SimSite, run};
use carrick_sys::Clock as _;
use carrick_types::Timestamp;

use crate::batches::batch;
use crate::cases::{cases, hold};
use crate::chance::Chance;
use crate::home::pieces;
use crate::life::{Life, Look as _, OS, TOPIC, mirror, offset, small, writable};

struct World {
    chance: Chance,
    settings: LogSettings,
    role: Role,
    keeps: TopicLog,
    /// What stood at the end of each life, and what was appended since.
    stands: Vec<Batch>,
    /// A log start that outlives a kill, and one that outlives a power cut.
    told: i64,
    durable_start: i64,
    /// The highest that was asked for.
    asked: i64,
    durable_end: i64,
    sent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let role = if chance.one_in(2) { writable(0) } else { mirror() };
        let durability = if chance.one_in(4) { OS.durability } else { carrick_log::Durability::Fsync };
        let segment_bytes = [1, 500, 3_000, 150_000][chance.below(4) as usize];
        let open_files_max = [1, 2, 50][chance.below(3) as usize];
        let settings = LogSettings { durability, open_files_max, ..small(segment_bytes) };
        let keeps = TopicLog {
            retention_bytes: [None, Some(1), Some(4_000)][chance.below(3) as usize],
            ..TopicLog::FOR_EVER
        };
        Self {
            chance,
            settings,
            role,
            keeps,
            stands: Vec::new(),
            told: 0,
            durable_start: 0,
            asked: 0,
            durable_end: 0,
            sent: 0,
        }
    }

    /// The next batch: all are of one size, so that another life's stand where these did.
    fn append(&mut self, log: &Partition, now: Timestamp) -> bool {
        self.sent += 1;
        let time = 1_000 + (self.sent as i64 * 7_919) % 1_000;
        let build = batch(2)
            .tag(self.sent)
            .times([time, time + 3])
            .values(if self.settings.segment_bytes > 100_000 { 9_000 } else { 90 });
        let built = match self.role {
            Role::Mirror { .. } => {
                let hole = if self.chance.one_in(4) { self.chance.below(30) as i64 } else { 0 };
                let sent = build.at(log.end() + hole).epoch((self.sent / 40) as i32).build();
                log.append_mirrored(&sent, None, now)
                    .map(|end| {
                        log.set_source_high(end);
                        sent
                    })
                    .ok()
            }
            _ => {
                let sent = build.build();
                log.append(&sent, None, now).ok().map(|it| {
                    let mut bytes = crate::batches::standing(&sent, it.base.get(), 0);
                    Batch::split_from(&mut bytes).unwrap()
                })
            }
        };
        self.stands.extend(built.clone());
        built.is_some()
    }

    /// One life up to its end; false if the disk went away under it.
    async fn live(&mut self, life: &Life, log: &Partition) -> bool {
        for _ in 0..self.chance.within(1..60) {
            match self.chance.below(20) {
                0 => life.site.clock.sleep(Duration::from_millis(self.chance.below(7_000))).await,
                1 => life.site.clock.sleep(Duration::from_secs(301)).await,
                2 | 3 => {
                    let end = log.end();
                    if log.durable(offset(end)).await.is_err() {
                        return false;
                    }
                    self.durable_end = self.durable_end.max(end);
                }
                4 => {
                    let [start, _, high, ..] = log.five();
                    let to = start + self.chance.below((high - start) as u64 / 2 + 2) as i64;
                    self.asked = self.asked.max(to);
                    if matches!(self.role, Role::Mirror { .. }) {
                        log.follow_start(offset(to));
                    } else {
                        match log.delete_records(Some(offset(to))).await {
                            Ok(start) => self.told = self.told.max(start.get()),
                            Err(StartError::OutOfRange { .. }) => {}
                            Err(_) => return false,
                        }
                    }
                }
                5 => {
                    // A mirror begins where its first batch is, before anything is saved of it.
                    let told = if pieces(&life.checkpoints, 0).is_empty() { 0 } else { self.told };
                    carrick_log::Checkpoints::durable(&*life.checkpoints).await.unwrap();
                    self.durable_start = told;
                }
                6 => drop(self.look(log, "alive").await),
                _ if !self.append(log, life.now()) => return false,
                _ => {}
            }
            assert!(log.offsets().ordered(self.settings.durability != OS.durability), "{:?}", log.offsets());
            // Retention asks as well.
            self.asked = self.asked.max(log.five()[0]);
        }
        true
    }

    /// All that can be read is what was appended, by offset and by time.
    async fn look(&mut self, log: &Partition, what: &str) -> Vec<Batch> {
        let start = log.five()[0];
        let found = match self.read_all(log).await {
            Ok(found) => found,
            Err(_) => return Vec::new(),
        };
        assert_eq!((log.damage(), log.wounds()), (None, vec![]), "{what}");
        let should: Vec<_> = self
            .stands
            .iter()
            .filter(|it| it.header.last_offset() >= offset(start))
            .take(found.len())
            .cloned()
            .collect();
        assert!(found == should, "{what}: from {start} {} are read, {} should be", found.len(), should.len());
        if let Some(it) = found.get(self.chance.below(found.len().max(1) as u64) as usize) {
            let time = it.header.max_timestamp;
            let records = found.iter().flat_map(|it| {
                let (base, first) = (it.header.base_offset.get(), it.header.base_timestamp.0);
                [(base, first), (base + 1, first + 3)]
            });
            let first = records.clone().find(|it| it.0 >= start && it.1 >= time.0);
            if let Ok(answer) = log.first_at(time, Bound::LogEnd).await
                && log.five()[0] == start
            {
                assert_eq!(answer.map(|it| it.offset.get()), first.map(|it| it.0), "{what}: {time}");
            }
        }
        found
    }

    async fn read_all(&mut self, log: &Partition) -> Result<Vec<Batch>, ReadError> {
        let mut found = Vec::new();
        let mut from = log.five()[0];
        while from < log.end() {
            let max = self.chance.below(3_000) as usize;
            let slice = log.read(offset(from), max, Bound::LogEnd).await?;
            found.extend(carrick_record::Batches::new(slice.bytes).map(Result::unwrap));
            if slice.next.get() == from {
                // A segment was begun behind a hole, and its batches were lost.
                assert!(
                    self.stands.iter().all(|it| !(from..log.end()).contains(&it.header.base_offset.get()))
                );
                break;
            }
            from = slice.next.get();
        }
        Ok(found)
    }
}

async fn lives(seed: u64) {
    let mut world = World::new(seed);
    let mut site = SimSite::new(seed);
    let mut saved: Arc<MemoryCheckpoints> = Arc::default();
    let (mut clean, mut killed) = (true, true);
    site.disk.stall_sync(Duration::from_millis(world.chance.below(6)));
    for life in 0..8 {
        let what = format!("seed {seed} life {life}");
        let on = Life::knowing(site, world.settings, Arc::clone(&saved))
            .unwrap_or_else(|(_, e)| panic!("{what}: {e}"));
        on.store.open_topic(TOPIC, 1, world.role, clean, world.keeps).unwrap();
        let log = on.partition(0);
        assert_eq!(log.damage(), None, "{what}");
        let [start, .., end, _] = log.five();
        let floor = if killed { world.told } else { world.durable_start };
        assert!(
            (floor..=world.asked.max(start.min(30))).contains(&start),
            "{what}: {start}, told {floor}, asked {}",
            world.asked
        );
        assert!(end >= world.durable_end, "{what}: ends at {end}, {} was durable", world.durable_end);
        assert!(
            !killed || world.stands.last().is_none_or(|it| it.header.next_offset().get() <= end),
            "{what}: {end}"
        );
        let found = world.look(&log, &what).await;
        world.stands.retain(|it| it.header.next_offset().get() <= end);
        assert!(world.stands.is_empty() || found.is_empty() || found.last() == world.stands.last(), "{what}");
        (world.told, world.durable_start) = (start, world.durable_start.min(start));
        if world.chance.one_in(3) {
            on.site.disk.crash_at(on.site.disk.calls() + world.chance.within(1..150));
        }
        clean = world.live(&on, &log).await
            && world.chance.one_in(3)
            && on.store.close().await.is_ok()
            && !on.site.disk.crashed();
        killed = world.chance.one_in(2);
        assert_eq!(on.site.spawn.panicked(), [""; 0], "{what}");
        if clean {
            carrick_log::Checkpoints::durable(&*on.checkpoints).await.unwrap();
            world.durable_end = log.end();
            (world.told, world.durable_start) = (log.five()[0], log.five()[0]);
        }
        let cut = if killed { Cut::Kill } else { Cut::Power };
        let kept = world.chance.below(on.checkpoints.unsynced() as u64 + 1) as usize;
        saved =
            if killed { Arc::clone(&on.checkpoints) } else { Arc::new(on.checkpoints.after_power_cut(kept)) };
        drop(log);
        site = on.site.reboot(cut).await;
    }
}

#[test]
fn a_log_that_deletes_holds_what_it_told_through_all_its_lives() {
    hold(cases(150, 150), |seed| run(seed, lives(seed)));
}

/// A segment whose tail a power cut took, filled again to the same length, and cut off again before its new sidecar was
/// durable: the old one describes other batches.
#[test]
fn the_sidecar_of_a_segment_that_was_filled_twice_is_not_believed() {
    run(1, async {
        let settings = LogSettings { open_files_max: 1, ..small(200_000) };
        let mut lives = Vec::new();
        for tag in [0, 1_000] {
            let (life, log) = Life::mirroring(1, settings);
            for n in 0..60 {
                let time = 1_000 + (n + tag) * 7_919 % 1_000;
                let sent =
                    batch(1).at(n * 10).epoch(0).times([time]).tag((n + tag) as u64).values(9_000).build();
                log.set_source_high(log.append_mirrored(&sent, None, life.now()).unwrap());
            }
            lives.push((life.files().await, log.all(Bound::LogEnd).await));
        }
        let [(old, _), (files, batches)] = &lives[..] else { panic!() };
        let mut mixed = files.clone();
        for path in files.segments(0).iter().map(|path| path.with_extension("idx")) {
            if let Some(bytes) = old.0.get(&path) {
                assert_eq!(bytes.len(), files.get(&path).len());
                *mixed.get_mut(&path) = bytes.clone();
            }
        }
        let mut life = Life::over(&mixed, settings, &MemoryCheckpoints::default());
        for clean in [false, true] {
            let log = life.open(mirror(), clean);
            for it in batches {
                let found = log.first_at(it.header.max_timestamp, Bound::LogEnd).await.unwrap();
                let first =
                    batches.iter().find(|other| other.header.max_timestamp >= it.header.max_timestamp);
                assert_eq!(found.map(|it| it.offset), first.map(|it| it.header.base_offset));
                let from = offset((it.header.base_offset.get() - 5).max(0));
                assert_eq!(log.read(from, 1, Bound::LogEnd).await.unwrap().bytes, it.bytes);
            }
            assert_eq!(log.wounds(), []);
            let (files, saved) = life.close().await;
            life = Life::over(&files, settings, &saved);
        }
    });
}
