//! From settings to a running node, and back to nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use carrick_log::LogSettings;
use carrick_node::{DataDir, Node, NodeSettings};
use carrick_rpc::admin::{AdminServer, AdminSocket};
use carrick_serve::{Drain, HttpListener};
use carrick_store::{RocksStore, StoreBudget};
use carrick_sys::{Disk, RealClock, RealDisk, RealEntropy, RealSpawn, Sys};
use carrick_watch::{Eyes, Port};
use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::admin::Operator;
use crate::audit::Audit;
use crate::config::Settings;
use crate::control::Control;
use crate::hands::Hands;
use crate::links::Links;
use crate::systemd;

/// For requests under way, once told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// For the catalog: its log holds 16 MiB at most, which a disk that is not slow beyond use reads in seconds.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// A failover's decision, its markers and the catalog's own files.
const RESERVE_BYTES: u64 = 16 << 20;

pub fn run(settings: Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("CARRICK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    raise_file_limit();
    // Before the node opens, and off its threads: health is asked for when things go wrong.
    let eyes = Eyes::new(settings.data.clone(), settings.durability)?;
    let control = watched(settings.http, &eyes)?;
    let threads = |name: &str| {
        tokio::runtime::Builder::new_multi_thread()
            .thread_name(format!("carrick-{name}"))
            .enable_all()
            .build()
    };
    let (data, line) = (threads("data")?, threads("line")?);
    let others = Others { control: control.handle.clone(), line: line.handle().clone() };
    let ran = data.block_on(node(settings, eyes, others));
    // What still runs holds nothing that was not made durable.
    data.shutdown_timeout(Duration::from_secs(1));
    line.shutdown_background();
    control.stop();
    ran
}

/// Threads that never wait for the disk; the node's own may.
struct Others {
    control: Handle,
    /// Of the links' sockets and heartbeats: a peer must not take a stuck disk for a dead node.
    line: Handle,
}

fn watched(http: Option<SocketAddr>, eyes: &Arc<Eyes>) -> anyhow::Result<Control> {
    let alive_every = systemd::alive_every();
    let listener = http.map(|bind| {
        let taken = || format!("the HTTP port could not be bound to {bind}: is another process there?");
        HttpListener::bind(bind).with_context(taken)
    });
    let listener = listener.transpose()?;
    if let Some(listener) = &listener {
        println!("http {}", listener.address());
    }
    let eyes = Arc::clone(eyes);
    let control = Control::start(listener, eyes, alive_every);
    control.context("the control thread could not be started")
}

async fn node(settings: Settings, eyes: Arc<Eyes>, others: Others) -> anyhow::Result<()> {
    let Others { control, line } = others;
    let data = &settings.data;
    if settings.make_data {
        std::fs::create_dir_all(data).with_context(|| format!("{} could not be made", data.display()))?;
    }
    let disk = RealDisk::open(data, settings.sync)
        .with_context(|| format!("the data directory {} could not be opened", data.display()))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let sys = Sys {
        clock: Arc::new(RealClock::new()),
        disk: Arc::clone(&disk),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(RealSpawn::new(Handle::current())),
        prompt: Arc::new(RealSpawn::new(line.clone())),
    };
    let mut stop = Stop::new()?;
    let dir = DataDir::open(&*disk, data)?;

    let mut bound = Vec::new();
    for listener in settings.listeners {
        let name = listener.name.clone();
        bound.push(carrick_serve::bind(listener).await.with_context(|| format!("listener {name}"))?);
    }
    let links = Links::bind(settings.tls.as_ref(), settings.link.as_ref(), line).await?;
    let path = data.join("admin.sock");
    let socket = control.spawn(async move { AdminSocket::bind(&path).await }).await??;
    let audit = Audit::open(&data.join("audit.log")).context("the audit log could not be opened")?;
    let store = Arc::new(open_store(dir.catalog()).await?);
    let node_settings = NodeSettings {
        log: LogSettings {
            durability: settings.durability,
            segment_bytes: settings.segment_bytes,
            open_files_max: files_for_logs(),
            retention_check: settings.retention_check,
        },
        broker: settings.broker,
        memory_bytes: settings.memory_bytes,
        on_boot_without_peer: settings.on_boot_without_peer,
        reserve_bytes: RESERVE_BYTES,
    };
    let (opening, dialer) = (sys.clone(), links.dialer());
    let opening = tokio::spawn(async move { Node::open(&opening, dir, store, dialer, node_settings).await });
    let node = {
        let (opened, stopped) = (opening.fuse(), stop.wait().fuse());
        futures::pin_mut!(opened, stopped);
        futures::select_biased! {
            () = stopped => {
                info!("stopped before the node was open");
                return Ok(());
            }
            opened = opened => opened??,
        }
    };
    let (stopping, stopped) = watch::channel(false);

    let drain = Drain::default();
    let mut accepting = Vec::new();
    let mut ports: Vec<Port> = links.port().into_iter().collect();
    for listener in bound {
        let (host, port) = listener.advertised();
        println!("kafka {} {host}:{port}", listener.name());
        ports.push(Port { name: listener.name().into(), tls: listener.tls(), refusals: listener.refusals() });
        let serving = listener.serve(sys.clone(), node.broker.clone(), node.budget.clone(), drain.clone());
        accepting.push(tokio::spawn(serving));
    }
    accepting.extend(links.serve(Arc::clone(&node.links), &stopped));
    let operator = Operator::new(Arc::clone(&node.links), node.catalog.node(), audit, Arc::clone(&eyes));
    let admin = AdminServer::new(Arc::new(Hands::new(operator, Handle::current())));
    println!("admin {}", data.join("admin.sock").display());
    accepting.push(control.spawn(admin.serve_socket(socket, stopped.clone())));
    eyes.open(&node, &drain, ports);
    tokio::spawn(Arc::clone(&eyes).follow_disk());
    println!("ready");
    systemd::ready();

    stop.wait().await;
    eyes.stopping();
    systemd::stopping();
    info!("stopping: {}s for what is under way", DRAIN_MAX.as_secs());
    node.broker.close();
    node.links.stop();
    stopping.send_replace(true);
    if !drain.drain(DRAIN_MAX).await {
        warn!("some requests were not finished in time");
    }
    for task in accepting {
        let _ = task.await;
    }
    eyes.close();
    node.close().await?;
    Ok(())
}

/// RocksDB reads some damaged files for ever.
async fn open_store(catalog: PathBuf) -> anyhow::Result<RocksStore> {
    let shown = catalog.display().to_string();
    let opening = tokio::task::spawn_blocking(move || RocksStore::open(&catalog, StoreBudget::default()));
    let Ok(opened) = tokio::time::timeout(OPEN_MAX, opening).await else {
        anyhow::bail!(
            "CATALOG_UNREADABLE: {shown} could not be read within {}s, as where a file of it is damaged: restore it from a \
             copy, or start with an empty data directory and mirror the topics again",
            OPEN_MAX.as_secs()
        );
    };
    Ok(opened??)
}

/// SIGTERM and SIGINT stop the node; SIGHUP does not.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        loop {
            futures::select_biased! {
                _ = futures::FutureExt::fuse(Box::pin(self.terminate.recv())) => return,
                _ = futures::FutureExt::fuse(Box::pin(self.interrupt.recv())) => return,
                _ = futures::FutureExt::fuse(Box::pin(self.hangup.recv())) => {
                    warn!("no setting can be changed while the node runs: restart it");
                }
            }
        }
    }
}

/// Half of what the process may open, and no more than is of use: the rest is for connections and the catalog.
fn files_for_logs() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = limit.map_or(usize::MAX, |it| usize::try_from(it / 2).unwrap_or(usize::MAX));
    half.clamp(16, 4_096)
}

/// Each segment, connection and catalog file is a handle.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(e) = setrlimit(Resource::Nofile, raised) {
            warn!(error = %e, "the limit of open files could not be raised");
        }
    }
}
