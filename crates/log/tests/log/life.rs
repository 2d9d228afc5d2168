//! One node's logs from a boot to a crash, and how tests look at them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_log::{
    Appended, Bound, Checkpoints, Durability, LogSettings, LogStore, MemoryCheckpoints, OpenError, Partition,
    ReadError, Role, TopicLog,
};
use carrick_record::{Batch, Batches};
use carrick_sim::{Cut, DATA, SimDisk, SimSite, WALL_START};
use carrick_sys::{Clock as _, Disk as _, Opening, Sys};
use carrick_types::{ClusterId, Generation, LeaderEpoch, Offset, Partition as Index, Timestamp, TopicId};

pub const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
pub const TOPIC: TopicId = TopicId::from_bytes([2; 16]);

pub const FSYNC: LogSettings = LogSettings {
    durability: Durability::Fsync,
    segment_bytes: 1 << 30,
    open_files_max: 4,
    retention_check: Duration::from_secs(300),
};
pub const OS: LogSettings = LogSettings { durability: Durability::Os, ..FSYNC };

/// So many bytes of batches a segment.
pub fn small(segment_bytes: u64) -> LogSettings {
    LogSettings { segment_bytes: 4096 + segment_bytes, ..FSYNC }
}

pub fn offset(at: i64) -> Offset {
    Offset::new(at).unwrap()
}

pub fn writable(epoch: i32) -> Role {
    Role::Writable { epoch: LeaderEpoch::new(epoch).unwrap() }
}

pub fn mirror() -> Role {
    Role::Mirror { generation: Generation::new(100).unwrap() }
}

pub struct Life {
    pub site: SimSite,
    pub store: LogStore,
    pub settings: LogSettings,
    pub checkpoints: Arc<MemoryCheckpoints>,
}

impl Life {
    /// A first life, on an empty disk, with no topic.
    pub fn first(seed: u64, settings: LogSettings) -> Self {
        Self::on(SimSite::new(seed), settings)
    }

    /// A first life with one writable partition.
    pub fn writing(seed: u64, settings: LogSettings) -> (Self, Arc<Partition>) {
        let life = Self::first(seed, settings);
        let partition = life.open(writable(0), true);
        (life, partition)
    }

    /// A first life with one mirror.
    pub fn mirroring(seed: u64, settings: LogSettings) -> (Self, Arc<Partition>) {
        let life = Self::first(seed, settings);
        let partition = life.open(mirror(), true);
        (life, partition)
    }

    pub fn on(site: SimSite, settings: LogSettings) -> Self {
        Self::try_on(site, settings).unwrap_or_else(|(_, e)| panic!("{e}"))
    }

    pub fn try_on(site: SimSite, settings: LogSettings) -> Result<Self, (SimSite, std::io::Error)> {
        Self::knowing(site, settings, Arc::default())
    }

    /// A life that has what earlier ones saved.
    pub fn knowing(
        site: SimSite,
        settings: LogSettings,
        checkpoints: Arc<MemoryCheckpoints>,
    ) -> Result<Self, (SimSite, std::io::Error)> {
        let (sys, home) = (site.sys(), Arc::clone(&checkpoints));
        Self::given(site, sys, settings, home, checkpoints)
    }

    /// A life with a disk or a home of its own; `checkpoints` is what stands behind that home.
    pub fn given(
        site: SimSite,
        sys: Sys,
        settings: LogSettings,
        home: Arc<dyn Checkpoints>,
        checkpoints: Arc<MemoryCheckpoints>,
    ) -> Result<Self, (SimSite, std::io::Error)> {
        match LogStore::open(sys, Path::new(DATA), CLUSTER, settings, home) {
            Ok(store) => Ok(Self { site, store, settings, checkpoints }),
            Err(e) => Err((site, e)),
        }
    }

    /// A life over a copy of files, with what was saved when they were copied.
    pub fn over(files: &Files, settings: LogSettings, saved: &MemoryCheckpoints) -> Self {
        let life = Self::knowing(files.boot(1), settings, Arc::new(copy_of(saved)));
        life.unwrap_or_else(|(_, e)| panic!("{e}"))
    }

    /// Opens the topic with one partition.
    pub fn open(&self, role: Role, clean: bool) -> Arc<Partition> {
        self.try_open(1, role, clean).unwrap();
        self.partition(0)
    }

    pub fn try_open(&self, partitions: u32, role: Role, clean: bool) -> Result<(), OpenError> {
        self.store.open_topic(TOPIC, partitions, role, clean, TopicLog::FOR_EVER)
    }

    pub fn partition(&self, index: u32) -> Arc<Partition> {
        self.store.partition(TOPIC, Index(index)).unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.site.clock.wall()
    }

    /// The next life, with no topic open.
    pub async fn reboot(self, cut: Cut) -> Self {
        let Self { site, store, settings, checkpoints } = self;
        drop(store);
        let checkpoints = match cut {
            Cut::Kill => checkpoints,
            Cut::Power => {
                let kept = site.seed % (checkpoints.unsynced() as u64 + 1);
                Arc::new(checkpoints.after_power_cut(usize::try_from(kept).unwrap()))
            }
        };
        let next = Self::knowing(site.reboot(cut).await, settings, checkpoints);
        next.unwrap_or_else(|(_, e)| panic!("{e}"))
    }

    /// Made durable, ended, opened again as clean.
    pub async fn restart(self, role: Role) -> (Self, Arc<Partition>) {
        self.store.flush().await.unwrap();
        let next = self.reboot(Cut::Power).await;
        let partition = next.open(role, true);
        (next, partition)
    }

    /// Ended as a node ends, and what it leaves: every file, and what was saved.
    pub async fn close(&self) -> (Files, MemoryCheckpoints) {
        self.store.close().await.unwrap();
        self.left()
    }

    /// What a kill now would leave.
    pub fn left(&self) -> (Files, MemoryCheckpoints) {
        (Files::of(&self.site.disk), copy_of(&self.checkpoints))
    }

    /// Flushed, and a copy of every file.
    pub async fn files(&self) -> Files {
        self.store.flush().await.unwrap();
        Files::of(&self.site.disk)
    }
}

fn copy_of(saved: &MemoryCheckpoints) -> MemoryCheckpoints {
    saved.after_power_cut(usize::MAX)
}

/// What stands on a disk: paths and bytes. Without the note of what is being synced: it is never durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(pub BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    pub fn of(disk: &SimDisk) -> Self {
        let paths = disk.paths().into_iter().map(PathBuf::from).filter(|path| !path.ends_with("SYNCING"));
        Self(paths.map(|path| (path.clone(), disk.file_bytes(&path).unwrap())).collect())
    }

    /// The segment files of a partition, in order.
    pub fn segments(&self, partition: u32) -> Vec<PathBuf> {
        let dir = dir_of(partition);
        let files = self.0.keys().filter(|path| path.parent() == Some(&dir));
        files.filter(|path| path.extension().is_some_and(|it| it == "seg")).cloned().collect()
    }

    /// All that stands in a partition's directory.
    pub fn within(&self, partition: u32) -> BTreeMap<&Path, &[u8]> {
        let dir = dir_of(partition);
        let files = self.0.iter().filter(|(path, _)| path.parent() == Some(&dir));
        files.map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect()
    }

    pub fn get(&self, path: &Path) -> &[u8] {
        &self.0[path]
    }

    pub fn get_mut(&mut self, path: &Path) -> &mut Vec<u8> {
        self.0.get_mut(path).unwrap()
    }

    /// A site that boots from a disk with these files, all durable.
    pub fn boot(&self, seed: u64) -> SimSite {
        let disk = SimDisk::new(seed);
        for (path, bytes) in &self.0 {
            disk.create_dir_all(path.parent().unwrap()).unwrap();
            disk.open(path, Opening::New).unwrap().write_at(&[bytes], 0).unwrap();
        }
        // What a kill leaves is all that was written; the log cannot tell it from what is durable.
        SimSite::on(seed, disk.reboot(Cut::Kill), WALL_START)
    }
}

pub fn dir_of(partition: u32) -> PathBuf {
    Path::new(DATA).join("topics").join(TOPIC.to_string()).join(partition.to_string())
}

/// What tests ask of a partition.
pub trait Look {
    fn put(&self, batch: &Batch) -> Appended;

    fn end(&self) -> i64;

    /// Start, last stable, high watermark, end, durable end.
    fn five(&self) -> [i64; 5];

    fn try_read(
        &self,
        from: i64,
        max: usize,
        bound: Bound,
    ) -> impl Future<Output = Result<(Bytes, i64), ReadError>>;

    /// Every batch below `bound`, read one by one, each with its checksum right.
    fn all(&self, bound: Bound) -> impl Future<Output = Vec<Batch>>;
}

impl Look for Partition {
    fn put(&self, batch: &Batch) -> Appended {
        self.append(batch, None, WALL_START).unwrap()
    }

    fn end(&self) -> i64 {
        self.offsets().log_end.at().get()
    }

    fn five(&self) -> [i64; 5] {
        let it = self.offsets();
        let five = [it.log_start.at(), it.last_stable.at(), it.high_watermark.at(), it.log_end.at()];
        let [start, stable, high, end] = five.map(Offset::get);
        [start, stable, high, end, it.durable_end.at().get()]
    }

    async fn try_read(&self, from: i64, max: usize, bound: Bound) -> Result<(Bytes, i64), ReadError> {
        let slice = self.read(offset(from), max, bound).await?;
        Ok((slice.bytes, slice.next.get()))
    }

    async fn all(&self, bound: Bound) -> Vec<Batch> {
        let mut found = Vec::new();
        let mut from = self.offsets().log_start.at().get();
        loop {
            let (bytes, next) = self.try_read(from, 1 << 16, bound).await.unwrap();
            if bytes.is_empty() {
                return found;
            }
            for batch in Batches::new(bytes) {
                let batch = batch.unwrap();
                assert_eq!(batch.verify(), Ok(()));
                found.push(batch);
            }
            assert!(next > from, "a read from {from} goes on at {next}");
            from = next;
        }
    }
}

/// The batches' bytes, one after the other.
pub fn joined<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Bytes {
    batches.into_iter().flat_map(|batch| batch.bytes.to_vec()).collect()
}

/// A path's last name.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().into()
}
