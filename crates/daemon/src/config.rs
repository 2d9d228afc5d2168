//! The settings file: TOML, unknown keys refused, every fault reported at once.

mod reader;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carrick_broker::BrokerSettings;
use carrick_log::{Durability, LogSettings};
use carrick_node::OnBoot;
use carrick_serve::Listener;
use carrick_sys::SyncMode;
use carrick_tls::Files;
use carrick_types::limits::MIB;

use reader::Reader;

/// Everything a node is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub data: PathBuf,
    pub durability: Durability,
    pub sync: SyncMode,
    pub segment_bytes: u64,
    /// Between two looks for what topics do not keep.
    pub retention_check: Duration,
    pub memory_bytes: usize,
    pub listeners: Vec<Listener>,
    pub broker: BrokerSettings,
    /// Where peers dial; None: this node only dials.
    pub link: Option<LinkListener>,
    /// Who this node is to its peers; without it there are no links.
    pub tls: Option<TlsFiles>,
    /// Health and metrics; None: they are not served.
    pub http: Option<SocketAddr>,
    pub on_boot_without_peer: OnBoot,
    /// Made if it is not there.
    pub make_data: bool,
}

/// The link port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkListener {
    pub bind: SocketAddr,
}

/// A certificate chain, its key, and whom to trust; PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// What is wrong with a settings file: one line each.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults {
    pub of: String,
    pub lines: Vec<String>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{}: {line}", self.of)?;
        }
        Ok(())
    }
}

const MEMORY_MIN: u64 = 16 * MIB as u64;
/// Between two looks: each goes over every partition.
const RETENTION_CHECK: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(86_400);

/// How often retention may look.
pub fn retention_check(every: Duration) -> Option<Duration> {
    RETENTION_CHECK.contains(&every).then_some(every)
}

/// Reads a settings file.
pub fn read(path: &Path) -> Result<Settings, Faults> {
    let of = path.display().to_string();
    let faults = |lines| Faults { of: of.clone(), lines };
    let text = std::fs::read_to_string(path)
        .map_err(|e| faults(vec![format!("cannot be read: {e}; `carrickd dev` needs no file")]))?;
    parse(&text).map_err(faults)
}

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    let table =
        text.parse::<toml::Table>().map_err(|e| vec![e.to_string().trim_end().replace('\n', "\n  ")])?;
    let mut root = Reader::new("", table);
    let mut node = root.table("node");
    let data = node
        .required("data", "a directory, such as \"/var/lib/carrick\"", |v| Some(PathBuf::from(v.as_str()?)));
    let durability = node.optional("durability", "\"fsync\" or \"os\"", |v| match v.as_str()? {
        "fsync" => Some(Durability::Fsync),
        "os" => Some(Durability::Os),
        _ => None,
    });
    let sync = node.optional("sync", "\"auto\", \"files\" or \"filesystem\"", |v| match v.as_str()? {
        "auto" => Some(SyncMode::Auto),
        "files" => Some(SyncMode::Files),
        "filesystem" => Some(SyncMode::Filesystem),
        _ => None,
    });
    let segment_bytes = node.optional("segment", "a size from \"1MiB\" to \"2GiB\"", |v| {
        reader::bytes(v).filter(|n| (MIB as u64..=2 << 30).contains(n))
    });
    let retention_check = node.optional("retention_check", "a time from \"100ms\" to \"24h\"", |v| {
        retention_check(reader::duration(v)?)
    });
    let memory = node.optional("memory", "a size of at least \"16MiB\"", |v| {
        reader::bytes(v).filter(|n| *n >= MEMORY_MIN).and_then(|n| usize::try_from(n).ok())
    });
    let on_boot = node.optional("on_boot_without_peer", "\"open\" or \"closed\"", |v| match v.as_str()? {
        "open" => Some(OnBoot::Open),
        "closed" => Some(OnBoot::Closed),
        _ => None,
    });
    root.finish(node);

    let tls = root.has("tls").then(|| {
        let mut table = root.table("tls");
        let mut file = |key: &str| table.required(key, "a PEM file", |v| Some(PathBuf::from(v.as_str()?)));
        let (cert, key, ca) = (file("cert"), file("key"), file("ca"));
        root.finish(table);
        Some(TlsFiles { cert: cert?, key: key?, ca: ca? })
    });
    let link = root.has("link").then(|| {
        let mut table = root.table("link");
        let bind = table.required("bind", "an address and a port, such as \"0.0.0.0:9590\"", |v| {
            v.as_str()?.parse::<SocketAddr>().ok()
        });
        root.finish(table);
        Some(LinkListener { bind: bind? })
    });
    if link.is_some() && tls.is_none() {
        root.fault(
            "tls",
            "is missing: the link port wants cert, key and ca; `carrick pki` makes them for a trial".into(),
        );
    }

    let http = root.has("http").then(|| {
        let mut table = root.table("http");
        let bind = http(&mut table);
        root.finish(table);
        bind
    });

    let mut listeners = Vec::new();
    for mut table in root.tables("listener") {
        listeners.extend(listener(&mut table));
        root.finish(table);
    }
    if listeners.is_empty() {
        root.fault("listener", "at least one [[listener]] is wanted".into());
    }
    let mut names: Vec<&str> = listeners.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        root.fault("listener.name", format!("two listeners are named {:?}", twice[0]));
    }

    let kafka: BTreeMap<String, String> = root.strings("kafka");
    let broker = BrokerSettings::from_kafka(&kafka).unwrap_or_else(|bad| {
        bad.iter().for_each(|fault| root.faults.push(fault.to_string()));
        BrokerSettings::default()
    });
    let faults = root.end();
    match data {
        Some(data) if faults.is_empty() => Ok(Settings {
            data,
            durability: durability.unwrap_or_default(),
            sync: sync.unwrap_or_default(),
            segment_bytes: segment_bytes.unwrap_or(1 << 30),
            retention_check: retention_check.unwrap_or(LogSettings::default().retention_check),
            memory_bytes: memory.unwrap_or(128 * MIB),
            listeners,
            broker,
            link: link.flatten(),
            tls: tls.flatten(),
            http: http.flatten(),
            on_boot_without_peer: on_boot.unwrap_or_default(),
            make_data: false,
        }),
        _ => Err(faults),
    }
}

/// Off loopback only if the file says that it may.
fn http(table: &mut Reader) -> Option<SocketAddr> {
    let bind = table.required("bind", "an address and a port, such as \"127.0.0.1:9592\"", |v| {
        v.as_str()?.parse::<SocketAddr>().ok()
    });
    let open = table.optional("allow_unauthenticated", "true or false", |v| v.as_bool()).unwrap_or(false);
    let bind = bind?;
    if !bind.ip().is_loopback() && !open {
        let why = "anyone who reaches this address could read the names of links and topics: bind to 127.0.0.1, or \
                   say allow_unauthenticated = true";
        table.fault("bind", why.into());
    }
    Some(bind)
}

fn listener(table: &mut Reader) -> Option<Listener> {
    let name = table.required("name", "a name", |v| v.as_str().filter(|it| !it.is_empty()).map(String::from));
    let bind = table.required("bind", "an address and a port, such as \"0.0.0.0:9092\"", |v| {
        v.as_str()?.parse::<SocketAddr>().ok()
    });
    let advertised =
        table.optional("advertised", "a host and a port, such as \"kafka.east.example:9092\"", |v| {
            host_and_port(v.as_str()?)
        });
    let tls = listener_tls(table);
    let open = table.optional("allow_unauthenticated", "true or false", |v| v.as_bool()).unwrap_or(false);
    let (name, bind) = (name?, bind?);
    let guarded = tls.as_ref().is_some_and(|it| it.ca.is_some());
    if !bind.ip().is_loopback() && !guarded && !open {
        let why = "anyone who reaches this address could read and write: bind to 127.0.0.1, ask for certificates \
                   (protocol = \"tls\", tls.client_ca), or say allow_unauthenticated = true";
        table.fault("bind", why.into());
    }
    if bind.ip().is_unspecified() && advertised.is_none() {
        table.fault("advertised", format!("{} is no address that clients can reach: name one", bind.ip()));
    }
    let (advertised_host, advertised_port) =
        advertised.unwrap_or_else(|| (bind.ip().to_string(), bind.port()));
    Some(Listener { name, bind, advertised_host, advertised_port, tls })
}

/// The listener's certificate, and whose certificates its clients must have.
fn listener_tls(listener: &mut Reader) -> Option<Files> {
    let tls = listener.optional("protocol", "\"plaintext\" or \"tls\"", |v| match v.as_str()? {
        "plaintext" => Some(false),
        "tls" => Some(true),
        _ => None,
    });
    let given = listener.has("tls");
    if tls != Some(true) {
        if given {
            listener.fault("tls", "has no effect without protocol = \"tls\"".into());
            listener.table("tls");
        }
        return None;
    }
    let mut table = listener.table("tls");
    let path = |v: &toml::Value| v.as_str().map(PathBuf::from);
    let (cert, key) = (table.required("cert", "a PEM file", path), table.required("key", "a PEM file", path));
    let ca = table.optional("client_ca", "a PEM file", path);
    listener.finish(table);
    Some(Files { cert: cert?, key: key?, ca })
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
    if plain { Some((host.into(), port.parse().ok()?)) } else { None }
}

#[cfg(test)]
mod tests;
