//! `carrickd dev`: safe defaults and no file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use carrick_broker::BrokerSettings;
use carrick_log::{Durability, LogSettings};
use carrick_node::OnBoot;
use carrick_serve::Listener;
use carrick_sys::SyncMode;
use carrick_types::limits::MIB;

use crate::config::{self, Faults, LinkListener, Settings, TlsFiles};

/// Kafka's name for `retention_check` under `[node]`.
const RETENTION_CHECK_MS: &str = "log.retention.check.interval.ms";

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the node keeps its data; made if it is not there.
    #[arg(long, default_value = "carrick-data")]
    data: PathBuf,
    /// The Kafka listener's port on 127.0.0.1; 0 takes any that is free.
    #[arg(long, default_value_t = 9092)]
    kafka_port: u16,
    /// The link listener's port on 127.0.0.1, if certificates are given; 0 takes any that is free.
    #[arg(long, default_value_t = 9590)]
    link_port: u16,
    /// The port on 127.0.0.1 for health and metrics; 0 takes any that is free.
    #[arg(long, default_value_t = 9592)]
    http_port: u16,
    /// The node's certificate chain; `carrick pki` makes one.
    #[arg(long, requires_all = ["key", "ca"])]
    cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// The certificates that peers' must be signed by.
    #[arg(long, requires = "cert")]
    ca: Option<PathBuf>,
    /// Acknowledge before records would survive a power cut: faster.
    #[arg(long)]
    durability_os: bool,
    /// A broker setting under Kafka's name, or log.retention.check.interval.ms.
    #[arg(long = "kafka", value_name = "KEY=VALUE")]
    kafka: Vec<String>,
}

pub fn settings(arguments: &Arguments) -> Result<Settings, Faults> {
    let of = "carrickd dev".to_string();
    let mut lines = Vec::new();
    let mut table = std::collections::BTreeMap::new();
    for setting in &arguments.kafka {
        match setting.split_once('=') {
            Some((key, value)) => {
                table.insert(key.to_string(), value.to_string());
            }
            None => lines.push(format!("--kafka {setting}: KEY=VALUE is wanted")),
        }
    }
    let retention_check = table.remove(RETENTION_CHECK_MS).map(|value| {
        let every = value.parse().ok().map(Duration::from_millis).and_then(config::retention_check);
        if every.is_none() {
            lines.push(format!(
                "kafka.{RETENTION_CHECK_MS} = {value:?}: a number from 100 to 86400000 is wanted"
            ));
        }
        every
    });
    let broker = BrokerSettings::from_kafka(&table).unwrap_or_else(|bad| {
        lines.extend(bad.iter().map(ToString::to_string));
        BrokerSettings::default()
    });
    if !lines.is_empty() {
        return Err(Faults { of, lines });
    }
    let kafka = Listener {
        name: "kafka".into(),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.kafka_port)),
        advertised_host: Ipv4Addr::LOCALHOST.to_string(),
        advertised_port: arguments.kafka_port,
        tls: None,
    };
    let tls = match (&arguments.cert, &arguments.key, &arguments.ca) {
        (Some(cert), Some(key), Some(ca)) => {
            Some(TlsFiles { cert: cert.clone(), key: key.clone(), ca: ca.clone() })
        }
        _ => None,
    };
    let link = tls
        .as_ref()
        .map(|_| LinkListener { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.link_port)) });
    Ok(Settings {
        data: arguments.data.clone(),
        durability: if arguments.durability_os { Durability::Os } else { Durability::Fsync },
        sync: SyncMode::Auto,
        segment_bytes: 1 << 30,
        retention_check: retention_check.flatten().unwrap_or(LogSettings::default().retention_check),
        memory_bytes: 128 * MIB,
        listeners: vec![kafka],
        broker,
        link,
        tls,
        http: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.http_port))),
        on_boot_without_peer: OnBoot::Open,
        make_data: true,
    })
}
