//! B23: the link's transport alone, memory to memory, against a raw copy of the same messages over the same TLS; and the time
//! of small messages. Without its windows and TCP_NODELAY together the copy stalls, without TCP_NODELAY alone the small ones do.

mod answers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use carrick_rpc::tls::{Files, Purpose, Tls};
use carrick_rpc::{Connection, Endpoint, LinkServer, dial};
use crc_fast::{CrcAlgorithm, Digest};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::bench::Bench;
use crate::samples::Samples;
use crate::table::{Mark, Metric, Report};
use crate::usage::{Spent, Stopwatch};

const BYTES: u64 = 1 << 30;
/// As large as a link's data frames are at most.
const MESSAGE_BYTES: usize = 256 << 10;
/// Different messages; one after the other they are larger than the first caches.
const MESSAGES: usize = 16;
/// A stalled line takes minutes: what it would take is then as good as known.
const PATIENCE: Duration = Duration::from_secs(60);

/// The share of the raw copy's rate below which nothing is released.
pub const NO_GO: f64 = 0.25;
/// A kernel that delays an acknowledgement does so by 40 ms; the way there and back takes a tenth of one.
pub const ANSWER_MS_NO_GO: f64 = 20.0;

/// One transport of the messages.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub link: Spent,
    pub raw: Spent,
}

impl Pair {
    /// Of the raw copy's rate.
    pub fn share(&self) -> f64 {
        self.raw.wall.as_secs_f64() / self.link.wall.as_secs_f64()
    }

    /// Of the raw copy's bytes per CPU time.
    pub fn cpu_share(&self) -> f64 {
        self.raw.cpu.as_secs_f64() / self.link.cpu.as_secs_f64()
    }
}

/// Sends `bytes` by either, `repeats` times, in turn the one and the other first. What arrives is what was sent, or it fails.
pub fn compare(files: &Files, bytes: u64, repeats: usize) -> anyhow::Result<Vec<Pair>> {
    let tls = Tls::open(files.clone(), Purpose::Grpc)?;
    let count = usize::try_from(bytes)?.div_ceil(MESSAGE_BYTES);
    let messages = Messages::new(count);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let link = || runtime.block_on(by_link(messages.clone(), tls.clone()));
    let raw = || runtime.block_on(by_hand(messages.clone(), tls.clone()));
    let pair = |repeat: usize| {
        if repeat.is_multiple_of(2) {
            let link = link()?;
            Ok(Pair { link, raw: raw()? })
        } else {
            let raw = raw()?;
            Ok(Pair { link: link()?, raw })
        }
    };
    (0..repeats).map(pair).collect()
}

/// What is sent, and what all of it sums up to.
#[derive(Clone)]
struct Messages {
    different: Arc<Vec<Bytes>>,
    count: usize,
    sum: u64,
}

impl Messages {
    fn new(count: usize) -> Self {
        let different: Vec<Bytes> = (0..MESSAGES)
            .map(|which| (0..MESSAGE_BYTES).map(|at| ((at * 31) ^ (at >> 8) ^ which) as u8).collect())
            .collect();
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        (0..count).for_each(|at| digest.update(&different[at % MESSAGES]));
        Self { different: Arc::new(different), count, sum: digest.finalize() }
    }

    fn each(self) -> impl Iterator<Item = Bytes> {
        (0..self.count).map(move |at| self.different[at % MESSAGES].clone())
    }
}

/// A connection of a session, both ends of it.
pub(crate) struct Line {
    near: Connection,
    far: Connection,
    serving: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

impl Line {
    async fn open(tls: &Tls) -> anyhow::Result<Self> {
        let server = LinkServer::bind(([127, 0, 0, 1], 0).into(), tls.clone()).await?;
        let port = server.address()?.port();
        let (accepted, mut connections) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(server.serve(accepted, stopped));
        let near = dial(&Endpoint { host: "127.0.0.1".into(), port, server_name: None }, tls).await?;
        let far = connections.recv().await.context("the link port ended")?;
        Ok(Self { near, far, serving, _stop: stop })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Over the link's transport.
async fn by_link(messages: Messages, tls: Tls) -> anyhow::Result<Spent> {
    let mut line = Line::open(&tls).await?;
    let outgoing = line.near.outgoing.clone();
    let watch = Stopwatch::start(&[std::process::id()])?;
    let (count, sum) = (messages.count, messages.sum);
    let sending = tokio::spawn(async move {
        for message in messages.each() {
            if outgoing.send(message.into()).await.is_err() {
                break;
            }
        }
    });
    let spent = received(count, sum, &watch, async |digest| {
        digest.update(&line.far.incoming.recv().await.context("the link's connection was lost")?);
        Ok(())
    });
    let spent = spent.await?;
    sending.await?;
    Ok(spent)
}

/// Over TLS with nothing but a length before each message.
async fn by_hand(messages: Messages, tls: Tls) -> anyhow::Result<Spent> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TlsConnector::from(tls.client().context("the certificates have no CA")?);
    let server = TlsAcceptor::from(tls.server());
    let dialling = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    dialling.set_nodelay(true)?;
    accepted.set_nodelay(true)?;
    let accepting = tokio::spawn(server.accept(accepted));
    let mut near = client.connect(ServerName::try_from("127.0.0.1")?, dialling).await?;
    let mut far = accepting.await??;

    let watch = Stopwatch::start(&[std::process::id()])?;
    let (count, sum) = (messages.count, messages.sum);
    let sending = tokio::spawn(async move {
        for message in messages.each() {
            near.write_u32(u32::try_from(message.len()).map_err(std::io::Error::other)?).await?;
            near.write_all(&message).await?;
        }
        near.flush().await?;
        Ok::<_, std::io::Error>(near)
    });
    let mut buffer = vec![0; MESSAGE_BYTES];
    let spent = received(count, sum, &watch, async |digest| {
        let message = &mut buffer[..far.read_u32().await? as usize];
        far.read_exact(message).await?;
        digest.update(message);
        Ok(())
    });
    let spent = spent.await?;
    drop(sending.await??);
    Ok(spent)
}

/// Takes so many messages in, and checks that they are those that were sent.
async fn received(
    count: usize,
    sum: u64,
    watch: &Stopwatch,
    mut next: impl AsyncFnMut(&mut Digest) -> anyhow::Result<()>,
) -> anyhow::Result<Spent> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let all = async {
        for _ in 0..count {
            next(&mut digest).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let stalled = "the transport stalls; next: look at TCP_NODELAY and the windows in crates/rpc/src";
    timeout(PATIENCE, all).await.context(stalled)??;
    let spent = watch.spent();
    if digest.finalize() != sum {
        bail!("other messages arrived than were sent; next: cargo test -p carrick-rpc");
    }
    spent
}

/// Milliseconds from a small message that follows another to its answer, `repeats` times.
pub fn answers(files: &Files, repeats: usize) -> anyhow::Result<Samples> {
    let tls = Tls::open(files.clone(), Purpose::Grpc)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let once = |_| runtime.block_on(async { answers::ask_twice(&mut Line::open(&tls).await?).await });
    (0..repeats).map(once).collect()
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let bytes = bench.bytes.unwrap_or(BYTES);
    let files = bench.pki.node("guard")?;
    let pairs = compare(&files, bytes, bench.repeat)?;
    let answers = answers(&files, bench.repeat)?;
    let samples = |of: fn(&Pair) -> f64| pairs.iter().map(of).collect::<Samples>();
    let rates =
        |of: fn(&Pair) -> Spent| pairs.iter().map(|it| of(it).mb_per_second(bytes)).collect::<Samples>();
    let metrics = vec![
        Metric::ratio("transport, share of a raw copy's rate", &samples(Pair::share), Mark::AtLeast(NO_GO))
            .no_go(Mark::AtLeast(NO_GO)),
        Metric::new("a small message after another, to its answer", "ms", &answers)
            .marked(Mark::AtMost(ANSWER_MS_NO_GO))
            .no_go(Mark::AtMost(ANSWER_MS_NO_GO)),
        Metric::new("transport", "MB/s", &rates(|it| it.link)).against(&rates(|it| it.raw)),
        Metric::new(
            "transport, share of a raw copy's bytes per CPU time",
            "of control",
            &samples(Pair::cpu_share),
        ),
    ];
    let runs = pairs.iter().map(|it| {
        json!({
            "bytes": bytes,
            "seconds": it.link.wall.as_secs_f64(),
            "cpu_seconds": it.link.cpu.as_secs_f64(),
            "raw_seconds": it.raw.wall.as_secs_f64(),
            "raw_cpu_seconds": it.raw.cpu.as_secs_f64(),
        })
    });
    Ok(Report { metrics, runs: runs.collect() })
}

#[cfg(test)]
mod tests {
    use carrick_tests::{Pki, Tls};

    use super::*;

    fn files(pki: &Pki) -> Files {
        let Tls { cert, key, ca } = pki.node("guard");
        Files { cert, key, ca: Some(ca) }
    }

    /// The best of three: whoever else uses the machine at that moment slows either.
    #[test]
    fn the_transport_reaches_a_quarter_of_a_raw_copy_of_its_messages() {
        let pki = Pki::new();
        let pairs = compare(&files(&pki), 96 << 20, 3).unwrap();
        let shares: Vec<f64> = pairs.iter().map(Pair::share).collect();
        println!("shares of a raw copy's rate: {shares:.2?}");
        assert!(shares.iter().any(|it| *it >= NO_GO), "{shares:.2?}");
    }

    #[test]
    fn a_small_message_does_not_wait_for_the_acknowledgement_of_the_one_before() {
        let pki = Pki::new();
        let answers = answers(&files(&pki), 3).unwrap();
        assert!(answers.min() <= ANSWER_MS_NO_GO, "{answers:?}");
    }
}
