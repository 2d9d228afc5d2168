//! What collectors read: each scrape names what is known then, and nothing that is not.
//!
//! Gauges are set into a recorder of the scrape's own, so that what is no longer known is no longer said. Counters that
//! other crates keep through the `metrics` facade stand in the recorder of the process.

use std::io;
use std::time::Duration;

use carrick_link::LinkState;
use carrick_log::Durability;
use carrick_types::MirrorState;
use metrics::{counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::eyes::{Eyes, Sample};
use crate::lag;

/// Name and meaning of all gauges.
const GAUGES: &[(&str, &str)] = &[
    ("carrick_process_start_time_seconds", "When the process began, since 1970."),
    ("carrick_node_info", "1; who the node is, in its labels."),
    ("carrick_node_ready", "1 while clients are served."),
    ("carrick_sync_halted", "1 once a sync failed: nothing is acknowledged any more."),
    ("carrick_sample_age_seconds", "How old the numbers of this scrape are; it grows while the disk hangs."),
    ("carrick_topics", "Topics that exist."),
    ("carrick_partitions", "Partitions of all topics."),
    ("carrick_unsynced_bytes", "Written, and not durable yet."),
    ("carrick_budget_free_bytes", "Free of what requests and answers under way may hold."),
    ("carrick_budget_total_bytes", "What requests and answers under way may hold."),
    ("carrick_kafka_connections", "Open connections of Kafka clients."),
    ("carrick_damaged_places", "Places in the logs that do not hold what was written there."),
    ("carrick_damaged_partitions_offline", "Partitions that take no writes: they are damaged."),
    ("carrick_topics_waiting", "Topics with links that take no writes until their peer is heard."),
    ("carrick_disk_total_bytes", "Size of the data directory's file system."),
    ("carrick_disk_free_bytes", "What this process may still take of it."),
    ("carrick_disk_age_seconds", "How long ago the file system said so."),
    ("carrick_link_connected", "1 while the link's session stands."),
    ("carrick_link_refused", "1 while one of the two sides would not."),
    ("carrick_link_heard_age_seconds", "Since the link's peer was heard last; absent: never."),
    ("carrick_mirrors", "Mirrors of a link, by state."),
    ("carrick_mirror_lag_offsets", "Behind the source, an upper bound of records; absent: unknown."),
    ("carrick_mirror_lag_bytes", "Behind the source, at most; absent: unknown."),
    ("carrick_mirror_lag_seconds", "Behind the source by its own clock; absent: unknown."),
    ("carrick_mirror_lag_or_more", "1 where the seconds are a lower bound."),
    ("carrick_mirror_lag_age_seconds", "Since the source was heard on the partition; absent: never."),
    ("carrick_mirror_lag_unknown_partitions", "Partitions of a link's mirrors whose lag is unknown."),
    ("carrick_certificate_expiry_days", "Whole days until the port's certificate expires; negative after."),
    ("carrick_certificate_stale", "1 while the files hold another certificate, which is not good."),
];

/// Name and meaning of all counters.
const COUNTERS: &[(&str, &str)] = &[
    ("carrick_certificate_renewals_total", "New files that came into use."),
    ("carrick_certificate_failures_total", "New files that were not good."),
    ("carrick_port_refusals_total", "Peers that a TLS port refused."),
];

/// The recorder of the process.
pub struct Metrics {
    process: PrometheusHandle,
}

impl Metrics {
    /// Once per process.
    pub fn install() -> io::Result<Self> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let process = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|e| io::Error::other(format!("metrics cannot be kept: {e}")))?;
        Ok(Self { process })
    }

    pub fn render(&self, eyes: &Eyes, sample: Option<&Sample>) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let scraped = recorder.handle();
        with_local_recorder(&recorder, || {
            GAUGES.iter().for_each(|(name, meaning)| describe_gauge!(*name, *meaning));
            COUNTERS.iter().for_each(|(name, meaning)| describe_counter!(*name, *meaning));
            node(eyes);
            disk(eyes);
            ports(eyes);
            if let Some(sample) = sample {
                sampled(sample);
                links(sample);
                mirrors(sample);
            }
        });
        self.process.run_upkeep();
        let mut text = self.process.render();
        text.push_str(&scraped.render());
        text
    }
}

fn set(name: &'static str, value: impl Number) {
    gauge!(name).set(value.number());
}

/// To what Prometheus counts in.
trait Number {
    fn number(self) -> f64;
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        (self as u64).number()
    }
}

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Number for Duration {
    fn number(self) -> f64 {
        self.as_secs_f64()
    }
}

pub const fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Os => "os",
    }
}

fn node(eyes: &Eyes) {
    set("carrick_process_start_time_seconds", eyes.began_at);
    set("carrick_node_ready", carrick_serve::Eyes::ready(eyes).is_ok());
    set("carrick_sync_halted", eyes.halted().is_some());
    let node = *eyes.node.lock();
    if let Some((node, _)) = node {
        let labels = [
            ("cluster", node.cluster.to_string()),
            ("node", node.node.to_string()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("durability", durability(eyes.durability).into()),
        ];
        gauge!("carrick_node_info", &labels).set(1.0);
    }
}

fn disk(eyes: &Eyes) {
    let Some(seen) = eyes.disk() else { return };
    if let Some((total, free)) = seen.space {
        set("carrick_disk_total_bytes", total);
        set("carrick_disk_free_bytes", free);
        set("carrick_disk_age_seconds", seen.at.elapsed());
    }
    for (port, stale) in seen.stale {
        gauge!("carrick_certificate_stale", "port" => port).set(stale.number());
    }
}

fn ports(eyes: &Eyes) {
    for port in eyes.ports() {
        let Some(tls) = port.tls else { continue };
        let labels = [("port", port.name)];
        #[expect(clippy::cast_precision_loss, reason = "a number of days")]
        gauge!("carrick_certificate_expiry_days", &labels).set(tls.days_to_expiry() as f64);
        counter!("carrick_certificate_renewals_total", &labels).absolute(tls.renewals());
        counter!("carrick_certificate_failures_total", &labels).absolute(tls.failures());
        counter!("carrick_port_refusals_total", &labels).absolute(port.refusals.total());
    }
}

fn sampled(sample: &Sample) {
    set("carrick_sample_age_seconds", sample.now(Duration::ZERO));
    set("carrick_topics", sample.topics);
    set("carrick_partitions", sample.partitions);
    set("carrick_unsynced_bytes", sample.unsynced);
    set("carrick_budget_free_bytes", sample.budget_free);
    set("carrick_budget_total_bytes", sample.budget_total);
    set("carrick_kafka_connections", sample.kafka_connections);
    set("carrick_damaged_places", sample.damaged.len());
    set("carrick_damaged_partitions_offline", sample.damaged.iter().filter(|(.., offline)| *offline).count());
    set("carrick_topics_waiting", sample.waiting.len());
}

fn links(sample: &Sample) {
    for link in &sample.links {
        let labels = [("link", link.name.clone())];
        gauge!("carrick_link_connected", &labels).set((link.state == LinkState::Connected).number());
        gauge!("carrick_link_refused", &labels).set((link.state == LinkState::Refused).number());
        if let Some(heard) = link.heard.ok() {
            gauge!("carrick_link_heard_age_seconds", &labels).set(sample.now(heard).number());
        }
        let of_link = || sample.mirrors.iter().filter(|it| it.link == link.name);
        for state in MirrorState::ALL {
            let mirrors = of_link().filter(|it| it.state == state).count();
            gauge!("carrick_mirrors", "link" => link.name.clone(), "state" => state.name())
                .set(mirrors.number());
        }
        let unknown = of_link()
            .filter(|it| it.state != MirrorState::Stopped)
            .flat_map(|mirror| mirror.partitions.iter().filter(|it| lag::known(mirror.state, it).is_none()));
        gauge!("carrick_mirror_lag_unknown_partitions", &labels).set(unknown.count().number());
    }
}

fn mirrors(sample: &Sample) {
    for mirror in sample.mirrors.iter().filter(|it| lag::spoken_of(it.state)) {
        for partition in &mirror.partitions {
            let labels = [
                ("link", mirror.link.clone()),
                ("topic", mirror.name.clone()),
                ("partition", partition.partition.to_string()),
            ];
            if let Some((_, age)) = partition.source_high.ok() {
                gauge!("carrick_mirror_lag_age_seconds", &labels).set(sample.now(age).number());
            }
            let Some(lag) = lag::known(mirror.state, partition) else { continue };
            gauge!("carrick_mirror_lag_offsets", &labels).set(lag.offsets.number());
            if !lag.bytes_or_more {
                gauge!("carrick_mirror_lag_bytes", &labels).set(lag.bytes.number());
            }
            gauge!("carrick_mirror_lag_seconds", &labels).set(lag.time.number());
            gauge!("carrick_mirror_lag_or_more", &labels).set(lag.time_or_more.number());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_have_the_prefix() {
        let mut names: Vec<_> = GAUGES.iter().chain(COUNTERS).map(|(name, _)| *name).collect();
        assert!(names.iter().all(|it| it.starts_with("carrick_")));
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
