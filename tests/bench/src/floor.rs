//! The floor of a catch-up: the same segment files through as few steps as any mirror needs. Read, TLS over loopback, CRC-32C,
//! append, made durable as a node does it. No protocol, no checks but the CRC, both ends in this process.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use anyhow::Context as _;
use carrick_rpc::tls::{Files, Purpose, Tls};
use crc_fast::{CrcAlgorithm, checksum};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::equal::{self, PAGE_BYTES};
use crate::usage::{Spent, Stopwatch};

/// As large as a link's frames are.
const BLOCK_BYTES: usize = 256 << 10;
/// As many as a link has.
const CONNECTIONS: usize = 4;
/// Up to so many dirty files are synced each by itself, more by the file system: as `carrick-sys` does.
const FILES_MAX: usize = 4;
/// Of a partition's number, and of the length of what follows.
const HEAD_BYTES: usize = 8;

/// Copies the partitions of `source`, a data directory with one topic, into another that is made at `copy`. The time runs
/// until the last byte is durable.
pub fn copy(source: &Path, copy: &Path, partitions: i32, files: &Files) -> anyhow::Result<Spent> {
    let tls = Tls::open(files.clone(), Purpose::Grpc)?;
    let topic = equal::only_topic(source)?;
    let sinks = Arc::new(Sinks::create(copy, partitions)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let watch = Stopwatch::start(&[std::process::id()])?;
    let syncer = {
        let sinks = Arc::clone(&sinks);
        std::thread::spawn(move || sinks.sync_to_the_end())
    };
    let copied = runtime.block_on(carry(topic, partitions, Arc::clone(&sinks), tls));
    sinks.end();
    let synced = syncer.join().map_err(|_| anyhow::anyhow!("the floor's sync thread ended early"))?;
    let spent = watch.spent();
    copied.and(synced).and(spent)
}

async fn carry(topic: PathBuf, partitions: i32, sinks: Arc<Sinks>, tls: Tls) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = tls.client().context("the certificates have no CA")?;
    let mut working = Vec::new();
    for first in 0..CONNECTIONS as i32 {
        let mine = (first..partitions).step_by(CONNECTIONS).collect();
        working.push(tokio::spawn(send(topic.clone(), mine, address, Arc::clone(&client))));
        let (stream, _) = listener.accept().await?;
        working.push(tokio::spawn(receive(stream, tls.server(), Arc::clone(&sinks))));
    }
    for it in working {
        it.await??;
    }
    Ok(())
}

async fn send(
    topic: PathBuf,
    partitions: Vec<i32>,
    address: std::net::SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut line = TlsConnector::from(config).connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let mut block = vec![0; HEAD_BYTES + BLOCK_BYTES];
    let mut sources = Vec::new();
    for partition in partitions {
        for path in equal::segments(&topic.join(partition.to_string()))? {
            let file = File::open(path)?;
            let end = file.metadata()?.len();
            sources.push((partition, file, PAGE_BYTES, end));
        }
    }
    // A block of each in turn, as many partitions are mirrored side by side.
    while !sources.is_empty() {
        for (partition, file, at, end) in &mut sources {
            let size = BLOCK_BYTES.min(usize::try_from(end.saturating_sub(*at))?);
            file.read_exact_at(&mut block[HEAD_BYTES..HEAD_BYTES + size], *at)?;
            block[..4].copy_from_slice(&partition.to_be_bytes());
            block[4..HEAD_BYTES].copy_from_slice(&u32::try_from(size)?.to_be_bytes());
            line.write_all(&block[..HEAD_BYTES + size]).await?;
            *at += size as u64;
        }
        sources.retain(|(_, _, at, end)| at < end);
    }
    line.shutdown().await?;
    Ok(())
}

async fn receive(
    stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    sinks: Arc<Sinks>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut line = TlsAcceptor::from(config).accept(stream).await?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut ends = vec![PAGE_BYTES; sinks.files.len()];
    let mut head = [0; HEAD_BYTES];
    while line.read_exact(&mut head).await.is_ok() {
        let [partition, size] =
            [&head[..4], &head[4..]].map(|it| it.iter().fold(0, |n, b| n << 8 | usize::from(*b)));
        let block = &mut block[..size];
        line.read_exact(block).await?;
        std::hint::black_box(checksum(CrcAlgorithm::Crc32Iscsi, block));
        sinks.files[partition].write_all_at(block, ends[partition])?;
        ends[partition] += size as u64;
        sinks.mark(partition);
    }
    Ok(())
}

/// What is written, and the part of it that is not durable.
struct Sinks {
    dir: File,
    files: Vec<File>,
    unsynced: Mutex<Unsynced>,
    told: Condvar,
}

#[derive(Default)]
struct Unsynced {
    dirty: BTreeSet<usize>,
    over: bool,
}

impl Sinks {
    fn create(data: &Path, partitions: i32) -> anyhow::Result<Self> {
        let topic = data.join("topics").join("copy");
        let files = (0..partitions).map(|partition| {
            let dir = topic.join(partition.to_string());
            std::fs::create_dir_all(&dir)?;
            Ok(File::create(dir.join("00000000000000000000.seg"))?)
        });
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { dir: File::open(data)?, files, unsynced: Mutex::default(), told: Condvar::new() })
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn mark(&self, partition: usize) {
        self.unsynced().dirty.insert(partition);
        self.told.notify_one();
    }

    /// Nothing more is written.
    fn end(&self) {
        self.unsynced().over = true;
        self.told.notify_one();
    }

    /// Syncs all that is dirty together, again and again.
    fn sync_to_the_end(&self) -> anyhow::Result<()> {
        loop {
            let waiting = self.told.wait_while(self.unsynced(), |it| it.dirty.is_empty() && !it.over);
            let dirty = std::mem::take(&mut waiting.unwrap_or_else(|e| e.into_inner()).dirty);
            match dirty.len() {
                0 => return Ok(()),
                few if few <= FILES_MAX => self.sync_each(&dirty)?,
                _ => rustix::fs::syncfs(&self.dir)?,
            }
        }
    }

    fn sync_each(&self, dirty: &BTreeSet<usize>) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let syncs: Vec<_> =
                dirty.iter().map(|it| scope.spawn(|| rustix::fs::fdatasync(&self.files[*it]))).collect();
            for it in syncs {
                it.join().map_err(|_| anyhow::anyhow!("a sync ended early"))??;
            }
            Ok(())
        })
    }
}
