//! What a lag is made of at least: TLS there and back, and the disk's own sync.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use carrick_rpc::tls::{Files, Purpose, Tls};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::load::RECORD_BYTES;

const ECHO: Duration = Duration::from_secs(2);
const SYNCS: usize = 300;
const APPEND_BYTES: usize = 4096;

/// The longest that a core sleeps while the disk is probed.
const NAP: Duration = Duration::from_micros(500);

/// Milliseconds of each append of 4 KiB to a file in `dir` that is then made durable, with all cores kept awake: on an idle
/// virtual machine a completion is seen at the next tick of the clock, which says nothing of the disk.
pub fn disk_sync(dir: &Path) -> anyhow::Result<Vec<f64>> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism()?.get() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::thread::sleep(NAP);
                }
            });
        }
        let syncs = sync_often(dir);
        over.store(true, Ordering::Relaxed);
        syncs
    })
}

fn sync_often(dir: &Path) -> anyhow::Result<Vec<f64>> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("probe");
    let mut file = File::create(&path)?;
    let once = || {
        let begun = Instant::now();
        file.write_all(&[7; APPEND_BYTES])?;
        rustix::fs::fdatasync(&file)?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let syncs = std::iter::repeat_with(once).take(SYNCS).collect();
    std::fs::remove_file(&path)?;
    syncs
}

/// Milliseconds of each record's way there and back, at the same rate and in the same ticks.
pub fn tls_echo(files: &Files, rate: u32, tick: Duration) -> anyhow::Result<Vec<f64>> {
    let tls = Tls::open(files.clone(), Purpose::Grpc)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(echo(tls, rate, tick))
}

async fn echo(tls: Tls, rate: u32, tick: Duration) -> anyhow::Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let dialling = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    dialling.set_nodelay(true)?;
    accepted.set_nodelay(true)?;
    let server = TlsAcceptor::from(tls.server());
    let echoing = tokio::spawn(async move {
        let mut line = server.accept(accepted).await?;
        let mut message = vec![0; RECORD_BYTES];
        while line.read_exact(&mut message).await.is_ok() {
            line.write_all(&message).await?;
            line.flush().await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let client = TlsConnector::from(tls.client().context("the certificates have no CA")?);
    let (mut back, mut there) =
        tokio::io::split(client.connect(ServerName::try_from("127.0.0.1")?, dialling).await?);

    let every = tick.max(Duration::from_secs(1) / rate);
    let messages = (f64::from(rate) * every.as_secs_f64()).round().max(1.0) as usize;
    let (sent, mut times) = mpsc::unbounded_channel();
    let sending = tokio::spawn(async move {
        let begun = Instant::now();
        let ticks = (ECHO.as_nanos() / every.as_nanos()) as u32;
        for at in 0..ticks {
            tokio::time::sleep_until((begun + every * at).into()).await;
            for _ in 0..messages {
                // Read until the last is back.
                let _ = sent.send(Instant::now());
                there.write_all(&[7; RECORD_BYTES]).await?;
            }
            there.flush().await?;
        }
        Ok::<_, std::io::Error>(there)
    });
    let (mut message, mut found) = (vec![0; RECORD_BYTES], Vec::new());
    while let Some(begun) = times.recv().await {
        back.read_exact(&mut message).await?;
        found.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    drop((sending.await??, back));
    echoing.await??;
    Ok(found)
}
