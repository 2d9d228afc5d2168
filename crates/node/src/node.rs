//! Opening and ending a node.

use std::io;
use std::sync::Arc;

use carrick_broker::{Broker, BrokerSettings, topic_log};
use carrick_catalog::{Catalog, CatalogError, Store};
use carrick_link::{Dialer, Engine, EngineError, Identity, Ports};
use carrick_log::{Checkpoints, LogSettings, LogStore, Role, WaitError};
use carrick_sys::{Budget, Sys, Task};
use tracing::{error, info, warn};

use crate::boot::{OnBoot, Waiting};
use crate::checkpoints::CatalogCheckpoints;
use crate::data::{DataDir, DataError};
use crate::halting::Halting;
use crate::ledger::CatalogLedger;
use crate::reserve::Reserve;
use crate::sink::EmbeddedSink;
use crate::source::EmbeddedSource;
use crate::stamp::{Stamp, StampError};

#[derive(Clone, Debug, Default)]
pub struct NodeSettings {
    pub log: LogSettings,
    pub broker: BrokerSettings,
    /// Bytes that requests and answers under way may hold.
    pub memory_bytes: usize,
    pub on_boot_without_peer: OnBoot,
    /// Put by for a failover on a full disk; 0: nothing.
    pub reserve_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("the catalog could not be opened: {0}")]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Stamp(#[from] StampError),
    #[error("the logs could not be opened: {0}")]
    Logs(#[from] io::Error),
    #[error(transparent)]
    Topic(#[from] carrick_log::OpenError),
    #[error("the links could not be opened: {0}")]
    Links(#[from] EngineError),
    #[error("what the last end left could not be made durable: {0}")]
    Wait(#[from] WaitError),
}

/// A running site.
pub struct Node {
    pub catalog: Arc<Catalog>,
    pub logs: Arc<LogStore>,
    pub broker: Broker,
    pub links: Arc<Engine>,
    pub budget: Budget,
    /// Whether the last end left its mark.
    pub clean: bool,
    checkpoints: Arc<CatalogCheckpoints>,
    _tasks: [Task; 3],
    data: DataDir,
}

impl Node {
    /// Opens everything that was there and makes it durable; then it may be served.
    pub async fn open(
        sys: &Sys,
        data: DataDir,
        store: Arc<dyn Store>,
        dialer: Arc<dyn Dialer>,
        settings: NodeSettings,
    ) -> Result<Self, OpenError> {
        Self::open_with(sys, data, store, dialer, settings, |ports| ports).await
    }

    /// As [`Node::open`], with the links' world as `wrap` has it: where a test plants faults.
    pub async fn open_with(
        sys: &Sys,
        mut data: DataDir,
        store: Arc<dyn Store>,
        dialer: Arc<dyn Dialer>,
        settings: NodeSettings,
        wrap: impl FnOnce(Ports) -> Ports,
    ) -> Result<Self, OpenError> {
        let halting = Halting::over(Arc::clone(&sys.disk), Arc::clone(&sys.spawn));
        let sys = &Sys { disk: Arc::clone(&halting) as _, ..sys.clone() };
        let catalog = Arc::new(Catalog::open(store, &*sys.entropy)?);
        let cluster = catalog.node().cluster;
        data.bind(&*sys.disk, cluster)?;
        let stamp = Stamp::open(&*sys.disk, data.path(), cluster, catalog.node().commits)?;
        let begun = catalog.begin()?;
        let (home, disk) = (Arc::clone(&catalog), Arc::clone(&sys.disk));
        let checkpoints = Arc::new(CatalogCheckpoints { catalog: home, disk, stamp });
        let stamped = Arc::downgrade(&checkpoints);
        catalog.on_durable(Box::new(move |commits| {
            if let Some(it) = stamped.upgrade() {
                it.stamp(commits);
            }
        }));
        let home = Arc::clone(&checkpoints) as Arc<dyn Checkpoints>;
        let logs = Arc::new(LogStore::open(sys.clone(), data.path(), cluster, settings.log, home)?);
        let (failed, halted) = (halting.failed(), Arc::clone(&logs));
        let halt = sys.spawn.spawn("halt", Box::pin(async move { halted.halt(&failed.await) }));
        let topics = catalog.topics();
        let waiting = Arc::new(Waiting::default());
        for topic in &topics {
            let stuck = begun.stuck.iter().find(|(name, _)| *name == topic.name);
            let role = match stuck {
                None => waiting.role(topic),
                Some((_, overflow)) => {
                    error!(topic = %topic.name, why = %overflow, "the topic takes no writes: copy it to a new one");
                    Role::Closed
                }
            };
            logs.open_topic(topic.id, topic.partitions, role, !begun.unclean, topic_log(&topic.configs))?;
        }
        let known = topics.iter().map(|topic| topic.id.to_string());
        warn_strays(sys, &data, &known.collect::<Vec<_>>())?;
        if begun.unclean {
            logs.flush().await?;
        }
        info!(%cluster, node = %catalog.node().node, topics = topics.len(), clean = !begun.unclean, "node open");
        let budget = Budget::new(settings.memory_bytes);
        let broker = Broker::new(
            sys.clone(),
            Arc::clone(&catalog),
            Arc::clone(&logs),
            budget.clone(),
            settings.broker,
        );
        let reserve = Reserve::new(Arc::clone(&sys.disk), data.path(), settings.reserve_bytes);
        let ports = Ports {
            source: Arc::new(EmbeddedSource {
                sys: sys.clone(),
                catalog: Arc::clone(&catalog),
                logs: Arc::clone(&logs),
                waiting: Arc::clone(&waiting),
                broker: broker.clone(),
            }),
            sink: Arc::new(EmbeddedSink {
                broker: broker.clone(),
                sys: sys.clone(),
                catalog: Arc::clone(&catalog),
                logs: Arc::clone(&logs),
                reserve: reserve.clone(),
            }),
            ledger: Arc::new(CatalogLedger { sys: sys.clone(), catalog: Arc::clone(&catalog) }),
            dialer,
            sys: sys.clone(),
        };
        let links = Engine::open(wrap(ports), Identity { cluster, node: catalog.node().node }).await?;
        let wait = waiting.run_out(
            sys.clone(),
            Arc::clone(&catalog),
            Arc::clone(&logs),
            settings.on_boot_without_peer,
        );
        let wait = sys.spawn.spawn("boot rule", Box::pin(wait));
        let reserve = sys.spawn.spawn("reserve", Box::pin(reserve.keep(sys.clone())));
        Ok(Self {
            catalog,
            logs,
            broker,
            links,
            budget,
            clean: !begun.unclean,
            checkpoints,
            data,
            _tasks: [wait, reserve, halt],
        })
    }

    /// After the last request: makes all durable and leaves the mark that says so.
    pub async fn close(self) -> Result<(), OpenError> {
        self.links.stop();
        self.logs.close().await?;
        self.catalog.end_clean()?;
        let stamp = &self.checkpoints.stamp;
        stamp.write(self.catalog.node().commits).and_then(|()| stamp.make_durable())?;
        info!("clean end");
        drop(self.data);
        Ok(())
    }
}

/// A directory that no topic of the catalog owns is left alone: the catalog may be an older copy.
fn warn_strays(sys: &Sys, data: &DataDir, known: &[String]) -> io::Result<()> {
    for name in sys.disk.list(&data.path().join("topics"))? {
        if !known.contains(&name) {
            warn!(directory = name, "no topic owns this directory under topics/: it is left as it is");
        }
    }
    Ok(())
}
